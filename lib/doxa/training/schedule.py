"""Order of the batches and the learning rate over the steps."""

import math

import numpy as np

SCHEDULES = ("linear", "cosine", "constant_with_warmup", "constant")
BATCHES_PER_GROUP = 50


def grouped_batches(lengths: list[int], batch_size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Shuffle, sort by length within groups of 50 batches, cut into batches, shuffle those.

    The way of Hugging Face's `group_by_length`: batches of like length, yet random. Returns arrays of positions."""
    order = generator.permutation(len(lengths))
    sizes = np.asarray(lengths)
    group = batch_size * BATCHES_PER_GROUP
    batches = []
    for start in range(0, len(order), group):
        part = order[start : start + group]
        part = part[np.argsort(-sizes[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    generator.shuffle(batches)
    return batches


def rate_factor(step: int, n_steps: int, n_warmup: int, schedule: str) -> float:
    """The factor (0..1) on the learning rate at a step (from 0), as the Hugging Face schedule of that name has it."""
    if schedule != "constant" and step < n_warmup:
        return step / max(1, n_warmup)
    if schedule.startswith("constant"):
        return 1.0
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return max(0.0, 1.0 - progress)
