"""The page as Markdown. Whatever Markdown or HTML would obey is escaped."""

import re

from doxa.monitoring.figures import Figures, Group, HeadCounts
from doxa.reporting import wording
from doxa.reporting.alerts import MOST_ALERTS, describe_more, describe_finding, describe_series
from doxa.terminal import visible

EXAMPLE_CHARACTERS = 600
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~&$@:-])")
_NUMBERED = re.compile(r"^(\d+)\.")  # would begin a list
_WEB = re.compile(r"\bwww\.", re.IGNORECASE)  # would become a link


def escape(text: str) -> str:
    """Text from a record as plain Markdown text on one line: no markup, HTML, link or mention survives."""
    return _NUMBERED.sub(r"\1\\.", escape_cell(text))


def escape_cell(text: str) -> str:
    """The same for a cell of a table, where no list can begin."""
    plain = _SPECIAL.sub(r"\\\1", visible(wording.one_line(text), one_line=True))
    return _WEB.sub(lambda match: match[0][:-1] + r"\.", plain)


def render_markdown(figures: Figures) -> str:
    lines = [f"# {escape(figures.title)}", "", escape(wording.counts_line(figures)), ""]
    if figures.first is not None:
        lines += [escape(wording.span(figures)), ""]
    if figures.total is None:
        lines += ["no records" if not figures.n_records else "no records to count", ""]
    for head in figures.heads:
        lines += _head(head)
    if figures.total is not None:
        lines += _groups(figures)
    lines += _alerts(figures)
    for group in figures.groups:
        lines += _examples(group)
    lines += [f"Note: {escape(note)}\n" for note in figures.notes]
    lines.append(f"`{visible(wording.one_line(figures.signature), one_line=True).replace('`', ' ')}`")
    return "\n".join(lines) + "\n"


def _head(head: HeadCounts) -> list[str]:
    if head.kind == "number":
        mean, sd = ("–" if value is None else f"{value:.3f}" for value in (head.mean, head.sd))
        return [f"| {escape(head.name)} | n | mean | sd |", "|---|---:|---:|---:|", f"| | {head.n:,} | {mean} | {sd} |", ""]
    shown, is_corrected = list(head.labels.items())[: wording.MOST_LABELS], bool(head.corrected)
    rows = [[escape(wording.shorten(wording.value_name(label), wording.NAME_CHARACTERS)), f"{share.hits:,}", wording.percent_interval(share), wording.percent_interval(head.corrected[label]) if is_corrected else ""]
            for label, share in shown]
    rows += [[wording.more_labels(len(head.labels) - len(shown)), "", "", ""]] if len(shown) < len(head.labels) else []
    table = [[escape(head.name), "n", "share (95 %)", "corrected (95 %)"], ["---", "---:", "---:", "---:"], *rows]
    return ["| " + " | ".join(row[: 3 + is_corrected]) + " |" for row in table] + [""]


def _groups(figures: Figures) -> list[str]:
    is_watched, has_trend = figures.watch is not None, bool(figures.total.buckets)
    titles = [escape(figures.by or " "), "n", "of all"]
    titles += [f"{escape(figures.watch)} (95 %)"] if is_watched else []
    titles += ["corrected (95 %)"] if figures.correction else []
    titles += [", ".join(filter(None, (wording.per_mark(figures.every, figures.total.buckets), wording.open_ends(figures.total.buckets))))] if has_trend else []
    titles += ["corrected"] if has_trend and figures.correction else []
    n_right = 2 + is_watched + bool(figures.correction)
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * n_right + "---|" * (len(titles) - 1 - n_right)]
    for group in ([figures.total] if figures.by is not None else []) + figures.groups:
        cells = [escape(wording.short_name(group)), f"{group.n:,}", wording.percent(group.share)]
        cells += [wording.percent_interval(group.watched)] if is_watched else []
        cells += [wording.percent_interval(group.corrected) if group.corrected else ""] if figures.correction else []
        cells += [wording.sparkline(group.buckets, is_watched)] if has_trend else []
        cells += [wording.sparkline(group.buckets, True, is_corrected=True)] if has_trend and figures.correction else []
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _alerts(figures: Figures) -> list[str]:
    if not figures.promise:
        return []
    shown = figures.alerts[-MOST_ALERTS:][::-1]
    lines = [f"- **{escape(describe_series(told))}**: {escape('. '.join([describe_finding(told), *describe_more(told)]))}" for told in shown]
    lines += [f"- and {n_more:,} earlier ones"] if (n_more := wording.n_untold(figures, MOST_ALERTS)) else []
    return ["## What moved", "", f"{wording.judged(figures).capitalize()}.", "", *(lines or (["nothing beyond the usual"] if figures.judged_from else [])), ""]


def _examples(group: Group) -> list[str]:
    if not group.examples:
        return []
    texts = ((wording.shorten(example.text, EXAMPLE_CHARACTERS), wording.example_note(example)) for example in group.examples)
    return [f"## {escape(wording.short_name(group))}", "", *(f"- {escape(text)} *({escape(note)})*" for text, note in texts), ""]
