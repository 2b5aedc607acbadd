"""The page as Markdown. Whatever Markdown or HTML would obey is escaped."""

import re

from doxa.monitoring.figures import Figures
from doxa.reporting import wording
from doxa.terminal import visible

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~&$@:-])")


def escape(text: str) -> str:
    """Text from a record as plain Markdown text on one line: no markup, HTML, link or mention survives."""
    return _SPECIAL.sub(r"\\\1", visible(text, one_line=True))


def render_markdown(figures: Figures) -> str:
    lines = [f"# {escape(figures.title)}", "", escape(wording.counts_line(figures)), ""]
    if figures.n_records and figures.first is not None:
        lines += [escape(wording.span(figures)), ""]
    if not figures.n_records:
        lines += ["no records", ""]
    for head in figures.heads:
        lines += _head(head)
    if figures.groups and (figures.by is not None or figures.watch is not None):
        lines += _groups(figures)
    for group in figures.groups:
        if group.examples:
            lines += [f"## {escape(wording.group_name(group))}", ""]
            lines += [f"- {escape(example.text)} *({escape(wording.example_note(example))})*" for example in group.examples] + [""]
    lines += [f"Note: {escape(note)}\n" for note in figures.notes]
    lines.append(f"`{visible(figures.signature, one_line=True).replace('`', ' ')}`")
    return "\n".join(lines) + "\n"


def _head(head) -> list[str]:
    if head.kind == "number":
        mean = "–" if head.mean is None else f"{head.mean:.3f}"
        sd = "–" if head.sd is None else f"{head.sd:.3f}"
        return [f"| {escape(head.name)} | n | mean | sd |", "|---|---:|---:|---:|", f"| | {head.n} | {mean} | {sd} |", ""]
    rows = [f"| {escape(label)} | {share.hits} | {wording.percent_interval(share)} |" for label, share in head.labels.items()]
    return [f"| {escape(head.name)} | n | share (95 %) |", "|---|---:|---:|", *rows, ""]


def _groups(figures: Figures) -> list[str]:
    is_watched = figures.watch is not None
    titles = [escape(figures.by or "all"), "n", "of all"] + ([f"{escape(figures.watch)} (95 %)"] if is_watched else [])
    has_trend = bool(figures.groups[0].buckets)
    titles += [f"per {figures.every}"] if has_trend else []
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (2 + is_watched) + ("---|" if has_trend else "")]
    for group in figures.groups:
        cells = [escape(wording.group_name(group)), f"{group.n}", wording.percent(group.share)]
        cells += [wording.percent_interval(group.watched)] if is_watched else []
        cells += [wording.sparkline(group.buckets[-40:], is_watched)] if has_trend else []
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]
