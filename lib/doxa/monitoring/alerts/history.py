"""What is known of all series, bucket by bucket, as dense arrays."""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from doxa.monitoring.alerts.expectation import Cycle
from doxa.monitoring.alerts.settings import SHARE
from doxa.monitoring.buckets import DAY_S

SATURDAY = 5  # and Sunday after it
LEAST_WEEKS = 3  # before a week's cycle is looked for
BUSY = 10  # texts that a stream usually has in a bucket, for one without any to be an outage


@dataclass
class History:
    """T buckets, oldest first, of K series.

    `edges` (T + 1,) are seconds since 1970; the counts `n`, `judged` and `watched` (T, K); `is_usual` (T, K, 2) says for volume and share
    which buckets tell what is usual; `z`, `mean`, `scatter` (T, K, 2) hold what was made of a bucket when it was over, NaN before. The
    running sums `drift` (K, 2, P) of surprises, at each pace, are above 0 since the buckets `since` (K, 2, P)."""

    edges: np.ndarray
    zone: ZoneInfo
    n: np.ndarray
    judged: np.ndarray
    watched: np.ndarray
    is_usual: np.ndarray
    z: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray
    drift: np.ndarray
    since: np.ndarray

    def __post_init__(self):
        # By their middles, so that a bucket which a clock change shifts or cuts stays in its part of the day.
        middles = [dt.datetime.fromtimestamp(int(middle), self.zone) for middle in (self.edges[:-1] + self.edges[1:]) // 2]
        self.weekdays = np.array([middle.weekday() for middle in middles], int)
        self.minutes = np.array([middle.hour * 60 + middle.minute for middle in middles], int)

    @classmethod
    def empty(cls, edges: np.ndarray, zone: ZoneInfo, n_series: int, n_paces: int = 1) -> "History":
        shape = (len(edges) - 1, n_series)
        counts = [np.zeros(shape, np.int64) for _ in range(3)]
        made = [np.full((*shape, 2), np.nan) for _ in range(3)]
        return cls(edges, zone, *counts, np.ones((*shape, 2), bool), *made, np.zeros((n_series, 2, n_paces)), np.full((n_series, 2, n_paces), -1))

    def of(self, measure: int) -> tuple[np.ndarray, np.ndarray]:
        """What is counted of a measure, and out of how many texts where that is a share, else out of one; both (T, K)."""
        return (self.watched, self.judged) if measure == SHARE else (self.n, np.broadcast_to(1, self.n.shape))

    def leave_out_outages(self) -> None:
        """Buckets in which a busy stream brought nothing at all tell nothing."""
        total = self.n.sum(axis=1)
        if len(total) and np.median(total) >= BUSY:
            self.is_usual[total == 0] = False

    def exposures(self, first: int, index: int) -> tuple[np.ndarray, float]:
        """How long buckets `first` up to `index` are, and the one at `index`, as parts of their usual length."""
        lengths = np.diff(self.edges[first : index + 2]).astype(float)
        parts = lengths / np.median(lengths)
        return parts[:-1], float(parts[-1])

    def is_week_known(self, first: int, index: int, bucket_s: float) -> bool:
        """Whether the history tells what the days of the week do; nothing of the kind is in buckets longer than a day."""
        return bucket_s > DAY_S or self.edges[index] - self.edges[first] >= LEAST_WEEKS * 7 * DAY_S

    def has_week(self, first: int, index: int, bucket_s: float) -> bool:
        """Whether every day of the week was seen: before, the first working day would look like a shift of the level."""
        return bucket_s > DAY_S or self.edges[index] - self.edges[first] >= 7 * DAY_S

    def follows_rest_alone(self, first: int, index: int, bucket_s: float) -> bool:
        """Whether a bucket is of a working day, and no whole one was seen before: after a weekend alone the first Monday would look like a flood. The other way about
        there are fewer texts, as a rule, which nothing is told of."""
        if bucket_s > DAY_S or self.weekdays[index] >= SATURDAY:
            return False
        return np.diff(self.edges[first : index + 1])[self.weekdays[first:index] < SATURDAY].sum() < DAY_S

    def cycles(self, first: int, index: int, bucket_s: float) -> list[Cycle]:
        """The calendar cycles that buckets `first` up to `index` can tell of, for the one at `index`."""
        span_s, cycles = self.edges[index] - self.edges[first], []
        if bucket_s < DAY_S and span_s >= 2 * DAY_S:
            step = int(bucket_s // 60)
            cycles.append(Cycle(self.minutes[first:index] // step, int(self.minutes[index] // step), -(-1440 // step)))
        if bucket_s <= DAY_S and self.is_week_known(first, index, bucket_s):
            cycles.append(Cycle(self.weekdays[first:index], int(self.weekdays[index]), 7))
        return cycles
