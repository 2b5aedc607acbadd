"""Integrated gradients (Sundararajan, Taly and Yan 2017, Axiomatic attribution for deep networks) over the token embeddings."""

import numpy as np

from doxa.explaining.paths import integrate, values_at
from doxa.explaining.task import Evidence, Task, Tools

MOST_DELTA = 0.02  # of the absolute sum of the tokens' scores
LEAST_DELTA = 0.02  # nats: below this a difference is no more than rounding in bf16
MOST_STEPS = 512


def explain_by_integrated_gradients(tasks: list[Task], tools: Tools) -> list[Evidence]:
    """A unit's score is its part of f(text) - f(baseline); `delta` is what their sum misses of it, in nats.

    The midpoint rule, `steps` of them; three times as many, as often as it takes, for a text whose |delta| is above 2 % of what its tokens' scores
    come to without their signs and above 0.02 nats, up to 512. The middles of thirds hold those of the whole, so no step is taken twice.

    A classifier often changes its mind within a small part of the way: nodes that are evenly spread see that, where as many of Gauss and Legendre,
    dense at both ends, miss more."""
    found: list[Evidence | None] = [None] * len(tasks)
    differences = values_at(tasks, tools, 1.0) - values_at(tasks, tools, 0.0)
    left, steps = list(range(len(tasks))), tools.steps
    sums = integrate(tasks, tools, _middles(steps))
    while left:
        again = []
        for i in left:
            delta = sums[i].sum() - differences[i]
            if abs(delta) > max(LEAST_DELTA, MOST_DELTA * np.abs(sums[i]).sum()) and steps * 3 <= MOST_STEPS:
                again.append(i)
            else:
                found[i] = Evidence(tasks[i].by_unit(sums[i]), about={"steps": steps, "delta": float(delta)})
        left, steps = again, steps * 3
        if left:
            new = np.delete(_middles(steps), np.arange(1, steps, 3))  # a third of them is there
            for i, by_token in zip(left, integrate([tasks[i] for i in left], tools, new)):
                sums[i] = (sums[i] + 2 * by_token) / 3
    return found


def _middles(steps: int) -> np.ndarray:
    return (np.arange(steps) + 0.5) / steps
