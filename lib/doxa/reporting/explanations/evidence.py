"""Scores of units as colours and words: how strong, for or against, and how that is said."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from doxa.reporting import wording
from doxa.reporting.explanations.entries import Entry
from doxa.reporting.explanations.passages import Unit

# The lowest shares of the strongest score in the same text for shades 1 to 3. A text sets its own scale, as a reader asks which of
# its words counted; with one scale for a page a single loud text would bleach all others, and the same text would look
# otherwise on another page. Nor would a fixed scale do: a text of 20 words shares out as much evidence as one of 2,000.
STEPS = (0.15, 0.4, 0.7)
# In nats of log-odds: from where on shades 1 to 3 may be. What would print as ×1.00 is nothing, and where even the strongest word
# moves the odds by less than a tenth, nothing is loud.
AT_LEAST = (0.005, 0.1, 0.2)
MOST_WORDS = 5
_UNSPACED = ("zh", "ja")


@dataclass(frozen=True)
class Word:
    """A word as it is written, how often it pushes in the same direction, and how strongly, all times together."""

    text: str
    count: int
    strength: str


@dataclass(frozen=True)
class Scale:
    """How the scores of one text are to be read. `kind`: odds (nats of log-odds of the label), value (what the number gains) or
    attention (where the model looked: neither for nor against)."""

    kind: str
    largest: float
    total: float

    def colour(self, score: float) -> str:
        """The style of a unit: for, against or look with a step from 1 to 3; "" for one that hardly counts."""
        step = self._step(score)
        side = "look" if self.kind == "attention" else "for" if score > 0 else "against"
        return f"{side}{step}" if step else ""

    def _step(self, score: float) -> int:
        size = abs(score)
        step = sum(size / self.largest >= edge for edge in STEPS) if self.largest > 0 else 0
        return min(step, sum(size >= nats for nats in AT_LEAST)) if self.kind == "odds" else step

    def name_words(self, texts: Iterable[list[Unit]], side: str) -> list[Word]:
        """The strongest words of a side (for, against, look) among the coloured ones; Chinese characters beside each other make one word."""
        found: dict[str, list] = {}
        coloured = ([unit for unit in units if self.colour(unit.score).startswith(side)] for units in texts)
        for text, score in chain.from_iterable(map(_join, coloured)):
            known = found.setdefault(text.casefold(), [text, 0, 0.0])
            known[1] += 1
            known[2] += score
        best = sorted(found.values(), key=lambda known: -abs(known[2]))[:MOST_WORDS]
        return [Word(_quote(wording.shorten(text, 40)), count, self._strength(score)) for text, count, score in best]

    def _strength(self, score: float) -> str:
        if self.kind == "attention":
            return f"{abs(score) / self.total:.0%}" if self.total > 0 else ""
        if self.kind == "value":
            return f"{score:+.3g}".replace("-", "−")
        return ("×" if score > 0 else "÷") + _factor(abs(score))


def read_scale(entry: Entry, units: list[Unit]) -> Scale:
    kind = "attention" if is_attention(entry.method) else "value" if entry.kind == "number" and entry.said is None else "odds"
    sizes = [abs(unit.score) for unit in units]
    return Scale(kind, max(sizes, default=0.0), sum(sizes))


def is_attention(method: str) -> bool:
    return any(word in method.casefold() for word in ("attention", "rollout"))


def _quote(text: str) -> str:
    """A lone mark of punctuation would be taken for the page's own."""
    return text if any(map(str.isalnum, text)) else f"“{text}”"


def _factor(nats: float) -> str:
    """The factor of the odds: exp(nats), as long as it is one to be told."""
    factor = math.exp(min(nats, 50.0))
    return "1000 or more" if factor >= 999.5 else f"{factor:.2f}" if factor < 9.995 else f"{factor:.0f}"


def _join(units: list[Unit]) -> list[tuple[str, float]]:
    """Texts and scores; neighbours without a space between them, in scripts that write none, become one."""
    joined: list[tuple[str, float]] = []
    end = None
    for unit in units:
        if joined and unit.start == end and all(wording.language(text[-1:]) in _UNSPACED for text in (joined[-1][0], unit.text)):
            joined[-1] = joined[-1][0] + unit.text, joined[-1][1] + unit.score
        else:
            joined.append((unit.text, unit.score))
        end = unit.end
    return joined
