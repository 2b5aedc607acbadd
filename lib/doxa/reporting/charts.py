"""Geometry of the trend charts: figures to coordinates of inline SVG.

A chart is stretched to the width of the page (`preserveAspectRatio="none"`), so it holds shapes only; what is to be read
stands beside it as HTML and keeps its size on a phone.
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from doxa.monitoring.figures import Bucket, Corrected, Figures, Group, Share
from doxa.reporting import wording
from doxa.reporting.alerts import moment

WIDTH, HEIGHT = 1000.0, 100.0
MOST_DOTS = 62  # beyond, the line alone is clearer
Point = tuple[float, Bucket]


@dataclass(frozen=True)
class Chart:
    """Paths in a box of 1000 by 100; y grows downwards. `ticks` are (percent from the top, words).

    Line, bands and dots are the corrected share where there is one, and then `counted_line` is that of the counted one."""

    bands: str
    line: str
    open_line: str
    dots: list[tuple[float, float, bool]]
    bars: list[tuple[float, float, float, float, bool]]
    ticks: list[tuple[float, str]]
    dates: list[tuple[float, str]]
    most: int
    counted_line: str = ""
    marks: tuple[float, ...] = ()  # alerts, percent from the left


def share_ceiling(groups: list[Group]) -> float:
    """The top of the share axis, the same for all charts of a page: a round number above the highest share, up to 1."""
    shares = [cell.share for group in groups for bucket in group.buckets for cell in (bucket.watched, bucket.corrected)
              if cell and cell.share is not None]
    return next((top for top in (0.1, 0.2, 0.4, 0.6, 0.8) if max(shares, default=1.0) <= top), 1.0)


def _shown(bucket: Bucket) -> Share | Corrected:
    return bucket.corrected or bucket.watched


def draw_trend(buckets: list[Bucket], ceiling: float, every: str, alerts: Sequence[dict[str, Any]] = ()) -> Chart | None:
    """Share of the watched label with its interval above, number of texts as bars, alerts marked; None without buckets."""
    if not buckets:
        return None
    step = WIDTH / len(buckets)
    points = [(step * (i + 0.5), bucket) for i, bucket in enumerate(buckets)]
    runs = _runs(points)
    most = max(bucket.n for bucket in buckets)
    return Chart(
        bands=" ".join(_band(run, ceiling, step) for run in runs),
        line=" ".join(_line([point for point in run if point[1].is_complete], ceiling) for run in runs),
        open_line=" ".join(_line(list(pair), ceiling) for run in runs for pair in zip(run, run[1:]) if not all(b.is_complete for _, b in pair)),
        dots=[(_x(x), _y(_shown(bucket).share, ceiling), bucket.is_complete) for run in runs for x, bucket in run
              if len(buckets) <= MOST_DOTS or len(run) == 1 or not bucket.is_complete],
        bars=[(_x(x - step * 0.36), _y(bucket.n, most or 1), _x(step * 0.72), _x(HEIGHT * bucket.n / (most or 1)), bucket.is_complete)
              for x, bucket in points if bucket.n],
        ticks=[(_y(share, ceiling), f"{share:.0%}") for share in (0, ceiling / 2, ceiling)],
        dates=_dates(buckets, every), most=most, counted_line=_counted_line(points, ceiling), marks=_marks(buckets, alerts))


def describe_trend(group: Group, figures: Figures) -> str:
    """The chart in words, for those who do not see it."""
    filled = [bucket for bucket in group.buckets if bucket.n]
    words = f"{group.n:,} texts in {len(group.buckets)} buckets of {figures.every}, {len(group.buckets) - len(filled)} of them empty."
    if figures.watch is None or group.watched.share is None:
        return words
    judged = [bucket for bucket in filled if bucket.watched.share is not None]
    peak = max(judged, key=lambda bucket: bucket.watched.share, default=None)
    words += f" Share of {figures.watch}: {wording.percent_interval(group.watched)} over all"
    if peak is not None:
        words += f"; highest {wording.percent_interval(peak.watched)} in {wording.bucket_label(peak, figures.every)}"
        words += f"; latest {wording.percent_interval(judged[-1].watched)} in {wording.bucket_label(judged[-1], figures.every)}"
    if group.corrected:
        words += f". Corrected: {wording.percent_interval(group.corrected)} over all"
        latest = [bucket for bucket in judged if bucket.corrected][-1:]
        words += "".join(f"; latest {wording.percent_interval(b.corrected)} in {wording.bucket_label(b, figures.every)}" for b in latest)
    alerts = figures.alerts_of(group)
    if alerts:
        words += ". Alerts: " + ", ".join(f"{told['measure']} from {moment(told['since'])}" for told in alerts)
    return words + "."


def _marks(buckets: list[Bucket], alerts: Sequence[dict[str, Any]]) -> tuple[float, ...]:
    """Where alerts began, each bucket once."""
    moments = [dt.datetime.fromisoformat(told["since"]) for told in alerts]
    return tuple(round(100 * (i + 0.5) / len(buckets), 2) for i, bucket in enumerate(buckets) if any(bucket.start <= at < bucket.end for at in moments))


def _runs(points: list[Point]) -> list[list[Point]]:
    """Stretches of buckets that hold something: a line never crosses an empty one."""
    runs: list[list[Point]] = [[]]
    for x, bucket in points:
        if _shown(bucket).share is None:
            runs.append([])
        else:
            runs[-1].append((x, bucket))
    return [run for run in runs if run]


def _line(points: list[Point], ceiling: float) -> str:
    """Through the points, in order; nothing for less than two."""
    if len(points) < 2:
        return ""
    return "M" + "L".join(f"{_x(x)} {_y(_shown(bucket).share, ceiling)}" for x, bucket in points)


def _counted_line(points: list[Point], ceiling: float) -> str:
    if not any(bucket.corrected for _, bucket in points):
        return ""
    counted = [(x, replace(bucket, corrected=None)) for x, bucket in points]
    return " ".join(_line(run, ceiling) for run in _runs(counted))


def _band(run: list[Point], ceiling: float, step: float) -> str:
    if len(run) == 1:  # an interval of its own stands as a narrow column
        (x, bucket), half = run[0], min(step * 0.2, 6.0)
        run = [(x - half, bucket), (x + half, bucket)]
    upper = [f"{_x(x)} {_y(_shown(bucket).interval[1], ceiling)}" for x, bucket in run]
    lower = [f"{_x(x)} {_y(_shown(bucket).interval[0], ceiling)}" for x, bucket in reversed(run)]
    return "M" + "L".join(upper + lower) + "Z"


def _dates(buckets: list[Bucket], every: str) -> list[tuple[float, str]]:
    """Up to five dates under the chart, at the middle of their buckets, in percent from the left."""
    n_steps = math.ceil(len(buckets) / 5)
    return [(round(100 * (i + 0.5) / len(buckets), 2), wording.short_bucket_label(buckets[i], every)) for i in range(0, len(buckets), n_steps)]


def _x(value: float) -> float:
    return round(value, 2)


def _y(value: float, ceiling: float) -> float:
    return round(HEIGHT * (1 - min(1.0, value / ceiling)), 2)
