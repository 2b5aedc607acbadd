"""Figures of scores against scikit-learn, on plain rows and on resampled ones."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from doxa.metrics import score_figures
from doxa.metrics.calibration import expected_calibration_error


def make_scores(seed: int, k: int, n: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with many ties, gold label ids, and weights of the rows and of two resamples."""
    chance = np.random.default_rng(seed)
    gold = chance.integers(0, k, n)
    scores = chance.dirichlet(np.ones(k), n) + 0.5 * np.eye(k)[gold] * (chance.random((n, 1)) < 0.6)
    scores = np.round(8 * scores / scores.sum(axis=1, keepdims=True) + 0.5) / 8
    scores /= scores.sum(axis=1, keepdims=True)
    return scores, gold, np.concatenate([np.ones((1, n)), chance.multinomial(n, np.full(n, 1 / n), size=2)])


@pytest.mark.parametrize("k", [2, 4])
def test_scores_equal_scikit_learn(k):
    scores, gold, weights = make_scores(k, k)
    one_hot = np.eye(k)[gold]
    own = score_figures.log_loss(scores[np.arange(len(gold)), gold], weights)
    squared = score_figures.brier(scores, one_hot, weights)
    ranked = [score_figures.rank_figures(scores[:, i], gold == i, weights) for i in range(k)]
    for row in range(3):
        rows = np.repeat(np.arange(len(gold)), weights[row].astype(int))
        assert own[row] == pytest.approx(log_loss(gold[rows], np.clip(scores[rows], score_figures.LEAST_SCORE, 1), labels=range(k)), abs=1e-6)
        theirs = brier_score_loss(gold[rows], scores[rows, 1]) if k == 2 else brier_score_loss(gold[rows], scores[rows], labels=range(k))
        assert squared[row] == pytest.approx(theirs, abs=1e-12)
        for i in range(k):
            assert ranked[i][0][row] == pytest.approx(roc_auc_score(gold[rows] == i, scores[rows, i]), abs=1e-12)
            assert ranked[i][1][row] == pytest.approx(average_precision_score(gold[rows] == i, scores[rows, i]), abs=1e-12)


def test_independent_labels_are_the_mean_over_labels():
    chance = np.random.default_rng(5)
    scores, gold = chance.random((40, 3)), chance.random((40, 3)) < 0.4
    once = np.ones((1, 40))
    assert score_figures.log_loss_many(scores, gold, once)[0] == pytest.approx(np.mean([log_loss(gold[:, i], scores[:, i]) for i in range(3)]))
    assert score_figures.brier_many(scores, gold, once)[0] == pytest.approx(np.mean([brier_score_loss(gold[:, i], scores[:, i]) for i in range(3)]))


def test_a_label_that_all_or_none_hold_has_no_curve():
    once, score = np.ones((1, 3)), np.array([0.1, 0.5, 0.9])
    for is_gold in (np.zeros(3, bool), np.ones(3, bool)):
        assert all(np.isnan(found[0]) for found in score_figures.rank_figures(score, is_gold, once))


def test_calibration_error_of_resamples_is_that_of_their_rows():
    scores, gold, weights = make_scores(3, 3)
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == gold
    for row, found in enumerate(score_figures.calibration_error(confidence, right, weights)):
        rows = np.repeat(np.arange(len(gold)), weights[row].astype(int))
        assert found == pytest.approx(expected_calibration_error(confidence[rows], right[rows]), abs=1e-12)
