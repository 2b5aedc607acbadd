"""Labels as sentences name them."""

import json
from collections.abc import Sequence


def quote(label: str) -> str:
    return json.dumps(label, ensure_ascii=False) if label else "(empty)"


def quote_some(labels: Sequence[str], most: int) -> str:
    """The first of them, and whether there are more."""
    return ", ".join(map(quote, labels[:most])) + (", ..." if len(labels) > most else "")
