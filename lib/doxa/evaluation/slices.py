"""Parts of the rows by the value of a field or by length, the worst first."""

import numpy as np

from doxa.evaluation.figures import Slice
from doxa.evaluation.measures import estimate_figures, measure
from doxa.evaluation.rows import HeadRows
from doxa.metrics.bootstrap import Resampling

FEW = 30  # rows; of fewer the figure is mostly chance


def cut_slices(rows: HeadRows, name: str, resampling: Resampling = Resampling()) -> list[Slice]:
    """The slices of one slicing: from the worst headline figure to the best, and after them those of fewer than FEW rows."""
    found = [_slice(rows, value, members, resampling) for value, members in rows.split(name)]
    sign = -1 if rows.headline in rows.lower_is_better else 1
    return sorted(found, key=lambda part: (part.is_few, _rank(part, rows.headline, sign), part.name))


def _rank(part: Slice, headline: str, sign: int) -> float:
    """Where a slice stands among its like; one whose figure is not defined is last."""
    if part.is_few:
        return -part.n
    return sign * part.figures[headline].value if headline in part.figures else np.inf


def _slice(rows: HeadRows, name: str, members: np.ndarray, resampling: Resampling) -> Slice:
    own = rows.take(members)
    return Slice(name, len(members), estimate_figures(own, measure(own, resampling, with_scores=False)), len(members) < FEW)
