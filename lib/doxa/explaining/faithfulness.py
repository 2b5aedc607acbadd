"""Whether an explanation holds: what the model makes of a text without its best units, and of them alone (DeYoung et al. 2020, ERASER)."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from doxa.explaining.task import Evidence, Sought, Tools

SHARES = (0.01, 0.05, 0.10, 0.20, 0.50)
N_RANDOM = 5


def measure_faithfulness(tasks: list[Sought], evidence: list[Evidence], tools: Tools) -> list[dict[str, float] | None]:
    """Comprehensiveness, score(text) - score(text without the top units), and sufficiency, score(text) - score(top units alone), each
    the mean over the top 1, 5, 10, 20 and 50 % of the units, at least one; and the same of 5 random orders, seeded by the text.

    A high comprehensiveness and a low sufficiency, next to the random ones, speak for the explanation. Units are taken out, not
    replaced: the judge's notion of absence is none of the methods' own. Of a claim, whose tokens must keep their places, they are hidden by another
    token than the method's, and the score is the claim's number. Of a head that is a number the units with the largest |score| are on
    top, and absolute differences of the number are taken. None for a text of which the model reads no unit."""
    orders = [_orders(task, found, tools) for task, found in zip(tasks, evidence)]
    scores: dict[tuple[int, int, int, bool], float] = {}
    wholes: dict[int, float] = {}
    for (t, *rest), score in tools.numbers(_altered(tasks, orders, tools), lambda task, *found: task.standing(*found)):
        if rest:
            scores[t, *rest] = score
        else:
            wholes[t] = score
    return [_conclude(task, t, order, scores, wholes) for t, (task, order) in enumerate(zip(tasks, orders))]


def _orders(task: Sought, evidence: Evidence, tools: Tools) -> list[np.ndarray]:
    """The units that the model reads, the best first; then in random orders."""
    units = task.read_units()
    scores = evidence.scores[units]
    random = tools.random(task.layout)
    best = np.argsort(-(scores if task.has_sides else np.abs(scores)), kind="stable")
    return [units[best], *(random.permutation(units) for _ in range(N_RANDOM))] if len(units) else []


def _tops(n_units: int) -> Counter:
    """How many units are on top -> at how many of the SHARES."""
    return Counter(max(1, round(share * n_units)) for share in SHARES)


def _altered(tasks: list[Sought], orders: list[list[np.ndarray]], tools: Tools) -> Iterator:
    for t, (task, own) in enumerate(zip(tasks, orders)):
        yield (t,), task, list(task.layout.windows)
        for o, order in enumerate(own):
            for n_top in _tops(len(order)):
                yield (t, o, n_top, True), task, task.without(task.marks(order[:n_top]), tools)
                yield (t, o, n_top, False), task, task.without(task.marks(order[n_top:]), tools)


def _conclude(task: Sought, t: int, orders: list[np.ndarray], scores: dict, wholes: dict) -> dict[str, float] | None:
    if not orders:
        return None
    tops = _tops(len(orders[0]))
    size = (lambda drop: drop) if task.has_sides else abs
    drops = np.array([[sum(times * size(wholes[t] - scores[t, o, n_top, is_out]) for n_top, times in tops.items()) / len(SHARES)
                       for is_out in (True, False)] for o in range(len(orders))])  # (1 + N_RANDOM, 2)
    random = drops[1:].mean(axis=0)
    return {"comprehensiveness": drops[0, 0], "sufficiency": drops[0, 1], "random_comprehensiveness": random[0], "random_sufficiency": random[1]}
