"""Wilson's interval against scipy."""

import pytest
from scipy.stats import binomtest

from doxa.metrics.intervals import wilson


@pytest.mark.parametrize("hits, n", [(0, 1), (1, 1), (0, 40), (3, 7), (50, 100), (999, 1000), (123, 45678)])
def test_wilson_equals_scipy(hits, n):
    reference = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits, n) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_nothing_seen_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
