"""Counts that tell labels apart: of each what was found, what is held and what was said."""

import numpy as np

from doxa.metrics.label_figures import Tally, label_scores
from doxa.metrics.tallied import Tallied


class LabelTallied(Tallied):
    """Counts begin with those of each label found, held and said (3K), and end with the number of all things that have labels."""

    def __init__(self, labels: tuple[str, ...]):
        self.labels = labels
        self._places = {label: place for place, label in enumerate(labels)}

    def figures_by_label(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return label_scores(self._tally(sums))

    def support_by_label(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tally = self._tally(sums)
        return tally.held, tally.said

    def _tally(self, sums: np.ndarray) -> Tally:
        k = len(self.labels)
        return Tally(sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k : 3 * k], sums[:, -1])
