"""What explanations say of words: over a corpus, and between two windows; for terminals, as Markdown and as JSON."""

from dataclasses import asdict
from typing import Any

from doxa.explaining.contrast import Change, Contrast
from doxa.explaining.summary import Summary, WordFigures, name_label
from doxa.metrics.intervals import wilson
from doxa.reporting.blocks import Block, Heading, Line, Table
from doxa.reporting.json import dump

_MEASURES = {"comprehensiveness": "the label's score falls without the best words by", "random_comprehensiveness": "without random ones by",
             "sufficiency": "with the best words alone by", "random_sufficiency": "with random ones alone by"}


def describe_summary(summary: Summary, title: str) -> list[Block]:
    told = f"{summary.n_records:,} records" + (f", {summary.n_errors:,} of them carry an error" if summary.n_errors else "")
    told += f", {summary.n_unexplained:,} hold no explanation" if summary.n_unexplained else ""
    blocks: list[Block] = [Heading(title, 1), Line(told + (f"; {', '.join(summary.how)}" if summary.how else ""))]
    for head, measures in summary.faithfulness.items():
        rows = [(_MEASURES[name], f"{found.mean:.3f}", f"{found.low:.3f} to {found.high:.3f}") for name, found in measures.items()]
        blocks += [Heading(f"{head}: how faithful the explanations are"), Table([("on average", True), ("", True), ("95 %", True)], rows)]
    for label in summary.labels:
        blocks.append(Heading(f"{name_label(label.head, label.label)}: {label.n:,} texts"))
        for words, way in ((label.speaking_for, "for"), (label.speaking_against, "against")):
            if words:
                blocks += [Heading(f"words that speak {way} it", 3), _word_table(words)]
        if not label.speaking_for and not label.speaking_against:
            blocks.append(Line(f"of {label.n_ranked:,} words none is clear of chance"))
    return [*blocks, *(Line(note, "note") for note in summary.notes), Line(summary.method, "code")]


def _word_table(words: list[WordFigures]) -> Table:
    table = Table([("word", True), ("texts", True), ("evidence", True), ("interval", True), ("for", False), ("see", False)], texts=frozenset({0, 5}))
    for word in words:
        table.rows.append((word.word, f"{word.n:,}", f"{word.mean:+.2f}", f"{word.low:+.2f} to {word.high:+.2f}", f"{word.share_for:.0%}", ", ".join(word.examples)))
    return table


def describe_contrast(contrast: Contrast, title: str, files: tuple[str, str]) -> list[Block]:
    what = name_label(contrast.head, contrast.label)
    blocks: list[Block] = [Heading(title, 1), Line(f"{files[1]} ({contrast.after[1]:,} texts) beside {files[0]} ({contrast.before[1]:,} texts): {what}")]
    if contrast.label is not None:
        rows = [(name, f"{n:,}", f"{hits:,}", f"{hits / n:.1%}", "{:.1%} to {:.1%}".format(*wilson(hits, n)))
                for name, (hits, n) in zip(("before", "after"), (contrast.before, contrast.after))]
        blocks += [Table([("", True), ("texts", True), (what, True), ("share", True), ("95 %", True)], rows),
                   Line(f"share {contrast.share.value:+.1%} [{contrast.share.low:+.1%} to {contrast.share.high:+.1%}], "
                        f"evidence per text {_change(contrast.evidence)}")]
    if not contrast.words:
        blocks.append(Line(f"of {contrast.n_tested:,} words none moved it beyond chance"))
    else:
        table = Table([("word", True), ("evidence per text", True), ("interval", True), ("by frequency", True), ("by evidence", True), ("before", True),
                       ("after", True), ("see", False)], texts=frozenset({0, 7}), whole_width=110)
        for word in contrast.words:
            table.rows.append((word.word, f"{word.change.value:+.3f}", f"{word.change.low:+.3f} to {word.change.high:+.3f}", f"{word.by_frequency.value:+.3f}",
                               f"{word.by_evidence.value:+.3f}", *(f"{share:.1%}" for share in word.shares), ", ".join(word.examples)))
        blocks += [Heading(f"words that moved it, of {contrast.n_tested:,} looked at", 3), table]
    return [*blocks, *(Line(note, "note") for note in contrast.notes), Line(contrast.method, "code")]


def _change(change: Change) -> str:
    return f"{change.value:+.3f} [{change.low:+.3f} to {change.high:+.3f}]"


def to_json(found: Summary | Contrast, **about: Any) -> str:
    """Everything unrounded."""
    return dump(about | asdict(found), indent=2)
