"""Order of the batches and the learning rate over the steps."""

from collections.abc import Callable

import numpy as np
import torch
from transformers import get_scheduler

# Those of transformers that need nothing but the numbers of steps.
SCHEDULES = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt")
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


def learning_rates(name: str, highest: float, n_steps: int, n_warmup: int) -> Callable[[int], float]:
    """The learning rate at a step (from 0) by the Hugging Face schedule of that name."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=highest)
    (factor,) = get_scheduler(name, optimizer, num_warmup_steps=n_warmup, num_training_steps=n_steps).lr_lambdas
    return lambda step: highest * factor(step)
