"""Precision, recall, F1 and their kin from counts per label, for many weightings of the rows at once."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Tally(NamedTuple):
    """Weights (R, K): rows that hold a label and were given it (`hits`), that hold it, that were given it; `n` (R) of all rows."""

    hits: np.ndarray
    held: np.ndarray
    said: np.ndarray
    n: np.ndarray


def tally_labels(gold: np.ndarray, said: np.ndarray, weights: np.ndarray, n_labels: int) -> Tally:
    """Of rows with one label each: label ids gold and said (C) under weights (R, C)."""
    hits, held, given = (np.zeros((len(weights), n_labels)) for _ in range(3))
    for label in np.union1d(gold, said):
        is_held, is_given = gold == label, said == label
        held[:, label] = weights[:, is_held].sum(axis=1)
        given[:, label] = weights[:, is_given].sum(axis=1)
        hits[:, label] = weights[:, is_held & is_given].sum(axis=1)
    return Tally(hits, held, given, weights.sum(axis=1))


def tally_drawn(cells: np.ndarray, draws: Iterable[np.ndarray], n_labels: int) -> list[Tally]:
    """The same of several predictions: cells (C, 1 + m) hold gold and each said, draws their weights in blocks (see draw_cells)."""
    gold, *said = cells.T
    blocks = [[tally_labels(gold, own, weights, n_labels) for own in said] for weights in draws]
    return [Tally(*map(np.concatenate, zip(*tallies))) for tallies in zip(*blocks)]


def tally_many(gold: np.ndarray, said: np.ndarray, weights: np.ndarray) -> Tally:
    """Of rows with many labels: 0/1 matrices (b, K) under weights (R, b)."""
    gold, said = gold.astype(float), said.astype(float)
    return Tally(weights @ (gold * said), weights @ gold, weights @ said, weights.sum(axis=1))


def label_scores(tally: Tally) -> dict[str, np.ndarray]:
    """Precision, recall and F1 (R, K) of every label, 0 where nothing was said or held, as scikit-learn's zero_division=0."""
    return {"precision": _ratio(tally.hits, tally.said), "recall": _ratio(tally.hits, tally.held),
            "f1": _ratio(2 * tally.hits, tally.held + tally.said)}


def averages(tally: Tally) -> dict[str, np.ndarray]:
    """Macro, weighted and micro averages (R), as scikit-learn's classification_report has them.

    Macro: the plain mean over the labels that occur in gold or prediction; weighted: by how many rows hold each; micro: from
    the counts of all labels together."""
    occurs = (tally.held + tally.said) > 0
    found = {}
    for name, values in label_scores(tally).items():
        found[f"macro_{name}"] = _ratio((values * occurs).sum(axis=1), occurs.sum(axis=1))
        found[f"weighted_{name}"] = _ratio((values * tally.held).sum(axis=1), tally.held.sum(axis=1))
    hits, held, said = (part.sum(axis=1) for part in (tally.hits, tally.held, tally.said))
    return found | {"micro_precision": _ratio(hits, said), "micro_recall": _ratio(hits, held), "micro_f1": _ratio(2 * hits, held + said)}


def accuracy(tally: Tally) -> np.ndarray:
    """Share (R) of rows given the label that they hold."""
    return _ratio(tally.hits.sum(axis=1), tally.n)


def matthews(tally: Tally) -> np.ndarray:
    """Matthews correlation (R) for any number of labels (Gorodkin 2004); 0 where all rows hold, or were given, one label."""
    n, held, said = tally.n, tally.held, tally.said
    covariance = tally.hits.sum(axis=1) * n - (held * said).sum(axis=1)
    spread = (n**2 - (held**2).sum(axis=1)) * (n**2 - (said**2).sum(axis=1))
    return _ratio(covariance, np.sqrt(np.maximum(spread, 0.0)))


def sample_averages(gold: np.ndarray, said: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall, F1 and Jaccard index of each row's labels, averaged over rows, 0 of a row without labels; the share of rows that are wholly
    right; and Hamming loss, the share of all labels of all rows that are said and not held, or held and not said (R each)."""
    hits, held, given = (gold & said).sum(axis=1), gold.sum(axis=1), said.sum(axis=1)
    n = weights.sum(axis=1)
    rows = {"samples_precision": _ratio(hits, given), "samples_recall": _ratio(hits, held), "samples_f1": _ratio(2 * hits, held + given),
            "samples_jaccard": _ratio(hits, held + given - hits), "exact_match": (gold == said).all(axis=1), "hamming_loss": (gold != said).sum(axis=1) / max(1, gold.shape[1])}
    return {name: _ratio(weights @ values.astype(float), n) for name, values in rows.items()}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) != 0)
