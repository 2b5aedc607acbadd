"""Round numbers for the ends of axes."""

import math


def round_up(value: float) -> float:
    """The next round number that is no less than a positive one."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(factor * unit for factor in (1, 1.5, 2, 3, 5, 7.5, 10, 15) if factor * unit >= value)
