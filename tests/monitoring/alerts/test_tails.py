"""Tails against scipy's distributions, and intervals against how often draws fall into them."""

import numpy as np
import pytest
from scipy.stats import betabinom, nbinom, norm

from doxa.monitoring.alerts.tails import MOST_SUMMED, count_interval, count_tail, share_interval, share_tail


@pytest.mark.parametrize("mean, dispersion", [(0.3, 0.5), (4.0, 0.1), (250.0, 0.02), (1e5, 0.3)])
def test_count_tail_is_that_of_scipy(mean, dispersion):
    peer = nbinom(1 / dispersion, 1 / (1 + dispersion * mean))
    seen = np.unique(np.concatenate([[0], peer.ppf([0.2, 0.5, 0.9, 0.999, 1 - 1e-9])])).astype(int)
    tail = count_tail(seen, np.full(len(seen), mean), np.full(len(seen), dispersion))
    assert np.allclose(tail.p, peer.sf(seen - 1), rtol=1e-6)
    assert np.allclose(tail.z, norm.isf(peer.sf(seen) + peer.pmf(seen) / 2), atol=1e-6)


@pytest.mark.parametrize("n, mean, correlation", [(1, 0.3, 0.1), (40, 0.02, 0.01), (300, 0.5, 0.2), (5000, 0.9, 0.003)])
def test_share_tail_is_that_of_scipy(n, mean, correlation):
    strength = 1 / correlation - 1
    peer = betabinom(n, mean * strength, (1 - mean) * strength)
    seen = np.unique([0, n, *(int(n * share) for share in (mean / 2, mean, min(1, mean * 1.3)))])
    tail = share_tail(seen, np.full(len(seen), n), np.full(len(seen), mean), np.full(len(seen), correlation))
    assert np.allclose(tail.p, peer.sf(seen - 1), rtol=1e-5, atol=1e-12)
    assert np.allclose(tail.z, norm.isf(peer.sf(seen) + peer.pmf(seen) / 2), atol=1e-4)


def test_share_tail_of_many_texts_goes_on_smoothly():
    """Beyond MOST_SUMMED a beta distribution stands in: at the border both say the same."""
    n = np.array([MOST_SUMMED, MOST_SUMMED + 1])
    for share in (0.25, 0.32, 0.4):
        exact, stand_in = share_tail((n * share).astype(int), n, np.full(2, 0.3), np.full(2, 0.001)).p
        assert stand_in == pytest.approx(exact, rel=0.03)


def test_a_bucket_without_records_surprises_nobody():
    tail = share_tail(np.array([0]), np.array([0]), np.array([0.3]), np.array([0.1]))
    assert (tail.p, tail.z) == (1.0, 0.0)


def test_intervals_hold_19_in_20_draws():
    generator = np.random.default_rng(1)
    for mean, dispersion in ((30.0, 0.1), (800.0, 0.03)):
        low, high = count_interval(np.array(mean), np.array(dispersion))
        draws = nbinom.rvs(1 / dispersion, 1 / (1 + dispersion * mean), size=20_000, random_state=generator)
        assert 0.94 < np.mean((draws >= low) & (draws <= high)) < 0.97
    for n, mean, correlation in ((200, 0.3, 0.02), (2000, 0.1, 0.01)):
        low, high = share_interval(np.array(n), np.array(mean), np.array(correlation))
        strength = 1 / correlation - 1
        draws = betabinom.rvs(n, mean * strength, (1 - mean) * strength, size=20_000, random_state=generator) / n
        assert 0.935 < np.mean((draws >= low) & (draws <= high)) < 0.97
