"""How good scores are, beyond the label they choose, for many weightings of the rows at once.

Scores (b, K) in 0..1 under weights (R, b) give figures (R)."""

import numpy as np

LEAST_SCORE = 5e-7  # half of the last digit that predict writes: a score of 0 is not known to be less
N_BINS = 15
AT_ONCE = 64  # resamples; their sums stay in the cache


def log_loss(own: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of -log of the score of the gold label, in nats; `own` (b)."""
    return weights @ -np.log(np.clip(own, LEAST_SCORE, 1.0)) / weights.sum(axis=1)


def log_loss_many(scores: np.ndarray, gold: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same for independent labels, the mean over labels too; gold 0/1 (b, K)."""
    own = np.clip(np.where(gold > 0, scores, 1.0 - scores), LEAST_SCORE, 1.0)
    return weights @ -np.log(own).mean(axis=1) / weights.sum(axis=1)


def brier(scores: np.ndarray, gold: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Brier's (1950) mean squared distance between scores and truth, gold 0/1 (b, K), summed over labels; with two labels half of
    it, which is 0..1, as scikit-learn has it."""
    squared = ((scores - gold) ** 2).sum(axis=1) / (2 if scores.shape[1] == 2 else 1)
    return weights @ squared / weights.sum(axis=1)


def brier_many(scores: np.ndarray, gold: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean over independent labels."""
    return weights @ ((scores - gold) ** 2).mean(axis=1) / weights.sum(axis=1)


def rank_figures(score: np.ndarray, is_gold: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area under the ROC curve, and average precision, of one label's score (b); NaN where all rows hold it or none does.

    Ties count half in the area, and fall together in the precision, as in scikit-learn."""
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(score[order]) < 0))
    parts = [_rank(weights[i : i + AT_ONCE].T[order], is_gold[order], starts) for i in range(0, len(weights), AT_ONCE)]
    area, precision = (np.concatenate(values) for values in zip(*parts))
    return area, precision


def _rank(drawn: np.ndarray, is_gold: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of rows by falling score, drawn (b, R); `starts` are the places where it falls."""
    both = np.add.reduceat(drawn, starts, axis=0)  # (different scores, R)
    drawn[~is_gold] = 0.0
    true = np.add.reduceat(drawn, starts, axis=0)
    n_said, n_true = np.cumsum(both, axis=0), np.cumsum(true, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = ((both - true) * (n_true - true / 2)).sum(axis=0) / (n_true[-1] * (n_said - n_true)[-1])
        precision = np.divide(n_true, n_said, out=np.zeros_like(n_true), where=n_said > 0)  # none drawn so far: nothing gained
        precision = (true * precision).sum(axis=0) / n_true[-1]
    is_defined = (n_true[-1] > 0) & (n_true[-1] < n_said[-1])
    return np.where(is_defined, area, np.nan), np.where(is_defined, precision, np.nan)


def calibration_error(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error in bins of equal width (Guo et al. 2017): their mean |score - share right|, weighted by size."""
    bins = bin_of(confidence)
    gaps = np.stack([weights[:, bins == i] @ (confidence - correct)[bins == i] for i in range(N_BINS)])
    return np.abs(gaps).sum(axis=0) / weights.sum(axis=1)


def bin_of(confidence: np.ndarray) -> np.ndarray:
    return np.clip((confidence * N_BINS).astype(int), 0, N_BINS - 1)
