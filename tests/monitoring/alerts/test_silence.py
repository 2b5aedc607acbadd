"""Silent series: what a stream brings that has none, and which are found."""

from dataclasses import replace

import numpy as np
import pytest

from doxa.monitoring.alerts.detect import judge
from doxa.monitoring.alerts.settings import LEAST_BUCKETS, AlertSettings
from doxa.monitoring.alerts.silence import Silences
from doxa.monitoring.alerts.store import open_store
from doxa.monitoring.alerts.subject import Subject
from doxa.monitoring.buckets import DAY_S, HOUR_S, Every
from streams import make_history, make_stream


def find_silences(n: np.ndarray, settings: AlertSettings) -> list:
    """What is told of the texts (T, K) of buckets; the first series is that of all."""
    history, told = make_history(n, np.zeros_like(n), settings), []
    with open_store(None) as store:
        silences = Silences(store, settings, Subject("topic", None, history.zone, [str(number) for number in range(n.shape[1])]), history, [], told.append)
        for index in range(LEAST_BUCKETS, len(n)):
            judge(history, index, settings)
            silences.watch(index, True)
    return told


def draw(seed: int, n_days: int, by_hour: bool) -> np.ndarray:
    """Texts of 30 series and of all, some of them sparse: 0.1 to 500 a day."""
    generator = np.random.default_rng(seed)
    stream = make_stream(generator, n_days=n_days)
    stream = replace(stream, mean=stream.mean * generator.choice([0.02, 0.1, 1.0], 30))
    n, _ = stream.draw_hours(generator, 0.5) if by_hour else stream.draw(generator)
    return np.hstack([n.sum(axis=1, keepdims=True), n])


DAILY, HOURLY = AlertSettings(every=Every(1, "d"), silent_s=DAY_S), AlertSettings(every=Every(1, "h"), silent_s=6 * HOUR_S)


def test_a_source_that_is_cut_off_is_found_and_no_other():
    n = draw(1, 60, by_hour=False)
    largest = 1 + int(n[:, 1:].sum(axis=0).argmax())
    n[40:50, largest] = 0
    line, end = find_silences(n, DAILY)
    assert (line.kind, line.series, end.kind, end.alert) == ("silent", str(largest), "resolved", line.id)
    assert np.datetime64(end.until[:10]) - np.datetime64(line.since[:10]) == 10
    assert end.expected == pytest.approx(n[30:40, largest].sum(), rel=0.4)


@pytest.mark.slow
@pytest.mark.parametrize("n_days, settings, n_seeds", [(365, DAILY, 6), (70, HOURLY, 4)])
def test_a_stream_without_silences_brings_few(n_days, settings, n_seeds):
    """At most a line in ten weeks of 30 series."""
    told = [line for seed in range(n_seeds) for line in find_silences(draw(seed, n_days, settings is HOURLY), settings) if line.kind == "silent"]
    assert len(told) <= n_seeds * n_days / 70
