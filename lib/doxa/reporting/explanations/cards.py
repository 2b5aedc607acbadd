"""One explanation as the page shows it: the coloured texts, and what is said about them."""

import json
from dataclasses import dataclass
from typing import Any

from doxa.records.text_fields import PAIRS
from doxa.records.unfold import read_cell
from doxa.reporting import wording
from doxa.reporting.explanations.entries import Entry, Faithfulness, Said
from doxa.reporting.explanations.evidence import Scale, Word, read_scale
from doxa.reporting.explanations.passages import Run, Unit, lay_out, place_units
from doxa.text.segments import join_tokens

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
    runs: list[Run]
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
    tokens: dict[tuple[str, int | None], list] = {(name, None): [] for name in names.texts}
    for token in entry.tokens:
        tokens.setdefault(_owner(token, names), []).append(token)
    for (field, index), own in tokens.items():
        name, text, units, n_without_place = _find_text(fields, field, index, own, names)
        n_misplaced += n_without_place
        if text is not None:
            placed[name] = text, units
    all_units = [unit for _, units in placed.values() for unit in units]
    scale = read_scale(entry, all_units)
    if not placed:
        notes.append(f'The record holds no text under "{names.text}".')
    elif n_misplaced:
        notes.append(f"{n_misplaced:,} of {len(entry.tokens):,} scores have no place in the text, which was changed after it was explained: "
                     "they are left out.")
    if entry.is_unsaid:
        notes.append(f"Not said: the score is below the label's threshold, {entry.threshold:.2f}.")
    notes += _say_incomplete(entry, all_units)
    words = {side: scale.name_words([units for _, units in placed.values()], side) for side in ("for", "against", "look")}
    return Card(entry, scale, _show_id(fields.get(names.id)), [_colour(name, *content, scale, entry.said) for name, content in placed.items()], words, notes)


def _owner(token: Any, names: Fields) -> tuple[str, int | None]:
    """The field that a token's text is in, and its place where that holds several."""
    field, index = (token.get("field"), token.get("index")) if isinstance(token, dict) else (None, None)
    return field if isinstance(field, str) else names.text, index if type(index) is int else None


def _find_text(fields, field: str, index: int | None, tokens: list, names: Fields) -> tuple[str, str | None, list[Unit], int]:
    """A text under a name to show, its units, and how many tokens have no place there. Which text is the first of a record its kind knew: it is the one
    where the tokens have their places."""
    value = fields.get(field)
    if index is not None:
        value = _listed(value)
        candidates = {f"{field} {index + 1}": value[index] if isinstance(value, list) and 0 <= index < len(value) else None}
    elif field == names.text:
        words = _listed(fields.get("tokens"))
        firsts = {pair[0]: fields.get(pair[0]) for pair in PAIRS if isinstance(fields.get(pair[1]), str)}
        is_joined = isinstance(words, list) and all(isinstance(word, str) for word in words)
        candidates = {field: value} | {name: text for name, text in firsts.items() if name != field} | ({"tokens": join_tokens(words)[0]} if is_joined else {})
    else:
        candidates = {field: value}
    found = [(name, text, *place_units(text, tokens)) for name, text in candidates.items() if isinstance(text, str)]
    return min(found, key=lambda one: one[3], default=(field, None, [], len(tokens)))


def _listed(value: Any) -> Any:
    """A list, also where a cell of a CSV file holds it."""
    return read_cell(value) if isinstance(value, str) and value[:1] == "[" else value


def _colour(name: str, text: str, units: list[Unit], scale: Scale, said: Said | None) -> ColouredText:
    is_there = said is not None and said.start is not None and said.end is not None and 0 <= said.start < said.end and text[said.start : said.end] == said.text
    runs, n_shown = lay_out(text, units, scale.colour, (said.start, said.end) if is_there else None)
    shortened = f"Shortened to {n_shown:,} of {len(text):,} characters: the beginning, and what stands around the strongest words." if n_shown < len(text) else ""
    return ColouredText(name, runs, wording.language(text), shortened)


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
    """What the measures say, in words; `noun` is what they are told of."""
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
