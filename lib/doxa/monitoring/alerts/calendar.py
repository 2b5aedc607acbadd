"""Seconds since 1970 to buckets of the local calendar, and to hours of the week."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np

from doxa.monitoring.buckets import HOUR_S, Every, bucket_edges

MOST_EDGES = 200_000


class Calendar:
    """Edges of buckets, computed as far as they are asked for."""

    def __init__(self, every: Every, zone: ZoneInfo):
        self.every, self.zone = every, zone
        self._edges = np.empty(0, np.int64)

    def edges(self, first_s: float, last_s: float) -> np.ndarray:
        """Edges (B + 1,) of the buckets from the one that holds `first_s` to the one that holds `last_s`."""
        self._reach(first_s, last_s)
        start = np.searchsorted(self._edges, first_s, side="right") - 1
        end = np.searchsorted(self._edges, last_s, side="right")
        return self._edges[start : end + 1]

    def bucket_of(self, seconds: np.ndarray) -> np.ndarray:
        """The start of the bucket of every moment (N,)."""
        self._reach(float(seconds.min()), float(seconds.max()))
        return self._edges[np.searchsorted(self._edges, seconds, side="right") - 1]

    def back(self, moment_s: float, n_buckets: int) -> int:
        """The start of the bucket that lies `n_buckets` usual lengths before a moment."""
        return int(moment_s - n_buckets * self.every.usual_s)

    def hour_of_week(self, seconds: np.ndarray) -> np.ndarray:
        """The local hour of the week (0..167, from Monday) of every moment."""
        hours, place = np.unique(seconds // HOUR_S, return_inverse=True)
        local = [dt.datetime.fromtimestamp(int(hour) * HOUR_S, self.zone) for hour in hours]
        return np.array([moment.weekday() * 24 + moment.hour for moment in local], np.int64)[place.ravel()]

    def _reach(self, first_s: float, last_s: float) -> None:
        if len(self._edges) and self._edges[0] <= first_s and last_s < self._edges[-1]:
            return
        known = [first_s, last_s, *([self._edges[0], self._edges[-1] - 1] if len(self._edges) else [])]
        first, last = (dt.datetime.fromtimestamp(int(moment), dt.UTC) for moment in (min(known), max(known)))
        edges = bucket_edges(first, last, self.every, self.zone, MOST_EDGES)
        self._edges = np.array([int(edge.timestamp()) for edge in edges], np.int64)
