"""The blocks as Markdown. Whatever Markdown or HTML would obey is escaped."""

from doxa.reporting.explanation_summary.blocks import Block
from doxa.reporting.markdown import escape


def render_markdown(blocks: list[Block]) -> str:
    lines = []
    for number, block in enumerate(blocks):
        lines += [f"{'##' if number else '#'} {escape(block.title)}", ""] if block.title else []
        for line in block.lines:
            lines += [escape(line), ""]
        if block.rows:
            lines += [_row(block.header), "|---" * len(block.header) + "|", *map(_row, block.rows), ""]
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(map(escape, cells)) + " |"
