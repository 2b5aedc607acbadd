"""Accuracy and macro-F1 with intervals, from counts."""

from dataclasses import dataclass

import numpy as np

N_RESAMPLES = 1000


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


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share on the diagonal of confusion matrices (..., K, K)."""
    return np.trace(confusion, axis1=-2, axis2=-1) / np.maximum(confusion.sum(axis=(-2, -1)), 1)


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


def resample_rows(n_rows: int, seed: int = 0, n_resamples: int = N_RESAMPLES) -> np.ndarray:
    """Bootstrap weights (n_resamples, n_rows): how often each row is drawn with replacement (Efron 1979)."""
    return np.random.default_rng(seed).multinomial(n_rows, np.full(n_rows, 1 / n_rows), size=n_resamples)


def interval(value: float, resampled: np.ndarray) -> Estimate:
    """The percentile interval of a figure from its values on resampled rows."""
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Estimate(float(value), float(low), float(high))


def bootstrap_label_scores(gold: np.ndarray, predictions: list[np.ndarray], n_labels: int, seed: int = 0) -> np.ndarray:
    """Accuracy and macro-F1 of several predictions (N,) on the same resampled rows.

    Returns (len(predictions), 2, 1 + N_RESAMPLES): the figure itself first, then its bootstrap values. Drawing
    rows with replacement is drawing the cells (gold, every prediction) from a multinomial: the same, and fast.
    """
    size = n_labels + 1
    cells, counts = np.unique(np.stack([gold, *predictions]).astype(np.int64), axis=1, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(len(gold), counts / counts.sum(), size=N_RESAMPLES)
    draws = np.concatenate([counts[None], draws])  # (1 + R, cells)
    figures = np.empty((len(predictions), 2, len(draws)))
    for index in range(len(predictions)):
        place = np.zeros((cells.shape[1], size * size))
        place[np.arange(cells.shape[1]), cells[0] * size + cells[1 + index]] = 1
        confusion = (draws @ place).reshape(-1, size, size)
        figures[index] = accuracy(confusion), macro_f1(confusion)
    return figures
