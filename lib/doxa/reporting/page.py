"""The formats a report comes in."""

from doxa.monitoring.figures import Figures
from doxa.reporting.csv import render_csv
from doxa.reporting.html import render_html
from doxa.reporting.json import render_json
from doxa.reporting.markdown import render_markdown
from doxa.reporting.terminal import render_terminal

FORMATS = {"terminal": render_terminal, "markdown": render_markdown, "html": render_html, "json": render_json, "csv": render_csv}


def render(figures: Figures, kind: str, width: int = 100, is_coloured: bool = False) -> str:
    """Return the page as text. `width` (characters) and colour concern the terminal."""
    if kind == "terminal":
        return render_terminal(figures, width, is_coloured)
    return FORMATS[kind](figures)
