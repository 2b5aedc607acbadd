"""A figure and its interval as a small bar: geometry for inline SVG, in percent of its width."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from doxa.metrics.classification import Estimate
from doxa.reporting.scale import round_up


@dataclass(frozen=True)
class IntervalBar:
    """Where the interval begins, how wide it is and where the figure stands; `zero` where 0 lies, if inside, `overall` a figure to compare with, and
    `margin` the value that the figure must not lie below."""

    left: float
    width: float
    at: float
    overall: float | None = None
    zero: float | None = None
    margin: float | None = None


@dataclass(frozen=True)
class Axis:
    """What the two ends of a bar stand for."""

    low: float = 0.0
    high: float = 1.0

    def place(self, value: float) -> float:
        """Percent from the left; what lies beyond an end is put on it."""
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))), 2)

    def draw(self, found: Estimate | None, overall: Estimate | None = None, margin: float | None = None) -> IntervalBar | None:
        """None for a figure that is not there or not a number; without an interval that is one, the figure alone."""
        if found is None or not math.isfinite(found.value):
            return None
        ends = (found.low, found.high) if math.isfinite(found.low) and math.isfinite(found.high) else (found.value, found.value)
        left, right = map(self.place, ends)
        compared = self.place(overall.value) if overall and math.isfinite(overall.value) else None
        return IntervalBar(left, round(right - left, 2), self.place(found.value), compared, self.place(0.0) if self.low < 0 < self.high else None,
                           None if margin is None else self.place(margin))


def span_axis(figures: Iterable[Estimate]) -> Axis:
    """0 to 1 where all figures lie there, -1 to 1 for correlations, else from the least to the largest end of an interval and 0."""
    ends = [end for found in figures for end in (found.low, found.value, found.high) if math.isfinite(end)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    if low >= 0 and high <= 1:
        return Axis()
    if low >= -1 and high <= 1:
        return Axis(-1.0, 1.0)
    return Axis(min(0.0, low), max(0.0, high))


def center_axis(figures: Iterable[Estimate], least: float = 0.0) -> Axis:
    """As far to the left of 0 as to the right: to a round number that no end of an interval, and not `least`, lies beyond."""
    reach = max((abs(end) for found in figures for end in (found.low, found.value, found.high) if math.isfinite(end)), default=0.0)
    reach = round_up(max(reach, least)) if max(reach, least) > 0 else 1.0
    return Axis(-reach, reach)
