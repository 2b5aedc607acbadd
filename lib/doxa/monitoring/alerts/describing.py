"""The line of a surprise."""

import math

import numpy as np

from doxa.monitoring.alerts.causes import find_causes, find_examples
from doxa.monitoring.alerts.covering import Surprise
from doxa.monitoring.alerts.detect import Verdict
from doxa.monitoring.alerts.settings import MEASURES, SHARE, VOLUME
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.alerts.stretch import Stretch
from doxa.monitoring.alerts.subject import Subject
from doxa.monitoring.alerts.tails import count_interval, share_interval
from doxa.monitoring.alerts.told import Told


def describe(store: Store, subject: Subject, until_s: float, stretch: Stretch, one: Surprise, verdict: Verdict, detector: str, p: float,
             covered: list[Surprise]) -> Told:
    """What a stretch holds of a series and measure, beside what is usual, of which it has the chance `p`; what moved; examples. `until_s` is the time of the last record."""
    series, measure = one
    counted, scatter = stretch.counted(series, measure), np.array(float(verdict.scatter[one]) / len(stretch.mean))
    hits, n, observed, expected = (counted.get(name) for name in ("hits", "n", "observed", "expected"))
    low, high = count_interval(np.array(expected), scatter) if measure == VOLUME else share_interval(np.array(n), np.array(expected), scatter)
    edges, gain = stretch.history.edges, verdict.gain if detector == "spike" else 1.0
    first_s, last_s, end_s = float(edges[stretch.first]), float(edges[stretch.last]), float(edges[stretch.last + 1])
    causes = find_causes(store, stretch, subject.names, series, measure)
    return Told(
        subject.line_id(series, measure, first_s), "alert", subject.names[series], MEASURES[measure], detector, subject.iso(first_s),
        subject.iso(min(math.floor(until_s) + 1, end_s)), hits, n, observed, expected, low=float(low), high=float(high), p=p,
        recurrence_s=(end_s - last_s) * gain / (max(p, 1e-300) * verdict.n_tests), by=subject.by, watch=subject.watched(measure), causes=causes,
        examples=find_examples(store, series, first_s, last_s, measure == SHARE, causes), covers=subject.parts(covered))
