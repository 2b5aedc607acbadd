"""One event has one line: which surprises cover which."""

import numpy as np
import pytest

from doxa.monitoring.alerts.covering import cover, is_still_covered, root_of
from doxa.monitoring.alerts.episodes import COVERED, RESOLVED, add_episode, change_episode, load_episodes
from doxa.monitoring.alerts.settings import SHARE, VOLUME
from doxa.monitoring.alerts.store import open_store

ALL, A, B, C, D = range(5)


@pytest.mark.parametrize("found, under_way, named, excess, covered", [
    # one series holds what is too much in all
    ([(ALL, VOLUME), (A, VOLUME)], set(), {}, [50, 45, 3, 1, 1], {(ALL, VOLUME): (A, VOLUME)}),
    ([(ALL, VOLUME), (A, VOLUME)], set(), {}, [50, 30, 3, 1, 1], {}),  # and here too little of it
    ([(ALL, VOLUME)], {(A, VOLUME)}, {}, [50, 45, 3, 1, 1], {(ALL, VOLUME): (A, VOLUME)}),  # it was told before
    ([(ALL, VOLUME)], {(A, SHARE)}, {}, [50, 45, 3, 1, 1], {}),  # of something else
    ([(ALL, VOLUME), (A, VOLUME), (B, VOLUME)], set(), {}, [50, 20, 25, 1, 1], {(ALL, VOLUME): (B, VOLUME)}),
    # many at once are an event of all
    ([(ALL, SHARE), (A, SHARE), (B, SHARE), (C, SHARE), (D, SHARE)], set(), {}, [50, 12, 12, 13, 13],
     {(series, SHARE): (ALL, SHARE) for series in (A, B, C, D)}),
    ([(A, SHARE), (B, SHARE), (C, SHARE), (D, SHARE)], set(), {}, [50, 12, 12, 13, 13], {}),  # unless all are as usual
    # what the alert of all has named
    ([(A, VOLUME), (B, VOLUME)], {(ALL, VOLUME)}, {VOLUME: {A}}, [50, 45, 3, 1, 1], {(A, VOLUME): (ALL, VOLUME)}),
    ([(A, SHARE)], {(ALL, VOLUME)}, {VOLUME: {A}}, [50, 45, 3, 1, 1], {}),
    # the share of a series tells of its number as well
    ([(A, VOLUME), (A, SHARE)], set(), {}, [50, 45, 3, 1, 1], {(A, VOLUME): (A, SHARE)}),
    ([(ALL, VOLUME), (ALL, SHARE), (A, VOLUME), (A, SHARE)], set(), {}, [50, 45, 3, 1, 1],
     {(ALL, VOLUME): (A, VOLUME), (ALL, SHARE): (A, SHARE), (A, VOLUME): (A, SHARE)}),
])
def test_what_covers_what(found, under_way, named, excess, covered):
    told = cover(found, under_way, named, lambda measure: np.array(excess, float))
    assert told == covered
    assert all(root_of(one, told) not in told for one in found)


@pytest.mark.parametrize("one, told, silent, expected", [
    ((ALL, VOLUME), {(A, VOLUME)}, set(), True), ((ALL, VOLUME), {(B, VOLUME)}, set(), False), ((ALL, VOLUME), {(A, SHARE)}, set(), False), ((ALL, VOLUME), {(A, SHARE)}, {(A, VOLUME)}, True),
    ((A, VOLUME), {(A, SHARE)}, set(), True), ((A, VOLUME), {(ALL, VOLUME)}, set(), True), ((A, SHARE), {(ALL, VOLUME), (B, SHARE)}, set(), False),
    ((A, SHARE), set(), {(ALL, SHARE)}, False)])
def test_what_is_over_covers_nothing(one, told, silent, expected):
    assert is_still_covered(one, told, silent, lambda measure: np.array([50, 45, 3, 1, 1], float)) == expected


def test_what_is_covered_is_known_for_as_long_as_it_goes_on():
    with open_store(None) as store:
        kept, over = (add_episode(store, series, VOLUME, 0, 0, None, COVERED) for series in (A, B))
        change_episode(store, over, status=RESOLVED, ended=10)
        assert [(episode.id, episode.status) for episode in load_episodes(store, 100)] == [(kept.id, COVERED)]
