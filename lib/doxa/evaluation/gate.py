"""Figures that must be reached, as in `--at-least macro_f1=0.80`."""

import math
from dataclasses import dataclass

from doxa.errors import DoxaError, UsageError
from doxa.evaluation.figures import Evaluation
from doxa.evaluation.flat_rows import HIGHER_IS_WORSE
from doxa.metrics.figure_range import range_of


@dataclass(frozen=True)
class Gate:
    """`head` None means every head that has the figure; `is_most` that it must not be passed instead."""

    asked: str
    head: str | None
    figure: str
    bound: float
    is_most: bool = False


def parse_gate(text: str, is_most: bool = False) -> Gate:
    """Parse [HEAD:]FIGURE=NUMBER. Raises UsageError."""
    flag = "--at-most" if is_most else "--at-least"
    name, _, number = text.rpartition("=")
    head, _, figure = name.rpartition(":")
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not figure or not math.isfinite(bound):
        raise UsageError(f"{flag} {text}: give FIGURE=NUMBER, such as macro_f1=0.8 or sentiment:accuracy=0.9")
    least, greatest = range_of(figure) or (-math.inf, math.inf)
    if not least <= bound <= greatest:
        meant = f"; {bound:g} % is {bound / 100:g}" if (least, greatest) == (0, 1) and 1 < bound <= 100 else ""
        raise UsageError(f"{flag} {text}: {figure} is {_between(least, greatest)}{meant}")
    if figure in HIGHER_IS_WORSE and not is_most:
        raise _wrong_way(flag, text, figure, True)
    return Gate(text, head or None, figure, bound, is_most)


def _between(least: float, greatest: float) -> str:
    if math.isinf(greatest):
        return f"never below {least:g}"
    return f"never above {greatest:g}" if math.isinf(least) else f"from {least:g} to {greatest:g}"


def _wrong_way(flag: str, asked: str, figure: str, is_lower_better: bool) -> UsageError:
    return UsageError(f"{flag} {asked}: {figure} is better when it is {'lower: --at-most' if is_lower_better else 'higher: --at-least'}")


def check_gates(evaluation: Evaluation, gates: list[Gate]) -> list[str]:
    """What is missed, a sentence each. Raises UsageError where a figure or head is not there or goes the other way, DoxaError where nothing was judged."""
    missed = []
    if gates and not evaluation.heads:
        raise DoxaError("no record was judged, so no gate is passed; give records with predictions and gold labels")
    for gate in gates:
        flag = "--at-most" if gate.is_most else "--at-least"
        heads = [head for head in evaluation.heads if gate.head in (None, head.head)]
        if not heads:
            raise UsageError(f'{flag} {gate.asked}: no head "{gate.head}" was judged; there are: {", ".join(h.head for h in evaluation.heads)}')
        undefined = [head for head in heads if gate.figure in head.undefined]
        missed += [f"{head.head}: {gate.figure} is not defined by these records" for head in undefined]
        having = [head for head in heads if gate.figure in head.figures]
        if not undefined and (not having or gate.head and len(having) < len(heads)):
            known = ", ".join(dict.fromkeys(name for head in heads for name in head.figures))
            raise UsageError(f"{flag} {gate.asked}: there is no such figure; there are: {known}")
        for head in having:
            if gate.is_most != (gate.figure in head.lower_is_better):
                raise _wrong_way(flag, gate.asked, gate.figure, not gate.is_most)
            found = head.figures[gate.figure]
            if found.value > gate.bound if gate.is_most else found.value < gate.bound:
                missed.append(f"{head.head}: {gate.figure} {found.value:.4f} [{found.low:.4f}, {found.high:.4f}] "
                              f"is {'above' if gate.is_most else 'below'} {gate.bound:g}")
    return missed
