"""What is known of one head, row by row, gold beside predicted: as numpy arrays."""

from dataclasses import dataclass, field, replace

import numpy as np

MOST_SLICES = 1000


@dataclass
class HeadRows:
    """N records that hold both. `gold` and `said` are label ids (N,) of a head of one label, 0/1 (N, K) of one of many, and numbers (N,).

    `labels` (K) are those that occur in gold, prediction or scores. `score` (N,) is that of the label said, NaN where there is
    none; `scores` (N, K) those of all labels, None unless every record has them. `records` (N,) are their places among the good
    records of the input, `models` who predicted. With `has_odd_scores` some were outside of 0..1, and all are left out. `slices` maps a slicing to pairs (2, M): a row, the code of a slice it is in,
    which `slice_names` calls by name."""

    head: str
    kind: str
    labels: list[str]
    gold: np.ndarray
    said: np.ndarray
    score: np.ndarray
    scores: np.ndarray | None
    records: np.ndarray
    slices: dict[str, np.ndarray] = field(default_factory=dict)
    slice_names: dict[str, list[str]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    has_odd_scores: bool = False

    @property
    def n(self) -> int:
        return len(self.gold)

    def take(self, rows: np.ndarray) -> "HeadRows":
        """Some rows of it, by place or mask, without their slices."""
        return replace(self, gold=self.gold[rows], said=self.said[rows], score=self.score[rows],
                       scores=None if self.scores is None else self.scores[rows], records=self.records[rows], slices={}, slice_names={})

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

    def count(self, side: np.ndarray) -> np.ndarray:
        """How many rows of gold or prediction have each label (K)."""
        return np.bincount(side, minlength=len(self.labels)) if self.kind == "label" else side.sum(axis=0)

    def value(self, side: np.ndarray, row: int) -> str | float | list[str]:
        """What gold or prediction holds in a row, in words."""
        if self.kind == "number":
            return float(side[row])
        return self.labels[side[row]] if self.kind == "label" else [self.labels[i] for i in np.flatnonzero(side[row])]

    def one_hot(self) -> np.ndarray:
        """The gold labels (N, K) as 0/1."""
        return self.gold if self.kind == "labels" else np.arange(len(self.labels)) == self.gold[:, None]

    def strata(self) -> np.ndarray:
        """What a sample of the rows should hold some of each: gold labels; of many, the rarest of a row."""
        if self.kind == "label":
            return self.gold
        if self.kind == "number" or not self.gold.size:
            return np.zeros(self.n, int)
        rarest_first = np.argsort(self.gold.sum(axis=0), kind="stable")
        return np.where(self.gold.any(axis=1), self.gold[:, rarest_first].argmax(axis=1) + 1, 0)

    def is_right(self) -> np.ndarray:
        """Whether a row is wholly right (N,); of numbers never asked."""
        return (self.gold == self.said) if self.kind == "label" else (self.gold == self.said).all(axis=1)
