"""One explanation as the page shows it: the coloured texts, and what is said about them."""

import json
from dataclasses import dataclass
from typing import Any

from doxa.reporting import wording
from doxa.reporting.explanations.entries import Entry, Faithfulness
from doxa.reporting.explanations.evidence import Scale, Word, read_scale
from doxa.reporting.explanations.passages import Piece, Unit, lay_out, place_units

LEFT_OUT = 0.05  # of the evidence: above it, integrated gradients are said not to add up


@dataclass(frozen=True)
class Fields:
    """The names under which a record holds its texts and its id."""

    text: str = "text"
    text_pair: str | None = None
    id: str = "id"

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text, self.text_pair) if self.text_pair else (self.text,)


@dataclass(frozen=True)
class ColouredText:
    """A text of the record under its field's name; `shortened` says how, "" where it is whole."""

    field: str
    pieces: list[Piece]
    language: str
    shortened: str


@dataclass(frozen=True)
class Card:
    entry: Entry
    scale: Scale
    id: str
    texts: list[ColouredText]
    words: dict[str, list[Word]]
    notes: list[str]


def make_card(entry: Entry, fields, names: Fields) -> Card:
    """What a decider sees of an entry of the record `fields`."""
    placed: dict[str, tuple[str, list[Unit]]] = {}
    n_misplaced, notes = 0, []
    for name in names.texts:
        text = fields.get(name)
        if isinstance(text, str):
            units, n_without_place = place_units(text, [token for token in entry.tokens if _field_of(token, names) == name])
            placed[name], n_misplaced = (text, units), n_misplaced + n_without_place
    all_units = [unit for _, units in placed.values() for unit in units]
    scale = read_scale(entry, all_units)
    if not placed:
        notes.append(f'The record holds no text under "{names.text}".')
    elif n_misplaced:
        notes.append(f"{n_misplaced:,} of {len(entry.tokens):,} scores have no place in the text, which was changed after it was explained: "
                     "they are left out.")
    notes += _say_incomplete(entry, all_units)
    words = {side: scale.name_words([units for _, units in placed.values()], side) for side in ("for", "against", "look")}
    return Card(entry, scale, _show_id(fields.get(names.id)), [_colour(name, *content, scale) for name, content in placed.items()], words, notes)


def _field_of(token: Any, names: Fields) -> str:
    return token.get("field", names.text) if isinstance(token, dict) else names.text


def _colour(name: str, text: str, units: list[Unit], scale: Scale) -> ColouredText:
    pieces, n_shown = lay_out(text, units, scale.colour)
    shortened = f"Shortened to {n_shown:,} of {len(text):,} characters: the beginning, and what stands around the strongest words." if n_shown < len(text) else ""
    return ColouredText(name, pieces, wording.language(text), shortened)


def _say_incomplete(entry: Entry, units: list[Unit]) -> list[str]:
    """A note where the convergence delta (Sundararajan et al., 2017) is large beside all scores, for and against, together."""
    evidence = sum(abs(unit.score) for unit in units)
    if entry.delta is None or not units or abs(entry.delta) <= LEFT_OUT * evidence:
        return []
    return [f"The scores miss the whole evidence by {abs(entry.delta):.3g}, beside {evidence:.3g} that they hold: explain it with more steps."]


def _show_id(value: Any) -> str:
    """An id of any JSON value as text; "" where there is none."""
    if value is None:
        return ""
    return wording.shorten(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), 60)


def describe_faithfulness(faithfulness: Faithfulness, noun: str) -> str:
    """What the measures say, in words; `noun` is score or value."""
    without, alone = _change(faithfulness.comprehensiveness), _change(faithfulness.sufficiency)
    return (f"Without its strongest words the {noun} {without} (without random words: {_change(faithfulness.random_comprehensiveness)}); "
            f"from them alone it {alone} (from random words alone: {_change(faithfulness.random_sufficiency)}).")


def _change(drop: float) -> str:
    if abs(drop) < 0.005:
        return "stays"
    return f"{'falls' if drop > 0 else 'rises'} by {abs(drop):.2f}"


def score_of(value: float | None) -> str:
    """A score as it is printed: two decimals, and 1.00 only for what is 1."""
    if value is None:
        return "–"
    return "0.99+" if 0.995 <= value < 1 else f"{value:.2f}"


def show_gold(entry: Entry) -> str:
    """The gold value in words; "" where nobody knows it."""
    if entry.gold is None:
        return ""
    if entry.kind == "number":
        off = "" if entry.score is None else f", off by {abs(entry.score - entry.gold):.3g}"
        return f"{entry.gold:.4g}{off}"
    return ", ".join(entry.gold) or "none" if entry.kind == "labels" else entry.gold
