"""A figure with its interval, and counts of what was taken for what."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def widened(self, low: float, high: float) -> "Estimate":
        """The same with ends that are no nearer than these."""
        return Estimate(self.value, min(self.low, low), max(self.high, high))


def confusion_matrix(gold: np.ndarray, predicted: np.ndarray, n_labels: int) -> np.ndarray:
    """Counts (n_labels + 1, n_labels + 1), gold by predicted; the last row and column are labels training never saw."""
    size = n_labels + 1
    return np.bincount(gold.astype(np.int64) * size + predicted.astype(np.int64), minlength=size * size).reshape(size, size)


def macro_f1_many(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 of 0/1 matrices (N, labels) over the labels that are held or predicted; 0 where there is none."""
    return float(macro_f1_weighted(gold, predicted, np.ones((1, len(gold))))[0])


def macro_f1_weighted(gold: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same (R) under row weights (R, N)."""
    hits, sizes = weights @ (gold * predicted), weights @ (gold + predicted)
    return (2 * hits / np.maximum(sizes, 1)).sum(axis=1) / np.maximum((sizes > 0).sum(axis=1), 1)
