"""One event has one line: which surprises are told by which other."""

import numpy as np
import pytest

from doxa.monitoring.alerts.covering import cover, root_of
from doxa.monitoring.alerts.settings import SHARE, VOLUME

ALL, A, B, C, D = range(5)
FEW, EVEN = [50, 45, 3, 1, 1], [50, 12, 12, 13, 13]


@pytest.mark.parametrize("found, going, n_beside, excess, covered", [
    # one series holds what is too much in all
    ([(ALL, VOLUME), (A, VOLUME)], set(), {}, FEW, {(ALL, VOLUME): (A, VOLUME)}),
    ([(ALL, VOLUME), (A, VOLUME)], set(), {}, [50, 30, 3, 1, 1], {}),  # and here too little of it
    ([(ALL, VOLUME)], {(A, VOLUME)}, {}, FEW, {(ALL, VOLUME): (A, VOLUME)}),  # it was told before
    ([(ALL, VOLUME)], {(A, SHARE)}, {}, FEW, {}),  # of something else
    ([(ALL, VOLUME), (A, VOLUME), (B, VOLUME)], set(), {}, [50, 20, 25, 1, 1], {(ALL, VOLUME): (B, VOLUME)}),
    # many at once are an event of all, or of the largest
    ([(ALL, SHARE), (A, SHARE), (B, SHARE), (C, SHARE), (D, SHARE)], set(), {}, EVEN, {(series, SHARE): (ALL, SHARE) for series in (A, B, C, D)}),
    ([(A, SHARE), (B, SHARE), (C, SHARE), (D, SHARE)], set(), {}, [50, 12, 14, 13, 13], {(series, SHARE): (B, SHARE) for series in (A, C, D)}),
    ([(A, SHARE), (B, SHARE), (C, SHARE)], set(), {}, EVEN, {}),
    # while all are surprising, three others have a line, the largest first
    ([(A, VOLUME), (B, VOLUME)], {(ALL, VOLUME)}, {VOLUME: 0}, FEW, {}),
    ([(A, VOLUME), (B, VOLUME)], {(ALL, VOLUME)}, {VOLUME: 2}, FEW, {(B, VOLUME): (ALL, VOLUME)}),
    ([(A, VOLUME), (B, VOLUME)], {(ALL, VOLUME)}, {VOLUME: 5}, FEW, {(A, VOLUME): (ALL, VOLUME), (B, VOLUME): (ALL, VOLUME)}),
    ([(A, SHARE)], {(ALL, VOLUME)}, {VOLUME: 5}, FEW, {}),
    # the share of a series tells of its number as well
    ([(A, VOLUME), (A, SHARE)], set(), {}, FEW, {(A, VOLUME): (A, SHARE)}),
    ([(ALL, VOLUME), (ALL, SHARE), (A, VOLUME), (A, SHARE)], set(), {}, FEW,
     {(ALL, VOLUME): (A, VOLUME), (ALL, SHARE): (A, SHARE), (A, VOLUME): (A, SHARE)}),
])
def test_what_covers_what(found, going, n_beside, excess, covered):
    told = cover(found, going, n_beside, lambda measure: np.array(excess, float))
    assert told == covered
    assert all(root_of(one, told) not in told for one in found)
