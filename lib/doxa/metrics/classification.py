"""A figure with its interval, and macro-F1 from counts."""

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


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean F1 over the labels that occur in gold or prediction, of confusion matrices (..., K, K), as scikit-learn has it."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    occurrences = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    f1 = 2 * hits / np.maximum(occurrences, 1)
    return f1.sum(axis=-1) / np.maximum((occurrences > 0).sum(axis=-1), 1)


def macro_f1_many(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over labels of 0/1 matrices (N, labels); a label neither held nor predicted counts as 0, as in scikit-learn."""
    hits = (gold * predicted).sum(axis=0)
    return float(np.mean(2 * hits / np.maximum(gold.sum(axis=0) + predicted.sum(axis=0), 1)))
