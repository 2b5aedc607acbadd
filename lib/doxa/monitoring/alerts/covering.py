"""Surprises of one look that are one event: one line tells of them, the others are covered by it."""

from collections.abc import Callable

import numpy as np

from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.settings import MEASURES, SHARE, VOLUME

Surprise = tuple[int, int]  # series and measure
MOST_APART = 3  # series that are told one by one where all texts are surprising as well
EXPLAINED = 0.7  # of what is too much in all texts, by the series that are told


def cover(found: list[Surprise], under_way: set[Surprise], named: dict[int, set[int]], excess: Callable[[int], np.ndarray]) -> dict[Surprise, Surprise]:
    """Which of the surprises found at one look are told by which other.

    All texts, where a few series hold most of what is too much of them; series, where many are surprising at once, or the alert of all texts that is
    `under_way` has `named` them (by measure); the number of texts of a series whose share is told. `excess` gives of a measure how much more was counted
    than usual (K,), over the stretch that all texts are looked at."""
    covered: dict[Surprise, Surprise] = {}
    for measure in (VOLUME, SHARE):
        own = [series for series, of in found if of == measure and series != ALL]
        if (ALL, measure) in found:
            near, much = own + _series_of(under_way, measure), excess(measure)
            if len(near) <= MOST_APART and _explain(near, much):
                covered[ALL, measure] = max(near, key=lambda series: much[series]), measure
            elif len(own) > MOST_APART:
                covered |= {(series, measure): (ALL, measure) for series in own}
        elif (ALL, measure) in under_way:
            covered |= {(series, measure): (ALL, measure) for series in own if series in named.get(measure, ())}
    for series in {series for series, _ in found}:
        both = (series, VOLUME), (series, SHARE)
        if all(one in found for one in both) and both[0] not in covered:
            covered[both[0]] = both[1]
    return covered


def root_of(surprise: Surprise, covered: dict[Surprise, Surprise]) -> Surprise:
    """The one that is told."""
    while surprise in covered:
        surprise = covered[surprise]
    return surprise


def is_still_covered(surprise: Surprise, told: set[Surprise], silent: set[Surprise], excess: Callable[[int], np.ndarray]) -> bool:
    """Whether an event that was told is under way, so that what it covers needs no line of its own. `told` and `silent` are the surprises under way, `excess` is
    that of the bucket."""
    series, measure = surprise
    if measure == VOLUME and (series, SHARE) in told | silent:
        return True
    if series == ALL:
        return _explain(_series_of(told | silent, measure), excess(measure))
    return (ALL, measure) in told


def _series_of(surprises: set[Surprise], measure: int) -> list[int]:
    return [series for series, of in surprises if of == measure and series != ALL]


def _explain(series: list[int], much: np.ndarray) -> bool:
    """Whether these hold most of what is too much in all texts."""
    return bool(series) and bool(much[series].sum() >= EXPLAINED * much[ALL])


def name_covered(surprises: list[Surprise], names: list[str | None]) -> list[dict[str, str | None]]:
    return [{"series": names[series], "measure": MEASURES[measure]} for series, measure in surprises]
