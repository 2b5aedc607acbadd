"""Counts of each head over all records."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.monitoring.figures import HeadCounts, Share
from doxa.records.stored import encode


class LabelTally:
    """A head of one label (`label`) or of many (`labels`): how many records have it, and each of its labels."""

    def __init__(self, name: str, kind: str):
        self.name, self.kind, self.n = name, kind, 0
        self.counts: dict[str, int] = {}

    def add(self, table: pa.Table) -> None:
        column = table.column(f"{self.kind}:{self.name}")
        self.n += len(column) - column.null_count
        labels = encode(column if self.kind == "label" else _distinct_labels(column))
        counts = np.bincount(labels.indices.drop_null(), minlength=len(labels.dictionary))
        for label, n in zip(labels.dictionary.to_pylist(), counts.tolist()):
            if n:
                self.counts[label] = self.counts.get(label, 0) + n

    def conclude(self) -> HeadCounts:
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return HeadCounts(self.name, self.kind, self.n, {label: Share(n, self.n) for label, n in ranked})


class NumberTally:
    """A head that is a number: its mean and spread, merged piece by piece (Chan, Golub and LeVeque 1979)."""

    def __init__(self, name: str, kind: str):
        self.name, self.kind = name, kind
        self.n, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, table: pa.Table) -> None:
        values = table.column(f"score:{self.name}").drop_null().to_numpy()
        values = values[np.isfinite(values)]
        if not len(values):
            return
        n, mean = len(values), float(values.mean())
        squares, step = float(((values - mean) ** 2).sum()), mean - self.mean
        self.squares += squares + step * step * self.n * n / (self.n + n)
        self.mean += step * n / (self.n + n)
        self.n += n

    def conclude(self) -> HeadCounts:
        if not self.n:
            return HeadCounts(self.name, self.kind, 0)
        return HeadCounts(self.name, self.kind, self.n, {}, self.mean, math.sqrt(self.squares / self.n))


TALLIES = {"label": LabelTally, "labels": LabelTally, "number": NumberTally}


def _distinct_labels(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """All labels of all records, each once per record."""
    parents, labels = pc.list_parent_indices(column), pc.list_flatten(column)
    pairs = pa.table({"parent": parents, "label": labels})
    return pairs.group_by(["parent", "label"]).aggregate([]).column("label")
