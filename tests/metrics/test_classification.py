"""Figures against scikit-learn; intervals by simulation against a known truth."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from doxa.metrics.classification import (
    accuracy, bootstrap_label_scores, confusion_matrix, interval, macro_f1, macro_f1_many, resample_rows)


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    gold, predicted = generator.integers(0, 4 + seed % 2, 60), generator.integers(seed % 3, 4, 60)  # labels absent on one side
    confusion = confusion_matrix(gold, predicted, 5)
    assert accuracy(confusion) == pytest.approx(accuracy_score(gold, predicted))
    assert macro_f1(confusion) == pytest.approx(f1_score(gold, predicted, average="macro"))


def test_many_labels_equal_scikit_learn():
    generator = np.random.default_rng(1)
    gold, predicted = (generator.random((50, 6)) < 0.3).astype(float), (generator.random((50, 6)) < 0.4).astype(float)
    predicted[:, 5] = gold[:, 5] = 0
    assert macro_f1_many(gold, predicted) == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=0))


def test_bootstrap_equals_drawing_rows():
    """The multinomial over cells has the distribution of figures on rows drawn with replacement."""
    generator = np.random.default_rng(2)
    gold = generator.integers(0, 3, 150).astype(float)
    predicted = np.where(generator.random(150) < 0.7, gold, generator.integers(0, 3, 150))
    figures = bootstrap_label_scores(gold, [predicted, gold], 3)
    assert figures[0, 0, 0] == pytest.approx(accuracy_score(gold, predicted)) and (figures[1] == 1).all()
    naive = []
    for _ in range(1000):
        rows = generator.integers(0, 150, 150)
        naive.append((accuracy_score(gold[rows], predicted[rows]), f1_score(gold[rows], predicted[rows], average="macro")))
    for measure in (0, 1):
        ours, theirs = figures[0, measure, 1:], np.array(naive)[:, measure]
        assert ours.mean() == pytest.approx(theirs.mean(), abs=0.005) and ours.std() == pytest.approx(theirs.std(), rel=0.12)


def test_intervals_cover_the_truth():
    """95 % intervals of an accuracy of 0.8 at n = 300 cover it in 92 to 98 of 100 simulated dev sets (400 sets)."""
    generator, hits = np.random.default_rng(3), 0
    for index in range(400):
        gold = np.zeros(300)
        predicted = (generator.random(300) > 0.8).astype(float)
        figures = bootstrap_label_scores(gold, [predicted], 2, seed=index)[0, 0]
        estimate = interval(figures[0], figures[1:])
        hits += estimate.low <= 0.8 <= estimate.high
    assert 0.92 <= hits / 400 <= 0.98


def test_row_weights_draw_every_row_alike():
    weights = resample_rows(40, n_resamples=2000)
    assert (weights.sum(axis=1) == 40).all() and weights.mean(axis=0) == pytest.approx(1, abs=0.12)
