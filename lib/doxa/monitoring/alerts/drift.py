"""A slow shift, seen by adding up small surprises: the cumulative sum of Page (1954), with a designed run length."""

import math
from functools import lru_cache

ALLOWANCE = 0.5  # a shift of one standard deviation is found soonest
_OVERSHOOT = 1.166  # how far, on average, a sum of normal scores jumps over its bound: twice 0.583 (Siegmund 1985, section 10.2)


def add_surprise(total, score):
    """The next sum after a normal score (numbers or arrays)."""
    summed = total + score - ALLOWANCE
    return summed * (summed > 0)


def chance_per_bucket(bound: float) -> float:
    """How often per bucket, on average, the sum of independent standard normal scores passes a bound (Siegmund 1985, 2.67 with 10.2)."""
    b = bound + _OVERSHOOT
    return 2 * ALLOWANCE**2 / (math.expm1(2 * ALLOWANCE * b) - 2 * ALLOWANCE * b)


@lru_cache(maxsize=4096)
def bound_for(chance: float) -> float:
    """The bound that is passed with such a chance per bucket; at least 0."""
    low, high = 0.0, 1000.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if chance_per_bucket(middle) > chance else (low, middle)
    return high
