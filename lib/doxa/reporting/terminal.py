"""The page for a terminal, by rich. Text from records never reaches rich as markup."""

import io

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from doxa.monitoring.figures import Figures, Group
from doxa.reporting import wording
from doxa.terminal import visible

SHOWN_BUCKETS = 40


def render_terminal(figures: Figures, width: int = 100, is_coloured: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=max(40, width), force_terminal=is_coloured, no_color=not is_coloured,
                      color_system="standard" if is_coloured else None, highlight=False, markup=False, emoji=False, legacy_windows=False)
    console.print(_plain(figures.title, "bold"))
    console.print(_plain(wording.counts_line(figures)))
    if figures.n_records:
        if figures.first is not None:
            console.print(_plain(wording.span(figures)))
        for head in figures.heads:
            console.print(_head_table(head))
        if figures.by is not None or figures.watch is not None:
            console.print(_group_table(figures))
        for group in figures.groups:
            _print_examples(console, group)
    else:
        console.print(_plain("no records"))
    for note in figures.notes:
        console.print(_plain(f"note: {note}", "italic"))
    console.print(_plain(figures.signature, "dim"))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _plain(text: str, style: str = "") -> Text:
    return Text(visible(text, one_line=True), style=style)


def _head_table(head) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=None)
    table.add_column(_plain(head.name), overflow="fold")
    if head.kind == "number":
        table.add_column("n", justify="right")
        table.add_column("mean", justify="right")
        table.add_column("sd", justify="right")
        table.add_row("", f"{head.n:,}", "–" if head.mean is None else f"{head.mean:.3f}", "–" if head.sd is None else f"{head.sd:.3f}")
        return table
    table.add_column("n", justify="right")
    table.add_column("share [95 %]", justify="right")
    for label, share in head.labels.items():
        table.add_row(_plain(label), f"{share.hits:,}", wording.percent_interval(share))
    return table


def _group_table(figures: Figures) -> Table:
    is_watched = figures.watch is not None
    buckets = figures.groups[0].buckets if figures.groups else []
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(_plain(figures.by or "all"), overflow="fold", min_width=8)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("of all", justify="right", no_wrap=True)
    if is_watched:
        table.add_column(_plain(f"{figures.watch} [95 %]"), justify="right", min_width=19)
    if buckets:
        table.add_column(_plain(_trend_title(figures, buckets)), overflow="crop", no_wrap=True, min_width=12)
    for group in figures.groups:
        row = [_plain(wording.group_name(group)), f"{group.n:,}", wording.percent(group.share)]
        row += [wording.percent_interval(group.watched)] if is_watched else []
        row += [Text(_trend(group, is_watched))] if buckets else []
        table.add_row(*row)
    return table


def _trend(group: Group, is_watched: bool) -> str:
    """The share of every bucket, and beneath it how many texts there were."""
    buckets = group.buckets[-SHOWN_BUCKETS:]
    volume = wording.sparkline(buckets, False) + " texts"
    return f"{wording.sparkline(buckets, True)} share\n{volume}" if is_watched else volume


def _trend_title(figures: Figures, buckets: list) -> str:
    first = wording.bucket_label(buckets[-SHOWN_BUCKETS:][0], figures.every)
    open_end = "" if buckets[-1].is_complete else ", last one incomplete"
    return f"per {figures.every} since {first.removesuffix(' (incomplete)')}{open_end}"


def _print_examples(console: Console, group: Group) -> None:
    if not group.examples:
        return
    console.print(_plain(f"{wording.group_name(group)}:", "bold"))
    for example in group.examples:
        text = example.text if len(example.text) <= 300 else example.text[:299] + "…"
        console.print(Text("  ") + _plain(text))
        console.print(Text("    ") + _plain(wording.example_note(example), "dim"))
