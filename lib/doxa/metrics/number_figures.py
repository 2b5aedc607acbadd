"""How near predicted numbers come, for many weightings of the rows at once: gold and said (b), weights (R, b)."""

import numpy as np


def number_figures(gold: np.ndarray, said: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Mean absolute error, root of the mean squared error, R2, Pearson's and Spearman's correlation (R each).

    R2 is NaN where gold does not vary, the correlations where a side does not. The numbers are at most 1e70: products of four are doubles."""
    n = weights.sum(axis=1)
    squared = weights @ (said - gold) ** 2
    _, spread = _centre(np.broadcast_to(gold, weights.shape), weights)
    r2 = 1.0 - np.divide(squared, spread, out=np.full(len(weights), np.nan), where=spread > 0)
    ranks = [_ranks(values, weights) for values in (gold, said)]
    return {"mae": weights @ np.abs(said - gold) / n, "rmse": np.sqrt(squared / n), "r2": r2,
            "pearson": _correlation(*(np.broadcast_to(values, weights.shape) for values in (gold, said)), weights),
            "spearman": _correlation(*ranks, weights)}


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ranks (R, b) of values as if each stood there as often as it weighs; equal values share the mean of their ranks."""
    places = np.unique(values, return_inverse=True)[1]
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(places[order]) > 0)) if len(order) else np.empty(0, int)
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)  # (R, different values)
    return (np.cumsum(sizes, axis=1) - sizes / 2 + 0.5)[:, places]


def _correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    (x, spread_x), (y, spread_y) = _centre(x, weights), _centre(y, weights)
    spread = np.sqrt(spread_x * spread_y)
    return np.divide((weights * x * y).sum(axis=1), spread, out=np.full(len(weights), np.nan), where=spread > 0)


def _centre(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (R, b) less their mean, and the sum of their squares (R): 0 where they differ by no more than rounding."""
    centred = values - (weights * values).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
    spread = (weights * centred**2).sum(axis=1)
    return centred, np.where(spread > 1e-26 * (weights * values**2).sum(axis=1), spread, 0.0)
