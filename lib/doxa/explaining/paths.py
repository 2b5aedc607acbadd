"""Gradients at places on the way from a baseline to a text."""

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


@dataclass(frozen=True)
class Course:
    """What is seen at places `shares` (S,), in order, along the way of a task: its number (S,), and of each of its n tokens how fast it moves the number
    there, the product of the token's way and the gradient (S, n)."""

    shares: np.ndarray
    values: np.ndarray
    slopes: np.ndarray

    def joined(self, other: "Course") -> "Course":
        """Both, of the same way."""
        order = np.argsort(np.concatenate([self.shares, other.shares]), kind="stable")
        return Course(*(np.concatenate([getattr(self, name), getattr(other, name)])[order] for name in ("shares", "values", "slopes")))


def walk(tasks: list[Task], tools: Tools, places: list[np.ndarray], from_zero: bool = False) -> list[Course]:
    """See every task at its places (0..1). The windows of a text move along together, since its number is one of their pooled logits. The way starts at
    the text whose tokens (special ones stay) are the absent token, or at vectors of zeros."""
    pooled = _see_several(tasks, tools, places, from_zero)
    points, owners = [], []
    for t, task in enumerate(tasks):
        for w, window in enumerate(task.layout.windows):
            baseline = None if from_zero else baseline_ids(task, w, tools.absent_id)
            points += [Point(window, baseline, float(share)) for share in places[t]]
            owners += [(t, w, s) for s in range(len(places[t]))]
    values = [np.empty(len(shares)) for shares in places]
    slopes = [np.zeros((len(shares), len(task.layout.ids))) for task, shares in zip(tasks, places)]

    def pull(batch: list[int], logits: np.ndarray) -> np.ndarray:
        own, pulled = logits.astype(np.float64), np.empty(logits.shape, dtype=np.float64)
        rows_of: dict[int, list[int]] = {}
        for row, (t, _, s) in enumerate(owners[i] for i in batch):
            if t in pooled:
                own[row] = pooled[t][s]
            rows_of.setdefault(id(tasks[t].target), []).append(row)  # tasks of one label share it
        for rows in rows_of.values():
            target = tasks[owners[batch[rows[0]]][0]].target
            pulled[rows] = target.slope(own[rows])
            for row, value in zip(rows, target.value(own[rows])):
                t, w, s = owners[batch[row]]
                values[t][s] = value
                pulled[row] *= tasks[t].layout.shares[w]
        return pulled

    for batch, products in tools.gradients.slopes(points, pull):
        for i, product in zip(batch, products):
            t, w, s = owners[i]
            slots = tasks[t].layout.slots[w]
            is_text = slots >= 0
            slopes[t][s, slots[is_text]] += product[is_text]  # no token stands twice in one window
    return [Course(*own) for own in zip(places, values, slopes)]


def values_at(tasks: list[Task], tools: Tools, share: float) -> np.ndarray:
    """The tasks' numbers (len(tasks),) at one place of their ways from the absent token."""
    pooled = _pooled_at(tasks, tools, [np.array([share])] * len(tasks), from_zero=False)
    return np.array([task.target.value(logits)[0] for task, logits in zip(tasks, pooled)])


def baseline_ids(task: Task, w: int, absent_id: int) -> list[int]:
    return np.where(task.layout.slots[w] >= 0, absent_id, task.layout.windows[w].ids).tolist()


def _see_several(tasks: list[Task], tools: Tools, places: list[np.ndarray], from_zero: bool) -> dict[int, np.ndarray]:
    """For texts in several windows, the pooled logits (S, C) at every place."""
    several = [t for t, task in enumerate(tasks) if len(task.layout.windows) > 1]
    return dict(zip(several, _pooled_at([tasks[t] for t in several], tools, [places[t] for t in several], from_zero)))


def _pooled_at(tasks: list[Task], tools: Tools, places: list[np.ndarray], from_zero: bool) -> list[np.ndarray]:
    """The pooled logits (S, C) of every task at its places."""
    points = [Point(window, None if from_zero else baseline_ids(task, w, tools.absent_id), float(share))
              for task, shares in zip(tasks, places) for w, window in enumerate(task.layout.windows) for share in shares]
    logits, start, found = tools.gradients.logits(points), 0, []
    for task, shares in zip(tasks, places):
        n = len(task.layout.windows) * len(shares)
        by_window = logits[start : start + n].reshape(len(task.layout.windows), len(shares), -1)  # (W * S, C) -> (W, S, C)
        found.append(np.tensordot(task.layout.shares, by_window, axes=1))
        start += n
    return found
