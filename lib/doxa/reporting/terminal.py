"""The page for a terminal, by rich. Text from records never reaches rich as markup."""

import io

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from doxa.monitoring.figures import Figures, Group, HeadCounts
from doxa.reporting import wording
from doxa.reporting.alerts import MOST_ALERTS, describe_more, describe_finding, describe_series
from doxa.terminal import visible

EXAMPLE_CHARACTERS = 300
NARROW, NARROW_CORRECTED = 60, 76  # columns; a narrower terminal shows shares without intervals
WIDE_CORRECTED = 96  # columns; a narrower terminal shows corrected shares, but not the part of all texts


def render_terminal(figures: Figures, width: int = 100, is_coloured: bool = False) -> str:
    """Return the page as lines of at most `width` characters (at least 40)."""
    out = io.StringIO()
    console = Console(file=out, width=max(40, width), force_terminal=is_coloured, no_color=not is_coloured,
                      color_system="standard" if is_coloured else None, highlight=False, markup=False, emoji=False, legacy_windows=False)
    console.print(_plain(figures.title, "bold"))
    console.print(_plain(wording.counts_line(figures)))
    if figures.first is not None:
        console.print(_plain(wording.span(figures)))
    if figures.total is None:
        console.print("no records" if not figures.n_records else "no records to count")
    for head in figures.heads:
        console.print(_head_table(head, console.width))
    if figures.total is not None:
        _print_groups(console, figures)
    if figures.promise:
        _print_alerts(console, figures)
    for group in figures.groups:
        _print_examples(console, group)
    for note in figures.notes:
        console.print(_plain(f"note: {note}", "italic"))
    console.print(_plain(figures.signature, "dim"))
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _plain(text: str, style: str = "") -> Text:
    return Text(visible(wording.one_line(text), one_line=True), style=style)


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")


def _head_table(head: HeadCounts, width: int) -> Table:
    table, is_wide = _table(), width >= (NARROW_CORRECTED if head.corrected else NARROW)
    table.add_column(_plain(head.name, "bold"), overflow="fold")
    shares = ["share", *(["corrected"] if head.corrected else [])]
    titles = ["n", "mean", "sd"] if head.kind == "number" else ["n", *(title for share in shares for title in (share, "95 %")[: 1 + is_wide])]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    if head.kind == "number":
        table.add_row("", f"{head.n:,}", *("–" if value is None else f"{value:.3f}" for value in (head.mean, head.sd)))
        return table
    for label, share in list(head.labels.items())[: wording.MOST_LABELS]:
        shown = [share, *([head.corrected[label]] if head.corrected else [])]
        table.add_row(_plain(wording.shorten(wording.value_name(label), wording.NAME_CHARACTERS)), f"{share.hits:,}", *(cell for one in shown for cell in (wording.percent(one), wording.interval(one))[: 1 + is_wide]))
    if len(head.labels) > wording.MOST_LABELS:
        table.add_row(_plain(wording.more_labels(len(head.labels) - wording.MOST_LABELS), "italic"), *[""] * len(titles))
    return table


def _print_groups(console: Console, figures: Figures) -> None:
    groups = ([figures.total] if figures.by is not None else []) + figures.groups
    table, width = _table(), console.width
    table.add_column(_plain(figures.by or "", "bold"), overflow="fold", min_width=8)
    all_titles = ["n", "of all"] + ([visible(figures.watch, one_line=True).replace("=", "=\n", 1), "95 %"] if figures.watch else [])
    all_titles += ["corrected", "95 %"] if figures.correction else []
    shown = _shown_columns(len(all_titles), figures.correction is not None, width)
    titles = [all_titles[i] for i in shown]
    for title in titles:
        table.add_column(Text(title), justify="right", overflow="fold", min_width=9 if title == "95 %" else 5)
    has_trend = bool(figures.total.buckets)
    n_marks = max(8, width - _columns_width(figures, groups, titles))
    if has_trend:
        table.add_column(Text("trend"), no_wrap=True)
    for group in groups:
        cells = [f"{group.n:,}", wording.percent(group.share), wording.percent(group.watched), wording.interval(group.watched)]
        if figures.correction:
            cells += [wording.percent(group.corrected), wording.interval(group.corrected)] if group.corrected else ["", ""]
        trend = [_trend(group, figures, n_marks)] if has_trend else []
        table.add_row(_plain(wording.short_name(group), "" if group.kind == "value" else "italic"), *(cells[i] for i in shown), *trend)
    console.print(table)
    if has_trend:
        console.print(_plain(_legend(figures, n_marks), "dim"))


def _shown_columns(n: int, is_corrected: bool, width: int) -> list[int]:
    """Which of n columns there is room for: n, of all, share, interval, corrected share, interval."""
    if width < (NARROW_CORRECTED if is_corrected else NARROW):
        return list(range(0, n, 2)) if n > 2 else [0]
    return [i for i in range(n) if i != 1 or width >= WIDE_CORRECTED or not is_corrected]


def _columns_width(figures: Figures, groups: list[Group], titles: list[str]) -> int:
    """Characters that the columns before the trend take at most, with their gaps and the trend's own brackets."""
    names = [cell_len(visible(wording.one_line(wording.short_name(group)), one_line=True)) for group in groups]
    counts = max(len(f"{group.n:,}") for group in groups)
    return max(8, *names, cell_len(figures.by or "")) + counts + sum(max(len("12.3 to 45.6") if title == "95 %" else 5, max(map(cell_len, title.split("\n")))) for title in titles[1:]) + 3 * len(titles) + 8


def _trend(group: Group, figures: Figures, n_marks: int) -> Text:
    """The watched share over time, corrected above if there is such, and beneath it how many texts there were."""
    counts = Text(wording.sparkline(group.buckets, False, n_marks), style="dim")
    if not figures.watch:
        return counts
    shares = Text(wording.sparkline(group.buckets, True, n_marks), style="red")
    if group.corrected:
        shares = Text(wording.sparkline(group.buckets, True, n_marks, is_corrected=True), style="red") + Text("\n") + shares
    return shares + Text("\n") + counts


def _legend(figures: Figures, n_marks: int) -> str:
    buckets = figures.total.buckets
    words = f"trend: {wording.per_mark(figures.every, buckets, n_marks)} from {wording.bucket_label(buckets[0], figures.every).removesuffix(' (incomplete)')} on, "
    which = "corrected share, counted share" if figures.correction else "share"
    words += f"{which} of {figures.watch} (▁ 0 to █ 100 %) above, texts below; " if figures.watch else "number of texts; "
    ends = wording.open_ends(buckets)
    return words + "· none" + (f"; in brackets {ends}" if ends else "")


def _print_alerts(console: Console, figures: Figures) -> None:
    console.print()
    console.print(_plain("What moved", "bold") + " " + _plain(f"({wording.judged(figures)})", "dim"))
    for told in figures.alerts[-MOST_ALERTS:][::-1]:
        words = ". ".join([f"{describe_series(told)}: {describe_finding(told)}", *describe_more(told)])
        for line in _plain(words).wrap(console, console.width - 2):
            console.print(Text("  ") + line)
    if n_more := wording.n_untold(figures, MOST_ALERTS):
        console.print(f"  and {n_more:,} earlier ones")
    if not figures.alerts and figures.judged_from:
        console.print("  nothing beyond the usual")


def _print_examples(console: Console, group: Group) -> None:
    if not group.examples:
        return
    console.print()
    console.print(_plain(wording.short_name(group), "bold"))
    for example in group.examples:
        for text, style, indent in ((wording.shorten(example.text, EXAMPLE_CHARACTERS), "", 2), (wording.example_note(example), "dim", 4)):
            lines = _plain(text, style).wrap(console, console.width - indent)
            lines.pop() if not lines[-1].plain else None
            for line in lines:
                console.print(Text(" " * indent) + line)
