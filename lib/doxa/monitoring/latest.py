"""The latest time of a stream that is not in the future, from which `--last` counts back."""

from dataclasses import replace

import numpy as np

from doxa.monitoring.buckets import start_of_last
from doxa.monitoring.portion import NO_TIME
from doxa.monitoring.settings import Settings
from doxa.monitoring.times import FEW, FUTURE, instant, to_microseconds


class LatestTime:
    """Sees the times of all records. A few in the future are broken clocks and left out; if they are many, ours is the
    wrong clock and they count, as in the trend."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.bound_us = to_microseconds(settings.now + FUTURE)
        self.n_before = self.n_future = 0
        self.last_before_us = self.last_us = NO_TIME

    def add(self, us: np.ndarray) -> None:
        """`us` are microseconds since 1970, NO_TIME where there is none."""
        timed = us[us != NO_TIME]
        before = timed[timed < self.bound_us]
        self.n_before += len(before)
        self.n_future += len(timed) - len(before)
        self.last_before_us = max(self.last_before_us, before.max(initial=NO_TIME))
        self.last_us = max(self.last_us, timed.max(initial=NO_TIME))

    def bound(self) -> Settings:
        """The settings with `since` and `until`: the asked length, its last moment the latest time. Without any time they
        stay open, and no record lies within."""
        last_us = int(self.last_before_us if self.n_future <= FEW * self.n_before else self.last_us)
        if last_us == NO_TIME:
            return self.settings
        until = instant(last_us + 1)
        return replace(self.settings, since=start_of_last(until, self.settings.last, self.settings.zone), until=until)
