"""Collecting the rows of one head, table by table."""

from abc import ABC, abstractmethod
from collections import Counter

import numpy as np
import pyarrow as pa

from doxa.evaluation.mistakes import Mistake
from doxa.evaluation.rows import HeadRows
from doxa.evaluation.seen import Seen


class HeadIntake(ABC):
    """`field` holds the gold values, `gold_column` is what a ColumnReader makes of it, `lost` counts why rows are left out."""

    keeps_texts = False  # whether mistakes are told from what was kept of the whole stream

    def __init__(self, name: str, kind: str, gold_field: str):
        self.name, self.kind, self.field = name, kind, gold_field
        self.lost: Counter = Counter()
        self.models: set[str] = set()
        self.sizes: list[int] = []
        self.records: list[np.ndarray] = []
        self.slices: dict[str, list[np.ndarray]] = {}

    @property
    @abstractmethod
    def gold_column(self) -> str:
        """The column of gold values."""

    @abstractmethod
    def add(self, table: pa.Table, first: int, places: np.ndarray, slices: dict) -> None:
        """Take the rows of good records that hold both; `first` is how many records were before, `places` (N,) where these are in the input."""

    @abstractmethod
    def holds_gold(self, table: pa.Table) -> np.ndarray:
        """Which rows have a gold value that can be used (N,)."""

    def count_lost(self, table: pa.Table) -> None:
        """Count the rows of error records that hold a gold value."""
        if n := int(self.holds_gold(table).sum()):
            self.lost["with an error instead of its prediction"] += n

    @abstractmethod
    def finish(self) -> HeadRows | None:
        """The rows, without their slices; None where there are none."""

    @abstractmethod
    def gravest(self, rows: HeadRows, seen: Seen) -> list[Mistake]:
        """The gravest mistakes, first the worst."""

    @abstractmethod
    def tell_bad_gold(self) -> str:
        """Why no gold value could be used, where there were some."""

    def _remember(self, chosen: pa.Table, rows: np.ndarray, first: int, slices: dict) -> None:
        """`chosen` are the `rows` (n,) that are taken of a table."""
        self.sizes.append(len(rows))
        self.records.append(first + rows)
        self.models.update(chosen.column(f"model:{self.name}").unique().drop_null().to_pylist())
        for name, (spread, codes) in slices.items():
            self.slices.setdefault(name, []).append(_members(spread, codes, rows))

    def joined_slices(self) -> dict[str, np.ndarray]:
        return {name: np.concatenate([pairs + [[start], [0]] for start, pairs in zip(np.cumsum([0, *self.sizes]), parts)], axis=1)
                for name, parts in self.slices.items()}


def _members(spread: np.ndarray | None, codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Pairs (2, M) of a row's place among `rows` and the code of a slice it is in; `spread` says whose each code is, None: one each."""
    if spread is None:
        return np.stack([np.arange(len(rows)), codes[rows]])
    place = np.full(spread.max(initial=-1) + 1, -1)
    place[rows] = np.arange(len(rows))
    found = place[spread]
    return np.unique(np.stack([found, codes])[:, found >= 0], axis=1)
