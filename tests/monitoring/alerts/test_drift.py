"""The designed run length, by simulation."""

import itertools

import numpy as np
import pytest

from doxa.monitoring.alerts.drift import add_surprise, begin_of, bound_for, chance_per_bucket


@pytest.mark.parametrize("chance, allowance", [(0.02, 0.5), (0.002, 0.5), (0.0005, 0.5), (0.002, 0.1)])
def test_the_bound_is_passed_as_often_as_designed(chance, allowance):
    generator, bound, n_passed, total = np.random.default_rng(3), bound_for(chance, allowance), 0, np.zeros(2000)
    n_steps = int(20 / chance)
    for _ in range(n_steps):
        total = add_surprise(total, generator.standard_normal(2000), allowance)
        n_passed += int((total > bound).sum())
        total[total > bound] = 0.0
    assert n_passed / (2000 * n_steps) == pytest.approx(chance, rel=0.1)


def test_bound_and_chance_are_each_others_inverse():
    for allowance, chance in itertools.product((0.5, 0.1), (0.3, 0.01, 1e-6)):
        bound = bound_for(chance, allowance)
        assert chance_per_bucket(bound, allowance) == pytest.approx(chance, rel=1e-9) or bound == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("allowance", [0.5, 0.1])
def test_the_begin_of_a_shift_is_found_where_the_sum_began_earlier(allowance):
    """A shift by one standard deviation after 300 calm buckets, until the sum passes its bound."""
    generator, bound, own, of_sum = np.random.default_rng(4), bound_for(0.0002, allowance), [], []
    for _ in range(300):
        scores, total, since = generator.standard_normal(600), 0.0, 0
        scores[300:] += 1.0
        scores[generator.random(600) < 0.05] = np.nan
        for place, score in enumerate(np.nan_to_num(scores)):
            since = since if total > 0 else place
            total = add_surprise(total, score, allowance)
            if total > bound and place >= 300:
                break
        of_sum.append(since - 300)
        own.append(since + begin_of(scores[since : place + 1]) - 300)
    assert np.median(np.abs(own)) <= 2 and np.mean(np.abs(own)) <= np.mean(np.abs(of_sum)) + 1
    assert allowance == 0.5 or np.mean(np.abs(own)) < np.mean(np.abs(of_sum)) / 2, np.mean(np.abs(of_sum))
    assert begin_of(np.array([np.nan, 2.0])) == 1 and begin_of(np.array([np.nan, -1.0])) == 1
