"""The rank of one thing among others where scores tie: what is expected when ties are broken by chance."""

import numpy as np


def share_within(above: np.ndarray, tied: np.ndarray, k: int) -> np.ndarray:
    """The chance to rank among the first k, where `above` score higher and `tied`, itself counted, the same."""
    return np.clip((k - above) / tied, 0.0, 1.0)


def expected_reciprocal(above: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """The mean of 1 / rank over the ranks above + 1, ..., above + tied, which are whole numbers."""
    above, tied = np.asarray(above, int), np.asarray(tied, int)
    harmonic = np.cumsum(1 / np.arange(1, (above + tied).max(initial=0) + 1))  # scipy's digamma would take longer to load than most files to judge
    harmonic = np.append(0.0, harmonic)
    return np.where(tied == 1, 1 / (above + 1), (harmonic[above + tied] - harmonic[above]) / tied)
