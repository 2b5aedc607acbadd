"""Counted shares of the watched label, and beside them those without the classifier's mistakes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from doxa.metrics.prevalence import adjust_shares, can_correct, contradict, infer_share
from doxa.monitoring.figures import Corrected, Figures, Group
from doxa.monitoring.mistakes import Mistakes
from doxa.monitoring.settings import Watch, choose_watch


def correct(figures: Figures, find: Callable[[Watch], Mistakes]) -> None:
    """Add corrected shares of the watched label to the total, every group and every bucket, by what `find` knows of its mistakes.

    They are adjusted counts under label shift (metrics/prevalence.py). Where the mistakes are those of a random sample of the
    stream, the total is inferred from sample and predictions instead, which leaves open how the classifier errs. Groups that
    the watched head makes hold one label each: its mistakes in them are others, and they stay as they are. Raises what `find` does."""
    if figures.total is None or figures.watch is None:
        return
    watch, total = choose_watch(figures.watch, {head.name: head.kind for head in figures.heads}), figures.total
    mistakes = find(watch)
    pairs = mistakes.pairs
    is_own = figures.by == watch.head
    for group in [total] if is_own else [total, *figures.groups]:
        _correct_group(group, pairs)
    if mistakes.is_sample and total.watched.n:
        found = infer_share(pairs, total.watched.hits, total.watched.n)
        total.corrected = Corrected(found.value, total.watched.n, (found.low, found.high))
        figures.correction = f"ppi++:total,adjusted-count:{'' if is_own else 'groups+'}buckets({mistakes.source})"
    else:
        figures.correction = f"adjusted-count({mistakes.source})"
    figures.notes += _notes(figures, mistakes)
    if is_own:
        figures.notes.append(f'groups by the watched head "{watch.head}" itself are not corrected')


def _correct_group(group: Group, pairs: np.ndarray) -> None:
    cells = [group.watched, *(bucket.watched for bucket in group.buckets)]
    shares, lows, highs = adjust_shares(pairs, [cell.hits for cell in cells], [cell.n for cell in cells])
    found = [Corrected(None if np.isnan(share) else share, cell.n, (low, high))
             for cell, share, low, high in zip(cells, shares.tolist(), lows.tolist(), highs.tolist())]
    group.corrected = found[0]
    group.buckets = [replace(bucket, corrected=corrected) for bucket, corrected in zip(group.buckets, found[1:])]


def _notes(figures: Figures, mistakes: Mistakes) -> list[str]:
    pairs, watched = mistakes.pairs, figures.total.watched
    (n_no, n_yes), texts = pairs.sum(axis=1), f"{mistakes.n:,} {'texts of the gold sample' if mistakes.is_sample else 'dev texts'}"
    found = (f"among {texts}, {figures.watch} is predicted for {pairs[1, 1]:,} of {n_yes:,} that hold it and for "
             f"{pairs[0, 1]:,} of {n_no:,} that do not")
    if not can_correct(pairs):
        what = "groups and buckets" if mistakes.is_sample else "shares"
        return [f"{found}: hardly better than chance, so {what} cannot be corrected"]
    notes = [f"{found}; corrected shares assume that it is so in {'every group and bucket' if mistakes.is_sample else 'these texts'}"]
    if not mistakes.is_sample and watched.n and contradict(pairs, watched.hits, watched.n):
        notes.append(f"it is not so: no mixture of these texts gives a counted share of {watched.share:.1%}; correct with --gold-sample")
    return notes
