"""Occlusion (Zeiler and Fergus 2014; Li, Monroe and Jurafsky 2016 for text): what is lost when one unit is hidden."""

import numpy as np

from doxa.explaining.task import Evidence, Task, Tools


def explain_by_occlusion(tasks: list[Task], tools: Tools) -> list[Evidence]:
    """A unit's score is f(text) - f(text with the unit's tokens replaced by the absent token). Needs no gradients: any engine will do.

    Of a text in many windows only those that hold the unit are computed again."""
    whole = [np.array([row for _, row in tools.pooled((w, [window]) for w, window in enumerate(task.layout.windows))]) for task in tasks]
    moved = [np.zeros((len(task.units), logits.shape[1])) for task, logits in zip(tasks, whole)]
    for (t, unit, w), row in tools.pooled(_hidden(tasks, tools)):
        moved[t][unit] += tasks[t].layout.shares[w] * (row - whole[t][w])
    found = []
    for task, logits, change in zip(tasks, whole, moved):
        pooled = task.layout.shares @ logits  # (W, C) -> (C,)
        found.append(Evidence(task.target.value(pooled[None]) - task.target.value(pooled + change)))
    return found


def _hidden(tasks: list[Task], tools: Tools):
    """Every window of every task once for each unit in it, that unit hidden."""
    for t, task in enumerate(tasks):
        for unit in range(len(task.units)):
            marks = task.marks([unit])
            for w, slots in enumerate(task.layout.slots):
                if marks[slots[slots >= 0]].any():
                    yield (t, unit, w), [task.layout.replaced_in(w, marks, tools.absent_id)]
