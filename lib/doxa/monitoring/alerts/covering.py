"""Surprises that are one event: one line tells of them, and names those that it covers."""

from collections.abc import Callable

import numpy as np

from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.settings import SHARE, VOLUME

Surprise = tuple[int, int]  # series and measure
MOST_APART = 3  # series that are told one by one
CLEAR_P = 1e-6  # of a share that is beyond doubt, whatever the number of texts
EXPLAINED = 0.7  # of what is too much in all texts, by the series that are told


def cover(found: list[Surprise], going: set[Surprise], told: set[Surprise], excess: Callable[[int], np.ndarray],
          is_alike: Callable[[Surprise], bool], rest_rose: Callable[[int, list[int]], bool], chance: Callable[[Surprise], float]) -> dict[Surprise, Surprise]:
    """Which of the surprises found at one look are told by which other, one that is found as well, or is `going` on.

    All texts, by the largest of a few series that hold most of what is too much of them, unless the rest of a measure `rest_rose` as well; a series, by all texts where it rose no more than they did
    (`is_alike`), found at the same look or `told` by their own line and going on; many other series, by the largest of them; the number of texts of a series, by its share, or
    where that is less clear, with a larger `chance`, the share by the number. `excess` gives of a measure how much more was counted than usual (K,)."""
    covered: dict[Surprise, Surprise] = {}
    for measure in (VOLUME, SHARE):
        of_all, much = (ALL, measure), excess(measure)
        own = sorted((one for one in found if one[1] == measure and one != of_all), key=lambda one: -much[one[0]])
        near = own + sorted((one for one in going if one[1] == measure and one != of_all), key=lambda one: -much[one[0]])
        few = [series for series, _ in near]
        if of_all in found and 0 < len(few) <= MOST_APART and hold_most(few, much) and not rest_rose(measure, few):
            covered[of_all] = near[0]
        elif of_all in found or of_all in told:
            alike = [one for one in own if is_alike(one)]
            covered |= dict.fromkeys(alike, of_all)
            own = [one for one in own if one not in alike]
        if len(own) > MOST_APART:
            covered |= dict.fromkeys(own[1:], own[0])
    for volume, share in ((one, (one[0], SHARE)) for one in found if one[1] == VOLUME):
        if share not in found or volume in covered:
            continue
        if chance(share) <= max(chance(volume), CLEAR_P):
            covered[volume] = share
        elif share not in covered:  # what is told by another series' line would hide the rarer one
            covered[share] = volume
    return covered


def hold_most(series: list[int], excess: np.ndarray) -> bool:
    """Whether these hold most of what is too much in all texts; `excess` (K,)."""
    return bool(excess[series].sum() >= EXPLAINED * excess[ALL])


def root_of(surprise: Surprise, covered: dict[Surprise, Surprise]) -> Surprise:
    """The one that is told."""
    while surprise in covered:
        surprise = covered[surprise]
    return surprise
