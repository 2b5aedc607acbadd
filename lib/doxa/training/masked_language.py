"""Masked-language learning: guess hidden tokens of texts that nobody labelled (Devlin et al. 2019)."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from doxa.inference.torch_engine import collate, takes_token_types
from doxa.model.network import logits_at
from doxa.text.frame import Window

MASKED_SHARE, HIDDEN_SHARE, RANDOM_SHARE = 0.15, 0.8, 0.1  # of all tokens; of those: shown as [MASK], as another token
AT_ONCE = 32  # held-out windows


@dataclass
class MaskedLanguage:
    """Guess hidden tokens. Which ones are hidden is drawn anew at every look, from torch's default generator."""

    windows: list[Window]
    mask_id: int
    n_ids: int
    special: tuple[int, ...]
    pad_id: int
    mixed: torch.dtype | None
    places: list[str] = field(default_factory=list)
    lengths: list[int] = field(init=False)
    adds_up = True
    token_ids = None  # any token may stand in for one that is hidden

    def __post_init__(self) -> None:
        self.lengths = [len(window.ids) for window in self.windows]
        self.places = self.places or [f"text {i + 1}" for i in range(len(self.windows))]

    def batch(self, model: PreTrainedModel, part: np.ndarray) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
        inputs = collate([self.windows[i] for i in part], self.pad_id, torch.device("cpu"), takes_token_types(model))
        gold = inputs["input_ids"]
        hidden, inputs["input_ids"] = self.hide(gold, inputs["attention_mask"])
        inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
        wanted, places = gold[hidden].to(model.device), hidden.to(model.device)

        def compute() -> torch.Tensor:
            with torch.autocast(model.device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
                logits = logits_at(model, inputs, places)
            return F.cross_entropy(logits.float(), wanted)

        return inputs["attention_mask"], compute

    def shortcut(self, model: PreTrainedModel) -> AbstractContextManager[None]:
        return nullcontext()  # every token is read

    def hide(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which of the ids (B, T) are to be guessed, at least one, and the ids as they are shown."""
        may = mask.bool() & ~torch.isin(ids, torch.tensor(self.special))
        drawn = torch.rand(ids.shape)
        hidden = may & (drawn < MASKED_SHARE)
        if not hidden.any():
            hidden = may & (drawn == torch.where(may, drawn, 2.0).min())
        how = torch.rand(ids.shape)
        shown = torch.where(hidden & (how < HIDDEN_SHARE), self.mask_id, ids)
        other = torch.randint(0, self.n_ids, ids.shape)
        return hidden, torch.where(hidden & (how >= HIDDEN_SHARE) & (how < HIDDEN_SHARE + RANDOM_SHARE), other, shown)


@torch.inference_mode()
def held_out_loss(model: nn.Module, task: MaskedLanguage) -> float:
    """Mean loss on texts that are not learnt from; the same tokens are hidden every time, and training's draws go on as if nothing had been."""
    model.eval()
    losses, sizes = [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for start in range(0, len(task.windows), AT_ONCE):
            part = np.arange(start, min(start + AT_ONCE, len(task.windows)))
            losses.append(task.batch(model, part)[1]().item())
            sizes.append(len(part))
    return float(np.average(losses, weights=sizes))
