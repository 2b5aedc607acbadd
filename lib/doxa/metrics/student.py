"""What few rows make of the bootstrap: its percentiles are too close, as scatter that is estimated by n in place of n - 1, and normal scores in place of Student's."""

import math

from doxa.metrics.intervals import Z_95

MOST_Z = 8.0


def expand(z: float, n: int) -> float:
    """The normal score at which to cut resamples of n rows, so that a mean lies beyond as rarely as a normal one beyond `z` (0 or more): the expanded percentile
    interval of Hesterberg (2015), "What teachers should know about the bootstrap", The American Statistician 69:371, section 5.3.

    Student's quantile is that of Abramowitz and Stegun (1964), 26.7.5: for z of 1.96 within 1 % from 5 rows on, and too small below."""
    if n < 2:
        return math.inf
    freedom, x = n - 1, z * z
    terms = ((x + 1) / 4, ((5 * x + 16) * x + 3) / 96, (((3 * x + 19) * x + 17) * x - 15) / 384, ((((79 * x + 776) * x + 1482) * x - 1920) * x - 945) / 92160)
    return math.sqrt(n / freedom) * z * (1 + sum(term / freedom**power for power, term in enumerate(terms, 1)))


def tail(n: int) -> float:
    """The part of the resamples of n rows to leave out on either side of a 95 % interval: 2.5 %, less where rows are few."""
    return _beyond(expand(Z_95, n)) / 2


def p_of_tail(part: float, n: int) -> float:
    """The two-sided p-value where `part` of the resamples of n rows (0 to 0.5) lie beyond: at the end of the expanded interval that has this level."""
    low, high = 0.0, MOST_Z
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _beyond(expand(middle, n)) > 2 * part else (low, middle)
    return _beyond(low)


def _beyond(z: float) -> float:
    """How often a normal score is beyond z on either side."""
    return math.erfc(z / math.sqrt(2))
