"""Figures that must be reached, as in `--at-least macro_f1=0.80`, `--at-least 'f1[negative]=0.7'` of one label, `--slice-at-least accuracy=0.7` of every slice."""

import math
from dataclasses import dataclass

from doxa.errors import DoxaError, UsageError
from doxa.evaluation.figures import Evaluation, HeadEvaluation
from doxa.evaluation.flat_rows import HIGHER_IS_WORSE
from doxa.evaluation.measures import hint_on_scores
from doxa.evaluation.slices import FEW
from doxa.metrics.classification import Estimate
from doxa.metrics.figure_range import between, range_of
from doxa.records.label_names import quote, quote_some

ROUNDING = 1e-12  # of a mean of sums: 0.68 may come out as 0.6799999999999999
MOST_LABELS = 20  # in a sentence
_WAYS = {(False, False): "below", (True, False): "above", (False, True): "at least", (True, True): "at most"}


@dataclass(frozen=True)
class Gate:
    """`head` None means every head that has the figure; `is_most` that it must not be passed instead. With `label` the figure is that label's, with
    `is_of_slices` every slice's. Where `is_sure` the whole interval has to pass."""

    asked: str
    head: str | None
    figure: str
    bound: float
    is_most: bool = False
    label: str | None = None
    is_of_slices: bool = False
    is_sure: bool = False

    @property
    def flag(self) -> str:
        return _flag(self.is_most, self.is_of_slices)


def _flag(is_most: bool, is_of_slices: bool) -> str:
    return f"--{'slice-' if is_of_slices else ''}{'at-most' if is_most else 'at-least'}"


def parse_gate(text: str, is_most: bool = False, is_of_slices: bool = False, is_sure: bool = False) -> Gate:
    """Parse [HEAD:]FIGURE=NUMBER or [HEAD:]FIGURE[LABEL]=NUMBER. Raises UsageError.

    A number holds no `=`, so the last one begins it, and LABEL is all between the first `[` and the `]` before it: it may hold any character."""
    flag = _flag(is_most, is_of_slices)
    name, _, number = text.rpartition("=")
    label = None
    if name.endswith("]") and "[" in name:
        name, _, label = name[:-1].partition("[")
    head, _, figure = name.rpartition(":")
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not figure or not math.isfinite(bound):
        raise UsageError(f"{flag} {text}: give FIGURE=NUMBER, such as macro_f1=0.8, sentiment:accuracy=0.9 or 'f1[negative]=0.7'")
    least, greatest = range_of(figure) or (-math.inf, math.inf)
    if not least <= bound <= greatest:
        meant = f"; {bound:g} % is {bound / 100:g}" if (least, greatest) == (0, 1) and 1 < bound <= 100 else ""
        raise UsageError(f"{flag} {text}: {figure} is {between(least, greatest)}{meant}")
    if figure in HIGHER_IS_WORSE and not is_most:
        raise _wrong_way(flag, text, figure, True)
    if is_of_slices and label is not None:
        raise UsageError(f"{flag} {text}: slices have no figures of single labels")
    return Gate(text, head or None, figure, bound, is_most, label, is_of_slices, is_sure)


def _wrong_way(flag: str, asked: str, figure: str, is_lower_better: bool) -> UsageError:
    other = flag.replace("least", "most") if is_lower_better else flag.replace("most", "least")
    return UsageError(f"{flag} {asked}: {figure} is better when it is {'lower' if is_lower_better else 'higher'}: {other}")


def check_gates(evaluation: Evaluation, gates: list[Gate]) -> list[str]:
    """What is missed, a sentence each. Raises UsageError where a figure, head or label is not there or goes the other way, DoxaError where nothing was judged."""
    missed = []
    if gates and not evaluation.heads:
        raise DoxaError("no record was judged, so no gate is passed; give records with predictions and gold labels")
    for gate in gates:
        heads = [head for head in evaluation.heads if gate.head in (None, head.head)]
        if not heads:
            raise UsageError(f'{gate.flag} {gate.asked}: no head "{gate.head}" was judged; there are: {", ".join(h.head for h in evaluation.heads)}')
        if gate.is_of_slices:
            missed += _check_slices(gate, heads, evaluation.by)
        else:
            missed += _check_heads(gate, heads) if gate.label is None else _check_label(gate, heads)
    return missed


def _check_heads(gate: Gate, heads: list[HeadEvaluation]) -> list[str]:
    undefined = [head for head in heads if gate.figure in head.undefined]
    missed = [f"{head.head}: {gate.figure} is not defined by these records" for head in undefined]
    having = [head for head in heads if gate.figure in head.figures]
    if not undefined and (not having or gate.head and len(having) < len(heads)):
        known = ", ".join(dict.fromkeys(name for head in heads for name in head.figures))
        raise UsageError(f"{gate.flag} {gate.asked}: there is no such figure{_hint(gate, heads)}; there are: {known}")
    for head in having:
        missed += _check_figure(gate, head, gate.figure, head.figures[gate.figure])
    return missed


def _hint(gate: Gate, heads: list[HeadEvaluation]) -> str:
    """Why a figure that doxa knows is not there."""
    if any(gate.figure in label.figures for head in heads for label in head.labels):
        return f" but of one label, '{gate.figure}[LABEL]={gate.bound:g}'"
    return hint_on_scores(gate.figure)


def _check_slices(gate: Gate, heads: list[HeadEvaluation], by: str | None) -> list[str]:
    """Every slice that is not too small to be judged; `by` names what cut them, unless length did. Raises DoxaError where none is left."""
    names = {head.head: {*head.small}.union(*(part.figures for parts in head.slices.values() for part in parts)) for head in heads}
    having = [head for head in heads if gate.figure in names[head.head]]
    if not having:
        known = dict.fromkeys(name for head in heads for name in (*head.small, *head.figures) if name in names[head.head])
        raise UsageError(f"{gate.flag} {gate.asked}: there is no such figure of a slice; there are: {', '.join(known)}")
    missed = []
    for head in having:
        slices = [(f"{by if slicing == 'by' else slicing} {quote(part.name)}", part) for slicing, parts in head.slices.items() for part in parts if not part.is_few]
        if not slices:
            raise DoxaError(f"{gate.flag} {gate.asked}: no slice of head {quote(head.head)} has {FEW} records, so none is judged; cut fewer, or give more records")
        for name, part in slices:
            if gate.figure in part.figures:
                missed += _check_figure(gate, head, f"{gate.figure} of {name}", part.figures[gate.figure])
            else:
                missed.append(f"{head.head}: {gate.figure} of {name} is not defined by its records")
    return missed


def _check_label(gate: Gate, heads: list[HeadEvaluation]) -> list[str]:
    """A label that no gold holds misses its gate: its F1 says nothing of the model."""
    known = list(dict.fromkeys(name for head in heads for label in head.labels for name in label.figures))
    if gate.figure not in known and not any(gate.figure in head.undefined for head in heads):
        raise UsageError(f"{gate.flag} {gate.asked}: " + (f"there is no such figure of a label; there are: {', '.join(known)}" if known else
                         f"no label is told apart by {', '.join(head.head for head in heads)}"))
    having = [(head, label) for head in heads for label in head.labels if label.label == gate.label]
    if not having:
        there = "; ".join(f"{head.head}: {quote_some([label.label for label in head.labels], MOST_LABELS)}" for head in heads if head.labels)
        raise UsageError(f"{gate.flag} {gate.asked}: no record holds or was given the label {quote(gate.label)}; there are, of {there}")
    missed = []
    for head, label in having:
        named = f"{gate.figure} of {quote(label.label)}"
        if not label.held:
            missed.append(f"{head.head}: no gold label is {quote(label.label)}, so its {gate.figure} is not known")
        elif gate.figure not in label.figures:
            missed.append(f"{head.head}: {named} is not defined by these records")
        else:
            missed += _check_figure(gate, head, named, label.figures[gate.figure])
    return missed


def _check_figure(gate: Gate, head: HeadEvaluation, named: str, found: Estimate) -> list[str]:
    if gate.is_most != (gate.figure in head.lower_is_better):
        raise _wrong_way(gate.flag, gate.asked, gate.figure, not gate.is_most)
    is_open = gate.is_sure and found.low == found.high  # resamples that are all alike are no interval, and NaN passes nothing
    reached = math.nan if is_open else (found.high if gate.is_most else found.low) if gate.is_sure else found.value
    is_passed = reached <= gate.bound if gate.is_most else reached >= gate.bound
    if is_passed or math.isclose(reached, gate.bound, rel_tol=0.0, abs_tol=ROUNDING):
        return []
    return [f"{head.head}: {named} {found.value:.4f} [{found.low:.4f}, {found.high:.4f}] is {'not surely ' if gate.is_sure else ''}"
            f"{_WAYS[gate.is_most, gate.is_sure]} {gate.bound:g}{': its resamples are all alike, and tell nothing' if is_open else ''}"]
