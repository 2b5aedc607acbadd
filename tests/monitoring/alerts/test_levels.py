"""Levels of episodes, and how surely they are passed, beside scipy's distributions."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy.stats import betabinom, nbinom

from doxa.monitoring.alerts.ending import log_ratio
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.levels import level_of, raise_mean
from doxa.monitoring.alerts.settings import SHARE, VOLUME
from doxa.monitoring.alerts.stretch import Stretch

SCATTER = 0.05


@pytest.fixture
def history():
    """One series of four days: 10 texts are usual, 30 come; 20 % are usual of them, 60 % it is."""
    history = History.empty(np.arange(5) * 86_400, ZoneInfo("UTC"), 1)
    history.n[:], history.judged[:], history.watched[:] = 30, 30, 18
    history.mean[:, :, VOLUME], history.mean[:, :, SHARE], history.scatter[:] = 10.0, 0.2, SCATTER
    return history


def test_a_level_is_a_ratio_of_numbers_or_of_odds(history):
    stretch = Stretch(history, 0, 3, history.mean, history.z)
    assert stretch.level(0, VOLUME) == pytest.approx(120.5 / 40.5) and level_of(VOLUME, np.array([3]), np.array([1]), np.array([9.0])) == 1
    assert stretch.level(0, SHARE) == pytest.approx(6.0, rel=0.03)  # 0.6 / 0.4 beside 0.2 / 0.8
    assert raise_mean(SHARE, np.array(0.2), 6.0) == pytest.approx(0.6) and raise_mean(VOLUME, np.array(10.0), 3.0) == 30
    assert level_of(VOLUME, np.array([7, 50]), np.array([1, 1]), np.array([np.nan, 10.0])) == pytest.approx(50.5 / 10.5)  # a bucket of which nothing is known


@pytest.mark.parametrize("level", [1.0, 2.5])
def test_the_chance_at_a_level_is_that_of_the_sum(history, level):
    stretch, size, share = Stretch(history, 0, 3, history.mean, history.z), 4 / SCATTER, float(raise_mean(SHARE, np.array(0.2), level))
    assert stretch.chance(0, VOLUME, level) == pytest.approx(nbinom.sf(119, size, size / (size + 40 * level)), rel=1e-6)
    strength = 4 / SCATTER - 1
    assert stretch.chance(0, SHARE, level) == pytest.approx(betabinom.sf(71, 120, share * strength, (1 - share) * strength), rel=1e-6)
    assert not stretch.is_within(0, VOLUME, 1.0, 2.0) and stretch.is_within(0, VOLUME, 1.0, 3.5)
    assert stretch.is_within(0, SHARE, 5.0, 1.1)  # more than that, and not surely


def test_what_speaks_for_the_usual_is_a_ratio_of_likelihoods(history):
    history.n[3], history.judged[3], history.watched[3], size, strength = 12, 12, 3, 1 / SCATTER, 1 / SCATTER - 1
    expected = nbinom.logpmf(12, size, size / (size + 10)) - nbinom.logpmf(12, size, size / (size + 20))
    assert log_ratio(history, (0, VOLUME), 3, 2.0) == pytest.approx(expected)
    shares = (0.2, float(raise_mean(SHARE, np.array(0.2), 2.0)))
    expected = np.subtract(*(betabinom.logpmf(3, 12, share * strength, (1 - share) * strength) for share in shares))
    assert log_ratio(history, (0, SHARE), 3, 2.0) == pytest.approx(expected)
    history.mean[3] = np.nan
    assert log_ratio(history, (0, VOLUME), 3, 2.0) == 0
