"""One event has one line: which surprises are told by which other."""

import numpy as np
import pytest

from doxa.monitoring.alerts.covering import cover, root_of
from doxa.monitoring.alerts.settings import SHARE, VOLUME

ALL, A, B, C, D = range(5)
FEW, EVEN = [50, 45, 3, 1, 1], [50, 12, 12, 13, 13]


@pytest.mark.parametrize("found, going, with_line, alike, excess, covered", [
    # one series holds what is too much in all
    ([(ALL, VOLUME), (A, VOLUME)], set(), set(), "", FEW, {(ALL, VOLUME): (A, VOLUME)}),
    ([(ALL, VOLUME), (A, VOLUME)], set(), set(), "", [50, 30, 3, 1, 1], {}),  # and here too little of it
    ([(ALL, VOLUME)], {(A, VOLUME)}, set(), "", FEW, {(ALL, VOLUME): (A, VOLUME)}),  # it was told before
    ([(ALL, VOLUME)], {(A, SHARE)}, set(), "", FEW, {}),  # of something else
    ([(ALL, VOLUME), (A, VOLUME), (B, VOLUME)], set(), set(), "", [50, 20, 25, 1, 1], {(ALL, VOLUME): (B, VOLUME)}),
    # many at once are an event of all, or of the largest
    ([(ALL, SHARE), (A, SHARE), (B, SHARE), (C, SHARE), (D, SHARE)], set(), set(), "ABCD", EVEN, {(series, SHARE): (ALL, SHARE) for series in (A, B, C, D)}),
    ([(A, SHARE), (B, SHARE), (C, SHARE), (D, SHARE)], set(), set(), "", [50, 12, 14, 13, 13], {(series, SHARE): (B, SHARE) for series in (A, C, D)}),
    ([(A, SHARE), (B, SHARE), (C, SHARE)], set(), set(), "", EVEN, {}),
    # what rose more than all texts did has a line, also while they have one
    ([(ALL, SHARE), (A, SHARE), (B, SHARE), (C, SHARE), (D, SHARE)], set(), set(), "ABC", EVEN, {(series, SHARE): (ALL, SHARE) for series in (A, B, C)}),
    ([(A, VOLUME), (B, VOLUME)], {(ALL, VOLUME)}, {(ALL, VOLUME)}, "B", FEW, {(B, VOLUME): (ALL, VOLUME)}),
    ([(A, VOLUME), (B, VOLUME)], {(ALL, VOLUME)}, set(), "B", FEW, {}),  # of which a series tells
    ([(A, SHARE)], {(ALL, VOLUME)}, {(ALL, VOLUME)}, "A", FEW, {}),
    ([(A, VOLUME), (B, VOLUME), (C, VOLUME), (D, VOLUME)], {(ALL, VOLUME)}, {(ALL, VOLUME)}, "", EVEN, {(series, VOLUME): (C, VOLUME) for series in (A, B, D)}),
    # the share of a series tells of its number as well
    ([(A, VOLUME), (A, SHARE)], set(), set(), "", FEW, {(A, VOLUME): (A, SHARE)}),
    ([(ALL, VOLUME), (ALL, SHARE), (A, VOLUME), (A, SHARE)], set(), set(), "", FEW,
     {(ALL, VOLUME): (A, VOLUME), (ALL, SHARE): (A, SHARE), (A, VOLUME): (A, SHARE)}),
])
def test_what_covers_what(found, going, with_line, alike, excess, covered):
    told = cover(found, going, with_line, lambda measure: np.array(excess, float), lambda one: "ABCD"[one[0] - 1] in alike, lambda measure, series: False, lambda one: 0.5)
    assert told == covered
    assert all(root_of(one, told) not in told for one in found)


def test_the_rarer_of_a_series_two_surprises_tells_of_the_other():
    def told(found, alike="", share=1e-3):
        return cover(found, set(), set(), lambda measure: np.array(EVEN, float), lambda one: "ABCD"[one[0] - 1] in alike, lambda measure, series: True,
                     lambda one: 1e-9 if one == (A, VOLUME) else share)

    assert told([(A, VOLUME), (A, SHARE), (B, VOLUME), (B, SHARE)]) == {(A, SHARE): (A, VOLUME), (B, VOLUME): (B, SHARE)}
    assert told([(A, VOLUME), (A, SHARE)], share=1e-7) == {(A, VOLUME): (A, SHARE)}  # beyond doubt is beyond doubt
    assert told([(A, VOLUME), (A, SHARE), (ALL, SHARE)], "A") == {(A, SHARE): (ALL, SHARE)}  # and is not hidden where all texts tell of the other


def test_all_texts_have_a_line_of_their_own_where_the_rest_rose_as_well():
    asked = []
    told = cover([(ALL, SHARE), (A, SHARE)], {(B, SHARE)}, set(), lambda measure: np.array([50, 20, 18, 6, 6], float), lambda one: True,
                 lambda measure, series: asked.append((measure, series)) or True, lambda one: 0.5)
    assert told == {(A, SHARE): (ALL, SHARE)} and asked == [(SHARE, [A, B])]
