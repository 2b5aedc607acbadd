"""The formats a report comes in."""

import os
from collections.abc import Collection

from doxa.errors import UsageError
from doxa.monitoring.figures import Figures
from doxa.reporting.csv import render_csv
from doxa.reporting.html import render_html
from doxa.reporting.json import render_json
from doxa.reporting.markdown import render_markdown
from doxa.reporting.terminal import render_terminal

FORMATS = {"terminal": render_terminal, "markdown": render_markdown, "html": render_html, "json": render_json, "csv": render_csv}
_SUFFIXES = {".html": "html", ".htm": "html", ".md": "markdown", ".json": "json", ".csv": "csv", ".txt": "terminal"}


def choose_page(output: str | None, to: str | None, formats: Collection[str] = FORMATS) -> str:
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


def render(figures: Figures, kind: str, width: int = 100, is_coloured: bool = False) -> str:
    """Return the page as text. `width` (characters) and colour concern the terminal."""
    if kind == "terminal":
        return render_terminal(figures, width, is_coloured)
    return FORMATS[kind](figures)
