"""Parts of the rows by the value of a field or by length, the worst first."""

import numpy as np

from doxa.evaluation.figures import Slice
from doxa.evaluation.measures import HEADLINE, HIGHER_IS_WORSE, SMALL, measure
from doxa.evaluation.rows import HeadRows
from doxa.metrics.bootstrap import estimate

FEW = 30  # rows; of fewer the figure is mostly chance


def cut_slices(rows: HeadRows, name: str, seed: int = 0) -> list[Slice]:
    """The slices of one slicing: from the worst headline figure to the best, and after them those of fewer than FEW rows."""
    found = [_slice(rows, value, members, seed) for value, members in rows.split(name)]
    headline = HEADLINE[rows.kind]
    sign = -1 if headline in HIGHER_IS_WORSE else 1
    return sorted(found, key=lambda part: (part.is_few, sign * part.figures[headline].value if not part.is_few else -part.n, part.name))


def _slice(rows: HeadRows, name: str, members: np.ndarray, seed: int) -> Slice:
    measured = measure(rows.take(members), seed, with_scores=False)
    figures = {key: estimate(measured.exact[key], measured.values[key]) for key in SMALL[rows.kind] if not np.isnan(measured.exact[key])}
    return Slice(name, len(members), figures, len(members) < FEW)
