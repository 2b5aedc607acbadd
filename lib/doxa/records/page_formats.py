"""Which format a page comes in."""

import os
from collections.abc import Collection

from doxa.errors import UsageError

_SUFFIXES = {".html": "html", ".htm": "html", ".md": "markdown", ".json": "json", ".csv": "csv", ".txt": "terminal"}


def choose_page(output: str | None, to: str | None, formats: Collection[str]) -> str:
    """The format by `--to`, else by the suffix of `--output`, else terminal; one of `formats`.

    Raises UsageError for a suffix that names no format."""
    if to is not None or output is None:
        return to or "terminal"
    suffix = os.path.splitext(output)[1]
    known = {ending: kind for ending, kind in _SUFFIXES.items() if kind in formats}
    if suffix not in known and os.path.splitext(output)[0] and not output.startswith("/dev/"):
        endings = [ending for ending in known if ending != ".htm"]
        raise UsageError(f"cannot tell the format of {output}; add --to {'|'.join(formats)}, or end it in {', '.join(endings[:-1])} or {endings[-1]}")
    return known.get(suffix, "terminal")


def is_html(output: str | None) -> bool:
    """Whether the suffix of a file says so."""
    return _SUFFIXES.get(os.path.splitext(output or "")[1]) == "html"
