"""A page as headings, lines and tables, said once and written for a terminal or as Markdown."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from doxa.reporting import wording
from doxa.reporting.markdown import escape, escape_cell
from doxa.terminal import visible


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Line:
    """A paragraph; `style` is plain, note or code."""

    text: str
    style: str = "plain"


@dataclass
class Table:
    """`columns` are (title, is needed): those that are not are left out where fewer than `whole_width` characters fit on a line.
    `texts` says which hold texts; numbers stand to the right."""

    columns: list[tuple[str, bool]]
    rows: list[Sequence[str]] = field(default_factory=list)
    texts: frozenset[int] = frozenset({0})
    whole_width: int = 90


Block = Heading | Line | Table
MOST_CELL = 1000  # characters, of a heading too: what is longer is no name, and to fold it takes the square of its length
MOST_LINE = 20_000


def to_terminal(blocks: list[Block], width: int = 100, is_coloured: bool = False) -> str:
    """Lines of at most `width` characters (at least 40). Text from records never reaches rich as markup."""
    out = io.StringIO()
    console = Console(file=out, width=max(40, width), force_terminal=is_coloured, no_color=not is_coloured,
                      color_system="standard" if is_coloured else None, highlight=False, markup=False, emoji=False, legacy_windows=False)
    for block in blocks:
        if isinstance(block, Table):
            console.print(_rich_table(block, console.width))
        elif isinstance(block, Heading):
            console.print(_plain(block.text, MOST_CELL, "bold"))
        else:
            console.print(_plain(("note: " if block.style == "note" else "") + block.text, MOST_LINE, {"note": "italic", "code": "dim"}.get(block.style, "")))
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _rich_table(table: Table, width: int) -> RichTable:
    shown = [i for i, (_, is_needed) in enumerate(table.columns) if is_needed or width >= table.whole_width]
    made = RichTable(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for i in shown:
        made.add_column(_plain(table.columns[i][0], MOST_CELL), justify="left" if i in table.texts else "right", overflow="fold", no_wrap=i not in table.texts,
                        min_width=8 if i in table.texts else None)
    for row in table.rows:
        made.add_row(*(_plain(row[i], MOST_CELL) for i in shown))
    return made


def _plain(text: str, most: int, style: str = "") -> Text:
    return Text(visible(wording.shorten(text, most), one_line=True), style=style)


def to_markdown(blocks: list[Block]) -> str:
    """Markdown in which whatever it or HTML would obey is escaped."""
    parts = []
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"{'#' * block.level} {escape(wording.shorten(block.text, MOST_CELL))}")
        elif isinstance(block, Line):
            text = visible(wording.shorten(block.text, MOST_LINE), one_line=True)
            parts.append(f"`{text.replace('`', ' ')}`" if block.style == "code" else f"{'Note: ' if block.style == 'note' else ''}{escape(text)}")
        else:
            rule = "|" + "".join("---|" if i in block.texts else "---:|" for i in range(len(block.columns)))
            lines = ["| " + " | ".join(_cell(title) or " " for title, _ in block.columns) + " |", rule]
            parts.append("\n".join(lines + ["| " + " | ".join(map(_cell, row)) + " |" for row in block.rows]))
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return escape_cell(wording.shorten(text, MOST_CELL))
