"""Beside the counted shares of the watched label those without the classifier's mistakes."""

from dataclasses import replace
from typing import Protocol

import numpy as np
import pyarrow as pa

from doxa.errors import UsageError
from doxa.metrics.prevalence import adjust_shares, can_correct, contradict, infer_share
from doxa.monitoring.figures import Corrected, Figures, Group, HeadCounts, Share
from doxa.monitoring.mistakes import Mistakes
from doxa.monitoring.settings import Settings, Watch, choose_watch
from doxa.records.columns import ColumnReader
from doxa.records.quantity import are, quantity

LEAST_GOLD = 30  # texts of a group in the sample; of fewer, the whole sample's mistakes say more


class Known(Protocol):
    """Where mistakes are known from; `name` is that of the flag."""

    name: str

    def see(self, table: pa.Table, reader: ColumnReader) -> None:
        """Look at a table of the stream."""

    def notes(self) -> list[str]:
        """What is to be told of what was seen."""

    def mistakes(self, watch: Watch, settings: Settings, figures: Figures) -> Mistakes: ...

    def label_shares(self, head: HeadCounts, watch: Watch | None, settings: Settings, figures: Figures) -> dict[str, Corrected] | None: ...


def correct(figures: Figures, settings: Settings, known: Known) -> None:
    """Add corrected shares: of the watched label to the total, every group and every bucket, and of every label to its head.

    They are adjusted counts under label shift (metrics/prevalence.py): of a head of one label all its labels at once, whose mixture is left
    open; in a bucket the watched label against all others, in whatever mixture dev has them. With a random sample of the stream less is assumed:
    the total, its labels, and groups with at least LEAST_GOLD texts in it are inferred from it and the predictions, which leaves open how the
    classifier errs; their buckets, by the mistakes of their group where these can correct, tell the watched label from all others. Other groups are left
    as they are: the mistakes of all the sample held the truth of such a group in 40 % of draws.
    Groups by the watched head hold one label each: the mistakes in them are others, and they are not corrected. Raises what `known` does, and
    UsageError where there is nothing that it could correct."""
    if figures.total is None:
        return
    figures.notes += known.notes()
    watch = choose_watch(figures.watch, {head.name: head.kind for head in figures.heads}) if figures.watch is not None else None
    is_known = False
    for head in figures.heads:
        shares = known.label_shares(head, watch, settings, figures) if head.kind != "number" else {}
        is_known |= shares != {}
        head.corrected = shares or {}
        head.labels |= {label: Share(0, head.n) for label in head.corrected if label not in head.labels}
        if shares is None:
            figures.notes.append(f'shares of the labels of head "{head.name}" cannot be corrected: the dev set lacks one of them, or the model does')
    if watch is not None:
        _correct_watched(figures, watch, settings, known)
    elif not is_known:
        raise UsageError(f"there is nothing that {known.name} could correct: name a head that it knows with --watch HEAD=LABEL")


def _correct_watched(figures: Figures, watch: Watch, settings: Settings, known: Known) -> None:
    head, total = next(head for head in figures.heads if head.name == watch.head), figures.total
    mistakes = known.mistakes(watch, settings, figures)
    is_own = any(name.removeprefix("head:").removeprefix("field:") == watch.head for group in figures.groups for name in group.values)
    groups = [] if is_own else [group for group in figures.groups if group is not total]
    n_inferred = 0
    for group in [total, *groups]:
        own = mistakes.pairs if group is total else mistakes.groups.get((group.kind, group.name), np.zeros((2, 2)))
        if mistakes.is_sample and group is not total and own.sum() < LEAST_GOLD:
            continue
        _adjust(group, own if own.sum() >= LEAST_GOLD and can_correct(own) else mistakes.pairs)
        if mistakes.is_sample and group.watched.n:
            found = infer_share(own, group.watched.hits, group.watched.n)
            group.corrected = Corrected.of(group.watched.n, found.value, found.low, found.high)
            n_inferred += group is not total
        if not mistakes.is_sample:
            shares = head.corrected if group is total else known.label_shares(_head_of(group, head), watch, settings, figures) or {}
            group.corrected = shares.get(watch.label, group.corrected)
    figures.correction = _describe(mistakes, n_inferred)
    figures.notes += _notes(figures, mistakes, len(groups) - n_inferred if mistakes.is_sample else 0)
    if is_own:
        figures.notes.append(f'groups by the watched head "{watch.head}" itself are not corrected')


def _head_of(group: Group, head: HeadCounts) -> HeadCounts:
    """The watched head's counts within a group."""
    return HeadCounts(head.name, head.kind, group.watched.n, {label: Share(n, group.watched.n) for label, n in group.labels.items()})


def _adjust(group: Group, pairs: np.ndarray) -> None:
    cells = [group.watched, *(bucket.watched for bucket in group.buckets)]
    shares, lows, highs = adjust_shares(pairs, [cell.hits for cell in cells], [cell.n for cell in cells])
    found = [Corrected.of(cell.n, *estimate) for cell, *estimate in zip(cells, shares, lows, highs)]
    group.corrected = found[0]
    group.buckets = [replace(bucket, corrected=corrected) for bucket, corrected in zip(group.buckets, found[1:])]


def _describe(mistakes: Mistakes, n_inferred: int) -> str:
    """The method and its source, for the signature."""
    if not mistakes.is_sample:
        return f"adjusted-count({mistakes.source})"
    inferred = "total" + (f"+{n_inferred}-groups" if n_inferred else "")
    return f"ppi++:{inferred},adjusted-count:buckets({mistakes.source})"


def _notes(figures: Figures, mistakes: Mistakes, n_left: int) -> list[str]:
    pairs, watched = mistakes.pairs, figures.total.watched
    (n_no, n_yes), texts = pairs.sum(axis=1), f"{mistakes.n:,} {'texts of the gold sample' if mistakes.is_sample else 'dev texts'}"
    found = (f"among {texts}, {figures.watch} is predicted for {pairs[1, 1]:,} of {n_yes:,} that hold it and for "
             f"{pairs[0, 1]:,} of {n_no:,} that do not")
    which = " of buckets" if mistakes.is_sample else ""
    left = [f"{quantity(n_left, 'group')} with fewer than {LEAST_GOLD} texts in the sample {are(n_left)} not corrected; check more of them"] if n_left else []
    if not n_yes or not n_no:
        return [f"{texts} hold {'nothing but' if n_yes else 'no'} {figures.watch}: they do not tell how the model errs, so shares{which} cannot be corrected", *left]
    if not can_correct(pairs):
        return [f"{found}: hardly better than chance, so shares{which} cannot be corrected", *left]
    alike = "in each" if which else "in these texts, in every group and bucket alike, and that the model was not trained on any of them"
    notes = [f"{found}; corrected shares{which} assume that it is so {alike}", *left]
    if not mistakes.is_sample and watched.n and contradict(pairs, watched.hits, watched.n):
        notes.append(f"that does not hold: no mixture of such texts gives a counted share of {watched.share:.1%}; correct with --gold-sample")
    return notes
