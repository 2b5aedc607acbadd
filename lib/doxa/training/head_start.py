"""Masked-language pre-training on the user's own texts before the heads are trained (Devlin et al. 2019, Gururangan et al. 2020)."""

import os
import shutil

import numpy as np
from transformers import PreTrainedModel

from doxa.errors import DoxaError
from doxa.model.network import build_masked_model, save_network
from doxa.text.frame import Window
from doxa.text.tokenizer import write_tokenizer
from doxa.training.loop import LoopSettings, TrainingLoop
from doxa.training.masked_language import MaskedLanguage, held_out_loss
from doxa.training.plan import Listener, Plan
from doxa.training.prepared import Prepared
from doxa.training.stages import Stages

ENCODER = "encoder"
BATCH_SIZE, MOST_TOKENS, HELD_OUT = 32, 128, 500


def pretrain(plan: Plan, prepared: Prepared, stages: Stages, listener: Listener) -> str:
    """Train the encoder on all texts but those of dev; return a directory that `--base` takes. Raises DoxaError."""
    tokenizer = prepared.tokenizer
    mask_id = tokenizer.mask_id()
    if mask_id is None:
        raise DoxaError(f"--head-start mlm: the tokenizer of {plan.base} has no mask token; choose another --base")
    windows = [Window(window.ids[:MOST_TOKENS], window.type_ids[:MOST_TOKENS] if window.type_ids else window.type_ids, window.weight)
               for window in [*prepared.train_windows_of(), *prepared.unlabelled_windows()]]
    order = np.random.default_rng(prepared.settings.seed).permutation(len(windows))
    n_held_out = len(windows) - count_steps(plan, len(windows), 1)[0]
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


def count_steps(plan: Plan, n_texts: int, n_processes: int) -> tuple[int, int]:
    """How many of the texts are learnt from, the others being held out, and in how many steps."""
    n_learnt = n_texts - min(HELD_OUT, n_texts // 20)
    return n_learnt, LoopSettings(1.0, plan.head_start_epochs, BATCH_SIZE, n_processes=n_processes).n_steps(n_learnt)


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
