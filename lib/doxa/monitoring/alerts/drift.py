"""A slow shift, seen by adding up small surprises: the cumulative sum of Page (1954), with a designed run length."""

from functools import lru_cache

import numpy as np

ALLOWANCE = 0.5  # by default, a shift of one standard deviation is found soonest
_OVERSHOOT = 1.166  # how far, on average, a sum of normal scores jumps over its bound: twice 0.583 (Siegmund 1985, section 10.2)


def add_surprise(total, score, allowance=ALLOWANCE):
    """The next sum after a normal score (numbers or arrays); a shift of twice the allowance is found soonest."""
    summed = total + score - allowance
    return summed * (summed > 0)


def chance_per_bucket(bound, allowance=ALLOWANCE):
    """How often per bucket, on average, the sum of independent standard normal scores passes a bound (Siegmund 1985, 2.67 with 10.2); numbers or arrays."""
    b = np.minimum(bound + _OVERSHOOT, 350 / allowance)  # beyond, the chance is 0 in all digits
    return 2 * allowance**2 / (np.expm1(2 * allowance * b) - 2 * allowance * b)


@lru_cache(maxsize=4096)
def bound_for(chance: float, allowance: float = ALLOWANCE) -> float:
    """The bound that is passed with such a chance per bucket; at least 0."""
    low, high = 0.0, 500.0 / allowance
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if chance_per_bucket(middle, allowance) > chance else (low, middle)
    return high


def begin_of(scores: np.ndarray) -> int:
    """The place from which on the mean of normal scores (T; NaN where there is none) is above 0, where it is so up to the last of them: the median of all
    places, each weighed by how likely it makes the scores whatever the mean, none preferred (Smith 1975). The running sum has mostly been above 0 for a while before,
    by chance, and the likeliest place alone shows more than there is."""
    known = np.isfinite(scores)
    sums, counts = (np.cumsum(values[::-1])[::-1] for values in (np.where(known, scores, 0.0), known.astype(float)))
    logs = np.where(known & (sums > 0), sums**2 / (2 * np.maximum(counts, 1)) - np.log(np.maximum(counts, 1)) / 2, -np.inf)
    if not np.isfinite(logs).any():
        return len(scores) - 1
    weights = np.cumsum(np.exp(logs - logs.max()))
    return int(np.searchsorted(weights, weights[-1] / 2))
