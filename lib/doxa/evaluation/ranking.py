"""Records as candidates of groups, say the answers to one question: how well the scores of a head rank them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.evaluation.flat_rows import FlatRows
from doxa.evaluation.measures import estimate_figure
from doxa.evaluation.rows import HeadRows
from doxa.metrics.bootstrap import Resampling, draw_rows
from doxa.metrics.classification import Estimate
from doxa.metrics.group_ranking import mean_of_groups, rank_groups
from doxa.records.quantity import are, quantity

POSITIVE = ("1", "true", "yes", "relevant", "entailment", "same", "match", "duplicate")  # labels that mean so, the first that is there


@dataclass(frozen=True)
class Grouping:
    """`field` names the group of a record, `positive` the label of what should come first, None for one of POSITIVE."""

    field: str
    positive: str | None = None


@dataclass(frozen=True)
class Ranking:
    """Figures over groups, which are drawn whole; `remarks` on what they leave out, `signed` how they were made."""

    figures: dict[str, Estimate]
    remarks: list[str]
    signed: list[str]


def rank_head(rows: HeadRows, groups: pa.ChunkedArray, grouping: Grouping, resampling: Resampling = Resampling()) -> Ranking | None:
    """How the records of each group are ranked; None for a head that cannot rank: of many labels, of another kind, or without a positive label.

    `groups` (M,) are those of all good records, null where there is none. Raises UsageError where the positive label has no scores or
    gold is no relevance."""
    positive = _positive(rows, grouping)
    if not isinstance(rows, FlatRows) or rows.kind == "labels" or rows.kind == "label" and positive is None:
        return None
    names = groups.take(pa.array(rows.records))
    has_group = names.is_valid().to_numpy()
    codes = pc.drop_null(names).combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    if not len(codes):
        raise UsageError(f'--group {grouping.field}: no record that head "{rows.head}" is judged on holds this field')
    gold, score = _relevance(rows.take(has_group), positive)
    try:
        by_group = rank_groups(gold, score, codes)
    except ValueError as error:
        raise UsageError(f'--group: head "{rows.head}": {error}') from None
    n_groups, n_defined = int(codes.max()) + 1, int((~np.isnan(by_group["ndcg"])).sum())
    draws = draw_rows(np.zeros(n_groups, int), resampling)
    exact = {name: float(mean_of_groups(values, np.ones((1, n_groups)))[0]) for name, values in by_group.items()}
    figures = {name: estimate_figure(name, exact[name], mean_of_groups(values[draws.rows], draws.weights), n_groups)
               for name, values in by_group.items() if not np.isnan(exact[name])}
    signed = [f"group:{grouping.field}", f"groups:{n_defined}"] + ([f"positive:{positive}"] if positive is not None else [])
    return Ranking(figures, _remarks(rows, positive, n_groups, n_defined, int((~has_group).sum())), signed)


def _positive(rows: HeadRows, grouping: Grouping) -> str | None:
    if not isinstance(rows, FlatRows) or rows.kind != "label":
        return None
    wanted = POSITIVE if grouping.positive is None else (grouping.positive,)
    return next((label for label in wanted if label in rows.labels), None)


def _relevance(rows: FlatRows, positive: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Gold relevance (N,) and score (N,): 1 for the positive label and its score; of a number, gold and prediction as they are."""
    if positive is None:
        return rows.gold, rows.said
    place = rows.labels.index(positive)
    if rows.scores is None:
        raise UsageError(f'--group: head "{rows.head}" lacks the score of "{positive}" in some record; give those of all labels with predict --scores')
    return (rows.gold == place).astype(float), rows.scores[:, place]


def _remarks(rows: HeadRows, positive: str | None, n_groups: int, n_defined: int, n_alone: int) -> list[str]:
    what = f'"{positive}"' if positive is not None else "above 0"
    told = [f"nDCG and MRR are means over {n_defined:,} groups" + (f'; {n_groups - n_defined:,} in which no gold is {what} are left out'
                                                                   if n_defined < n_groups else "")]
    return told + ([f"{quantity(n_alone, 'record')} without a group {are(n_alone)} not ranked"] if n_alone else [])
