"""What becomes of an episode that lasts, by simulation against a known truth."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from doxa.monitoring.alerts.ending import outcome
from doxa.monitoring.alerts.episodes import NEW_LEVEL, OPEN, RESOLVED, UNDECIDED, Episode
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.levels import raise_mean
from doxa.monitoring.alerts.settings import SHARE, VOLUME

DAYS, FOUND, SCATTER, N, SHARE_USUAL = 30, 2, 0.02, 60, 0.25
EPISODE = Episode(1, 0, VOLUME, 0, FOUND * 86_400, None, 0, 0.0, 1.8, OPEN, "event", None)


def draw(generator, measure: int, levels: np.ndarray) -> History:
    """One series of DAYS days at these levels, by the distributions that are assumed."""
    history = History.empty(np.arange(DAYS + 1) * 86_400, ZoneInfo("UTC"), 1)
    history.mean[:, :, VOLUME], history.mean[:, :, SHARE], history.scatter[:] = N, SHARE_USUAL, SCATTER
    means = N * levels if measure == VOLUME else np.full(DAYS, float(N))
    history.n[:, 0] = generator.poisson(means * generator.gamma(1 / SCATTER, SCATTER, DAYS))
    history.judged[:] = history.n
    shares = np.array([float(raise_mean(SHARE, np.array(SHARE_USUAL), level)) for level in (levels if measure == SHARE else np.ones(DAYS))])
    strength = 1 / SCATTER - 1
    history.watched[:, 0] = generator.binomial(history.n[:, 0], generator.beta(shares * strength, (1 - shares) * strength))
    return history


def outcomes(measure: int, levels: np.ndarray, n: int = 300) -> list[tuple[str, int | None]]:
    generator = np.random.default_rng(3)
    return [outcome(draw(generator, measure, levels), replace(EPISODE, measure=measure), DAYS - 1) for _ in range(n)]


@pytest.mark.parametrize("measure", [VOLUME, SHARE])
@pytest.mark.parametrize("level, status", [(1.8, NEW_LEVEL), (1.35, NEW_LEVEL), (1.0, RESOLVED)])
def test_what_stays_is_hardly_ever_told_to_be_over_and_what_is_over_not_to_stay(measure, level, status):
    """1.35 is half of 1.8, on the log scale: the least of what is held to go on."""
    found = [one for one, _ in outcomes(measure, np.where(np.arange(DAYS) <= FOUND, 1.8, level))]
    assert found.count(status) >= 0.8 * len(found)
    assert found.count(RESOLVED if status == NEW_LEVEL else NEW_LEVEL) <= 0.05 * len(found)


def test_a_week_of_it_is_over_when_it_was():
    found = outcomes(VOLUME, np.where(np.arange(DAYS) <= 9, 1.8, 1.0))
    firsts = [first for status, first in found if status == RESOLVED]
    assert len(firsts) >= 0.95 * len(found) and np.median(firsts) == 10 and np.mean(np.abs(np.array(firsts) - 10) <= 1) >= 0.75


def test_what_lies_between_is_left_open():
    found = [one for one, _ in outcomes(VOLUME, np.where(np.arange(DAYS) <= FOUND, 1.8, 1.16))]
    assert found.count(UNDECIDED) >= 0.1 * len(found)
    assert outcome(draw(np.random.default_rng(0), VOLUME, np.ones(DAYS)), replace(EPISODE, bucket=(DAYS - 1) * 86_400), DAYS - 1) == (UNDECIDED, None)
