"""Integrated gradients (Sundararajan, Taly and Yan 2017, Axiomatic attribution for deep networks) over the token embeddings."""

import numpy as np
from scipy.interpolate import CubicSpline

from doxa.explaining.paths import Course, values_at, walk
from doxa.explaining.task import Evidence, Task, Tools

MOST_DELTA = 0.02  # of the absolute sum of the tokens' scores
LEAST_DELTA = 0.02  # nats: below this a difference is no more than rounding in bf16
MOST_STEPS = 512
NARROWEST = 1 / 1024  # of the way: what does not add up over less is rounding


def explain_by_integrated_gradients(tasks: list[Task], tools: Tools) -> list[Evidence]:
    """A unit's score is its part of f(text) - f(baseline); that is `difference`, and `delta` what their sum has more, in nats.

    The gradients are seen at `steps` places, evenly spread, and integrated by a cubic spline through them. What f gains between two places is known
    as well: where the spline gains something else, there is a place too few, and one is added halfway, until |delta| is no more than 2 % of what the
    tokens' scores come to without their signs, or 0.02 nats, and what is amiss between places no more than twice that, signs apart.

    A classifier often changes its mind within a small part of the way: places that are evenly spread see where, and those that are added go there."""
    ways = [_Way(*own, tools) for own in zip(tasks, values_at(tasks, tools, 0.0), values_at(tasks, tools, 1.0))]
    left = ways
    while left:
        for way, course in zip(left, walk([way.task for way in left], tools, [way.wanted for way in left])):
            way.add(course)
        left = [way for way in left if len(way.wanted)]
    return [Evidence(way.task.by_unit(way.scores), about={"steps": len(way.course.shares), "difference": way.difference, "delta": way.delta}) for way in ways]


class _Way:
    """What is seen along the way of one task, and `wanted` (.., 0..1), where to look next, nowhere once it adds up."""

    def __init__(self, task: Task, first: float, last: float, tools: Tools):
        self.task, self._first, self._last = task, first, last
        self.difference = float(last - first)
        self._rounding = LEAST_DELTA if tools.gradients.mixed is not None else 0.0
        self.wanted = (np.arange(tools.steps) + 0.5) / tools.steps
        self.course: Course | None = None

    def add(self, course: Course) -> None:
        self.course = course if self.course is None else self.course.joined(course)
        edges = np.concatenate([[0.0], self.course.shares, [1.0]])
        values = np.concatenate([[self._first], self.course.values, [self._last]])
        gained = _gains(edges, self.course.slopes)
        self.scores = gained.sum(axis=0)
        missed = gained.sum(axis=1) - np.diff(values)
        self.delta = float(missed.sum())
        self.wanted = self._places(edges, missed, max(LEAST_DELTA, MOST_DELTA * np.abs(self.scores).sum()))

    def _places(self, edges: np.ndarray, missed: np.ndarray, most: float) -> np.ndarray:
        """The middles of the stretches that miss most, so many that the others together miss half of what may be missed."""
        amiss = np.abs(missed)
        if abs(self.delta) <= most and amiss[amiss > self._rounding].sum() <= 2 * most:
            return np.empty(0)
        order = np.argsort(-amiss, kind="stable")
        left_over = np.cumsum(amiss[order][::-1])[::-1]  # what a stretch and all after it miss
        is_chosen = (left_over > most / 2) & (np.diff(edges)[order] > NARROWEST)
        chosen = np.sort(order[is_chosen][: max(0, MOST_STEPS - len(self.course.shares))])
        return (edges[chosen] + edges[chosen + 1]) / 2


def _gains(edges: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """What each stretch between edges (S + 2) adds to each of n tokens, (S + 1, n), by slopes (S, n) at the S edges within; both ends are extrapolated."""
    if len(slopes) == 1:
        return np.diff(edges)[:, None] * slopes
    return np.diff(CubicSpline(edges[1:-1], slopes).antiderivative()(edges), axis=0)
