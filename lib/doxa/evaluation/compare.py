"""Whether other predictions of the same records are better or worse, beyond chance."""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from doxa import __version__
from doxa.errors import DoxaError, UsageError
from doxa.evaluation.measures import is_defined, measure_both
from doxa.evaluation.pairing import count_apart, judged_alone, pair_head, pair_records
from doxa.evaluation.rows import HeadRows, Measured
from doxa.evaluation.seen import Seen
from doxa.evaluation.slices import FEW
from doxa.metrics.bootstrap import Resampling, estimate
from doxa.metrics.classification import Estimate
from doxa.metrics.figure_range import between, range_of
from doxa.metrics.paired import bootstrap_p, holm, least_bootstrap_p, least_by_signs, mcnemar, tango, tango_interval
from doxa.metrics.student import p_of_tail
from doxa.records.quantity import left_out, quantity

ENOUGH, MOST_RESAMPLES = 5, 10_000  # the least p corrected for all that decide is two fifths of alpha, as far as so many resamples go
LEAST_PARTS = 10  # of which one in two comparisons shows a p below 0.05 by chance


@dataclass(frozen=True)
class Settings:
    """`metrics` to decide by, the headline of each head unless told; `margin` by which the new may be worse; `n_resamples` None for as many
    as what decides asks for."""

    metrics: tuple[str, ...] = ()
    margin: float = 0.0
    alpha: float = 0.05
    n_flips: int = 5
    seed: int = 0
    n_resamples: int | None = None
    title: str = "Comparison"
    by: str | None = None
    conditions: tuple[str, ...] = ()

    def __post_init__(self):
        if not np.isfinite(self.margin):
            raise UsageError(f"--margin {self.margin:g}: give a finite number")


@dataclass
class Difference:
    """A figure of both, what the new one has more, and the two-sided p-value of a difference of just the margin. Of those that decide
    `p_holm` is corrected for all of them, and `verdict` is worse, better, not worse (by more than the margin) or open; of others None."""

    name: str
    old: float
    new: float
    more: Estimate
    p: float
    is_lower_better: bool = False
    p_holm: float | None = None
    verdict: str | None = None

    @property
    def gain(self) -> float:
        """How much better the new one is, whichever way the figure goes."""
        return -self.more.value if self.is_lower_better else self.more.value


@dataclass(frozen=True)
class Flip:
    """A record that was right and is wrong; of numbers one whose error grew, by `weight`; of other kinds `weight` is the score."""

    weight: float
    place: int
    id: str | None
    text: str | None
    gold: object
    old: object
    new: object
    score: float | None


@dataclass(frozen=True)
class _Flips:
    """How many rows became wrong, and right, and the shares that were right before and after."""

    n_worse: int
    n_better: int
    shares: tuple[float, float]

    def are_all_of(self, exact: tuple[float, float]) -> bool:
        """Whether a figure, before and after, is the share of rows that are right, so that these alone move it."""
        return all(math.isclose(share, value, rel_tol=0.0, abs_tol=1e-12) for share, value in zip(self.shares, exact))


@dataclass
class HeadComparison:
    """One head. `headline` is the figure of its slices, the first that decides."""

    head: str
    kind: str
    n: int
    headline: str
    n_worse: int = 0
    n_better: int = 0
    p_mcnemar: float | None = None
    figures: list[Difference] = field(default_factory=list)
    labels: list[Difference] = field(default_factory=list)
    slices: dict[str, list[tuple[int, Difference]]] = field(default_factory=dict)
    flips: list[Flip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_alone: tuple[int, int] = (0, 0)  # paired records of which the old file alone, or the new one, has a prediction and gold


@dataclass
class Comparison:
    """One newer file beside the old one."""

    old: str
    new: str
    paired_by: str
    n_pairs: int
    n_alone: tuple[int, int]  # records of the old file, and of the new one, that are judged and have no partner
    heads: list[HeadComparison]
    note: str = ""


@dataclass
class Comparisons:
    title: str
    alpha: float
    margin: float
    pairs: list[Comparison]
    notes: list[str]
    signature: str
    by: str | None = None

    @property
    def one_sided(self) -> list[str]:
        """What either file judges alone: the other lacks the records, or holds them without what is judged."""
        apart = [f"{quantity(n, 'judged record')} of {name} {'has' if n == 1 else 'have'} no partner in {other}, and {left_out(n)}"
                 for pair in self.pairs for n, name, other in _of_either(pair, pair.n_alone)]
        return apart + [f'head "{head.head}": {quantity(n, "record")} {"has" if n == 1 else "have"} both a prediction and a gold label in {name} '
                        f"but not in {other}, and {left_out(n)}"
                        for pair in self.pairs for head in pair.heads for n, name, other in _of_either(pair, head.n_alone)]

    @property
    def deciding(self) -> list[tuple[Comparison, HeadComparison, Difference]]:
        return _deciding(self.pairs)

    @property
    def worse(self) -> list[tuple[Comparison, HeadComparison, Difference]]:
        """What decides, and is worse beyond chance."""
        return [(pair, head, figure) for pair, head, figure in self.deciding if figure.verdict == "worse"]


def _deciding(pairs: list[Comparison]) -> list[tuple[Comparison, HeadComparison, Difference]]:
    return [(pair, head, figure) for pair in pairs for head in pair.heads for figure in head.figures if figure.verdict is not None]


def _of_either(pair: Comparison, counts: tuple[int, int]) -> list[tuple[int, str, str]]:
    """What is counted of either file, where there is any: the number, that file, the other."""
    return [(n, *names) for n, names in zip(counts, ((pair.old, pair.new), (pair.new, pair.old))) if n]


def compare_all(seen: list[Seen], names: list[str], settings: Settings) -> Comparisons:
    """Compare every later file with the first. Raises DoxaError where they cannot be paired or a deciding figure is not there,
    UsageError where so many figures decide that none could be told from chance."""
    resampling = _choose_resampling(seen, settings)
    pairs = [_compare(seen[0], other, (names[0], name), settings, resampling) for other, name in zip(seen[1:], names[1:])]
    deciding = [figure for _, _, figure in _deciding(pairs)]
    least_p = least_bootstrap_p(resampling.n)
    if len(deciding) * least_p >= settings.alpha:
        raise UsageError(f"--resamples {resampling.n}: so many cannot tell at --alpha {settings.alpha:g} whether any of {quantity(len(deciding), 'deciding figure')} is worse; "
                         f"give more than {math.ceil(2 * len(deciding) / settings.alpha)}, or a larger --alpha")
    for figure, p in zip(deciding, holm([figure.p for figure in deciding])):
        figure.p_holm, figure.verdict = p, _judge(figure.gain, p, settings)
    models = [f"{name}:{'+'.join(sorted({m for rows in one.heads.values() for m in rows.models})) or 'unstamped'}" for name, one in zip(names, seen)]
    where = [f"where:{condition}" for condition in settings.conditions]
    signature = " ".join([f"data:{seen[0].fingerprint}", *models, *where, f"paired:{pairs[0].paired_by}", f"alpha:{settings.alpha:g}", f"margin:{settings.margin:g}",
                          f"holm:{len(deciding)}", f"test:paired-bootstrap{resampling.n}-expanded-percentile+tango95-of-shares", f"seed:{settings.seed}", f"doxa:{__version__}"])
    found = Comparisons(settings.title, settings.alpha, settings.margin, pairs, _notes(pairs) + _at_floor(pairs, resampling.n), signature, settings.by)
    found.notes += [*found.one_sided, *(note for other, name in zip(seen[1:], names[1:]) for note in _heads_alone(seen[0], other, (names[0], name)))]
    return found


def _choose_resampling(seen: list[Seen], settings: Settings) -> Resampling:
    """As often as asked for, else so often that the correction for all that decides leaves room below alpha."""
    n_heads = sum(head in other.heads for other in seen[1:] for head in seen[0].heads)
    asked_for = math.ceil(ENOUGH * n_heads * max(1, len(settings.metrics)) / settings.alpha)
    chosen = min(max(Resampling.n, asked_for), MOST_RESAMPLES)
    return Resampling(settings.seed, settings.n_resamples or chosen)


def _heads_alone(old: Seen, new: Seen, names: tuple[str, str]) -> list[str]:
    return [f'head "{head}" is judged in {name} alone' for one, other, name in ((old, new, names[0]), (new, old, names[1])) for head in one.heads
            if head not in other.heads]


def _judge(gain: float, p: float, settings: Settings) -> str:
    if p >= settings.alpha:
        return "open"
    return "worse" if gain < -settings.margin else "better" if not settings.margin else "not worse"


def _compare(old: Seen, new: Seen, names: tuple[str, str], settings: Settings, resampling: Resampling) -> Comparison:
    pairing = pair_records(old, new, names)
    first, second = pairing.first, pairing.second
    shared = [head for head in old.heads if head in new.heads]
    if not shared:
        raise DoxaError(f"{names[0]} and {names[1]} have no head in common that both judge: {', '.join(old.heads) or 'none'}; {', '.join(new.heads) or 'none'}")
    heads = []
    for head in shared:
        sides = pair_head(old.heads[head], new.heads[head], first, second, (old, new), names)
        if not sides[0].n:
            raise DoxaError(f'no record of head "{head}" is in both {names[0]} and {names[1]}')
        heads.append(_compare_head(sides, (old, new), names, settings, resampling))
        heads[-1].n_alone = judged_alone(old.heads[head], new.heads[head], first, second)
    n_alone = count_apart([old.heads[head] for head in shared], first), count_apart([new.heads[head] for head in shared], second)
    return Comparison(*names, pairing.by, len(first), n_alone, heads, pairing.note)


def _check_margin(margin: float, name: str) -> None:
    """Raise UsageError for a margin that no two values of a figure could differ by more than."""
    least, greatest = range_of(name) or (0.0, np.inf)
    if margin >= greatest - least:
        raise UsageError(f"--margin {margin:g}: {name} is {between(least, greatest)}, so nothing could be worse by more; one point is {(greatest - least) / 100:g}")


def _compare_head(sides: tuple[HeadRows, HeadRows], seen: tuple[Seen, Seen], names: tuple[str, str], settings: Settings,
                  resampling: Resampling) -> HeadComparison:
    old, new = sides
    before, after = measure_both(list(sides), resampling)
    flips = _count_flips(sides)
    known, shared = before.exact | after.exact, [name for name in before.exact if is_defined(name, before) and is_defined(name, after)]
    deciding = [name for name in settings.metrics if name in known] or [old.headline]
    found = HeadComparison(old.head, old.kind, old.n, deciding[0])
    for name in deciding:
        _check_margin(settings.margin, name)
        if name not in shared:
            where = " and ".join(file for file, measured in zip(names, (before, after)) if not is_defined(name, measured))
            raise DoxaError(f'--metric {name} is not defined for head "{old.head}" in {where}; figures of scores need predict --scores, others labels or '
                            "numbers that differ")
    for name in sorted(shared, key=lambda name: name not in deciding):
        figure = _difference(name, (before.exact[name], after.exact[name]), (before.values[name], after.values[name]), sides, flips, settings.margin)
        figure.verdict = "open" if name in deciding else None
        found.figures.append(figure)
    if flips is not None:
        found.n_worse, found.n_better = flips.n_worse, flips.n_better
        found.p_mcnemar = mcnemar(flips.n_worse, flips.n_better)
    found.labels = _label_differences(sides, flips, before, after)
    found.flips = _flips(old, new, seen, settings.n_flips)
    found.notes = [note for slicing in old.slices for note in old.tell_cut(slicing)]
    found.slices = {name: _slice_differences(old, new, name, deciding[0], resampling) for name in old.slices}
    return found


def _slice_differences(old: HeadRows, new: HeadRows, name: str, headline: str, resampling: Resampling) -> list[tuple[int, Difference]]:
    """Number of rows and difference of the headline figure in each slice, the largest loss first, those of fewer than FEW rows last."""
    found: list[tuple[int, Difference]] = []
    for label, members in old.split(name):
        sides = old.take(members), new.take(members)
        before, after = measure_both(list(sides), resampling, with_scores=headline != old.headline)
        flips = _count_flips(sides)
        if is_defined(headline, before) and is_defined(headline, after):
            difference = _difference(headline, (before.exact[headline], after.exact[headline]), (before.values[headline], after.values[headline]), sides, flips)
            found.append((len(members), replace(difference, name=label)))
    return sorted(found, key=lambda part: (part[0] < FEW, part[1].gain, part[1].name))


def _flips(old: HeadRows, new: HeadRows, seen: tuple[Seen, Seen], most: int) -> list[Flip]:
    """The records that became wrong, the most confident first."""
    found = []
    for row, weight in new.losses(old, most):
        record, score = int(new.records[row]), new.score[row]
        found.append(Flip(weight, int(seen[1].places[record]) + 1, seen[1].ids[record].as_py(), seen[1].texts[record].as_py(),
                          new.gold_value(row), old.said_value(row), new.said_value(row), None if np.isnan(score) else float(score)))
    return found


def _notes(pairs: list[Comparison]) -> list[str]:
    notes = []
    for pair in pairs:
        notes += [pair.note] if pair.note else []
        notes += [note for head in pair.heads for note in head.notes]
    n_parts = sum(len(head.labels) + sum(map(len, head.slices.values())) for pair in pairs for head in pair.heads)
    if n_parts >= LEAST_PARTS:
        notes.append(f"p of labels and slices is not corrected for their number: of {n_parts:,}, {0.05 * n_parts:.1f} are below 0.05 by chance where nothing changed")
    return notes


def _at_floor(pairs: list[Comparison], n_resamples: int) -> list[str]:
    """What is told of p-values that could be lower, had there been more resamples."""
    least = least_bootstrap_p(n_resamples)
    if any(math.isclose(figure.p, p_of_tail(least / 2, head.n)) for _, head, figure in _deciding(pairs)):
        return [f"{n_resamples:,} resamples show no p below {least:.1g}; --resamples takes more"]
    return []


def _difference(name: str, exact: tuple[float, float], values: tuple[np.ndarray, np.ndarray], sides: tuple[HeadRows, HeadRows], flips: _Flips | None,
                margin: float = 0.0) -> Difference:
    """A figure before and after, with its values on the resamples (1 + R) of both. Resamples of rows of which few changed look surer than those are: p is no less
    than an exact test of what changed allows, and no difference is worse by more than the margin that is not worse at all."""
    (old, new), (old_values, new_values), is_lower_better = exact, values, name in sides[0].lower_is_better
    moved = new_values - old_values
    resampled, n = moved[1:] + (new - old - moved[0]), sides[0].n
    is_share_right = flips is not None and flips.are_all_of(exact)
    n_changed = flips.n_worse + flips.n_better if is_share_right else sides[0].n_changed(sides[1], name)
    p = max(bootstrap_p(resampled, n), least_by_signs(n if n_changed is None else n_changed))
    more = Estimate(float(new - old), *tango_interval(n, flips.n_worse, flips.n_better)) if is_share_right else estimate(new - old, moved, n)
    difference = Difference(name, float(old), float(new), more, p, is_lower_better)
    if not margin:
        return difference
    if is_share_right:
        least = tango(n, flips.n_worse, flips.n_better, margin)
    else:
        least = tango(n, 0, 0, margin) if range_of(name) == (0.0, 1.0) else least_by_signs(n)
    at_margin = max(bootstrap_p(resampled, n, margin if is_lower_better else -margin), least)
    return replace(difference, p=max(p, at_margin) if difference.gain < -margin else at_margin)


def _count_flips(sides: tuple[HeadRows, HeadRows]) -> _Flips | None:
    """None where right and wrong are not told apart."""
    was, is_right = (side.is_right() for side in sides)
    if was is None or is_right is None:
        return None
    return _Flips(int((was & ~is_right).sum()), int((~was & is_right).sum()), (float(was.mean()), float(is_right.mean())))


def _label_differences(sides: tuple[HeadRows, HeadRows], flips: _Flips | None, before: Measured, after: Measured) -> list[Difference]:
    """F1 of every label that some row holds or that either side got right, the largest loss first."""
    if "f1" not in before.exact_by_label or "f1" not in after.exact_by_label:
        return []
    labels, held, _ = sides[0].support()
    found, n_held = [], dict(zip(labels, held))
    for label in dict.fromkeys((*before.labels, *after.labels)):
        (old, old_values), (new, new_values) = (measured.label_figure("f1", label) for measured in (before, after))
        if old or new or n_held.get(label):
            difference = _difference("f1", (old, new), (old_values, new_values), sides, flips)
            found.append(replace(difference, name=label))
    return sorted(found, key=lambda figure: figure.more.value)
