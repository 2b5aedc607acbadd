"""What makes vectors of alike texts near each other: losses of a batch of pairs, and the task that a loop learns by them."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.inference.torch_engine import collate, takes_token_types
from doxa.model.kinds.kind import Lesson, Stock
from doxa.model.network import forward
from doxa.training.tasks import OfLessons

SCALE = 20.0  # of cosines: 1 / temperature


def in_batch_loss(first: torch.Tensor, second: torch.Tensor, is_alike: torch.Tensor, is_known: torch.Tensor) -> torch.Tensor:
    """Find the other text of each alike pair among all texts of the batch, from either side: the mean cross-entropy (a scalar) of cosines times SCALE (InfoNCE, van
    den Oord et al. 2018; in-batch negatives, Henderson et al. 2017).

    `first` and `second` (B, D) are of length 1; `is_alike` (B,) says which pairs are; `is_known` (2, B, B) which candidates are no negatives, for first texts among
    second ones, and for second among first. A pair that is not alike (a hard negative) adds both its texts to the candidates, and its own cosine besides: it has
    to be less than those of the alike pairs."""
    if not bool(is_alike.any()):
        return (first.sum() + second.sum()) * 0.0
    scores = SCALE * first @ second.T  # (B, B)
    own = scores.diagonal()
    unlike = own[~is_alike][None].expand(len(own), -1)  # (B, hard negatives)
    is_own = torch.eye(len(own), dtype=torch.bool, device=own.device)
    candidates = torch.stack([scores, scores.T]).masked_fill(is_known & ~is_own, -torch.inf)
    losses = [torch.cat([side, unlike], dim=1).logsumexp(dim=1) - own for side in candidates]
    return torch.stack(losses)[:, is_alike].mean()


def order_loss(first: torch.Tensor, second: torch.Tensor, gold: torch.Tensor) -> torch.Tensor:
    """Of any two pairs the one that is more alike shall have the greater cosine: log(1 + sum of exp(SCALE (less - more))), a scalar (CoSENT, Su 2022).

    Only the order of `gold` (B,) counts, so its scale does not matter."""
    cosines = SCALE * (first * second).sum(dim=1)
    differences = cosines[:, None] - cosines[None]  # (less alike, more alike)
    wrong = differences[gold[:, None] < gold[None]]
    return torch.cat([wrong, wrong.new_zeros(1)]).logsumexp(dim=0)


@dataclass
class ContrastiveTask(OfLessons):
    """Pairs: lessons of two windows each. A target is how alike they are, None where nothing is said: alike. `is_graded` where targets are more than 0 and 1."""

    lessons: list[Lesson]
    stock: Stock
    is_graded: bool
    pad_id: int
    mixed: torch.dtype | None = None
    adds_up = False  # every pair is told from all others of its batch

    def __post_init__(self) -> None:
        numbers: dict[tuple[int, ...], int] = {}
        self._texts = np.array([[numbers.setdefault(tuple(window.ids), len(numbers)) for window in lesson.windows] for lesson in self.lessons]).reshape(-1, 2)
        self._partners: dict[int, set[int]] = defaultdict(set)  # texts that are known to be alike, from either side
        for (one, other), lesson in zip(self._texts.tolist(), self.lessons):
            if lesson.target is None or lesson.target > 0:
                self._partners[one].add(other)
                self._partners[other].add(one)

    def batch(self, model: PreTrainedModel, part: np.ndarray) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
        lessons, device = [self.lessons[i] for i in part], model.device
        windows = [lesson.windows[side] for side in (0, 1) for lesson in lessons]
        inputs = collate(windows, self.pad_id, device, takes_token_types(model))
        gold = torch.tensor([1.0 if lesson.target is None else lesson.target for lesson in lessons], device=device)
        is_known = None if self.is_graded else torch.from_numpy(self.known(part)).to(device)

        def compute() -> torch.Tensor:
            with torch.autocast(device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
                vectors = forward(model, self.stock, inputs)
            with torch.autocast(device.type, enabled=False):
                first, second = vectors.float().chunk(2)  # (2 B, D) -> (B, D) each
                return order_loss(first, second, gold) if is_known is None else in_batch_loss(first, second, gold > 0, is_known)

        return inputs["attention_mask"], compute

    def known(self, part: np.ndarray) -> np.ndarray:
        """Which candidates are no negatives for each text of some pairs (2, b, b), see `in_batch_loss`: the text itself, what equals its other text, and what is
        alike with it in any pair of the set."""
        sides, found = self._texts[part].T, np.zeros((2, len(part), len(part)), bool)
        for rows, texts, others in zip(found, sides, sides[::-1]):
            for row, text, other in zip(rows, texts.tolist(), others.tolist()):
                row[:] = np.isin(others, [text, other, *self._partners.get(text, ())])
        return found

    def shortcut(self, model: PreTrainedModel) -> AbstractContextManager[None]:
        return nullcontext()  # every token is read
