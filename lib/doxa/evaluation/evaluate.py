"""Predictions that also hold the gold label, to figures with intervals."""

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from doxa import __version__
from doxa.errors import UsageError
from doxa.evaluation.figures import Evaluation, HeadEvaluation, LabelFigures, ReliabilityBin
from doxa.evaluation.measures import SHARES_RIGHT, estimate_figures, estimate_labels, measure
from doxa.evaluation.ranking import POSITIVE, Grouping, Ranking, rank_head
from doxa.evaluation.rows import HeadRows, Measured
from doxa.evaluation.seen import Seen
from doxa.evaluation.signature import sign
from doxa.evaluation.slices import FEW, cut_slices
from doxa.metrics.bootstrap import Resampling
from doxa.metrics.classification import Estimate
from doxa.metrics.intervals import wilson
from doxa.metrics.score_figures import N_BINS, bin_of
from doxa.records.label_names import quote, quote_some
from doxa.records.quantity import left_out, quantity

MOST_TOLD = 5  # slices in a note
MOST_NEVER = 10  # labels in a note
_WHOLE_NUMBER = re.compile(r"^(-?\d+)\.0*$")  # 1.0, as tables with gaps write 1


@dataclass(frozen=True)
class Settings:
    """`by` and `conditions` as they were asked, for the page; with `grouping` records are ranked, too."""

    title: str = "Evaluation"
    by: str | None = None
    conditions: tuple[str, ...] = ()
    resampling: Resampling = Resampling()
    grouping: Grouping | None = None


def judge_heads(seen: Seen, settings: Settings) -> Evaluation:
    """Judge every head of what was read. Raises UsageError where records are to be ranked and no head can."""
    rankings = _rank(seen, settings)
    heads = [_judge(rows, seen, settings, rankings.get(rows.head)) for rows in seen.heads.values()]
    notes = [note for head, rows in zip(heads, seen.heads.values()) for note in _notes(head, rows)]
    notes += [f'head "{name}": {remark}' for name, ranking in rankings.items() for remark in ranking.remarks]
    notes += [f'head "{name}": no record holds a gold label beside its prediction' for name in seen.lost if name not in seen.heads]
    if n_again := _count_again(seen):
        notes.append(f"{quantity(n_again, 'record')} with the id of an earlier one {'counts' if n_again == 1 else 'count'} like any other")
    if seen.n_unmet:
        notes.append(f"{quantity(seen.n_unmet, 'record')} {left_out(seen.n_unmet)} by --where {' and '.join(settings.conditions)}")
    return Evaluation(settings.title, seen.n_records, seen.n_good, dict(seen.errors), seen.n_unmet, heads, notes, list(settings.conditions),
                      settings.by, __version__)


def _count_again(seen: Seen) -> int:
    """How many records have an id that came before; none where ids are what groups the records."""
    if seen.ids is None or seen.groups is not None and seen.groups.equals(seen.ids):
        return 0
    return len(seen.ids) - seen.ids.null_count - pc.count_distinct(seen.ids).as_py()


def _rank(seen: Seen, settings: Settings) -> dict[str, Ranking]:
    """The ranking of every head that can."""
    if settings.grouping is None or not seen.heads:
        return {}
    found = {name: rank_head(rows, seen.groups, settings.grouping, settings.resampling) for name, rows in seen.heads.items()}
    if not any(found.values()):
        positive = settings.grouping.positive
        asked = f'has the label "{positive}"' if positive is not None else f"has a label {', '.join(POSITIVE)}; name it with --positive"
        raise UsageError(f"--group ranks by heads that give numbers or one of whose labels means relevant; none {asked}")
    return {name: ranking for name, ranking in found.items() if ranking is not None}


def _judge(rows: HeadRows, seen: Seen, settings: Settings, ranking: Ranking | None) -> HeadEvaluation:
    measured = measure(rows, settings.resampling)
    found = HeadEvaluation(rows.head, rows.kind, rows.n, {why: n for why, n in seen.lost[rows.head].items() if n}, estimate_figures(rows, measured) | (ranking.figures if ranking else {}),
                           rows.headline, rows.small, rows.lower_is_better)
    found.undefined = [name for name in measured.exact if name not in found.figures]
    found.labels = _label_table(rows, measured)
    if (counts := rows.confusion()) is not None:
        places = [measured.labels.index(label.label) for label in found.labels]
        found.confusion = counts[np.ix_(places, places)].tolist()
        found.reliability = draw_reliability(rows.score, rows.is_right())
    found.slices = {name: cut_slices(rows, name, settings.resampling) for name in rows.slices}
    found.mistakes = seen.mistakes[rows.head]
    found.signature = sign(rows, seen, settings, ranking.signed if ranking else ())
    return found


def _label_table(rows: HeadRows, measured: Measured) -> list[LabelFigures]:
    """Every label that occurs in gold or prediction, those held most first."""
    (labels, held, said), estimates = rows.support(), estimate_labels(rows, measured)
    found = [LabelFigures(label, int(held[i]), int(said[i]),
                          {name: own[i] for name, own in estimates.items() if not np.isnan(own[i].value)})
             for i, label in enumerate(labels) if held[i] or said[i]]
    return sorted(found, key=lambda label: (-label.held, label.label))


def draw_reliability(score: np.ndarray, is_right: np.ndarray) -> list[ReliabilityBin]:
    """Bins of scores that hold something; none where some row has no score."""
    if np.isnan(score).any():
        return []
    bins, found = bin_of(score), []
    for i in np.unique(bins).tolist():
        inside = bins == i
        n, hits = int(inside.sum()), int(is_right[inside].sum())
        found.append(ReliabilityBin(i / N_BINS, (i + 1) / N_BINS, n, float(score[inside].mean()), Estimate(hits / n, *wilson(hits, n))))
    return found


def _notes(head: HeadEvaluation, rows: HeadRows) -> list[str]:
    notes = [f'head "{head.head}": {quantity(n, "record")} {left_out(n)}, {why}' for why, n in head.lost.items()]
    never = [label.label for label in head.labels if not label.held]
    if never:
        notes.append(f'head "{head.head}": predicted though no gold label is so: {quote_some(never, MOST_NEVER)}; they count as labels of precision 0')
    notes += [f'head "{head.head}": {remark}' for remark in rows.remarks(head.figures)]
    if rows.n < FEW:
        notes.append(f'head "{head.head}": of so few records intervals hold the truth less often than 95 times of 100, above all where single records '
                     "weigh much (root mean square error, average precision, Matthews correlation where a label is rare)")
    if head.undefined:
        notes.append(f'head "{head.head}": {", ".join(head.undefined)} cannot be told where all gold, or all that was said, is alike')
    twins = _alike_labels([label.label for label in head.labels])
    if twins:
        notes.append(f'head "{head.head}": labels that differ by white space, case, the spelling of a number or how a character is composed count as different ones: {twins}')
    if not SHARES_RIGHT & {*rows.small}:  # whose interval tells
        notes += [note for slicing in rows.slices if (note := _tell_flawless(rows, slicing))]
    return notes + [note for slicing in rows.slices for note in rows.tell_cut(slicing)]


def _alike_labels(labels: list[str]) -> str:
    """Labels that may be meant to be the same, in quotes."""
    found: dict[str, list[str]] = {}
    for label in labels:
        plain = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
        found.setdefault(_WHOLE_NUMBER.sub(r"\1", plain), []).append(label)
    return ", ".join(" and ".join(map(quote, alike)) for alike in found.values() if len(alike) > 1)


def _tell_flawless(rows: HeadRows, slicing: str) -> str:
    """What no mistake in a slice says, which no resample shows."""
    is_right = rows.is_right()
    if is_right is None:
        return ""
    sizes = {name: len(members) for name, members in rows.split(slicing) if len(members) >= FEW and is_right[members].all()}
    told = ", ".join(f"{name} (at least {wilson(n, n)[0]:.3f} of {n:,} such records)" for name, n in list(sizes.items())[:MOST_TOLD])
    return f'head "{rows.head}": no mistake in {told}{", ..." if len(sizes) > MOST_TOLD else ""}; what is right there is 95 % sure by Wilson' if sizes else ""
