"""Masked-language pre-training on the user's own texts before the heads are trained (Devlin et al. 2019, Gururangan et al. 2020)."""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from doxa.errors import DoxaError
from doxa.inference.torch_engine import collate, takes_token_types
from doxa.model.network import build_masked_model, save_network
from doxa.text.frame import Window
from doxa.text.tokenizer import write_tokenizer
from doxa.training.loop import LoopSettings, TrainingLoop
from doxa.training.plan import Listener, Plan
from doxa.training.prepared import Prepared
from doxa.training.stages import Stages

ENCODER = "encoder"
MASKED_SHARE, HIDDEN_SHARE, RANDOM_SHARE = 0.15, 0.8, 0.1  # of all tokens; of those: shown as [MASK], as another token
BATCH_SIZE, MOST_TOKENS, HELD_OUT = 32, 128, 500
_HEADS = {"bert": "cls", "roberta": "lm_head", "xlm-roberta": "lm_head", "camembert": "lm_head"}


@dataclass
class MaskedLanguage:
    """Guess hidden tokens. Which ones are hidden is drawn anew at every look, from torch's default generator."""

    windows: list[Window]
    mask_id: int
    n_ids: int
    special: tuple[int, ...]
    pad_id: int
    mixed: torch.dtype | None
    lengths: list[int] = field(init=False)
    places: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lengths = [len(window.ids) for window in self.windows]
        self.places = [f"text {i + 1}" for i in range(len(self.windows))]

    def batch(self, model: PreTrainedModel, part: np.ndarray) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
        inputs = collate([self.windows[i] for i in part], self.pad_id, torch.device("cpu"), takes_token_types(model))
        gold = inputs["input_ids"]
        hidden, inputs["input_ids"] = self.hide(gold, inputs["attention_mask"])
        inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
        wanted, places = gold[hidden].to(model.device), hidden.to(model.device)

        def compute() -> torch.Tensor:
            with torch.autocast(model.device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
                logits = _logits_at(model, inputs, places)
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


def _logits_at(model: PreTrainedModel, inputs: dict[str, torch.Tensor], places: torch.Tensor) -> torch.Tensor:
    """Scores of all tokens at the hidden places only (n, V), where the architecture is known: the vocabulary is most of the work."""
    head = _HEADS.get(model.config.model_type)
    if head is None:
        return model(**inputs).logits[places]
    return getattr(model, head)(model.base_model(**inputs).last_hidden_state[places])


def pretrain(plan: Plan, prepared: Prepared, stages: Stages, listener: Listener) -> str:
    """Train the encoder on all texts but those of dev; return a directory that `--base` takes. Raises DoxaError."""
    tokenizer = prepared.tokenizer
    mask_id = tokenizer.mask_id()
    if mask_id is None:
        raise DoxaError(f"--head-start mlm: the tokenizer of {plan.base} has no mask token; choose another --base")
    windows = [Window(window.ids[:MOST_TOKENS], window.type_ids[:MOST_TOKENS] if window.type_ids else window.type_ids, window.weight)
               for window in [*prepared.train_windows_of(), *prepared.unlabelled_windows()]]
    order = np.random.default_rng(prepared.settings.seed).permutation(len(windows))
    n_held_out = min(HELD_OUT, len(windows) // 20)
    if n_held_out < 1:
        raise DoxaError(f"--head-start mlm: {len(windows)} texts are too few to learn a language from; give more with --unlabelled")
    held_out, learnt = ([windows[i] for i in part] for part in (order[:n_held_out], order[n_held_out:]))
    model = build_masked_model(prepared.base, prepared.model.config, prepared.settings.seed)
    rate = plan.head_start_rate or (5e-4 if prepared.base is None else 1e-4)
    settings = LoopSettings(rate, plan.head_start_epochs, BATCH_SIZE, seed=prepared.settings.seed, n_processes=stages.processes.count)

    def task(part: list[Window]) -> MaskedLanguage:
        return MaskedLanguage(part, mask_id, tokenizer.rust.get_vocab_size(), tokenizer.special_ids(), model.config.pad_token_id or 0, prepared.mixed)

    loop = TrainingLoop(model, settings, prepared.device, processes=stages.processes, is_fp16=prepared.precision == "fp16")
    listener.note(f"head start: {plan.head_start_epochs} epochs over {len(learnt)} texts; its dev score is minus the loss on {n_held_out} others")
    stages.train("head start", loop, task(learnt), lambda: {"masked tokens": -held_out_loss(model, task(held_out))})
    path = os.path.join(plan.output, ENCODER)
    if stages.processes.is_first:
        save_encoder(loop.model, path, prepared)
    stages.processes.gather(None)
    return path


@torch.inference_mode()
def held_out_loss(model: nn.Module, task: MaskedLanguage) -> float:
    """Mean loss on texts that are not learnt from; the same tokens are hidden every time, and training's draws go on as if nothing had been."""
    model.eval()
    losses, sizes = [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for start in range(0, len(task.windows), BATCH_SIZE):
            part = np.arange(start, min(start + BATCH_SIZE, len(task.windows)))
            losses.append(task.batch(model, part)[1]().item())
            sizes.append(len(part))
    return float(np.average(losses, weights=sizes))


def save_encoder(model: PreTrainedModel, path: str, prepared: Prepared) -> None:
    shutil.rmtree(path, ignore_errors=True)
    working = f"{path}.tmp"
    shutil.rmtree(working, ignore_errors=True)
    try:
        os.mkdir(working)
        save_network(model, working, prepared.base)
        write_tokenizer(prepared.tokenizer, working, prepared.tokenizer.max_length)
        os.rename(working, path)
    except OSError as error:
        raise DoxaError(f"cannot write {path}: {error.strerror}") from None
