"""Surprises that are one event: one line tells of them, and names those that it covers."""

from collections.abc import Callable, Mapping

import numpy as np

from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.settings import MEASURES, SHARE, VOLUME

Surprise = tuple[int, int]  # series and measure
MOST_APART = 3  # series that are told one by one while all texts are surprising as well
EXPLAINED = 0.7  # of what is too much in all texts, by the series that are told


def cover(found: list[Surprise], going: set[Surprise], n_beside: Mapping[int, int], excess: Callable[[int], np.ndarray]) -> dict[Surprise, Surprise]:
    """Which of the surprises found at one look are told by which other, one that is found as well, or is `going` on.

    All texts, by the largest of a few series that hold most of what is too much of them; many series, by all texts, or by the largest of them; further
    series while all texts are surprising, of which `n_beside` (by measure) have a line; the number of texts of a series, by its share. `excess`
    gives of a measure how much more was counted than usual (K,)."""
    covered: dict[Surprise, Surprise] = {}
    for measure in (VOLUME, SHARE):
        own = [series for series, of in found if of == measure and series != ALL]
        if not own and (ALL, measure) not in found:
            continue
        much = excess(measure)
        own.sort(key=lambda series: -much[series])
        if (ALL, measure) in found:
            near = own + [series for series, of in going if of == measure and series != ALL]
            if near and len(near) <= MOST_APART and much[near].sum() >= EXPLAINED * much[ALL]:
                covered[ALL, measure] = (own or sorted(near, key=lambda series: -much[series]))[0], measure
            elif len(own) > MOST_APART:
                covered |= {(series, measure): (ALL, measure) for series in own}
        elif len(own) > MOST_APART:
            covered |= {(series, measure): (own[0], measure) for series in own[1:]}
        elif (ALL, measure) in going:
            covered |= {(series, measure): (ALL, measure) for series in own[max(0, MOST_APART - n_beside.get(measure, 0)) :]}
    for series in {series for series, _ in found}:
        volume, share = (series, VOLUME), (series, SHARE)
        if volume in found and share in found and volume not in covered:
            covered[volume] = share
    return covered


def root_of(surprise: Surprise, covered: dict[Surprise, Surprise]) -> Surprise:
    """The one that is told."""
    while surprise in covered:
        surprise = covered[surprise]
    return surprise


def name_surprises(surprises: list[Surprise], names: list[str | None]) -> list[dict[str, str | None]]:
    return [{"series": names[series], "measure": MEASURES[measure]} for series, measure in surprises]
