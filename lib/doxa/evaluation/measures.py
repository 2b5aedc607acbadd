"""The figures of a head's rows, on the rows and on resamples of them."""

import numpy as np

from doxa.errors import UsageError
from doxa.evaluation.rows import HeadRows, Measured
from doxa.metrics.bootstrap import Correction, Resampling, estimate
from doxa.metrics.classification import Estimate
from doxa.metrics.figure_range import range_of

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
    """A figure of some rows with its interval, which ends where the figure does."""
    return estimate(value, resampled, n_rows, _CORRECTIONS.get(name, Correction.BIAS), range_of(name))


def check_metrics(names: tuple[str, ...], heads: list[HeadRows]) -> None:
    """Raise UsageError for a name that is a figure of none of the heads."""
    known = list(dict.fromkeys(name for rows in heads for name in measure(rows.take(np.arange(min(rows.n, 2)))).exact)) if names else []
    for name in names:
        if name not in known:
            raise UsageError(f"--metric {name}: the heads have no such figure; there are: {', '.join(known)}")
