"""Rows of a head whose figures follow from sums over its records, as its kind counts them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from doxa.evaluation.rows import HeadRows, Measured
from doxa.metrics.bootstrap import Draws, Resampling, draw_rows
from doxa.metrics.classification import Estimate
from doxa.metrics.intervals import wilson
from doxa.metrics.tallied import Tallied


@dataclass(kw_only=True)
class TalliedRows(HeadRows):
    """`counts` (N, S) are what `tallied` makes figures of, `right` (N,) whether a row is wholly right. `golds` and `entries` are the gold
    values and entries of `prediction` as JSON text, of more rows than these: `places` (N,) says which are theirs. `made` says how some
    figures were made, `is_score_doubt` whether a higher score is less sure."""

    tallied: Tallied
    counts: np.ndarray
    right: np.ndarray
    golds: pa.ChunkedArray
    entries: pa.ChunkedArray
    places: np.ndarray
    needs_gold: bool = True
    made: tuple[str, ...] = ()
    is_score_doubt: bool = False

    def sureness(self) -> np.ndarray:
        return -self.score if self.is_score_doubt else self.score

    @property
    def headline(self) -> str:
        return self.tallied.headline

    @property
    def small(self) -> tuple[str, ...]:
        return self.tallied.small

    @property
    def lower_is_better(self) -> frozenset[str]:
        return self.tallied.lower_is_better

    @classmethod
    def measure_all(cls, sides: list["TalliedRows"], resampling: Resampling, with_scores: bool) -> list[Measured]:
        draws = draw_rows(np.zeros(sides[0].n, int), resampling)
        return [side._measure(draws) for side in sides]

    def _measure(self, draws: Draws) -> Measured:
        drawn, tallied = self.counts[draws.rows], self.tallied
        sums, whole = draws.weights @ drawn, self.counts.sum(axis=0, keepdims=True)
        exact = tallied.figures(whole) | tallied.figures_of_rows(self.counts, np.ones((1, self.n)))
        values = tallied.figures(sums) | tallied.figures_of_rows(drawn, draws.weights)
        exact_by_label = {name: found[0] for name, found in tallied.figures_by_label(whole).items()}
        return Measured({name: float(found[0]) for name, found in exact.items()}, values, exact_by_label, tallied.figures_by_label(sums),
                        tuple(tallied.labels), self.n)

    def support(self) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        held, said = self.tallied.support_by_label(self.counts.sum(axis=0, keepdims=True))
        return tuple(self.tallied.labels), held[0], said[0]

    def is_right(self) -> np.ndarray | None:
        """None of a kind that is judged without gold and never wrong."""
        return self.right if self.needs_gold or not self.right.all() else None

    def gold_value(self, row: int) -> Any:
        text = self.golds[int(self.places[row])].as_py()
        return None if text is None else orjson.loads(text)

    def said_value(self, row: int) -> dict[str, Any]:
        return self.tallied.tell(orjson.loads(self.entries[int(self.places[row])].as_py()), self.counts[row])

    def take(self, rows: np.ndarray) -> "TalliedRows":
        return replace(self, counts=self.counts[rows], right=self.right[rows], places=self.places[rows], score=self.score[rows],
                       records=self.records[rows], slices={}, slice_names={})

    def differs(self, other: "TalliedRows") -> np.ndarray:
        """Texts that differ may still be one value, written by another format, or the same entities in another order."""
        texts = [side.golds.take(pa.array(side.places)).to_pylist() for side in (self, other)]
        return np.array([a != b and (a is None or b is None or _unordered(a) != _unordered(b)) for a, b in zip(*texts)], bool)

    def signed(self) -> list[str]:
        return [f"kind:{self.kind}", *self.made]

    def remarks(self, figures: dict[str, Estimate]) -> list[str]:
        if not self.needs_gold or not self.right.all():
            return []
        return ["without a single mistake, resampling cannot tell how many there may be: "
                f"95 % sure is that at least {wilson(self.n, self.n)[0]:.3f} of the records are right (Wilson)"]


def _unordered(text: str) -> Any:
    """The value of a gold text; of a list of objects, such as entities, the order says nothing."""
    value = orjson.loads(text)
    is_of_objects = isinstance(value, list) and all(isinstance(part, dict) for part in value)
    return sorted(orjson.dumps(part, option=orjson.OPT_SORT_KEYS) for part in value) if is_of_objects else value


def score_of(entry: dict[str, Any]) -> float:
    """The score of an entry, else the highest of those that its parts have; NaN without any."""
    parts = [entry] if entry.get("score") is not None else [
        part for value in entry.values() for part in (value if isinstance(value, list) else [value]) if isinstance(part, dict)]
    scores = [part["score"] for part in parts if isinstance(part.get("score"), (int, float))]
    return float(max(scores, default=np.nan))
