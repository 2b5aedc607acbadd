"""What explanations say of words, over a corpus and between two windows: as blocks for people, as JSON for machines."""

from dataclasses import asdict
from typing import Any

from doxa.explaining.contrast import Change, Contrast, WordChange
from doxa.explaining.summary import Mean, Summary, WordFigures, name_label
from doxa.records.quantity import quantity
from doxa.reporting.blocks import Block, Heading, Line, Table
from doxa.reporting.json import dump


def describe_summary(summary: Summary, title: str) -> list[Block]:
    counts = [quantity(summary.n_records, "record")]
    counts += [quantity(summary.n_errors, "error record")] if summary.n_errors else []
    counts += [f"{summary.n_unexplained:,} without an explanation"] if summary.n_unexplained else []
    blocks: list[Block] = [Heading(title, 1), Line(", ".join([*counts, *summary.how]))]
    for label in summary.labels:
        blocks += [Heading(name_label(label.head, label.label)), Line(f"{quantity(label.n, 'text')}, {quantity(label.n_ranked, 'word')} in enough of them")]
        for way, words in (("speaking for it", label.speaking_for), ("speaking against it", label.speaking_against)):
            blocks.append(_word_table(way, words) if words else Line(f"no word is clearly {way}"))
    if summary.faithfulness:
        rows = [(head, measure.replace("_", " "), f"{mean.n:,}", f"{mean.mean:.3f}", _mean_interval(mean)) for head, measures in summary.faithfulness.items()
                for measure, mean in measures.items()]
        blocks += [Heading("Faithfulness"), Table([("head", True), ("measure", True), ("texts", True), ("mean", True), ("95 %", True)], rows, frozenset({0, 1}))]
    return blocks + _closing(summary)


def _word_table(title: str, words: list[WordFigures]) -> Table:
    table = Table([(title, True), ("texts", True), ("evidence", True), ("interval", True), ("for", False), ("see", False)], texts=frozenset({0, 5}))
    for word in words:
        table.rows.append((word.word, f"{word.n:,}", f"{word.mean:+.3f}", f"{word.low:+.3f} to {word.high:+.3f}", f"{word.share_for:.0%}", ", ".join(word.examples)))
    return table


def _mean_interval(mean: Mean) -> str:
    return "–" if mean.low is None else f"{mean.low:.3f} to {mean.high:.3f}"


def describe_contrast(contrast: Contrast, title: str, files: tuple[str, ...]) -> list[Block]:
    blocks: list[Block] = [Heading(title, 1), Line(f"{name_label(contrast.head, contrast.label)}: {files[1]} beside {files[0]}")]
    if contrast.label is not None:
        (hits1, n1), (hits2, n2) = contrast.before, contrast.after
        share = contrast.share
        blocks.append(Line(f"share: {hits1 / n1:.1%} of {quantity(n1, 'text')} before, {hits2 / n2:.1%} of {n2:,} after: "
                           f"{100 * share.value:+.1f} points [{100 * share.low:+.1f} to {100 * share.high:+.1f}]"))
    blocks.append(Line(f"evidence per text, all words together: {_change(contrast.evidence)}"))
    blocks.append(Line(f"{quantity(len(contrast.words), 'word')} moved it, of {contrast.n_tested:,} looked at" if contrast.words else
                       f"no word clearly moved it, of {contrast.n_tested:,} looked at"))
    if contrast.words:
        blocks += [_moved_table(contrast.words), Heading("By frequency and by evidence", 3), _split_table(contrast.words)]
    return blocks + _closing(contrast)


def _moved_table(words: list[WordChange]) -> Table:
    table = Table([("word", True), ("change", True), ("interval", False), ("in texts", True), ("mean evidence", False), ("see", False)], texts=frozenset({0, 5}))
    for word in words:
        table.rows.append((word.word, *_with_interval(word.change), " → ".join(f"{share:.1%}" for share in word.shares),
                           " → ".join("–" if mean is None else f"{mean:+.2f}" for mean in word.means), ", ".join(word.examples)))
    return table


def _split_table(words: list[WordChange]) -> Table:
    """The two parts of every change; narrower than the other, so that intervals fit on most terminals."""
    table = Table([("word", True), ("by frequency", True), ("interval", False), ("by evidence", True), ("interval", False)], whole_width=76)
    table.rows = [(word.word, *_with_interval(word.by_frequency), *_with_interval(word.by_evidence)) for word in words]
    return table


def _with_interval(change: Change) -> tuple[str, str]:
    return f"{change.value:+.4f}", f"{change.low:+.4f} to {change.high:+.4f}"


def _closing(found: Summary | Contrast) -> list[Block]:
    return [*(Line(note, "note") for note in found.notes), Line(f"method: {found.method}", "code")]


def _change(change: Change) -> str:
    return f"{change.value:+.3f} nats [{change.low:+.3f} to {change.high:+.3f}]"


def to_json(found: Summary | Contrast, **about: Any) -> str:
    """Everything unrounded."""
    return dump(about | asdict(found), indent=2)
