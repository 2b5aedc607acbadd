"""Tests of two predictions of the same rows, and many of them at once."""

import math
from collections.abc import Callable

import numpy as np

from doxa.metrics.student import p_of_tail


def mcnemar(n_worse: int, n_better: int) -> float:
    """The exact two-sided p-value (McNemar 1947, by the binomial) of rows right before and wrong after, and the other way round."""
    n, least = n_worse + n_better, min(n_worse, n_better)
    steps = np.arange(least)
    log_chances = np.cumsum(np.append(-n * np.log(2.0), np.log(n - steps) - np.log(steps + 1)))  # of 0, 1, ... rows worse
    return float(min(1.0, 2.0 * np.exp(log_chances).sum()))


def least_bootstrap_p(n_resamples: int) -> float:
    """The least two-sided p-value that bootstrap_p gives by so many resamples, which cannot show less."""
    return 2.0 / (n_resamples + 1)


def bootstrap_p(differences: np.ndarray, n_rows: int, bound: float = 0.0) -> float:
    """Two-sided p-value that the true difference is `bound`, by inverting the expanded percentile interval: `differences` (R) of resamples of `n_rows`.

    At least `least_bootstrap_p`, more for few rows."""
    differences = differences[~np.isnan(differences)]
    n = len(differences)
    below, above = (differences <= bound).sum(), (differences >= bound).sum()
    return p_of_tail(min(0.5, float(min(below, above) + 1) / (n + 1)), n_rows)


def least_by_signs(n_changed: int) -> float:
    """The least two-sided p-value that swapping the two predictions of rows at random gives (Noreen 1989), where they differ in so many rows: when all these speak for
    one side. Resamples of few such rows look surer than that."""
    return min(1.0, 2.0 ** (1 - n_changed))


def tango(n: int, n_worse: int, n_better: int, margin: float) -> float:
    """Two-sided p-value that, of `n` rows right or wrong, a share of just `margin` (0 to 1) more became wrong than right: the score test of Tango (1998),
    doi 10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.

    It holds where few rows changed, or none: 0 of 20 show no loss of less than 2 %."""
    if not 0 <= margin < 1 or not (margin or n_worse or n_better):
        return 1.0
    n_alike = n - n_worse - n_better
    # The likeliest chance q of becoming right where that of becoming wrong is q + margin: n_better / q + n_worse / (q + margin) = 2 n_alike / (1 - 2 q - margin).
    square, linear = -2.0 * n, (n_better + n_worse) * (1 - margin) - 2 * margin * (n_better + n_alike)
    q = (linear + np.sqrt(max(0.0, linear**2 - 4 * square * n_better * margin * (1 - margin)))) / (-2 * square)
    score = (n_better - n_worse + n * margin) / np.sqrt(n * (2 * q + margin - margin**2))
    return math.erfc(abs(score) / math.sqrt(2))


def tango_interval(n: int, n_worse: int, n_better: int) -> tuple[float, float]:
    """The 95 % interval of how much larger the share of right ones became (-1 to 1): the differences that the score test does not refuse."""
    def p_of(gain: float) -> float:
        return tango(n, n_worse, n_better, -gain) if gain < 0 else tango(n, n_better, n_worse, gain)

    found = (n_better - n_worse) / n
    return _last_likely(p_of, found, -1.0), _last_likely(p_of, found, 1.0)


def _last_likely(p_of: Callable[[float], float], inside: float, outside: float) -> float:
    """The place nearest to `outside` where p is not below 5 %, as it is not at `inside`."""
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if p_of(middle) >= 0.05 else (inside, middle)
    return inside


def holm(p_values: list[float]) -> list[float]:
    """Adjusted p-values: rejecting those below alpha keeps the chance of any false rejection below alpha (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
