"""How near predicted numbers come, for many weightings of the rows at once: gold and said (b), weights (R, b)."""

import numpy as np


def number_figures(gold: np.ndarray, said: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Mean absolute error, root of the mean squared error, R2, Pearson's and Spearman's correlation (R each).

    R2 and the correlations are NaN where a side does not vary."""
    n = weights.sum(axis=1)
    squared = weights @ (said - gold) ** 2
    mean = weights @ gold / n
    spread = (weights * (gold - mean[:, None]) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(spread > 0, 1.0 - squared / spread, np.nan)
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
    n = weights.sum(axis=1, keepdims=True)
    x, y = (values - (weights * values).sum(axis=1, keepdims=True) / n for values in (x, y))
    covariance, spread_x, spread_y = ((weights * product).sum(axis=1) for product in (x * y, x * x, y * y))
    spread = np.sqrt(spread_x * spread_y)
    tiny = 1e-12 * np.sqrt(((weights * (x * x + y * y)).sum(axis=1)))
    return np.divide(covariance, spread, out=np.full(len(weights), np.nan), where=spread > np.minimum(tiny, 1e-12))
