"""Intervals and tests of few rows against Student's distribution, and against a known truth."""

import numpy as np
import pytest
from scipy.stats import norm, t

from doxa.metrics.bootstrap import Resampling, draw_rows, estimate
from doxa.metrics.paired import bootstrap_p
from doxa.metrics.student import expand, p_of_tail, tail

SIZES = (5, 6, 10, 20, 30, 100, 5000)


@pytest.mark.parametrize("n", SIZES)
def test_resamples_are_cut_where_hesterberg_says(n):
    for z in (0.0, 0.5, 1.0, norm.isf(0.025), 3.0):
        assert expand(z, n) == pytest.approx((n / (n - 1)) ** 0.5 * t.isf(norm.sf(z), n - 1), rel=0.02)
    assert tail(n) == pytest.approx(norm.sf((n / (n - 1)) ** 0.5 * t.isf(0.025, n - 1)), rel=0.01)


@pytest.mark.parametrize("n", SIZES)
def test_p_is_the_level_at_which_the_interval_ends(n):
    for part in (0.4, 0.1, 0.025, 0.001):
        assert p_of_tail(part, n) == pytest.approx(2 * t.sf(norm.isf(part) * ((n - 1) / n) ** 0.5, n - 1), rel=0.01)
    assert p_of_tail(tail(n), n) == pytest.approx(0.05, rel=1e-6) and p_of_tail(0.5, n) == 1.0


def test_a_single_row_tells_nothing_of_its_kind():
    assert tail(1) == 0.0 and p_of_tail(1 / 1001, 1) == 1.0


def test_few_rows_are_covered_as_often_as_is_said():
    """Means of 8 normal values, 600 times: 93 to 98 of 100 intervals hold the truth, where the plain percentiles hold it in 85 to 92; and as many of 600 true null
    hypotheses are refused at 5 %."""
    chance, hits, plain, refused = np.random.default_rng(1), 0, 0, 0
    for seed in range(600):
        values = chance.normal(size=8)
        draws = draw_rows(np.zeros(8, int), Resampling(seed))
        means = draws.weights @ values / 8
        found = estimate(values.mean(), means, 8)
        hits += found.low <= 0 <= found.high
        plain += np.quantile(means[1:], 0.025) <= 0 <= np.quantile(means[1:], 0.975)
        refused += bootstrap_p(means[1:], 8) <= 0.05
    assert 0.93 <= hits / 600 <= 0.98 and 0.85 <= plain / 600 <= 0.92 and 0.02 <= refused / 600 <= 0.07
