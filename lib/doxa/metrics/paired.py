"""Tests of two predictions of the same rows, and many of them at once."""

import numpy as np

from doxa.metrics.bootstrap import N_RESAMPLES

LEAST_P = 2 / (N_RESAMPLES + 1)  # of bootstrap_p


def mcnemar(n_worse: int, n_better: int) -> float:
    """The exact two-sided p-value (McNemar 1947, by the binomial) of rows right before and wrong after, and the other way round."""
    n, least = n_worse + n_better, min(n_worse, n_better)
    steps = np.arange(least)
    log_chances = np.cumsum(np.append(-n * np.log(2.0), np.log(n - steps) - np.log(steps + 1)))  # of 0, 1, ... rows worse
    return float(min(1.0, 2.0 * np.exp(log_chances).sum()))


def bootstrap_p(differences: np.ndarray, bound: float = 0.0) -> float:
    """Two-sided p-value that the true difference is `bound`, by inverting the percentile interval: `differences` (R) of resamples.

    At least 2 / (R + 1): resamples cannot show less."""
    differences = differences[~np.isnan(differences)]
    n = len(differences)
    below, above = (differences <= bound).sum(), (differences >= bound).sum()
    return float(min(1.0, 2.0 * (min(below, above) + 1) / (n + 1)))


def least_by_signs(n_changed: int) -> float:
    """The least two-sided p-value that swapping the two predictions of rows at random gives (Noreen 1989), where they differ in so many rows: when all these speak for
    one side. Resamples of few such rows look surer than that."""
    return min(1.0, 2.0 ** (1 - n_changed))


def holm(p_values: list[float]) -> list[float]:
    """Adjusted p-values: rejecting those below alpha keeps the chance of any false rejection below alpha (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
