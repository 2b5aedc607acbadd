"""The promise and what is found, on made streams of which the truth is known."""

import numpy as np
import pytest

from doxa.monitoring.alerts.detect import ASSUMED_MEMORY, _memory
from doxa.monitoring.alerts.promise import Promise
from doxa.monitoring.alerts.settings import LEAST_BUCKETS, AlertSettings
from doxa.monitoring.buckets import Every
from streams import EVENTS, find_alarms, make_stream

SETTINGS = AlertSettings(every=Every(1, "d"))  # promises one false alarm a week


@pytest.mark.parametrize("n_years, memory", [(1, 0.0), pytest.param(20, 0.0, marks=pytest.mark.slow), pytest.param(20, 0.5, marks=pytest.mark.slow)],
                         ids=["independent days", "many of them", "days that hang together"])
def test_years_without_change_keep_the_promise(n_years, memory):
    """Years of 30 series each: over-dispersed, with a weekly cycle. The rate may pass the promise by chance alone: by 2.3 of its standard
    deviations in one run of a hundred."""
    n_alarms, n_weeks = 0, 0.0
    for seed in range(n_years):
        generator = np.random.default_rng([seed, 11])
        n, watched = make_stream(generator, memory=memory).draw(generator)
        n_alarms += int(find_alarms(n, watched, SETTINGS).sum())
        n_weeks += (len(n) - LEAST_BUCKETS) / 7
    assert n_alarms <= n_weeks + 2.33 * n_weeks**0.5
    assert n_alarms >= n_weeks / 4  # nor is it kept by silence


@pytest.mark.slow
@pytest.mark.parametrize("day_part", [0.0, 0.5, 1.0], ids=["each hour its own", "both", "a day's hours alike"])
def test_months_by_the_hour_keep_the_promise(day_part):
    """Whatever the hours of a day have in common."""
    n_alarms, n_weeks = 0, 0.0
    for seed in range(2):
        generator = np.random.default_rng([seed, 14])
        n, watched = make_stream(generator, n_days=120).draw_hours(generator, day_part)
        n_alarms += int(find_alarms(n, watched, AlertSettings()).sum())
        n_weeks += len(n) / (24 * 7)
    assert n_alarms <= n_weeks + 2.33 * n_weeks**0.5


@pytest.mark.parametrize("day_part", [0.0, 0.4])
def test_scores_that_hang_together_are_told_by_their_long_sums(day_part):
    """Normal scores of which a part is the day's: the variance of a long sum is 24 times that part, and what is left of the hours' own."""
    generator = np.random.default_rng(15)
    scores = generator.normal(0, (1 - day_part) ** 0.5, (60 * 24, 200)) + np.repeat(generator.normal(0, day_part**0.5, (60, 200)), 24, axis=0)
    scores[generator.random(scores.shape) < 0.1] = np.nan
    kept = 0.9  # of the pairs of a day's hours
    expected = (1 - day_part + day_part * (1 + 23 * kept)) ** 0.5
    assert np.mean(_memory(scores, 24)) == pytest.approx(expected, rel=0.06)
    assert (_memory(scores[:40], 24) == ASSUMED_MEMORY).all()


@pytest.mark.parametrize("kind, measure, least, n_streams", [("week", 0, 0.9, 1), *(
    pytest.param(*found, 2, marks=pytest.mark.slow) for found in (
        ("day", 0, 0.2), ("day", 1, 0.3), ("week", 0, 0.9), ("week", 1, 0.7), ("drift", 0, 0.9), ("drift", 1, 0.65)))])
def test_a_doubling_is_found(kind, measure, least, n_streams):
    n_found = n_events = 0
    for seed in range(n_streams):
        generator = np.random.default_rng([seed, 12])
        calm = make_stream(generator, n_series=24, n_days=230)
        for part in np.array_split(generator.permutation(24), 4):
            stream, days = calm, generator.permutation(np.arange(80, 170, 15))
            for series, day in zip(part, days):
                stream = stream.with_event(kind, measure, series, day)
            alarms = find_alarms(*stream.draw(generator), SETTINGS)
            n_found += sum(alarms[day : day + EVENTS[kind], series, measure].any() for series, day in zip(part, days))
            n_events += len(part)
    assert n_found / n_events >= least


def test_a_stricter_promise_is_kept_too():
    generator = np.random.default_rng(5)
    n, watched = make_stream(generator, n_days=154).draw(generator)
    loose, strict = (find_alarms(n, watched, AlertSettings(every=Every(1, "d"), promise=Promise(rate, "week"))).sum() for rate in (5.0, 0.1))
    assert strict < loose and strict <= 8
    assert loose <= 5 * 20 + 2.33 * (5 * 20) ** 0.5


def test_few_series_and_few_days_are_judged_without_warnings(recwarn):
    for n_series in (1, 2):
        generator = np.random.default_rng(n_series)
        n = generator.poisson(0.2, (60, n_series))
        find_alarms(n, np.zeros_like(n), SETTINGS)
    assert [str(w.message) for w in recwarn] == []
