"""Comparisons in words, the same in every format."""

import math

from doxa.evaluation.compare import Comparison, Difference, HeadComparison
from doxa.metrics.classification import Estimate
from doxa.records.quantity import quantity
from doxa.reporting.evaluation_wording import number, title_of

_VERDICTS = {"worse": "worse", "better": "better", "not worse": "not worse by more than the margin", "open": "no difference shown"}
_OPEN_MARGIN = "not shown to be within the margin"  # where it may lie far from 0


def verdict_words(figure: Difference, margin: float) -> str:
    return _OPEN_MARGIN if margin and figure.verdict == "open" else _VERDICTS[figure.verdict]


def verdict_line(figure: Difference, margin: float) -> str:
    beyond = f" (margin {margin:g})" if margin else ""
    name = "p" if figure.p_holm == figure.p else "Holm's p"
    return f"{title_of(figure.name)} {change(figure)}, {verdict_words(figure, margin)}{beyond}, {name} {p_words(figure.p_holm)}"


def change(figure: Difference) -> str:
    return f"{number(figure.old)} -> {number(figure.new)}: {signed(figure.more.value)} [{interval(figure.more)}]"


def conclude(pair: Comparison, margin: float) -> tuple[str, str]:
    """What stands between the names of the new file and of the old one, and what after them: `is worse than`, `in 1 of 2 figures that decide`."""
    verdicts = [figure.verdict for head in pair.heads for figure in head.figures if figure.verdict is not None]
    n = len(verdicts)
    if "worse" in verdicts:
        return "is worse than", " ".join(filter(None, (_beyond(margin), _part(verdicts.count("worse"), n))))
    if margin:
        n_open = verdicts.count("open")
        if not n_open:
            return "is not worse than", _beyond(margin)
        return "is not shown to be within the margin of", " ".join(filter(None, (f"({margin:g})", _part(n_open, n))))
    n_better = verdicts.count("better")
    if not n_better:
        return "is not shown to differ from", ""
    return "is better than", _part(n_better, n) + (", and no difference is shown in the others" if n_better < n else "")


def _beyond(margin: float) -> str:
    return f"by more than the margin of {margin:g}" if margin else ""


def _part(n: int, of_n: int) -> str:
    return f"in {n:,} of {of_n:,} figures that decide" if of_n > 1 else ""


def mcnemar_line(head: HeadComparison) -> str:
    return f"{quantity(head.n_worse, 'record')} became wrong and {head.n_better:,} became right (McNemar, exact: p {p_words(head.p_mcnemar)})"


def flips_title(head: HeadComparison) -> str:
    return "right before, wrong since" if head.kind != "number" else "errors that grew most"


def signed(value: float) -> str:
    return f"{value:+.3f}"


def interval(more: Estimate) -> str:
    """A dash where the difference is not defined on any resample."""
    if not (math.isfinite(more.low) and math.isfinite(more.high)):
        return "–"
    return f"{signed(more.low)} to {signed(more.high)}"


def p_words(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
