"""The promise of `--false-alarms`, and how it is shared out.

What is promised is the expected number of false alarms in a span of time, for all series, measures, detectors and looks together. It is
shared out as chances of which no more are spent than that number (the per-family error rate: Spjotvoll 1972), which holds however the
tests depend on each other, and however many series there are. A false-discovery rate would not: it promises a share of the alarms,
which is met by many alarms where much happens, and says nothing of how often nothing is reported as something."""

import re
from dataclasses import dataclass

from doxa.errors import UsageError

SPANS_S = {"hour": 3600, "day": 86_400, "week": 7 * 86_400, "month": 30.4375 * 86_400, "quarter": 91.3125 * 86_400, "year": 365.25 * 86_400}
LEAST_GAIN = 0.05  # of a bucket's time, before it is looked at again


@dataclass(frozen=True)
class Promise:
    """At most `n` false alarms per `span` on average."""

    n: float
    span: str

    def __str__(self) -> str:
        return f"{self.n:g}/{self.span}"

    def in_seconds(self, seconds: float) -> float:
        """How many false alarms a stretch of time may bring."""
        return self.n * seconds / SPANS_S[self.span]


def parse_promise(text: str) -> Promise:
    """Parse `1/week`, `2/month`, `0.5/day`. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/| per )(\w+?)", text.strip())
    if not match or match[2] not in SPANS_S or not float(match[1]) > 0:
        raise UsageError(f"--false-alarms {text}: give a number and a span, such as 1/week (spans: {', '.join(SPANS_S)})")
    return Promise(float(match[1]), match[2])


def newly_spent(elapsed: float, spent: float) -> float:
    """The share of a bucket's chances that a look may spend, when `elapsed` of its time is over and `spent` was spent by earlier looks.

    Looks spend by the time they gain (alpha spending, Lan and DeMets 1983, summed by Bonferroni's inequality), so that ten looks at a
    bucket cost no more than one. 0 where too little was gained to look at all."""
    gain = min(elapsed, 1.0) - spent
    return gain if gain >= LEAST_GAIN or elapsed >= 1.0 else 0.0
