"""Where the model's attention lies. Weak evidence: it shows where the model looks, not what the look is worth (Jain and Wallace 2019)."""

from collections.abc import Callable

import numpy as np

from doxa.explaining.task import Evidence, Task, Tools


def explain_by_raw_attention(tasks: list[Task], tools: Tools) -> list[Evidence]:
    """A unit's score is the share of the first token's attention that it gets in the last layer, the mean of all heads: 0..1, not nats."""
    return _explain(tasks, tools, lambda maps: maps[:, -1, 0])


def explain_by_rollout(tasks: list[Task], tools: Tools) -> list[Evidence]:
    """A unit's score is the share of the first token's final state that comes from it by attention rollout (Abnar and Zuidema 2020): 0..1, not nats."""
    return _explain(tasks, tools, roll_out)


def roll_out(maps: np.ndarray) -> np.ndarray:
    """The first token's row (B, T) of the product of all layers, the last one in front, each 0.5 of attention and 0.5 of the residual; `maps` (B, L, T, T)."""
    flow = np.zeros((len(maps), 1, maps.shape[-1]))
    flow[:, 0, 0] = 1.0
    for layer in range(maps.shape[1] - 1, -1, -1):
        flow = 0.5 * flow @ maps[:, layer] + 0.5 * flow  # (B, 1, T)
    return flow[:, 0]


def _explain(tasks: list[Task], tools: Tools, read: Callable[[np.ndarray], np.ndarray]) -> list[Evidence]:
    owners = [(t, w) for t, task in enumerate(tasks) for w in range(len(task.layout.windows))]
    sums = [np.zeros(len(task.layout.ids)) for task in tasks]
    for batch, rows in tools.attention.read([tasks[t].layout.windows[w] for t, w in owners], read):
        for i, row in zip(batch, rows):
            t, w = owners[i]
            slots = tasks[t].layout.slots[w]
            sums[t][slots[slots >= 0]] += tasks[t].layout.shares[w] * row[slots >= 0]
    return [Evidence(task.by_unit(by_token)) for task, by_token in zip(tasks, sums)]
