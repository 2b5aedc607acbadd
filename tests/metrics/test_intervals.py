"""Wilson's interval against scipy, and what follows from it."""

import numpy as np
import pytest
from scipy.stats import binomtest

from doxa.metrics.intervals import of_f1, of_mean, wilson, wilson_many


@pytest.mark.parametrize("hits, n", [(0, 1), (1, 1), (0, 40), (3, 7), (50, 100), (999, 1000), (123, 45678)])
def test_wilson_equals_scipy(hits, n):
    reference = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits, n) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_nothing_seen_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_many_shares_at_once():
    hits, n = [0, 0, 1, 3, 50, 40, 0], [0, 1, 1, 7, 100, 40, 40]
    assert np.array(wilson_many(np.array(hits), np.array(n))).T == pytest.approx(np.array([wilson(*own) for own in zip(hits, n)]))


def test_f1_follows_from_a_share():
    """Of 12 rows that hold or were given a label 8 do both: F1 is 16 of 20."""
    low, high = of_f1(wilson_many(np.array([8]), np.array([12])))
    assert of_f1((np.array([8 / 12]),) * 2)[0] == pytest.approx(0.8) and low < 0.8 < high
    assert (low / (2 - low), high / (2 - high)) == pytest.approx(wilson(8, 12))


def test_a_mean_of_independent_shares_holds_the_truth():
    """Three shares of 12, 20 and 8 rows, all near 1, weighed 0.5, 0.3 and 0.2: 89 to 99 of 100 of 1,000 draws."""
    chance, truths, sizes, weights = np.random.default_rng(1), np.array([0.97, 0.9, 0.95]), np.array([12, 20, 8]), np.array([0.5, 0.3, 0.2])
    hits = chance.binomial(sizes, truths, size=(1000, 3))
    bounds = [of_mean(own / sizes, *wilson_many(own, sizes), weights) for own in hits]
    assert 890 <= sum(low <= weights @ truths <= high for low, high in bounds) <= 990
