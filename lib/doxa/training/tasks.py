"""What a loop learns: examples, and the loss of a batch of them."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.inference.torch_engine import collate, takes_token_types
from doxa.model.first_token import first_token_only
from doxa.model.kinds.kind import Lesson
from doxa.text.frame import Window
from doxa.training.loss import Objective


class Task(Protocol):
    """`lengths` counts the tokens of every example, `places` names them. `adds_up` where the mean loss of a batch is that of its parts'.
    `token_ids` are all that a batch can hold, in order; None where that is not known."""

    lengths: list[int]
    places: list[str]
    adds_up: bool

    def batch(self, model: PreTrainedModel, part: np.ndarray) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
        """The mask (B, T) of some examples' tokens, and what computes their mean loss, anew at every call."""
        ...

    def shortcut(self, model: PreTrainedModel) -> AbstractContextManager[None]:
        """Where the model leaves out, while it trains, what the loss does not depend on."""
        ...

    @property
    def token_ids(self) -> np.ndarray | None: ...


def ids_within(windows: Iterable[Window], pad_id: int) -> np.ndarray:
    """The token ids of windows and of what pads them."""
    return np.unique(np.concatenate([[pad_id], *(window.ids for window in windows)]).astype(np.int64))


class OfLessons:
    """What tasks have in common that are made of lessons."""

    lessons: list[Lesson]
    pad_id: int

    @cached_property
    def lengths(self) -> list[int]:
        return [sum(len(window.ids) for window in lesson.windows) for lesson in self.lessons]

    @cached_property
    def places(self) -> list[str]:
        return [lesson.place for lesson in self.lessons]

    @property
    def token_ids(self) -> np.ndarray:
        return ids_within((window for lesson in self.lessons for window in lesson.windows), self.pad_id)


@dataclass
class Classification:
    """Heads over texts: one window and one target per head (see `Objective`) for every example.

    `soft` is what teachers say of every example, (n, C) in the heads' order; None without teachers."""

    objective: Objective
    windows: list[Window]
    targets: list[torch.Tensor]
    places: list[str]
    pad_id: int
    mixed: torch.dtype | None = None
    soft: torch.Tensor | None = None
    lengths: list[int] = field(init=False)
    adds_up = True

    def __post_init__(self) -> None:
        self.lengths = [len(window.ids) for window in self.windows]

    def batch(self, model: PreTrainedModel, part: np.ndarray) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
        device = model.device
        inputs = collate([self.windows[i] for i in part], self.pad_id, device, takes_token_types(model))
        targets = [target[part].to(device) for target in self.targets]
        soft = None if self.soft is None else self.soft[part].to(device)

        def compute() -> torch.Tensor:
            with torch.autocast(device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
                logits = model(**inputs).logits
            return self.objective(logits.float(), targets, soft)

        return inputs["attention_mask"], compute

    def shortcut(self, model: PreTrainedModel) -> AbstractContextManager[None]:
        return first_token_only(model)

    @property
    def token_ids(self) -> np.ndarray:
        return ids_within(self.windows, self.pad_id)
