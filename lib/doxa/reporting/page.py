"""The formats a report comes in."""

from importlib import import_module

from doxa.monitoring.figures import Figures

FORMATS = ("terminal", "markdown", "html", "json", "csv")


def render(figures: Figures, kind: str, width: int = 100, is_coloured: bool = False) -> str:
    """Return the page as text. `width` (characters) and colour concern the terminal.

    Each format is a room of its own, entered when it is asked for: jinja's and rich's are a fifth of the start."""
    render_kind = getattr(import_module(f"doxa.reporting.{kind}"), f"render_{kind}")
    return render_kind(figures, width, is_coloured) if kind == "terminal" else render_kind(figures)
