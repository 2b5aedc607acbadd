"""Numbers that stand in records, which may be anything."""

import math
from typing import Any


def finite(value: Any) -> float | None:
    """A finite number as a float; None for anything else, also an integer past the largest float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
