"""Occlusion (Zeiler and Fergus 2014; Li, Monroe and Jurafsky 2016 for text): what is lost when one unit is hidden."""

from collections.abc import Iterator

import numpy as np

from doxa.explaining.task import Evidence, Sought, Tools


def explain_by_occlusion(tasks: list[Sought], tools: Tools) -> list[Evidence]:
    """A unit's score is f(text) - f(text with the unit's tokens replaced by the absent token). Needs no gradients: any engine will do.

    Of a text in many windows those that do not hold the unit are remembered."""
    wholes: dict[int, float] = {}
    lost = [np.zeros(len(task.units)) for task in tasks]
    for (t, *unit), number in tools.numbers(_hidden(tasks, tools)):
        if unit:
            lost[t][unit] = wholes[t] - number
        else:
            wholes[t] = number
    return [Evidence(scores) for scores in lost]


def _hidden(tasks: list[Sought], tools: Tools) -> Iterator:
    """Every task as it is, and once for each unit that the model reads, that unit hidden."""
    for t, task in enumerate(tasks):
        yield (t,), task, list(task.layout.windows)
        for unit in task.read_units().tolist():
            yield (t, unit), task, task.layout.replaced(task.marks([unit]), tools.absent_id)
