"""The rank of one thing among others where scores tie: what is expected when ties are broken by chance."""

import numpy as np
from scipy.special import digamma


def share_within(above: np.ndarray, tied: np.ndarray, k: int) -> np.ndarray:
    """The chance to rank among the first k, where `above` score higher and `tied`, itself counted, the same."""
    return np.clip((k - above) / tied, 0.0, 1.0)


def expected_reciprocal(above: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """The mean of 1 / rank over the ranks above + 1, ..., above + tied."""
    above, tied = np.asarray(above, float), np.asarray(tied, float)
    return np.where(tied == 1, 1 / (above + 1), (digamma(above + tied + 1) - digamma(above + 1)) / tied)
