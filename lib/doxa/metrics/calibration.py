"""Scores that mean what they say: temperatures, thresholds, and how far off scores are."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

LEAST_ROWS = 10
LEAST_POSITIVES = 10
LOG_BOUNDS = (np.log(0.05), np.log(20.0))


def fit_temperature(logits: np.ndarray, gold: np.ndarray) -> float:
    """The temperature T by which softmax(logits / T) is likeliest, logits (N, K), gold (N,) label ids (Guo et al. 2017).

    Rows whose gold is no label (NaN, negative, K or more) are left out; fewer than LEAST_ROWS give 1. A Gaussian prior on
    log T (mean 0, sd 1; a maximum a posteriori estimate) keeps T from running away where every row is right."""
    rows = (gold >= 0) & (gold < logits.shape[1])
    if rows.sum() < LEAST_ROWS:
        return 1.0
    logits, gold = logits[rows] - logits[rows].max(axis=1, keepdims=True), gold[rows].astype(int)
    own = logits[np.arange(len(gold)), gold]
    return _fit(lambda t: float(np.sum(np.log(np.exp(logits / t).sum(axis=1)) - own / t)))


def fit_temperature_many(logits: np.ndarray, gold: np.ndarray) -> float:
    """The same for independent sigmoids: logits (N, L), gold 0/1 (N, L)."""
    if len(gold) < LEAST_ROWS:
        return 1.0
    signed = np.where(gold > 0.5, -logits, logits)
    return _fit(lambda t: float(np.sum(np.logaddexp(0.0, signed / t))))


def _fit(loss: Callable[[float], float]) -> float:
    return float(np.exp(minimize_scalar(lambda u: loss(np.exp(u)) + u * u / 2, bounds=LOG_BOUNDS, method="bounded").x))


def fit_thresholds(scores: np.ndarray, gold: np.ndarray, target_precision: float | None = None) -> tuple[float, ...]:
    """A threshold per label, scores and 0/1 gold (N, L): that of the best F1, or the lowest that reaches a precision.

    A label is said where score >= threshold; one whose target precision no threshold reaches is never said (1.1). Labels with
    fewer than LEAST_POSITIVES positives take the threshold of all labels pooled: their own would be noise."""
    if not gold.size:
        return (0.5,) * gold.shape[1]
    pooled = _best_threshold(scores.ravel(), gold.ravel() > 0.5, target_precision)
    return tuple(_best_threshold(scores[:, i], gold[:, i] > 0.5, target_precision) if gold[:, i].sum() >= LEAST_POSITIVES else pooled
                 for i in range(gold.shape[1]))


def _best_threshold(scores: np.ndarray, gold: np.ndarray, target_precision: float | None) -> float:
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(gold[order])
    ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))  # equal scores fall together
    n_said, hits = ends + 1, hits[ends]
    cuts = np.append((ranked[ends[:-1]] + ranked[ends[:-1] + 1]) / 2, max(0.0, ranked[-1] / 2))
    if target_precision is not None:
        reached = np.flatnonzero(hits / n_said >= target_precision)
        return float(cuts[reached[-1]]) if len(reached) else 1.1
    f1 = 2 * hits / (n_said + max(1, gold.sum()))
    if not f1.any():
        return 0.5
    best = np.flatnonzero(f1 == f1.max())
    return float(cuts[best[np.argmin(np.abs(cuts[best] - 0.5))]])


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, n_bins: int = 15) -> float:
    """Mean distance between confidence and share of right answers over bins of equal width, weighted by their size (Guo et al. 2017)."""
    if not len(confidence):
        return 0.0
    bins = np.clip((confidence * n_bins).astype(int), 0, n_bins - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(confidence))


def out_of_fold(fit: Callable[[np.ndarray], Any], apply: Callable[[Any, np.ndarray], np.ndarray], n_rows: int, n_folds: int = 5,
                seed: int = 0) -> np.ndarray:
    """What `apply` gives for every fold of the rows with what `fit` found on the other folds, in row order."""
    folds = np.array_split(np.random.default_rng(seed).permutation(n_rows), min(n_folds, n_rows))
    parts = [apply(fit(np.sort(np.concatenate([other for j, other in enumerate(folds) if j != i]))), fold) for i, fold in enumerate(folds)]
    return np.concatenate(parts)[np.argsort(np.concatenate(folds), kind="stable")]
