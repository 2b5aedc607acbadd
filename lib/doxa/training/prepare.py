"""Everything that training starts from: the base, the texts as windows, the targets, what was left open settled."""

import os
import shutil
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.device.choose import choose_device, choose_precision
from doxa.device.libraries import keep_freed_memory
from doxa.errors import DoxaError
from doxa.inference.torch_engine import TORCH_TYPES
from doxa.model.bases import SCRATCH, find_model
from doxa.model.classifier import build_classifier, build_scratch, output_layer
from doxa.model.heads import Head
from doxa.text.frame import Reading, Window
from doxa.text.tokenizer import TextTokenizer, load_tokenizer
from doxa.text.vocabulary import learn_tokenizer
from doxa.training.adaptation import Adaptation, adapt
from doxa.training.defaults import settle
from doxa.training.encode import head_windows, number_scales, token_ids
from doxa.training.examples import Example, LabelledSet
from doxa.training.labels import encode_targets
from doxa.training.loop import LoopSettings
from doxa.training.plan import Listener, Plan
from doxa.training.processes import Processes

SCRATCH_LENGTH = 512


@dataclass
class Prepared:
    """Everything that training starts from. `scale` and `shift` (C,) lead from standardised outputs to numbers."""

    heads: list[Head]
    base: str | None
    tokenizer: TextTokenizer
    model: PreTrainedModel
    settings: LoopSettings
    reading: Reading
    train: LabelledSet
    dev: LabelledSet
    train_windows: list[Window]
    train_targets: list[np.ndarray]
    dev_texts: list[list[Window]]
    dev_targets: list[np.ndarray]
    scale: np.ndarray
    shift: np.ndarray
    device: torch.device
    precision: str
    unlabelled: LabelledSet
    unlabelled_texts: list[list[Window]]
    adaptation: Adaptation
    encoder: str | None = None  # what a head start made of the base

    @property
    def mixed(self) -> torch.dtype | None:
        return TORCH_TYPES[self.precision] if self.precision != "fp32" else None

    def with_unlabelled(self, rows: np.ndarray | None = None, targets: list[np.ndarray] | None = None
                        ) -> tuple[list[Window], list[str], list[np.ndarray]]:
        """Windows, places and targets of the labelled texts and of rows (None: all) of the unlabelled; these are without a label unless given."""
        rows = np.arange(len(self.unlabelled_texts)) if rows is None else rows
        windows = [*self.train_windows, *(self.unlabelled_texts[i][0] for i in rows)]
        places = [example.place for example in self.train.examples] + [self.unlabelled.examples[i].place for i in rows]
        more = targets or [np.full((len(rows), *known.shape[1:]), np.nan) for known in self.train_targets]
        return windows, places, [np.concatenate([known, added]) for known, added in zip(self.train_targets, more)]


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
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a safety net for debugging, paid for with every tensor
    keep_freed_memory()
    base = None if plan.base == SCRATCH else find_model(plan.base)
    tokenizer = _make_tokenizer(base, [*train.examples, *unlabelled.examples])
    reading = Reading(tokenizer.frame, min(plan.max_length or tokenizer.max_length, tokenizer.max_length))
    windows, n_long = head_windows(reading, token_ids(tokenizer, train, plan.base, base is None, listener.warn))
    if n_long:
        listener.note(f"{n_long} training texts are longer than {reading.max_length} tokens; training reads the beginning of each")
    dev_texts = [reading.read(*ids)[0] for ids in token_ids(tokenizer, dev, plan.base, base is None, listener.warn)]
    train_targets = [encode_targets(head, train.column(i)) for i, head in enumerate(heads)]
    dev_targets = [encode_targets(head, dev.column(i)) for i, head in enumerate(heads)]
    free_texts = [reading.read(*ids)[0] for ids in token_ids(tokenizer, unlabelled, plan.base, base is None, listener.warn)]
    model = _build_model(plan, heads, base, tokenizer)
    scale, shift = number_scales(heads, train_targets, output_layer(model).bias is not None)
    n_examples = len(windows) + (len(free_texts) if plan.teachers else 0)
    settings = settle(plan, base is None, model.config.hidden_size, n_examples, most_labels(heads), processes.count)
    adaptation = adapt(model, plan.peft, plan.peft_rank, settings.n_steps(n_examples))
    return Prepared(heads, base, tokenizer, model, settings, reading, train, dev, windows, train_targets, dev_texts, dev_targets,
                    scale, shift, torch.device(device), precision, unlabelled, free_texts, adaptation)


def _build_model(plan: Plan, heads: list[Head], base: str | None, tokenizer: TextTokenizer) -> PreTrainedModel:
    model = build_scratch(tokenizer.rust.get_vocab_size(), heads, SCRATCH_LENGTH) if base is None else build_classifier(base, heads)
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
    model = _build_model(plan, prepared.heads, encoder or prepared.base, prepared.tokenizer)
    n_examples = len(prepared.train_windows) + (len(prepared.unlabelled_texts) if plan.teachers else n_chosen)
    settings = prepared.settings
    if n_chosen:
        settings = settle(plan, prepared.base is None, model.config.hidden_size, n_examples, most_labels(prepared.heads), settings.n_processes)
    adaptation = adapt(model, plan.peft, plan.peft_rank, settings.n_steps(n_examples))
    return replace(prepared, model=model, settings=settings, adaptation=adaptation, encoder=encoder)


def most_labels(heads: list[Head]) -> int:
    """Labels of the head that has most."""
    return max(len(head.labels) for head in heads)


def _make_tokenizer(base: str | None, examples: list[Example]) -> TextTokenizer:
    if base is None:
        return TextTokenizer(learn_tokenizer(text for example in examples for text in example.texts), SCRATCH_LENGTH)
    return load_tokenizer(base)


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


@dataclass(frozen=True)
class Draft:
    """What a run would do. `lengths` are the quantiles 0.5, 0.9, 0.99 and 1 of the tokens in a training window;
    `memory_bytes` is an estimate of the weights, their gradients, moments and best copy, and a batch's activations."""

    output: str
    heads: list[Head]
    counts: list[dict[str, int]]
    n_train: int
    n_dev: int
    lengths: tuple[int, ...]
    n_steps: int
    n_parameters: int
    memory_bytes: int
    disk_bytes: int


def draft(plan: Plan, heads: list[Head], train: LabelledSet, dev: LabelledSet, unlabelled: LabelledSet, listener: Listener) -> Draft:
    """Check everything that can be checked before the first step. Raises DoxaError."""
    prepared = prepare(plan, heads, train, dev, unlabelled, listener)
    check_disk(plan, prepared.model)
    sizes = np.array([len(window.ids) for window in prepared.train_windows])
    config, weights = prepared.model.config, sum(parameter.nbytes for parameter in prepared.model.parameters())
    batch_tokens = prepared.settings.per_device_train_batch_size * int(sizes.max())
    # About 34 values per token, layer and width are kept for the backward pass (Korthikanti et al. 2022), in 2 or 4 bytes.
    activations = 34 * batch_tokens * config.num_hidden_layers * config.hidden_size * (2 if prepared.mixed else 4) // 2
    counts = [Counter(label for value in train.column(i) if value is not None and head.kind != "number"
                      for label in (value if isinstance(value, list) else [value])) for i, head in enumerate(heads)]
    return Draft(plan.output, heads, [dict(count.most_common()) for count in counts], len(train.examples), len(dev.examples),
                 tuple(int(v) for v in np.quantile(sizes, (0.5, 0.9, 0.99, 1.0), method="higher")),
                 prepared.settings.n_steps(len(sizes)),
                 sum(p.numel() for p in prepared.model.parameters()), 5 * weights + activations, needed_bytes(plan, prepared.model))
