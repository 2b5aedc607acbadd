"""What is watched for, and how."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from doxa.monitoring.alerts.drift import ALLOWANCE
from doxa.monitoring.alerts.promise import Promise
from doxa.monitoring.buckets import DAY_S, Every

MEASURES = ("volume", "share")  # how many texts there are; how many of them hold the watched label
VOLUME, SHARE = 0, 1


@dataclass(frozen=True)
class AlertSettings:
    """`baseline_s`: how far back the usual is learnt from. `lateness_s`: how long after its end a bucket may still grow. `cooldown`: usual
    buckets in a row that end an episode. `silent_s`: for how long nothing came of a series that is told to be silent, 0 for none. `remember_s`: how long a record is known again. `sampled`: how many records of a bucket of a series are
    kept, for `sampled_buckets`, to tell causes and examples from."""

    every: Every = Every(1, "h")
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    promise: Promise = Promise(1.0, "week")
    baseline_s: int = 56 * DAY_S
    lateness_s: int = 0
    remember_s: int = 7 * DAY_S
    cooldown: int = 3
    silent_s: int = 0
    sampled: int = 40
    sampled_buckets: int = 72

    @property
    def bucket_s(self) -> float:
        """The usual length of a bucket."""
        return self.every.usual_s

    @property
    def n_day(self) -> int:
        """Buckets of a day, at least 1."""
        return max(1, round(DAY_S / self.bucket_s))

    @property
    def paces(self) -> tuple[float, ...]:
        """What a bucket's score is lessened by before it is added up (see `drift`), from quick to slow: a shift is looked for that shows within some buckets, and
        where these are parts of a day, one that shows within some days."""
        return (ALLOWANCE,) if self.n_day == 1 else (ALLOWANCE, ALLOWANCE / self.n_day**0.5)

    @property
    def n_baseline(self) -> int:
        """Buckets that the usual is learnt from: enough, too, where an episode takes some out."""
        return max(2 * LEAST_BUCKETS, round(self.baseline_s / self.bucket_s))


LEAST_BUCKETS = 14  # before these, a series tells too little of its scatter
LEAST_SPAN_S = 2 * DAY_S  # and the day its cycle
LEAST_SLOW_S = LEAST_BUCKETS * DAY_S  # and whoever looks for small shifts, the level
LEAST_RECORDS = 30  # before these, nothing is said of a share


def tell_wait(every: Every | str) -> str:
    """Why nothing is judged yet."""
    return f"what is usual per {every} is known after {LEAST_BUCKETS} of them and two days at least"
