"""Figures of numbers against scipy and scikit-learn, ties and resamples included."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from doxa.metrics.number_figures import number_figures


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_equals_the_libraries(scale):
    chance = np.random.default_rng(1)
    gold = scale * chance.integers(0, 6, 50).astype(float)
    said = gold + scale * chance.normal(0, 2, 50).round()
    weights = np.concatenate([np.ones((1, 50)), chance.multinomial(50, np.full(50, 1 / 50), size=2)])
    found = number_figures(gold, said, weights)
    for row in range(3):
        rows = np.repeat(np.arange(50), weights[row].astype(int))
        theirs = {"mae": mean_absolute_error(gold[rows], said[rows]), "rmse": root_mean_squared_error(gold[rows], said[rows]),
                  "r2": r2_score(gold[rows], said[rows]), "pearson": pearsonr(gold[rows], said[rows])[0],
                  "spearman": spearmanr(gold[rows], said[rows])[0]}
        assert {name: values[row] for name, values in found.items()} == pytest.approx(theirs, rel=1e-9)


def test_numbers_that_do_not_vary_have_no_correlation():
    found = number_figures(np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 5.0]), np.ones((1, 3)))
    assert np.isnan(found["spearman"][0]) and np.isnan(found["pearson"][0]) and found["mae"][0] == 3.0
    assert np.isnan(number_figures(np.ones(3), np.arange(3.0), np.ones((1, 3)))["r2"][0])
