"""The level of an episode: how many times what is usual it brings, as a ratio of numbers of texts or of the odds of a share."""

import numpy as np

from doxa.monitoring.alerts.settings import SHARE
from doxa.monitoring.alerts.tails import count_tail, share_tail


def level_of(measure: int, seen: np.ndarray, base: np.ndarray, mean: np.ndarray) -> float:
    """Of buckets (T,) that hold `seen` where `mean` texts, or that share of `base` ones, are usual; NaN where that is not known. At least 1."""
    known = np.isfinite(mean)
    seen, base, usual = float(seen[known].sum()), float(base[known].sum()), float((mean * base)[known].sum())
    if measure == SHARE:
        return max(1.0, _odds((seen + 0.5) / (base + 1.0)) / _odds((usual + 0.5) / (base + 1.0)))
    return max(1.0, (seen + 0.5) / (usual + 0.5))


def raise_mean(measure: int, mean: np.ndarray, level: np.ndarray | float) -> np.ndarray:
    """What is expected at a level, of what is usual."""
    if measure == SHARE:
        odds = level * _odds(mean)
        return odds / (1 + odds)
    return mean * level


def chance_at(measure: int, seen: np.ndarray, base: np.ndarray, mean: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """The chance of at least so much (K,)."""
    return (share_tail(seen, base, mean, scatter) if measure == SHARE else count_tail(seen, mean, scatter)).p


def _odds(share):
    share = np.clip(share, 1e-9, 1 - 1e-9)
    return share / (1 - share)
