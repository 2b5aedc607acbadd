"""The blocks for a terminal, by rich. Text from records never reaches rich as markup."""

import io

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from doxa.reporting.explanation_summary.blocks import Block
from doxa.reporting.wording import one_line
from doxa.terminal import visible

_LEFT = ("word", "examples", "head", "measure", "speaking for it", "speaking against it")


def render_terminal(blocks: list[Block], width: int = 100, is_coloured: bool = False) -> str:
    """Return the page as lines of at most `width` characters (at least 40)."""
    out = io.StringIO()
    console = Console(file=out, width=max(40, width), force_terminal=is_coloured, no_color=not is_coloured,
                      color_system="standard" if is_coloured else None, highlight=False, markup=False, emoji=False, legacy_windows=False)
    for block in blocks:
        if block.title:
            console.print(_plain(block.title, "bold"))
        for line in block.lines:
            console.print(_plain(line))
        if block.rows:
            console.print(_table(block))
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _table(block: Block) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for title in block.header:
        table.add_column(title, justify="left" if title in _LEFT else "right", overflow="fold")
    for row in block.rows:
        table.add_row(*map(_plain, row))
    return table


def _plain(text: str, style: str = "") -> Text:
    return Text(visible(one_line(text), one_line=True), style=style)
