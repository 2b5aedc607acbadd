"""The training loop: small, ours, and open at its step for what other ways of training need."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.errors import DoxaError
from doxa.inference.torch_engine import collate, takes_token_types
from doxa.model.heads import Head
from doxa.text.frame import Window
from doxa.training.loss import heads_loss
from doxa.training.schedule import grouped_batches, rate_factor

MOST_BAD_STEPS = 3


@dataclass(frozen=True)
class LoopSettings:
    """Names and meanings are those of Hugging Face's TrainingArguments.

    `warmup_steps` below 1 is a share of all steps; `max_steps` above 0 ends earlier than the epochs do."""

    learning_rate: float
    num_train_epochs: int = 3
    per_device_train_batch_size: int = 16
    weight_decay: float = 0.01
    warmup_steps: float = 0.1
    max_grad_norm: float = 1.0
    lr_scheduler_type: str = "linear"
    max_steps: int = -1
    seed: int = 42


@dataclass(frozen=True)
class Progress:
    """What is told after every step. `epoch` counts from 1."""

    epoch: int
    step: int
    n_steps: int
    n_examples: int
    loss: float
    learning_rate: float


class TrainingLoop:
    """Trains a classifier on windows and targets; keeps the weights of the epoch with the best dev score."""

    def __init__(self, model: PreTrainedModel, heads: list[Head], settings: LoopSettings, device: torch.device,
                 mixed: torch.dtype | None, pad_id: int):
        self.model, self.heads, self.settings, self.device = model.to(device), heads, settings, device
        self.mixed, self.pad_id = mixed, pad_id
        self.with_types = takes_token_types(model)
        self.optimizer = torch.optim.AdamW(_parameter_groups(model, settings.weight_decay), lr=settings.learning_rate)
        self.n_bad_in_a_row = self.n_skipped = 0

    def run(self, windows: list[Window], targets: list[torch.Tensor], evaluate: Callable[[], float],
            tell: Callable[[Progress], None], tell_epoch: Callable[[int, float], None]) -> tuple[int, float]:
        """Train; return the best epoch and its dev score, with the best weights in the model.

        `evaluate` gives the dev score (higher is better). Raises DoxaError when the loss is not finite in three steps
        in a row."""
        settings = self.settings
        generator = np.random.default_rng(settings.seed)
        lengths = [len(window.ids) for window in windows]
        size = settings.per_device_train_batch_size
        n_steps = -(-len(windows) // size) * settings.num_train_epochs
        n_steps = min(n_steps, settings.max_steps) if settings.max_steps > 0 else n_steps
        n_warmup = int(settings.warmup_steps if settings.warmup_steps >= 1 else settings.warmup_steps * n_steps)
        step, best = 0, (0, -np.inf, None)
        for epoch in range(1, settings.num_train_epochs + 1):
            self.model.train()
            for batch in grouped_batches(lengths, size, generator):
                if step == n_steps:
                    break
                rate = settings.learning_rate * rate_factor(step, n_steps, n_warmup, settings.lr_scheduler_type)
                loss = self.step([windows[i] for i in batch], [target[batch] for target in targets], rate)
                step += 1
                tell(Progress(epoch, step, n_steps, len(batch), loss, rate))
            score = evaluate()
            tell_epoch(epoch, score)
            if score > best[1] or best[2] is None:
                best = (epoch, score, copy.deepcopy(self.model.state_dict()))
            if step == n_steps:
                break
        self.model.load_state_dict(best[2])
        return best[0], best[1]

    def step(self, windows: list[Window], targets: list[torch.Tensor], rate: float) -> float:
        """Take one optimiser step; one whose loss or gradient is not finite is skipped. Returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(windows, targets)
        value = loss.item()
        if np.isfinite(value):
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
            if bool(torch.isfinite(norm)):
                self.optimizer.step()
                self.n_bad_in_a_row = 0
                return value
        self.n_skipped += 1
        self.n_bad_in_a_row += 1
        if self.n_bad_in_a_row >= MOST_BAD_STEPS:
            raise DoxaError(f"the loss was not finite in {MOST_BAD_STEPS} steps in a row; nothing was written. "
                            "Try a smaller --learning-rate, or --precision fp32")
        return value

    def loss(self, windows: list[Window], targets: list[torch.Tensor]) -> torch.Tensor:
        inputs = collate(windows, self.pad_id, self.device, self.with_types)
        with torch.autocast(self.device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
            logits = self.model(**inputs).logits
        return heads_loss(logits.float(), [target.to(self.device) for target in targets], self.heads)


def _parameter_groups(model: PreTrainedModel, weight_decay: float) -> list[dict]:
    """Weight decay on matrices only: biases and LayerNorm weights (one-dimensional) go without."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
