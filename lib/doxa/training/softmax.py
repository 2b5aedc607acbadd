"""What a head learns that chooses by softmax: among labels for each token, among the tokens of a window, or among windows."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from doxa.inference.torch_engine import collate, takes_token_types
from doxa.model.kinds.kind import Lesson, Stock
from doxa.model.kinds.tokenwise import IGNORED
from doxa.model.network import forward
from doxa.training.tasks import OfLessons

LABELS, TOKENS, WINDOWS = "labels", "tokens", "windows"


@dataclass
class SoftmaxTask(OfLessons):
    """`over` says what is chosen among. A lesson's target is for LABELS an id for every token (T,), for TOKENS a position for every output (C,),
    for WINDOWS the place of the right window; IGNORED where there is none."""

    lessons: list[Lesson]
    stock: Stock
    over: str
    pad_id: int
    mixed: torch.dtype | None = None
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    adds_up = True

    def batch(self, model: PreTrainedModel, part: np.ndarray) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
        lessons, device = [self.lessons[i] for i in part], model.device
        inputs = collate([window for lesson in lessons for window in lesson.windows], self.pad_id, device, takes_token_types(model))
        mask = inputs["attention_mask"]
        gold = self._gold(lessons, mask.shape[1]).to(device)

        def compute() -> torch.Tensor:
            with torch.autocast(device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
                outputs = forward(model, self.stock, inputs)
            return softmax_loss(*self._choices(outputs.float(), mask, lessons), gold, self.label_smoothing, self.focal_gamma)

        return mask, compute

    def shortcut(self, model: PreTrainedModel) -> AbstractContextManager[None]:
        return nullcontext()

    def _gold(self, lessons: list[Lesson], length: int) -> torch.Tensor:
        """What is right for every choice (M,)."""
        if self.over != LABELS:
            return torch.tensor(np.array([lesson.target for lesson in lessons]).ravel())
        gold = torch.full((len(lessons), length), IGNORED)
        for row, lesson in enumerate(lessons):
            gold[row, : len(lesson.target)] = torch.from_numpy(np.asarray(lesson.target))
        return gold.flatten()

    def _choices(self, outputs: torch.Tensor, mask: torch.Tensor, lessons: list[Lesson]) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits (M, K) of every choice, and which of the K are there."""
        if self.over == LABELS:
            logits = outputs.flatten(0, 1)  # (B, T, C) -> (B T, C)
            return logits, torch.ones_like(logits, dtype=torch.bool)
        if self.over == TOKENS:
            logits = outputs.transpose(1, 2)  # (B, T, C) -> (B, C, T)
            return logits.flatten(0, 1), mask.bool()[:, None].expand_as(logits).flatten(0, 1)
        sizes = [len(lesson.windows) for lesson in lessons]
        rows = pad_sequence(list(outputs[:, 0].split(sizes)), batch_first=True)  # (sum of K, 1) -> (B, K)
        return rows, torch.arange(rows.shape[1], device=rows.device)[None] < torch.tensor(sizes, device=rows.device)[:, None]


def choices_of(outputs: list[np.ndarray], target: Any, over: str) -> tuple[np.ndarray, np.ndarray]:
    """The logits (M, K) of the choices of one lesson by the outputs of its windows, and what is right (M,); those that count alone."""
    gold = np.asarray(target).reshape(-1)
    logits = outputs[0] if over == LABELS else outputs[0].T if over == TOKENS else np.array(outputs).reshape(1, -1)
    return logits[gold != IGNORED], gold[gold != IGNORED]


def gather_choices(found: list[tuple[np.ndarray, np.ndarray]], most: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Choices one below the other, at most so many: logits (M, K), -inf where one has fewer to choose from, and gold (M,)."""
    width = max(logits.shape[1] for logits, _ in found)
    rows = [np.pad(logits, ((0, 0), (0, width - logits.shape[1])), constant_values=-np.inf) for logits, _ in found]
    logits, gold = np.concatenate(rows), np.concatenate([gold for _, gold in found])
    kept = np.random.default_rng(0).permutation(len(gold))[:most]
    return logits[kept].astype(np.float64), gold[kept]


def softmax_loss(logits: torch.Tensor, is_there: torch.Tensor, gold: torch.Tensor, smoothing: float = 0.0, gamma: float = 0.0) -> torch.Tensor:
    """Mean cross-entropy (a scalar) of choices whose gold (M,) is not IGNORED, among those of the K that are there (M, K).

    `smoothing` gives every choice that is there its share of the target (Szegedy et al. 2016), `gamma` takes weight off choices that are
    answered well (Lin et al. 2017)."""
    kept = gold != IGNORED
    if not bool(kept.any()):
        return logits.sum() * 0.0
    logits, is_there, gold = logits[kept], is_there[kept], gold[kept]
    scores = F.log_softmax(logits.masked_fill(~is_there, torch.finfo(logits.dtype).min), dim=1)
    right = scores.gather(1, gold[:, None])[:, 0]
    losses = -right
    if smoothing:
        everywhere = -scores.masked_fill(~is_there, 0.0).sum(dim=1) / is_there.sum(dim=1)
        losses = (1 - smoothing) * losses + smoothing * everywhere
    return (losses * (1 - right.exp()) ** gamma if gamma else losses).mean()
