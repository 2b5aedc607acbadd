"""Gradients along the way from a baseline to a text, averaged over places on it."""

from dataclasses import dataclass

import numpy as np

from doxa.explaining.task import Task, Tools
from doxa.text.frame import Window


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the way from a baseline (`share` 0) to a window (1), token embedding by token embedding.

    `baseline` holds the ids of the window's baseline; None stands for vectors of zeros."""

    window: Window
    baseline: list[int] | None
    share: float


def integrate(tasks: list[Task], tools: Tools, shares: np.ndarray, from_zero: bool = False) -> list[np.ndarray]:
    """Return for every task (n,): the product of each token's way and the gradient of the task's number, at every place `shares` (0..1)
    of the way, averaged. The windows of a text move along together, since the number is one of their pooled logits. The way starts at the text whose tokens (special ones stay) are the absent token, or at vectors of zeros."""
    from_windows = _slopes_of_pooled(tasks, tools, shares, from_zero)
    points, owners = [], []
    for t, task in enumerate(tasks):
        for w, window in enumerate(task.layout.windows):
            baseline = None if from_zero else baseline_ids(task, w, tools.absent_id)
            points += [Point(window, baseline, float(share)) for share in shares]
            owners += [(t, w, s) for s in range(len(shares))]

    def pull(batch: list[int], logits: np.ndarray) -> np.ndarray:
        pulled = np.empty(logits.shape, dtype=np.float64)
        alone: dict[int, list[int]] = {}
        for row, i in enumerate(batch):
            t, w, s = owners[i]
            if t in from_windows:
                pulled[row] = from_windows[t][s] * tasks[t].layout.shares[w]
            else:
                alone.setdefault(id(tasks[t].target), []).append(row)
        for rows in alone.values():
            pulled[rows] = tasks[owners[batch[rows[0]]][0]].target.slope(logits[rows])
        return pulled

    sums = [np.zeros(len(task.layout.ids)) for task in tasks]
    for batch, products in tools.gradients.slopes(points, pull):
        for i, product in zip(batch, products):
            t, w, _ = owners[i]
            slots = tasks[t].layout.slots[w]
            is_text = slots >= 0
            sums[t][slots[is_text]] += product[is_text]  # no token stands twice in one window
    return [total / len(shares) for total in sums]


def values_at(tasks: list[Task], tools: Tools, share: float) -> np.ndarray:
    """The tasks' numbers (len(tasks),) at one place of their ways from the absent token."""
    pooled = _pooled_at(tasks, tools, np.array([share]), from_zero=False)
    return np.array([task.target.value(logits)[0] for task, logits in zip(tasks, pooled)])


def baseline_ids(task: Task, w: int, absent_id: int) -> list[int]:
    return np.where(task.layout.slots[w] >= 0, absent_id, task.layout.windows[w].ids).tolist()


def _slopes_of_pooled(tasks: list[Task], tools: Tools, shares: np.ndarray, from_zero: bool) -> dict[int, np.ndarray]:
    """For texts in several windows, the slopes (S, C) of their numbers by the pooled logits at every place."""
    several = [t for t, task in enumerate(tasks) if len(task.layout.windows) > 1]
    pooled = _pooled_at([tasks[t] for t in several], tools, shares, from_zero)
    return {t: tasks[t].target.slope(logits) for t, logits in zip(several, pooled)}


def _pooled_at(tasks: list[Task], tools: Tools, shares: np.ndarray, from_zero: bool) -> list[np.ndarray]:
    """The pooled logits (S, C) of every task at every place."""
    points = [Point(window, None if from_zero else baseline_ids(task, w, tools.absent_id), float(share))
              for task in tasks for w, window in enumerate(task.layout.windows) for share in shares]
    logits, start, found = tools.gradients.logits(points), 0, []
    for task in tasks:
        n = len(task.layout.windows) * len(shares)
        by_window = logits[start : start + n].reshape(len(task.layout.windows), len(shares), -1)  # (W * S, C) -> (W, S, C)
        found.append(np.tensordot(task.layout.shares, by_window, axes=1))
        start += n
    return found
