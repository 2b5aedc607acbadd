"""The figures of a head's rows, on the rows and on resamples of them, and their intervals."""

import math

import numpy as np

from doxa.errors import UsageError
from doxa.evaluation.flat_rows import OF_SCORES
from doxa.evaluation.rows import HeadRows, Measured
from doxa.metrics.bootstrap import Correction, Resampling, estimate
from doxa.metrics.classification import Estimate
from doxa.metrics.figure_range import range_of
from doxa.metrics.intervals import wilson
from doxa.metrics.label_intervals import bounds_of_averages, bounds_of_labels

SHARES_RIGHT = frozenset({"accuracy", "exact_match"})
# A calibration error is a mean of distances, above 0 for the best of models. How far resamples of ranks lie off says nothing of the truth (simulated).
_CORRECTIONS = {"calibration_error": Correction.DISTANCE, "roc_auc": Correction.NONE, "average_precision": Correction.NONE}


def measure(rows: HeadRows, resampling: Resampling = Resampling(), with_scores: bool = True) -> Measured:
    """All figures of a head; those of scores only where asked for and every row has them."""
    return measure_both([rows], resampling, with_scores)[0]


def measure_both(sides: list[HeadRows], resampling: Resampling = Resampling(), with_scores: bool = True) -> list[Measured]:
    """The same of several predictions of the same rows, resampled alike; their gold is the same."""
    return type(sides[0]).measure_all(sides, resampling, with_scores)


def is_defined(name: str, measured: Measured) -> bool:
    return bool(np.isfinite(measured.exact.get(name, np.nan)))


def estimate_figure(name: str, value: float, resampled: np.ndarray, n_rows: int) -> Estimate:
    """A figure of some rows with its interval by resampling, which ends where the figure does."""
    return estimate(value, resampled, n_rows, _CORRECTIONS.get(name, Correction.BIAS), range_of(name))


def estimate_figures(rows: HeadRows, measured: Measured) -> dict[str, Estimate]:
    """The figures that are defined on the rows.

    Resamples of rows of which few are wrong are nearly alike, and of rows without a mistake wholly. So the share that is right has Wilson's interval; a mean over
    labels has no narrower one than follows from those of the labels; and where no row is wrong, any other figure with two ends is open by as much of what it can
    be as the share of rows that may be wrong all the same (Wilson)."""
    is_right = rows.is_right()
    n_right = -1 if is_right is None else int(is_right.sum())
    found = {name: estimate_figure(name, value, measured.values[name], measured.n_rows) for name, value in measured.exact.items()
             if is_defined(name, measured)}
    for name in SHARES_RIGHT & found.keys():
        if math.isclose(found[name].value, n_right / rows.n, abs_tol=1e-12):
            found[name] = Estimate(found[name].value, *wilson(n_right, rows.n))
    counts = _counts_of_labels(rows, measured)
    for name, ends in bounds_of_averages(*counts).items() if counts else ():
        if name in found:
            found[name] = found[name].widened(*ends)
    if n_right == rows.n:
        for name, own in found.items():
            if own.low == own.high and (span := range_of(name)) and math.isfinite(span[1] - span[0]):
                open_part = (span[1] - span[0]) * wilson(0, rows.n)[1]
                found[name] = own.widened(max(span[0], own.value - open_part), min(span[1], own.value + open_part))
    return found


def estimate_labels(rows: HeadRows, measured: Measured) -> dict[str, list[Estimate]]:
    """The figures of all labels. Precision and recall are shares, and F1 follows from one: they have Wilson's interval where a label is in a row once. Where it may be
    there several times, all of them right or wrong together, theirs is not narrower than by resampling rows."""
    counts, found = _counts_of_labels(rows, measured), {}
    shares = bounds_of_labels(*counts) if counts else {}
    for name, values in measured.exact_by_label.items():
        resampled = measured.values_by_label[name]
        found[name] = [estimate_figure(name, value, resampled[:, place], measured.n_rows) for place, value in enumerate(values)]
        if name in shares:
            bounds = zip(*map(np.ndarray.tolist, shares[name]))
            found[name] = [Estimate(own.value, *ends) if rows.is_label_once_a_row else own.widened(*ends) for own, ends in zip(found[name], bounds)]
    return found


def _counts_of_labels(rows: HeadRows, measured: Measured) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Of each label (K) how often it is held and said, held, and said; None of rows without labels."""
    if "f1" not in measured.exact_by_label:
        return None
    _, held, said = rows.support()
    return np.rint(measured.exact_by_label["f1"] * (held + said) / 2), held, said


def hint_on_scores(name: str) -> str:
    """Why a figure of scores is not there; nothing of others."""
    return ": it needs the scores of all labels, predict --scores" if name in OF_SCORES else ""


def check_metrics(names: tuple[str, ...], heads: list[HeadRows]) -> None:
    """Raise UsageError for a name that is a figure of none of the heads."""
    known = list(dict.fromkeys(name for rows in heads for name in measure(rows.take(np.arange(min(rows.n, 2)))).exact)) if names else []
    for name in names:
        if name not in known:
            raise UsageError(f"--metric {name}: the heads have no such figure{hint_on_scores(name)}; there are: {', '.join(known)}")
