"""Whether other predictions of the same records are better or worse, beyond chance."""

from dataclasses import dataclass, field, replace

import numpy as np

from doxa import __version__
from doxa.errors import DoxaError, UsageError
from doxa.evaluation.intake import Seen
from doxa.evaluation.measures import HEADLINE, HIGHER_IS_WORSE, Measured, measure_both
from doxa.evaluation.pairing import pair_head, pair_records
from doxa.evaluation.rows import HeadRows
from doxa.evaluation.slices import FEW
from doxa.metrics.bootstrap import N_RESAMPLES, estimate
from doxa.metrics.classification import Estimate
from doxa.metrics.paired import LEAST_P, bootstrap_p, holm, mcnemar


@dataclass(frozen=True)
class Settings:
    """`metrics` to decide by, the headline of each head unless told; `margin` by which the new may be worse."""

    metrics: tuple[str, ...] = ()
    margin: float = 0.0
    alpha: float = 0.05
    n_flips: int = 5
    seed: int = 0
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
    p_holm: float | None = None
    verdict: str | None = None

    @property
    def gain(self) -> float:
        """How much better the new one is, whichever way the figure goes."""
        return -self.more.value if self.name in HIGHER_IS_WORSE else self.more.value


@dataclass(frozen=True)
class Flip:
    """A record that was right and is wrong; of numbers one whose error grew, by `weight`."""

    weight: float
    place: int
    id: str | None
    text: str | None
    gold: object
    old: object
    new: object
    score: float | None


@dataclass
class HeadComparison:
    head: str
    kind: str
    n: int
    n_worse: int = 0
    n_better: int = 0
    p_mcnemar: float | None = None
    figures: list[Difference] = field(default_factory=list)
    labels: list[Difference] = field(default_factory=list)
    slices: dict[str, list[tuple[int, Difference]]] = field(default_factory=dict)
    flips: list[Flip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Comparison:
    """One newer file beside the old one."""

    old: str
    new: str
    paired_by: str
    n_pairs: int
    n_alone: tuple[int, int]
    heads: list[HeadComparison]


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
    def worse(self) -> list[tuple[Comparison, HeadComparison, Difference]]:
        """What decides, and is worse beyond chance."""
        return [(pair, head, figure) for pair in self.pairs for head in pair.heads for figure in head.figures if figure.verdict == "worse"]


def compare_all(seen: list[Seen], names: list[str], settings: Settings) -> Comparisons:
    """Compare every later file with the first. Raises DoxaError where they cannot be paired or a deciding figure is not there,
    UsageError where so many figures decide that none could be told from chance."""
    pairs = [_compare(seen[0], other, (names[0], name), settings) for other, name in zip(seen[1:], names[1:])]
    deciding = [figure for pair in pairs for head in pair.heads for figure in head.figures if figure.verdict is not None]
    if len(deciding) * LEAST_P >= settings.alpha:
        raise UsageError(f"--alpha {settings.alpha:g}: {N_RESAMPLES:,} resamples cannot tell whether any of {len(deciding)} deciding figures is worse; "
                         f"give more than {len(deciding) * LEAST_P:.3f}, or compare fewer files, heads or metrics")
    for figure, p in zip(deciding, holm([figure.p for figure in deciding])):
        figure.p_holm, figure.verdict = p, _judge(figure.gain, p, settings)
    models = [f"{name}:{'+'.join(sorted({m for rows in one.heads.values() for m in rows.models})) or 'unstamped'}" for name, one in zip(names, seen)]
    where = [f"where:{condition}" for condition in settings.conditions]
    signature = " ".join([f"data:{seen[0].fingerprint}", *models, *where, f"paired:{pairs[0].paired_by}", f"alpha:{settings.alpha:g}", f"margin:{settings.margin:g}",
                          f"holm:{len(deciding)}", f"test:paired-bootstrap{N_RESAMPLES}-percentile", f"seed:{settings.seed}", f"doxa:{__version__}"])
    return Comparisons(settings.title, settings.alpha, settings.margin, pairs, _notes(pairs), signature, settings.by)


def _judge(gain: float, p: float, settings: Settings) -> str:
    if p >= settings.alpha:
        return "open"
    return "worse" if gain < -settings.margin else "better" if not settings.margin else "not worse"


def _compare(old: Seen, new: Seen, names: tuple[str, str], settings: Settings) -> Comparison:
    first, second, how = pair_records(old, new, names)
    shared = [head for head in old.heads if head in new.heads]
    if not shared:
        raise DoxaError(f"{names[0]} and {names[1]} have no head in common that both judge: {', '.join(old.heads) or 'none'}; {', '.join(new.heads) or 'none'}")
    heads = []
    for head in shared:
        sides = pair_head(old.heads[head], new.heads[head], first, second, (old, new), names)
        if not sides[0].n:
            raise DoxaError(f'no record of head "{head}" is in both {names[0]} and {names[1]}')
        heads.append(_compare_head(sides, (old, new), names, settings))
    return Comparison(*names, how, len(first), (old.n_good - len(first), new.n_good - len(second)), heads)


def _compare_head(sides: tuple[HeadRows, HeadRows], seen: tuple[Seen, Seen], names: tuple[str, str], settings: Settings) -> HeadComparison:
    old, new = sides
    found = HeadComparison(old.head, old.kind, old.n)
    before, after = measure_both(list(sides), settings.seed)
    known, shared = before.exact | after.exact, [name for name in before.exact if _is_defined(name, before) and _is_defined(name, after)]
    deciding = [name for name in settings.metrics if name in known] or [HEADLINE[old.kind]]
    for name in deciding:
        if name not in shared:
            where = " and ".join(file for file, measured in zip(names, (before, after)) if not _is_defined(name, measured))
            raise DoxaError(f'--metric {name} is not defined for head "{old.head}" in {where}; figures of scores need predict --scores, others labels or '
                            "numbers that differ")
    for name in sorted(shared, key=lambda name: name not in deciding):
        figure = _difference(name, before.exact[name], after.exact[name], before.values[name], after.values[name], _bound(name, settings))
        figure.verdict = "open" if name in deciding else None
        found.figures.append(figure)
    if old.kind != "number":
        was_right, is_right = old.is_right(), new.is_right()
        found.n_worse, found.n_better = int((was_right & ~is_right).sum()), int((~was_right & is_right).sum())
        found.p_mcnemar = mcnemar(found.n_worse, found.n_better)
        found.labels = _label_differences(old, before, after)
    found.flips = _flips(old, new, seen, settings.n_flips)
    found.notes = [note for slicing in old.slices for note in old.tell_cut(slicing)]
    found.slices = {name: _slice_differences(old, new, name, settings.seed) for name in old.slices}
    return found


def _is_defined(name: str, measured: Measured) -> bool:
    return not np.isnan(measured.exact.get(name, np.nan))


def _slice_differences(old: HeadRows, new: HeadRows, name: str, seed: int) -> list[tuple[int, Difference]]:
    """Number of rows and difference of the headline figure in each slice, the largest loss first, those of fewer than FEW rows last."""
    headline, found = HEADLINE[old.kind], []
    for label, members in old.split(name):
        before, after = measure_both([old.take(members), new.take(members)], seed, with_scores=False)
        difference = _difference(headline, before.exact[headline], after.exact[headline], before.values[headline], after.values[headline])
        found.append((len(members), replace(difference, name=label), difference.gain))
    return [part[:2] for part in sorted(found, key=lambda part: (part[0] < FEW, part[2], part[1].name))]


def _flips(old: HeadRows, new: HeadRows, seen: tuple[Seen, Seen], most: int) -> list[Flip]:
    """The records that became wrong, the most confident first."""
    if old.kind == "number":
        weights = np.abs(new.said - new.gold) - np.abs(old.said - old.gold)
    else:
        became_wrong = old.is_right() & ~new.is_right()
        weights = np.where(became_wrong, np.nan_to_num(new.score, nan=0.0) + 1e-9, 0.0)
    found = []
    for row in np.argsort(-weights, kind="stable")[:most].tolist():
        if weights[row] <= 0:
            break
        record, score = int(new.records[row]), new.score[row]
        found.append(Flip(float(weights[row]), int(seen[1].places[record]) + 1, seen[1].ids[record].as_py(), seen[1].texts[record].as_py(),
                          new.value(new.gold, row), old.value(old.said, row), new.value(new.said, row), None if np.isnan(score) else float(score)))
    return found


def _notes(pairs: list[Comparison]) -> list[str]:
    notes = []
    for pair in pairs:
        for n, name in zip(pair.n_alone, (pair.old, pair.new)):
            if n:
                notes.append(f"{n:,} judged records of {name} have no partner in {pair.new if name == pair.old else pair.old} and are left out")
        notes += [note for head in pair.heads for note in head.notes]
    return notes


def _bound(name: str, settings: Settings) -> float:
    return settings.margin if name in HIGHER_IS_WORSE else -settings.margin


def _difference(name: str, old: float, new: float, old_values: np.ndarray, new_values: np.ndarray, bound: float = 0.0) -> Difference:
    values = new_values - old_values
    more = estimate(new - old, values)
    return Difference(name, float(old), float(new), more, bootstrap_p(values[1:] + (new - old - values[0]), bound))


def _label_differences(rows: HeadRows, before: Measured, after: Measured) -> list[Difference]:
    """F1 of every label that some row holds, the largest loss first."""
    found, held = [], rows.count(rows.gold)
    for i, label in enumerate(rows.labels):
        old, new = before.exact_by_label["f1"][i], after.exact_by_label["f1"][i]
        if old or new or held[i]:
            found.append(_difference(label, old, new, before.values_by_label["f1"][:, i], after.values_by_label["f1"][:, i]))
    return sorted(found, key=lambda figure: figure.more.value)
