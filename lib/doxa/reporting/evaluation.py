"""The formats that evaluate's page comes in; those for terminals, Markdown and JSON are made here."""

from dataclasses import asdict
from typing import Any

from doxa.evaluation.figures import Evaluation, HeadEvaluation, Slice
from doxa.evaluation.mistakes import Mistake
from doxa.metrics.classification import Estimate
from doxa.metrics.score_figures import N_BINS
from doxa.records.quantity import quantity
from doxa.reporting import wording
from doxa.reporting.blocks import Block, Heading, Line, Table, to_markdown, to_terminal
from doxa.reporting.evaluation_page import render_evaluation_html
from doxa.reporting.evaluation_wording import (
    MOST_LABELS, MOST_PAIRS, SLICINGS, TEXT_CHARACTERS, averages_of, bounds, confused_pairs, counts_line, figures_alone, number, record_words, title_of,
    value_words)
from doxa.reporting.json import dump, finite

FORMATS = ("terminal", "markdown", "html", "json")
MOST_COLUMNS = 8  # labels; the confusions of more are told in pairs


def render_evaluation(evaluation: Evaluation, kind: str, width: int = 100, is_coloured: bool = False) -> str:
    """Return the page as text. `width` (characters) and colour concern the terminal."""
    if kind == "json":
        return evaluation_json(evaluation)
    if kind == "html":
        return render_evaluation_html(evaluation)
    blocks = describe_evaluation(evaluation)
    return to_markdown(blocks) if kind == "markdown" else to_terminal(blocks, width, is_coloured)


def describe_evaluation(evaluation: Evaluation) -> list[Block]:
    blocks: list[Block] = [Heading(evaluation.title, 1), Line(counts_line(evaluation))]
    for head in evaluation.heads:
        blocks += _head(head, evaluation)
    blocks += [Line(note, "note") for note in evaluation.notes]
    return blocks + [Line(head.signature, "code") for head in evaluation.heads]


def _head(head: HeadEvaluation, evaluation: Evaluation) -> list[Block]:
    blocks: list[Block] = [Heading(f"{head.head}: {quantity(head.n, 'record')}")]
    names = sorted(figures_alone(head), key=lambda name: name != head.headline)
    blocks.append(Table([("figure", True), ("value", True), ("95 %", True)],
                        [(title_of(name), number(head.figures[name].value), bounds(head.figures[name])) for name in names]))
    if head.labels:
        blocks.append(_label_table(head))
    if head.confusion:
        blocks += _confusion(head)
    if head.reliability:
        blocks += [Heading("scores and how often they are right", 3), _reliability(head)]
    for name, slices in head.slices.items():
        blocks += [Heading(f"by {evaluation.by if name == 'by' else SLICINGS[name]}, the worst first", 3), _slice_table(slices, head)]
    if head.mistakes:
        blocks += [Heading("gravest mistakes", 3), _mistake_table(head.mistakes)]
    return blocks


def _label_table(head: HeadEvaluation) -> Table:
    """Every label, and beneath them the averages over all."""
    labels = head.labels
    names = [name for name in ("precision", "recall", "f1", "roc_auc", "average_precision") if any(name in label.figures for label in labels)]
    columns = [("label", True), ("held", True), ("said", True)]
    for name in names:
        columns.append((title_of(name), name in ("precision", "recall", "f1")))
        if name in ("precision", "recall", "f1"):
            columns.append(("95 %", name == "f1"))
    table = Table(columns, whole_width=160 if "roc_auc" in names else 120)
    for label in labels[:MOST_LABELS]:
        table.rows.append([label.label, f"{label.held:,}", f"{label.said:,}", *_label_cells(label.figures, names)])
    if len(labels) > MOST_LABELS:
        table.rows.append([wording.more_labels(len(labels) - MOST_LABELS), *[""] * (len(columns) - 1)])
    for average, own in averages_of(head):
        table.rows.append([f"({average} average)", "", "", *_label_cells(own, names)])
    return table


def _label_cells(figures: dict[str, Estimate], names: list[str]) -> list[str]:
    cells = []
    for name in names:
        found = figures.get(name)
        cells.append(number(found.value) if found else "–")
        if name in ("precision", "recall", "f1"):
            cells.append(bounds(found) if found else "–")
    return cells


def _confusion(head: HeadEvaluation) -> list[Block]:
    labels = [label.label for label in head.labels]
    if len(labels) <= MOST_COLUMNS:
        table = Table([("gold \\ predicted", True), *((label, True) for label in labels)])
        table.rows = [[label, *(f"{n:,}" for n in row)] for label, row in zip(labels, head.confusion)]
        return [table]
    pairs = confused_pairs(head)[:MOST_PAIRS]
    if not pairs:
        return []
    rows = [(gold, said, f"{n:,}", f"{n / held:.1%}") for n, gold, said, held in pairs]
    return [Heading("most confused", 3), Table([("gold", True), ("predicted", True), ("records", True), ("of gold", True)], rows, frozenset({0, 1}))]


def _reliability(head: HeadEvaluation) -> Table:
    table = Table([("score", True), ("records", True), ("mean score", True), ("right", True), ("95 %", False)])
    for part in head.reliability:
        table.rows.append((f"{part.low:.2f} to {part.high:.2f}", f"{part.n:,}", number(part.score), number(part.right.value), bounds(part.right)))
    return table


def _slice_table(slices: list[Slice], head: HeadEvaluation) -> Table:
    names = sorted(head.small, key=lambda name: name != head.headline)
    table = Table([("value", True), ("records", True), *(column for name in names for column in ((title_of(name), True), ("95 %", False)))])
    for part in slices:
        cells = [wording.value_name(part.name) + (" (few)" if part.is_few else ""), f"{part.n:,}"]
        for name in names:
            found = part.figures.get(name)
            cells += [number(found.value), bounds(found)] if found else ["–", "–"]
        table.rows.append(cells)
    return table


def _mistake_table(mistakes: list[Mistake]) -> Table:
    table = Table([("gold", True), ("predicted", True), ("score", True), ("record", False), ("text", True)], texts=frozenset({0, 1, 3, 4}))
    for found in mistakes:
        score = "–" if found.score is None else number(found.score)
        table.rows.append((value_words(found.gold), value_words(found.said), score, record_words(found), wording.shorten(found.text or "", TEXT_CHARACTERS)))
    return table


def evaluation_json(evaluation: Evaluation) -> str:
    """Everything as JSON, numbers unrounded."""
    content = {"title": evaluation.title, "version": evaluation.version, "records": evaluation.n_records, "judged": evaluation.n_good,
               "errors": evaluation.errors, "unmet": evaluation.n_unmet, "settings": {"by": evaluation.by, "where": evaluation.conditions},
               "heads": {head.head: _head_json(head) for head in evaluation.heads}, "notes": evaluation.notes}
    return dump(content, indent=2)


def _head_json(head: HeadEvaluation) -> dict[str, Any]:
    content = {"kind": head.kind, "n": head.n, "lost": head.lost, "signature": head.signature, "figures": figures_json(head.figures),
               "labels": {label.label: {"held": label.held, "said": label.said} | figures_json(label.figures) for label in head.labels}}
    if head.confusion is not None:
        content["confusion"] = {"labels": [label.label for label in head.labels], "counts": head.confusion}
    return content | {
        "reliability": [asdict(part) for part in head.reliability], "reliability_bins": N_BINS if head.reliability else None,
        "slices": {name: [{"value": part.name, "n": part.n, "few": part.is_few} | figures_json(part.figures) for part in slices]
                   for name, slices in head.slices.items()},
        "mistakes": [{"id": found.id, "place": found.place, "gold": found.gold, "said": found.said, "score": found.score, "text": found.text}
                     for found in head.mistakes]}


def figures_json(figures: dict[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: {"value": finite(found.value), "low": finite(found.low), "high": finite(found.high)} for name, found in figures.items()}
