"""Many tests at once: which to believe, and intervals for those."""

import numpy as np

FALSE_SHARE = 0.05


def benjamini_hochberg(p_values: np.ndarray, false_share: float = FALSE_SHARE) -> np.ndarray:
    """Which of N hypotheses are rejected so that on average at most `false_share` of those are true (Benjamini & Hochberg 1995), for
    independent or positively dependent tests. Returns booleans (N,)."""
    order = np.argsort(p_values)
    is_below = p_values[order] <= false_share * np.arange(1, len(order) + 1) / max(1, len(order))
    rejected = np.zeros(len(order), bool)
    if is_below.any():
        rejected[order[: np.flatnonzero(is_below)[-1] + 1]] = True
    return rejected


def selected_error(n_selected: int, n_tests: int, false_share: float = FALSE_SHARE) -> float:
    """The error of each interval by which on average at most `false_share` of those of the selected miss their truth (Benjamini &
    Yekutieli 2005)."""
    return false_share * max(1, n_selected) / max(1, n_tests)
