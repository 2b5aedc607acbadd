"""Integrated gradients (Sundararajan, Taly and Yan 2017, Axiomatic attribution for deep networks) over the token embeddings."""

import numpy as np

from doxa.explaining.paths import integrate, values_at
from doxa.explaining.task import Evidence, Task, Tools

MOST_DELTA = 0.05  # of the difference that the scores are to sum to
LEAST_DELTA = 0.02  # nats: below this a difference is no more than rounding in bf16
MOST_STEPS = 512


def explain_by_integrated_gradients(tasks: list[Task], tools: Tools) -> list[Evidence]:
    """A unit's score is its part of f(text) - f(baseline); `delta` is what their sum misses of it, in nats.

    The midpoint rule, `steps` of them; twice as many, as often as it takes, for a text whose |delta| is above 5 % of the
    difference and above 0.02 nats, up to 512. A classifier often changes its mind within a small part of the way: nodes that
    are evenly spread see that, where as many of Gauss and Legendre, dense at both ends, miss more (20 texts of a sharp model, beside
    512 steps: 0.2 against 1.5 % of the absolute sum at the 90th percentile with 32, 8 against 34 % with 16)."""
    found: list[Evidence | None] = [None] * len(tasks)
    differences = values_at(tasks, tools, 1.0) - values_at(tasks, tools, 0.0)
    left, steps = list(range(len(tasks))), tools.steps
    while left:
        sums = integrate([tasks[i] for i in left], tools, (np.arange(steps) + 0.5) / steps)
        is_last = steps * 2 > MOST_STEPS
        again = []
        for i, by_token in zip(left, sums):
            delta = by_token.sum() - differences[i]
            if abs(delta) > max(LEAST_DELTA, MOST_DELTA * abs(differences[i])) and not is_last:
                again.append(i)
            else:
                found[i] = Evidence(tasks[i].by_unit(by_token), about={"steps": steps, "delta": float(delta)})
        left, steps = again, steps * 2
    return found
