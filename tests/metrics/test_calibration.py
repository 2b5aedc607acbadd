"""Temperatures, thresholds and calibration error against brute force, and by simulation against a known truth."""

import warnings

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import f1_score, log_loss, precision_score

from doxa.metrics.calibration import expected_calibration_error, fit_temperature, fit_temperature_many, fit_thresholds, out_of_fold


def draw(seed: int, n: int, n_labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits that mean what they say, and labels drawn by them."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=2.0, size=(n, n_labels))
    return logits, np.array([generator.choice(n_labels, p=row) for row in softmax(logits, axis=1)])


def test_a_known_temperature_is_found():
    found = []
    for seed in range(10):
        logits, gold = draw(seed, 2000)
        found.append(fit_temperature(logits * 2.5, gold.astype(float)))
    assert np.mean(found) == pytest.approx(2.5, rel=0.03) and np.std(found) < 0.2


def test_a_known_temperature_of_sigmoids_is_found():
    generator = np.random.default_rng(0)
    logits = generator.normal(scale=2.0, size=(3000, 3))
    gold = (generator.random(logits.shape) < expit(logits)).astype(float)
    assert fit_temperature_many(logits * 0.4, gold) == pytest.approx(0.4, rel=0.06)


def test_the_temperature_is_the_best_of_a_grid():
    logits, gold = draw(3, 400)
    logits *= 3

    def objective(t):
        return log_loss(gold, softmax(logits / t, axis=1), labels=range(4), normalize=False) + np.log(t) ** 2 / 2

    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 500))
    assert fit_temperature(logits, gold) == pytest.approx(grid[np.argmin([objective(t) for t in grid])], rel=0.01)


def test_rows_that_are_all_right_do_not_run_away():
    logits = np.where(np.eye(3)[np.arange(45) % 3] > 0, 2.0, 0.0)
    assert 0.3 < fit_temperature(logits, np.arange(45) % 3) < 1.0


def test_unknown_labels_and_too_few_rows():
    logits, gold = draw(1, 300)
    mixed = np.concatenate([gold, [4.0] * 50, [np.nan] * 50])
    assert fit_temperature(np.concatenate([logits, np.zeros((100, 4))]), mixed) == fit_temperature(logits, gold)
    assert fit_temperature(logits[:9], gold[:9]) == fit_temperature_many(logits[:9], np.ones((9, 4))) == 1.0


def test_extreme_logits_raise_no_warning():
    logits, gold = draw(2, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(fit_temperature(logits * 1e4, gold)) and np.isfinite(fit_temperature_many(logits * 1e4, np.eye(4)[gold]))


def test_thresholds_reach_the_best_f1_there_is():
    generator = np.random.default_rng(5)
    for _ in range(4):
        gold = (generator.random((80, 2)) < 0.3).astype(float)
        scores = np.round(expit(generator.normal(size=(80, 2)) + gold), 2)  # rounded: with ties
        for label, threshold in enumerate(fit_thresholds(scores, gold)):
            best = max(f1_score(gold[:, label], scores[:, label] >= t, zero_division=0) for t in np.unique(scores[:, label]))
            assert f1_score(gold[:, label], scores[:, label] >= threshold) == pytest.approx(best)


def test_a_precision_is_reached_and_no_lower_threshold_reaches_it():
    generator = np.random.default_rng(6)
    gold = (generator.random((500, 1)) < 0.4).astype(float)
    scores = expit(generator.normal(size=(500, 1)) + 1.5 * gold)
    (threshold,) = fit_thresholds(scores, gold, 0.8)
    assert precision_score(gold[:, 0], scores[:, 0] >= threshold) >= 0.8
    lower = [t for t in np.unique(scores) if t < threshold]
    assert all(precision_score(gold[:, 0], scores[:, 0] >= t) < 0.8 for t in lower)
    assert fit_thresholds(scores, gold * 0, 0.8) == (1.1,)


def test_labels_with_few_positives_share_a_threshold():
    generator = np.random.default_rng(7)
    gold = np.stack([generator.random(300) < 0.5, np.arange(300) < 3], axis=1).astype(float)
    scores = expit(generator.normal(size=gold.shape) + 2 * gold - 1)
    pooled = fit_thresholds(scores.reshape(-1, 1), gold.reshape(-1, 1))[0]
    first, second = fit_thresholds(scores, gold)
    assert second == pooled != first


@pytest.mark.parametrize("gold, scores", [(np.zeros((20, 2)), np.full((20, 2), 0.3)), (np.ones((20, 2)), np.full((20, 2), 0.3)), (np.zeros((0, 2)), np.zeros((0, 2)))])
def test_thresholds_of_odd_data(gold, scores):
    thresholds = fit_thresholds(scores, gold)
    assert len(thresholds) == 2 and all(0 <= t <= 1 for t in thresholds)
    if len(gold) and gold.all():
        assert (scores >= np.array(thresholds)).all()


def test_calibration_error_equals_a_naive_loop():
    generator = np.random.default_rng(8)
    confidence = np.append(generator.random(500), [0.0, 1.0])
    correct = generator.random(502) < confidence**2
    expected = 0.0
    for i in range(15):
        inside = [(c, r) for c, r in zip(confidence, correct) if i / 15 <= c < (i + 1) / 15 or i == 14 and c == 1.0]
        if inside:
            expected += len(inside) / 502 * abs(np.mean([c for c, _ in inside]) - np.mean([r for _, r in inside]))
    assert expected_calibration_error(confidence, correct) == pytest.approx(expected)
    assert expected_calibration_error(np.array([]), np.array([])) == 0.0


def test_out_of_fold_sees_only_other_folds_and_keeps_the_order():
    values = np.arange(103)
    seen = out_of_fold(lambda rows: set(rows.tolist()), lambda found, rows: np.array([(r in found, r) for r in rows]), len(values))
    assert not seen[:, 0].any() and (seen[:, 1] == values).all()


def test_out_of_fold_calibration_error_falls_to_that_of_the_truth():
    logits, gold = draw(9, 3000)
    loud = logits * 3

    def error(scores):
        return expected_calibration_error(scores.max(axis=1), scores.argmax(axis=1) == gold)

    after = out_of_fold(lambda rows: fit_temperature(loud[rows], gold[rows]), lambda t, rows: softmax(loud[rows] / t, axis=1), len(gold))
    assert error(softmax(loud, axis=1)) > 0.1 and error(after) < error(softmax(logits, axis=1)) + 0.01
