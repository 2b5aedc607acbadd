"""Parts of the rows by the value of a field or by length, the worst first."""

import numpy as np

from doxa.evaluation.figures import Slice
from doxa.evaluation.measures import HEADLINE, HIGHER_IS_WORSE, SMALL, measure
from doxa.evaluation.rows import HeadRows
from doxa.metrics.bootstrap import estimate

FEW = 30  # rows; of fewer the figure is mostly chance
MOST_SLICES = 1000


def cut_slices(rows: HeadRows, name: str, seed: int = 0) -> list[Slice]:
    """The slices of one slicing: from the worst headline figure to the best, and after them those of fewer than FEW rows.

    Of more than MOST_SLICES the smallest are left out."""
    places, codes = rows.slices[name]
    order = np.argsort(codes, kind="stable")
    values, starts = np.unique(codes[order], return_index=True)
    groups = sorted(zip(values.tolist(), np.split(places[order], starts[1:])), key=lambda group: -len(group[1]))[:MOST_SLICES]
    found = [_slice(rows, rows.slice_names[name][code], members, seed) for code, members in groups]
    headline = HEADLINE[rows.kind]
    sign = -1 if headline in HIGHER_IS_WORSE else 1
    return sorted(found, key=lambda part: (part.is_few, sign * part.figures[headline].value if not part.is_few else -part.n, part.name))


def _slice(rows: HeadRows, name: str, members: np.ndarray, seed: int) -> Slice:
    measured = measure(rows.take(members), seed, with_scores=False)
    figures = {key: estimate(measured.exact[key], measured.values[key]) for key in SMALL[rows.kind] if not np.isnan(measured.exact[key])}
    return Slice(name, len(members), figures, len(members) < FEW)
