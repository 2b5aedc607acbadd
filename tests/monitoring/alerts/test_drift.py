"""The designed run length, by simulation."""

import itertools

import numpy as np
import pytest

from doxa.monitoring.alerts.drift import add_surprise, bound_for, chance_per_bucket


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
