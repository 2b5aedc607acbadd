"""Gradient x input (Shrikumar et al. 2016, Not just a black box): the first-order part of what a token adds, measured from a vector of zeros."""

import numpy as np

from doxa.explaining.paths import walk
from doxa.explaining.task import Evidence, Task, Tools


def explain_by_gradient_input(tasks: list[Task], tools: Tools) -> list[Evidence]:
    """A unit's score is the sum of embedding x gradient over its tokens; the scores sum to no known number."""
    return [Evidence(task.by_unit(course.slopes[0])) for task, course in zip(tasks, walk(tasks, tools, [np.ones(1)] * len(tasks), from_zero=True))]
