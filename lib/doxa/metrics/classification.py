"""A figure with its interval, and counts of what was taken for what."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def confusion_matrix(gold: np.ndarray, predicted: np.ndarray, n_labels: int) -> np.ndarray:
    """Counts (n_labels + 1, n_labels + 1), gold by predicted; the last row and column are labels training never saw."""
    size = n_labels + 1
    return np.bincount(gold.astype(np.int64) * size + predicted.astype(np.int64), minlength=size * size).reshape(size, size)


def macro_f1_many(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over labels of 0/1 matrices (N, labels); a label neither held nor predicted counts as 0, as in scikit-learn."""
    hits = (gold * predicted).sum(axis=0)
    return float(np.mean(2 * hits / np.maximum(gold.sum(axis=0) + predicted.sum(axis=0), 1)))
