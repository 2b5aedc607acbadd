"""The formats that a summary and a contrast come in."""

from doxa.reporting.explanation_summary.blocks import contrast_blocks, summary_blocks
from doxa.reporting.explanation_summary.json import render_json
from doxa.reporting.explanation_summary.markdown import render_markdown
from doxa.reporting.explanation_summary.terminal import render_terminal

FORMATS = ("terminal", "markdown", "json")


def render(figures, kind: str, width: int = 100, is_coloured: bool = False) -> str:
    """A `Summary` or a `Contrast` as text, in one of FORMATS. `width` (characters) and colour concern the terminal."""
    if kind == "json":
        return render_json(figures)
    blocks = summary_blocks(figures) if hasattr(figures, "labels") else contrast_blocks(figures)
    return render_markdown(blocks) if kind == "markdown" else render_terminal(blocks, width, is_coloured)
