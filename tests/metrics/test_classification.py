"""Macro-F1 against scikit-learn, confusions against counting."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from doxa.metrics.classification import confusion_matrix, macro_f1_many, macro_f1_weighted
from doxa.metrics.label_figures import averages, tally_labels


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    gold, predicted = generator.integers(0, 4 + seed % 2, 60), generator.integers(seed % 3, 4, 60)  # labels absent on one side
    confusion = confusion_matrix(gold, predicted, 5)
    assert (confusion == [[((gold == i) & (predicted == j)).sum() for j in range(6)] for i in range(6)]).all()
    assert averages(tally_labels(gold, predicted, np.ones((1, 60)), 6))["macro_f1"][0] == pytest.approx(f1_score(gold, predicted, average="macro"))


def test_many_labels_equal_scikit_learn():
    generator = np.random.default_rng(1)
    gold, predicted = (generator.random((50, 6)) < 0.3).astype(float), (generator.random((50, 6)) < 0.4).astype(float)
    predicted[:, 5] = gold[:, 5] = 0
    assert macro_f1_many(gold, predicted) == pytest.approx(f1_score(gold, predicted, average="macro", labels=range(5)))
    weights = generator.integers(0, 3, (4, 50))
    gold[:, 5][weights[2] == 0] = 1  # held, but by no row of that resample
    for row, found in zip(weights, macro_f1_weighted(gold, predicted, weights)):
        drawn = np.repeat(np.arange(50), row)
        there = np.flatnonzero(gold[drawn].any(axis=0) | predicted[drawn].any(axis=0))
        assert found == pytest.approx(f1_score(gold[drawn], predicted[drawn], average="macro", labels=there))
