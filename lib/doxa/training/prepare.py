"""Get everything ready that training starts from: the base, the texts, what was left open settled."""

import os
import shutil
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.device.choose import choose_device, choose_precision
from doxa.device.libraries import keep_freed_memory
from doxa.device.memory import peak_bytes
from doxa.errors import DoxaError
from doxa.model.bases import SCRATCH, find_model
from doxa.model.heads import Head
from doxa.model.kinds.table import kind_of
from doxa.model.network import build_network, build_scratch
from doxa.model.safety import read_config
from doxa.text.frame import Reading
from doxa.text.tokenizer import TextTokenizer, load_tokenizer
from doxa.training.adaptation import adapt
from doxa.training.classifying import Classifying, prepare_slices
from doxa.training.contrastive import Contrastive, prepare_contrastive
from doxa.training.defaults import settle, starts_from_nothing
from doxa.training.determinism import insist
from doxa.training.examples import LabelledSet
from doxa.training.findings import count_labels
from doxa.training.lessons import Lessons, prepare_lessons
from doxa.training.head_start import count_steps
from doxa.training.loop import TrainingLoop
from doxa.training.masking import Masking, prepare_masking
from doxa.training.plan import Listener, Plan
from doxa.training.prepared import Prepared
from doxa.training.processes import Processes
from doxa.training.writing import Writing, prepare_writing

SCRATCH_LENGTH = 512
KERNEL_BYTES = 100_000_000  # what oneDNN keeps for the shapes of batches, as seen
# What a kind learns (`Kind.learns`) -> what holds it, and what makes it ready.
WAYS = {
    "slices": (Classifying, prepare_slices),
    "softmax": (Lessons, prepare_lessons),
    "writing": (Writing, prepare_writing),
    "contrastive": (Contrastive, prepare_contrastive),
    "mask": (Masking, prepare_masking),
}


def prepare(plan: Plan, heads: list[Head], train: LabelledSet, dev: LabelledSet, unlabelled: LabelledSet, listener: Listener,
            processes: Processes = Processes()) -> Prepared:
    """Load the base, read the texts, settle what was left open. Raises DoxaError."""
    device, why_device = choose_device(plan.device)
    processes.join(device)
    if processes.count > 1 and device == "cuda":
        device = f"cuda:{processes.local_rank}"
    precision, why_precision = choose_precision(plan.precision, device)
    if plan.precision == "auto" and precision == "fp32" and device.startswith("cuda"):
        precision, why_precision = "fp16", "the GPU has no bf16 instructions"
    listener.note(f"training on {device} ({why_device}) in {precision} ({why_precision})")
    torch.manual_seed(plan.loop["seed"])
    insist(device)
    keep_freed_memory()
    base = None if plan.base == SCRATCH else find_model(plan.base)
    kind = kind_of(heads)
    way, prepare_texts = WAYS[kind.learns]
    if base is None:
        tokenizer, config = TextTokenizer(way.learn_tokenizer([*train.examples, *unlabelled.examples]), SCRATCH_LENGTH), {"is_encoder_decoder": kind.writes}
    else:
        tokenizer, config = load_tokenizer(base), read_config(base)
    max_length = min(plan.max_length or tokenizer.max_length, tokenizer.max_length)
    heads = way.suit_heads(plan, heads, base, tokenizer, train, max_length)
    reading = kind.fit_reading(Reading(tokenizer.frame, max_length), heads, config)
    model = _build_model(plan, heads, base, tokenizer)
    shared: dict[str, Any] = dict(heads=heads, base=base, tokenizer=tokenizer, model=model, reading=reading, train=train, dev=dev, unlabelled=unlabelled)
    prepared = way(**shared, **prepare_texts(plan, shared, listener), settings=None, device=torch.device(device), precision=precision)
    prepared.check(plan)
    return _settle(plan, prepared, prepared.n_rows(plan), processes.count)


def _settle(plan: Plan, prepared: Prepared, n_rows: int, n_processes: int) -> Prepared:
    """Settle what the plan leaves open for so many rows of training, and what of the model is trained."""
    n_texts = len(prepared.train.examples) + len(prepared.unlabelled.examples)
    settings = settle(plan, starts_from_nothing(plan, prepared.base, n_texts), prepared.model.config.hidden_size, n_rows, most_labels(prepared.heads), n_processes, prepared.kind)
    adaptation = adapt(prepared.model, plan.peft, plan.peft_rank, settings.n_steps(n_rows), prepared.kind.starts_fresh)
    return replace(prepared, settings=settings, adaptation=adaptation)


def _build_model(plan: Plan, heads: list[Head], base: str | None, tokenizer: TextTokenizer) -> PreTrainedModel:
    model = build_scratch(tokenizer.rust.get_vocab_size(), heads, SCRATCH_LENGTH) if base is None else build_network(base, heads)
    if plan.has_gradient_checkpointing:
        if not model.supports_gradient_checkpointing:
            raise DoxaError(f"--gradient-checkpointing: transformers has none for {model.config.model_type}; take a smaller --per-device-train-batch-size")
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable  # as older transformers call it
        enable()
    return model


def fresh_model(plan: Plan, prepared: Prepared, encoder: str | None, n_chosen: int = 0) -> Prepared:
    """The same with a model that nothing was trained of yet, from the base or from what a head start made of it.

    `n_chosen` texts that were labelled by the model come on top of the others: more texts take fewer epochs."""
    torch.manual_seed(prepared.settings.seed)
    prepared = replace(prepared, model=_build_model(plan, prepared.heads, encoder or prepared.base, prepared.tokenizer), encoder=encoder)
    n_rows = prepared.n_rows(plan) + (0 if plan.teachers else n_chosen)
    if n_chosen:
        return _settle(plan, prepared, n_rows, prepared.settings.n_processes)
    return replace(prepared, adaptation=adapt(prepared.model, plan.peft, plan.peft_rank, prepared.settings.n_steps(n_rows),
                                                prepared.kind.starts_fresh))


def most_labels(heads: list[Head]) -> int:
    """Labels of the head that has most."""
    return max(len(head.labels) for head in heads)


def needed_bytes(plan: Plan, model: PreTrainedModel) -> int:
    """Disk that a run takes: checkpoints of weights, best weights and two moments, one more while it is written; the model."""
    weights = sum(parameter.nbytes for parameter in model.parameters())
    return 4 * weights * (plan.keeping.save_total_limit + 1) + 3 * weights


def check_disk(plan: Plan, model: PreTrainedModel) -> None:
    """Raises DoxaError when the disk is too full for the run."""
    parent = os.path.dirname(os.path.abspath(plan.output))
    needed, free = needed_bytes(plan, model), shutil.disk_usage(parent).free
    if free < needed:
        raise DoxaError(f"{parent} has {free / 1e9:.1f} GB free, and the run may need {needed / 1e9:.1f} GB for checkpoints and the model; "
                        "make room, or name another --output")


def _name_stages(plan: Plan, prepared: Prepared) -> list[str]:
    """What a run does one after the other, and for how many steps."""
    settings, stages = prepared.settings, []
    if plan.head_start:
        n = len(prepared.train_windows_of()) + len(prepared.unlabelled_windows())
        n_learnt, n_steps = count_steps(plan, n, settings.n_processes)
        stages.append(f"head start: {plan.head_start_epochs} epochs over {n_learnt:,} texts, {n_steps:,} steps")
    stages.append(f"fine-tuning: {settings.num_train_epochs} epochs, {settings.n_steps(prepared.n_rows(plan)):,} steps, learning rate {settings.learning_rate:g}"
                  + (f", heads {settings.head_lr_factor:g} times that" if settings.head_lr_factor != 1 else ""))
    if plan.n_trials:
        stages.append(f"search: that with other settings, at most {plan.n_trials} times")
    if plan.n_rounds:
        stages.append(f"self-training: that again, at most {plan.n_rounds} times, with the texts of {len(prepared.unlabelled.examples):,} that the model is sure of")
    return stages


def _activation_bytes(plan: Plan, prepared: Prepared, length: int) -> int:
    """What a batch of the longest windows leaves for the backward pass (Korthikanti et al. 2022, section 4.1): for every token and layer 34 values
    for each of the width's, and 5 for each pair of tokens and head. Taken as 2 bytes each, and twice: dropout's and the heap's share, as seen
    on CPUs, where fp32 takes hardly more than bf16, which keeps fp32 copies. A layer that is computed again counts three times, for its gradients."""
    config, n_tokens = prepared.model.config, prepared.settings.per_device_train_batch_size * length
    layer = 34 * config.hidden_size + 5 * config.num_attention_heads * length
    kept = config.num_hidden_layers * config.hidden_size + 3 * layer if plan.has_gradient_checkpointing else config.num_hidden_layers * layer
    return 2 * n_tokens * kept


@dataclass(frozen=True)
class Draft:
    """What a run would do, stage by stage in words. `lengths` are the quantiles 0.5, 0.9, 0.99 and 1 of the tokens in a training window;
    `memory_bytes` is an estimate of what the best weights, gradients and moments take, and a batch's activations, on top of the process as it is;
    on a GPU without the process."""

    output: str
    heads: list[Head]
    counts: list[dict[str, int]]
    n_train: int
    n_dev: int
    lengths: tuple[int, ...]
    stages: list[str]
    n_parameters: int
    memory_bytes: int
    disk_bytes: int


def draft(plan: Plan, heads: list[Head], train: LabelledSet, dev: LabelledSet, unlabelled: LabelledSet, listener: Listener) -> Draft:
    """Check everything that can be checked before the first step. Raises DoxaError."""
    prepared = prepare(plan, heads, train, dev, unlabelled, listener)
    check_disk(plan, prepared.model)
    sizes = np.array([len(window.ids) for window in prepared.train_windows_of()])
    disk = needed_bytes(plan, prepared.model)
    loop = TrainingLoop(prepared.model, prepared.settings, prepared.device, adaptation=prepared.adaptation)
    loop.expect(prepared.make_task(plan))
    memory = loop.held_bytes() + _activation_bytes(plan, prepared, int(sizes.max())) + (peak_bytes() + KERNEL_BYTES if prepared.device.type == "cpu" else 0)
    counts = [dict(count_labels(train.column(i)).most_common()) if head.kind in ("label", "labels") else {} for i, head in enumerate(heads)]
    return Draft(plan.output, heads, counts, len(train.examples), len(dev.examples),
                 tuple(int(v) for v in np.quantile(sizes, (0.5, 0.9, 0.99, 1.0), method="higher")),
                 _name_stages(plan, prepared),
                 sum(p.numel() for p in prepared.model.parameters()), memory, disk)
