"""The formats that compare's page comes in; those for terminals, Markdown and JSON are made here."""

from dataclasses import asdict
from typing import Any

from doxa.evaluation.compare import Comparison, Comparisons, Difference, HeadComparison
from doxa.records.quantity import quantity
from doxa.reporting import wording
from doxa.reporting.blocks import Block, Heading, Line, Table, to_markdown, to_terminal
from doxa.reporting.comparison_page import render_comparison_html
from doxa.reporting.comparison_wording import flips_title, interval, mcnemar_line, p_words, signed, verdict_line, verdict_words
from doxa.reporting.evaluation_wording import SLICINGS, TEXT_CHARACTERS, is_told_alone, number, record_words, title_of, value_words
from doxa.reporting.json import dump, finite

FORMATS = ("terminal", "markdown", "html", "json")


def render_comparison(comparisons: Comparisons, kind: str, width: int = 100, is_coloured: bool = False) -> str:
    """Return the page as text. `width` (characters) and colour concern the terminal."""
    if kind == "json":
        return _to_json(comparisons)
    if kind == "html":
        return render_comparison_html(comparisons)
    blocks = describe_comparison(comparisons)
    return to_markdown(blocks) if kind == "markdown" else to_terminal(blocks, width, is_coloured)


def describe_comparison(comparisons: Comparisons) -> list[Block]:
    blocks: list[Block] = [Heading(comparisons.title, 1)]
    if len(comparisons.pairs) > 1:
        blocks.append(_overview(comparisons))
    for pair in comparisons.pairs:
        blocks.append(Line(f"{pair.new} beside {pair.old}: {quantity(pair.n_pairs, 'record')} in both, paired by {pair.paired_by}"))
        for head in pair.heads:
            blocks += _head(head, pair, comparisons)
    return [*blocks, *(Line(note, "note") for note in comparisons.notes), Line(comparisons.signature, "code")]


def _overview(comparisons: Comparisons) -> Table:
    """A line for every figure that decides, the best new file first."""
    table = Table([("file", True), ("head", False), ("figure", True), ("new", True), ("difference", True), ("95 %", False), ("Holm's p", False), ("verdict", True)],
                  texts=frozenset({0, 1, 2, 7}))
    for pair, head, figure in sorted(comparisons.deciding, key=lambda own: (own[1].head, own[2].name, -own[2].gain)):
        table.rows.append((pair.new, head.head, title_of(figure.name), number(figure.new), signed(figure.more.value), interval(figure.more),
                           p_words(figure.p_holm).removeprefix("= "), verdict_words(figure, comparisons.margin)))
    return table


def _head(head: HeadComparison, pair: Comparison, comparisons: Comparisons) -> list[Block]:
    blocks: list[Block] = [Heading(f"{head.head}: {quantity(head.n, 'record')}")]
    blocks += [Line(verdict_line(figure, comparisons.margin)) for figure in head.figures if figure.verdict is not None]
    if head.p_mcnemar is not None:
        blocks.append(Line(mcnemar_line(head)))
    blocks.append(_table("figure", [(title_of(figure.name), figure) for figure in head.figures if is_told_alone(figure.name)]))
    if len(head.labels) > 1:
        blocks += [Heading("F1 of every label, the largest loss first", 3), _table("label", [(figure.name, figure) for figure in head.labels])]
    for name, parts in head.slices.items():
        blocks += [Heading(f"{title_of(head.headline)} by {comparisons.by if name == 'by' else SLICINGS[name]}, the largest loss first", 3),
                   _table("value", [(figure.name, figure) for _, figure in parts], [n for n, _ in parts])]
    if head.flips:
        blocks += [Heading(flips_title(head), 3), _flip_table(head)]
    return blocks


def _table(title: str, figures: list[tuple[str, Difference]], sizes: list[int] | None = None) -> Table:
    table = Table([(title, True), *([("records", True)] if sizes else []), ("old", True), ("new", True), ("difference", True), ("95 %", True), ("p", False)])
    for i, (name, figure) in enumerate(figures):
        table.rows.append((name, *([f"{sizes[i]:,}"] if sizes else []), number(figure.old), number(figure.new), signed(figure.more.value),
                           interval(figure.more), p_words(figure.p).removeprefix("= ")))
    return table


def _flip_table(head: HeadComparison) -> Table:
    table = Table([("gold", True), ("old", False), ("new", True), ("score", True), ("record", False), ("text", True)], texts=frozenset({0, 1, 2, 4, 5}))
    for flip in head.flips:
        table.rows.append((value_words(flip.gold), value_words(flip.old), value_words(flip.new), "–" if flip.score is None else number(flip.score),
                           record_words(flip), wording.shorten(flip.text or "", TEXT_CHARACTERS)))
    return table


def _to_json(comparisons: Comparisons) -> str:
    return dump({"title": comparisons.title, "signature": comparisons.signature, "alpha": comparisons.alpha, "margin": comparisons.margin,
                 "pairs": [{"old": pair.old, "new": pair.new, "paired_by": pair.paired_by, "records": pair.n_pairs,
                            "without_partner": {"old": pair.n_alone[0], "new": pair.n_alone[1]},
                            "heads": {head.head: _head_json(head) for head in pair.heads}} for pair in comparisons.pairs],
                 "notes": comparisons.notes}, indent=2)


def _head_json(head: HeadComparison) -> dict[str, Any]:
    return {"kind": head.kind, "n": head.n, "became_wrong": head.n_worse, "became_right": head.n_better, "p_mcnemar": head.p_mcnemar,
            "judged_alone": {"old": head.n_alone[0], "new": head.n_alone[1]},
            "figures": {figure.name: _difference_json(figure) for figure in head.figures},
            "labels": {figure.name: _difference_json(figure) for figure in head.labels},
            "slices": {name: [{"value": figure.name, "n": n} | _difference_json(figure) for n, figure in parts] for name, parts in head.slices.items()},
            "flips": [asdict(flip) for flip in head.flips]}


def _difference_json(figure: Difference) -> dict[str, Any]:
    return ({"old": figure.old, "new": figure.new, "difference": figure.more.value, "low": finite(figure.more.low), "high": finite(figure.more.high),
             "p": figure.p}
            | ({"p_holm": figure.p_holm, "verdict": figure.verdict} if figure.verdict is not None else {}))
