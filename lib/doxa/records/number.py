"""Numbers that stand in texts, as a JSON or CSV file writes them."""

from typing import Any


def read_number(value: Any) -> float:
    """The float of a number or of its text. Raises ValueError for what is none; `1_000` is Python's alone, and a name like others here."""
    if isinstance(value, str) and "_" in value:
        raise ValueError(f"{value!r} is no number")
    return float(value)
