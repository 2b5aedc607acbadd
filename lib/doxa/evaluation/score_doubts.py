"""Scores of all labels that do not fit their record: no probabilities, or not those behind the label."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.records.quantity import quantity

TOLERANCE = 1e-2  # of a sum that should be 1
MOST_DIGITS = 6  # behind the point, as predict writes them


class ScoreDoubts:
    """Counts the rows of a head of one label, of which there are scores of `labels` (K), by what is wrong with these."""

    def __init__(self, labels: list[str]):
        self.labels = pa.array(labels, pa.string())
        self.n_sums = self.n_lower = self.n_unknown = 0

    def add(self, scores: np.ndarray, said: pa.Array, gold: pa.Array, is_ruled: np.ndarray) -> None:
        """Look at rows: `scores` (N, K) from 0 to 1, what was said and what is so (N), and whether a rule decided (N,) in the model's place."""
        self.n_sums += int((np.abs(scores.sum(axis=1) - 1.0) > _tolerance(scores)).sum())
        place = pc.fill_null(pc.index_in(said, self.labels), -1).to_numpy(zero_copy_only=False)
        own = np.where(place >= 0, scores[np.arange(len(scores)), place], -1.0)
        self.n_lower += int(((own < scores.max(axis=1)) & ~is_ruled).sum())
        self.n_unknown += len(gold) - pc.sum(pc.is_in(gold, self.labels), min_count=0).as_py()

    def tell(self) -> list[str]:
        """A sentence on each fault that there is."""
        faults = ((self.n_sums, "the scores do not add up to 1"), (self.n_lower, "the label is not the one with the highest score, and no rule said so"),
                  (self.n_unknown, "the gold label is not among those that have scores: its own counts as 0"))
        return [f"in {quantity(n, 'record')} {fault}" for n, fault in faults if n]


def _tolerance(scores: np.ndarray) -> float:
    """By how much K scores that were rounded, to as many digits as they have, may add up to more or less than 1."""
    digits = next((n for n in range(1, MOST_DIGITS) if np.abs(scores - scores.round(n)).max(initial=0.0) < 1e-9), MOST_DIGITS)
    return max(TOLERANCE, scores.shape[1] / 2 * 10.0**-digits)
