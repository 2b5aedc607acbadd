"""What is known of one head, row by row, gold beside predicted: what the rows of every kind of head can do."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from doxa.metrics.bootstrap import Resampling
from doxa.metrics.classification import Estimate

MOST_SLICES = 1000


@dataclass
class Measured:
    """Figures by name, (1 + R) values each: of the rows, then of the resamples; `exact` the figure of all rows, which differs from the
    first value where a bag stood for them. `by_label` maps a name to (1 + R, K) and its exact values (K), in the order of `labels`. `n_rows` are
    all that the figures are of."""

    exact: dict[str, float]
    values: dict[str, np.ndarray]
    exact_by_label: dict[str, np.ndarray]
    values_by_label: dict[str, np.ndarray]
    labels: tuple[str, ...]
    n_rows: int

    def label_figure(self, name: str, label: str) -> tuple[float, np.ndarray]:
        """A figure of a label, and its values (1 + R): 0 where there is no such label, as of one that is never said or held."""
        if label not in self.labels:
            return 0.0, np.zeros(1 + len(next(iter(self.values.values()))[1:]))
        place = self.labels.index(label)
        return self.exact_by_label[name][place], self.values_by_label[name][:, place]


@dataclass(kw_only=True)
class HeadRows(ABC):
    """N records that hold both. `records` (N,) are their places among the good records of the input, `models` who predicted, `score` (N,)
    is that of what was said, NaN where there is none.

    `slices` maps a slicing to pairs (2, M): a row, the code of a slice it is in, which `slice_names` calls by name."""

    head: str
    kind: str
    records: np.ndarray
    score: np.ndarray
    slices: dict[str, np.ndarray] = field(default_factory=dict)
    slice_names: dict[str, list[str]] = field(default_factory=dict)
    models: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.records)

    # --- figures

    @property
    @abstractmethod
    def headline(self) -> str:
        """The figure that decides unless another is asked for."""

    @property
    @abstractmethod
    def small(self) -> tuple[str, ...]:
        """The figures of a slice."""

    @property
    @abstractmethod
    def lower_is_better(self) -> frozenset[str]:
        """The figures of which less is better."""

    @classmethod
    @abstractmethod
    def measure_all(cls, sides: list["HeadRows"], resampling: Resampling, with_scores: bool) -> list[Measured]:
        """All figures of several predictions of the same rows, resampled alike; those of scores where asked for and every row has them."""

    @abstractmethod
    def support(self) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        """The labels (K), how often gold holds each (K), and how often each was said (K)."""

    @abstractmethod
    def is_right(self) -> np.ndarray | None:
        """Whether a row is wholly right (N,); None where right and wrong are not told apart."""

    @property
    def is_label_once_a_row(self) -> bool:
        """Whether a row holds a label once at most, as it does not where labels are of parts of a text."""
        return False

    def n_changed(self, other: "HeadRows", figure: str) -> int | None:
        """In how many rows other predictions of the same rows say something else, where a figure depends on what is said alone; None where it does not."""
        return None

    def confusion(self) -> np.ndarray | None:
        """Counts of gold (rows) by predicted (columns) over the labels (K, K), of heads that have such."""
        return None

    # --- one row

    @abstractmethod
    def gold_value(self, row: int) -> Any:
        """What gold holds, for people and as JSON."""

    @abstractmethod
    def said_value(self, row: int) -> Any:
        """What was said, for people and as JSON."""

    # --- beside others

    @abstractmethod
    def take(self, rows: np.ndarray) -> "HeadRows":
        """Some rows, by place or mask, without their slices."""

    @abstractmethod
    def differs(self, other: "HeadRows") -> np.ndarray:
        """Whether a row's gold (N,) is another than that of the same row of `other`."""

    def match(self, other: "HeadRows") -> tuple["HeadRows", "HeadRows"]:
        """Both, fit to be measured together."""
        return self, other

    def losses(self, old: "HeadRows", most: int) -> list[tuple[int, float]]:
        """The rows that became wrong since `old`, those with the highest score first, and their weight."""
        was, is_right = old.is_right(), self.is_right()
        return [] if was is None or is_right is None else self._by_score(was & ~is_right, most)

    def wrong(self, most: int) -> list[tuple[int, float]]:
        """The rows that are wrong, the surest first, and their weight."""
        is_right = self.is_right()
        return [] if is_right is None else self._by_score(~is_right, most)

    def sureness(self) -> np.ndarray:
        """What the surest rows have most of."""
        return self.score

    def _by_score(self, mask: np.ndarray, most: int) -> list[tuple[int, float]]:
        """The rows of a mask and their score, the surest first, 0 for those without one, which come last."""
        rows = np.flatnonzero(mask)
        order = np.argsort(-np.nan_to_num(self.sureness()[rows], nan=-np.inf), kind="stable")[:most]
        return [(row, float(np.nan_to_num(self.score[row], nan=0.0))) for row in rows[order].tolist()]

    # --- words

    @abstractmethod
    def signed(self) -> list[str]:
        """What its line of signature says of how figures are made."""

    def remarks(self, figures: dict[str, Estimate]) -> list[str]:
        """Sentences on what its figures do not tell."""
        return []

    # --- slices

    def split(self, slicing: str) -> list[tuple[str, np.ndarray]]:
        """Name and rows of every slice, the largest MOST_SLICES of them."""
        places, codes = self.slices[slicing]
        order = np.argsort(codes, kind="stable")
        values, starts = np.unique(codes[order], return_index=True)
        parts = zip(values.tolist(), np.split(places[order], starts[1:])) if len(values) else ()
        return [(self.slice_names[slicing][code], rows) for code, rows in sorted(parts, key=lambda part: -len(part[1]))[:MOST_SLICES]]

    def tell_cut(self, slicing: str) -> list[str]:
        """A sentence where `split` leaves slices out."""
        n = len(np.unique(self.slices[slicing][1]))
        return [f'head "{self.head}": of {n:,} slices only the {MOST_SLICES:,} largest are shown'] if n > MOST_SLICES else []
