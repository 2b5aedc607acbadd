"""Intervals of the figures of labels, and of means over them, by the counts of each label (K): rows that hold it and were given it, that hold it, that were given it."""

import numpy as np

from doxa.metrics.intervals import of_f1, of_mean, wilson_many
from doxa.metrics.label_figures import Tally, label_scores

Ends = tuple[np.ndarray, np.ndarray]


def bounds_of_labels(hits: np.ndarray, held: np.ndarray, said: np.ndarray) -> dict[str, Ends]:
    """Ends (K) for precision, recall and F1: the first two are shares of rows, and F1 follows from one."""
    return {"precision": wilson_many(hits, said), "recall": wilson_many(hits, held), "f1": of_f1(wilson_many(hits, held + said - hits))}


def bounds_of_averages(hits: np.ndarray, held: np.ndarray, said: np.ndarray) -> dict[str, tuple[float, float]]:
    """Ends for macro and weighted averages of these, as `averages` names them; none without a label that some row holds."""
    scores = label_scores(Tally(*(np.asarray(part, dtype=float)[None] for part in (hits, held, said)), np.ones(1)))
    found = {}
    for average, weights in (("macro", held + said > 0), ("weighted", held)):
        if weights.any():
            shares = weights / weights.sum()
            found |= {f"{average}_{name}": of_mean(scores[name][0], *ends, shares) for name, ends in bounds_of_labels(hits, held, said).items()}
    return found
