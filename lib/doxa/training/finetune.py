"""From labelled sets to a published model directory."""

import hashlib
import importlib.util
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.device.choose import choose_device, choose_precision
from doxa.device.libraries import keep_freed_memory
from doxa.errors import DoxaError, Interrupted, Terminated, UsageError
from doxa.inference.labeller import pool
from doxa.inference.torch_engine import TORCH_TYPES, TorchEngine
from doxa.model.bases import SCRATCH, find_model
from doxa.model.classifier import build_classifier, build_scratch, rescale_outputs, save_classifier
from doxa.model.directory import ModelTable, publish, sha256_of
from doxa.model.heads import Head
from doxa.model.safety import find_weights
from doxa.records.signals import held_for_work, signal_seen
from doxa.text.frame import Reading, Window
from doxa.text.tokenizer import TextTokenizer, load_tokenizer
from doxa.text.vocabulary import learn_tokenizer
from doxa.training.adversary import Adversary
from doxa.training.baseline import make_features, predict_linear, predict_majority
from doxa.training.calibrate import Calibration, calibrate
from doxa.training.checkpoint import Checkpoint
from doxa.training.encode import head_windows, number_scales, scaled_targets, token_ids
from doxa.training.evaluation import HeadFigures, compare_methods, decide, dev_scores
from doxa.training.examples import LabelledSet
from doxa.training.labels import encode_targets
from doxa.training.loop import LoopSettings, Position, Progress, Stopped, TrainingLoop, TrainingSet
from doxa.training.loss import Objective, balanced_weights
from doxa.training.run_folder import LOG, RunFolder, open_run
from doxa.training.watch import Keeping, RunWatcher

SCRATCH_LENGTH = 512
EVALUATED_AT_ONCE = 256  # texts between two looks for a signal


@dataclass(frozen=True)
class Plan:
    """What to train. `learning_rate` None takes what suits the base; `max_length` counts tokens, None is the base's own."""

    base: str
    output: str
    text_fields: tuple[str, ...]
    learning_rate: float | None = None
    max_length: int | None = None
    device: str = "auto"
    precision: str = "auto"
    wants_int8: bool = True
    loop: dict[str, Any] = field(default_factory=dict)
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    has_balanced_classes: bool = False
    adversary: Adversary | None = None
    has_gradient_checkpointing: bool = False
    target_precision: float | None = None
    keeping: Keeping = Keeping()
    resume: bool = False


@dataclass
class Listener:
    """What is told while training goes on. `draw` makes the chart of the log's rows."""

    note: Callable[[str], None]
    warn: Callable[[str], None]
    step: Callable[[Progress], None]
    draw: Callable[[list[dict]], str]


@dataclass(frozen=True)
class Result:
    """What came of a run. `seconds` is the training alone, interruptions left out."""

    output: str
    figures: list[HeadFigures]
    calibrations: list[Calibration]
    epoch: int
    n_train: int
    n_dev: int
    n_parameters: int
    seconds: float


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

    @property
    def mixed(self) -> torch.dtype | None:
        return TORCH_TYPES[self.precision] if self.precision != "fp32" else None


def finetune(plan: Plan, heads: list[Head], train: LabelledSet, dev: LabelledSet, listener: Listener) -> Result:
    """Train, evaluate, publish. Raises DoxaError; what it raises, and any signal, leaves no model behind, but checkpoints."""
    prepared = prepare(plan, heads, train, dev, listener)
    check_disk(plan, prepared.model)
    loop = make_loop(plan, prepared)
    with open_run(plan.output, plan.keeping.save_total_limit, plan.resume) as (folder, checkpoint, skipped):
        for reason in skipped:
            listener.warn(reason)
        identity = identify(plan, prepared)
        if checkpoint is not None:
            check_identity(checkpoint, identity)
            loop.restore(checkpoint.tensors, checkpoint.figures)
            listener.note(f"going on from step {checkpoint.step}")
        elif plan.resume:
            listener.note(f"{plan.output} holds no checkpoint; starting from the beginning")
        watcher = RunWatcher(folder, identity, plan.keeping, prepared.settings.num_train_epochs, listener)
        try:
            with held_for_work():
                position = loop.run(
                    TrainingSet(prepared.train_windows, scaled_targets(heads, prepared.train_targets, prepared.scale, prepared.shift),
                                [example.place for example in train.examples]),
                    lambda: evaluate(loop, prepared), watcher)
            return conclude(plan, prepared, loop, position, folder, listener)
        except Stopped as stopped:
            raise _ended(f"stopped at step {stopped.step} of {stopped.n_steps}") from None
        except (Interrupted, Terminated) as signal:
            if not str(signal):
                loop.keep(watcher)
                raise _ended("stopped after the last step") from None
            raise


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


def draft(plan: Plan, heads: list[Head], train: LabelledSet, dev: LabelledSet, listener: Listener) -> Draft:
    """Check everything that can be checked before the first step. Raises DoxaError."""
    prepared = prepare(plan, heads, train, dev, listener)
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


def _ended(where: str) -> BaseException:
    return type(signal_seen())(f"{where}; no model was written; the same command with --resume goes on")


def prepare(plan: Plan, heads: list[Head], train: LabelledSet, dev: LabelledSet, listener: Listener) -> Prepared:
    """Load the base, read the texts, settle what was left open. Raises DoxaError."""
    device, why_device = choose_device(plan.device)
    precision, why_precision = choose_precision(plan.precision, device)
    if precision not in ("fp32", "bf16"):
        raise UsageError(f"--precision {precision} is for prediction; training takes bf16 or fp32")
    listener.note(f"training on {device} ({why_device}) in {precision} ({why_precision})")
    torch.manual_seed(plan.loop["seed"])
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a safety net for debugging, paid for with every tensor
    keep_freed_memory()
    base = None if plan.base == SCRATCH else find_model(plan.base)
    tokenizer = _make_tokenizer(base, train)
    model = build_scratch(tokenizer.rust.get_vocab_size(), heads, SCRATCH_LENGTH) if base is None else build_classifier(base, heads)
    if plan.has_gradient_checkpointing:
        model.gradient_checkpointing_enable()
    settings = LoopSettings(plan.learning_rate or default_rate(base is None, model.config.hidden_size), **plan.loop)
    reading = Reading(tokenizer.frame, min(plan.max_length or tokenizer.max_length, tokenizer.max_length))
    windows, n_long = head_windows(reading, token_ids(tokenizer, train, plan.base, base is None, listener.warn))
    if n_long:
        listener.note(f"{n_long} training texts are longer than {reading.max_length} tokens; training reads the beginning of each")
    dev_texts = [reading.read(*ids)[0] for ids in token_ids(tokenizer, dev, plan.base, base is None, listener.warn)]
    train_targets = [encode_targets(head, train.column(i)) for i, head in enumerate(heads)]
    dev_targets = [encode_targets(head, dev.column(i)) for i, head in enumerate(heads)]
    scale, shift = number_scales(heads, train_targets)
    return Prepared(heads, base, tokenizer, model, settings, reading, train, dev, windows, train_targets, dev_texts, dev_targets,
                    scale, shift, torch.device(device), precision)


def default_rate(is_scratch: bool, hidden_size: int) -> float:
    """A learning rate that suits the base: 3e-4 from nothing, 8e-5 for small encoders, 2e-5 from BERT-base size on."""
    return 3e-4 if is_scratch else 8e-5 if hidden_size < 768 else 2e-5


def _make_tokenizer(base: str | None, train: LabelledSet) -> TextTokenizer:
    if base is None:
        return TextTokenizer(learn_tokenizer(text for example in train.examples for text in example.texts), SCRATCH_LENGTH)
    return load_tokenizer(base)


def make_loop(plan: Plan, prepared: Prepared) -> TrainingLoop:
    weights = tuple(map(balanced_weights, prepared.heads, prepared.train_targets)) if plan.has_balanced_classes else ()
    objective = Objective(prepared.heads, plan.label_smoothing, plan.focal_gamma, weights)
    return TrainingLoop(prepared.model, objective, prepared.settings, prepared.device, prepared.mixed,
                        prepared.model.config.pad_token_id or 0, plan.adversary)


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


def identify(plan: Plan, prepared: Prepared) -> dict[str, str]:
    """What has to be the same for a run to go on: name -> value."""
    found = {"--base": plan.base, "--max-length": str(prepared.reading.max_length), "precision": prepared.precision,
             "--text-field": " ".join(plan.text_fields), "--label-smoothing-factor": str(plan.label_smoothing),
             "--focal-gamma": str(plan.focal_gamma), "--class-weights": "balanced" if plan.has_balanced_classes else "none",
             "--adversarial": str(plan.adversary), "torch": torch.__version__,
             "--head": repr([(head.name, head.kind, head.labels) for head in prepared.heads]),
             "the training data": fingerprint(prepared.train), "the dev data": fingerprint(prepared.dev)}
    found |= {"--" + name.replace("_", "-"): str(value) for name, value in asdict(prepared.settings).items()}
    if prepared.base is not None:
        found["the weights of --base"] = " ".join(sha256_of(os.path.join(prepared.base, name)) for name in find_weights(prepared.base))
    return found


def check_identity(checkpoint: Checkpoint, identity: dict[str, str]) -> None:
    """Raises DoxaError when the checkpoint is of another run, naming the first difference."""
    for name, value in identity.items():
        before = checkpoint.identity.get(name)
        if before != value:
            shown = f": {before} then, {value} now" if before is not None and max(len(before), len(value)) <= 40 else ""
            raise DoxaError(f"--resume: {name} is not what the checkpoint of step {checkpoint.step} was made with{shown}. "
                            "Give the same data and flags, or --force to start anew")


def evaluate(loop: TrainingLoop, prepared: Prepared) -> dict[str, float]:
    """Every head's dev score; nothing when a signal cuts it short."""
    logits = _dev_logits(loop, prepared, stops=True)
    return {} if logits is None else dev_scores(logits, prepared.dev_targets, prepared.heads)


def _dev_logits(loop: TrainingLoop, prepared: Prepared, stops: bool = False) -> np.ndarray | None:
    engine = TorchEngine(loop.model, prepared.device, prepared.tokenizer.max_length, mixed=prepared.mixed)
    parts = []
    for start in range(0, len(prepared.dev_texts), EVALUATED_AT_ONCE):
        if stops and signal_seen() is not None:
            return None
        parts.append(_logits(engine, prepared.dev_texts[start : start + EVALUATED_AT_ONCE]))
    return np.concatenate(parts) * prepared.scale + prepared.shift


def _logits(engine: TorchEngine, texts: list[list[Window]]) -> np.ndarray:
    windows = [window for parts in texts for window in parts]
    ends = np.cumsum([len(parts) for parts in texts]).tolist()
    return pool(engine.compute(windows), windows, list(zip([0, *ends], ends)))


def conclude(plan: Plan, prepared: Prepared, loop: TrainingLoop, position: Position, folder: RunFolder, listener: Listener) -> Result:
    """Calibrate, compare with simple methods, publish."""
    heads, calibrations, honest = calibrate(prepared.heads, _dev_logits(loop, prepared), prepared.dev_targets, plan.target_precision)
    figures = _compare(prepared, decide(honest, prepared.heads))
    model = prepared.model.cpu()
    rescale_outputs(model, torch.tensor(prepared.scale), torch.tensor(prepared.shift))
    about = {
        "base": plan.base,
        "settings": asdict(prepared.settings),
        "data": {name: {"records": len(part.examples), "sha256": fingerprint(part)}
                 for name, part in (("train", prepared.train), ("dev", prepared.dev))},
        "dev": {"epoch": position.best_epoch, "heads": [asdict(figure) for figure in figures],
                "calibration": [asdict(calibration) for calibration in calibrations]},
    }
    table = ModelTable(heads, prepared.reading.max_length, "windows", *plan.text_fields, about=about)
    with publish(plan.output, table) as working:
        save_classifier(model, working, prepared.base)
        prepared.tokenizer.rust.save(os.path.join(working, "tokenizer.json"))
        _write_tokenizer_config(working, prepared.reading.max_length)
        shutil.copyfile(folder.log_path, os.path.join(working, LOG))
        with open(os.path.join(working, "training.svg"), "w", encoding="utf-8") as file:
            file.write(listener.draw(folder.read_log()))
        if importlib.util.find_spec("openvino"):
            from doxa.training.forms import write_forms

            write_forms(working, model, heads, prepared.train_windows, prepared.dev_texts, prepared.dev_targets,
                        prepared.tokenizer.max_length, plan.wants_int8, listener.note)
    return Result(plan.output, figures, calibrations, position.best_epoch, len(prepared.train.examples), len(prepared.dev.examples),
                  sum(p.numel() for p in model.parameters()), position.seconds)


def _compare(prepared: Prepared, decisions: list[np.ndarray]) -> list[HeadFigures]:
    features, dev_features = make_features(prepared.train.texts(), prepared.dev.texts())
    figures = []
    for head, known, target, decision in zip(prepared.heads, prepared.train_targets, prepared.dev_targets, decisions):
        if np.isnan(target).all():
            continue
        methods = {"model": decision, "tfidf": predict_linear(head, features, known, dev_features),
                   "majority": predict_majority(head, known, len(target))}
        figures.append(compare_methods(head, target, methods))
    return figures


def fingerprint(found: LabelledSet) -> str:
    """sha256 over texts and labels in order: equal sets have equal fingerprints."""
    digest = hashlib.sha256()
    for example in found.examples:
        digest.update(repr((example.texts, example.values)).encode())
    return digest.hexdigest()


def _write_tokenizer_config(directory: str, max_length: int) -> None:
    """Leave the base's tokenizer_config.json; a model from scratch gets one, so that AutoTokenizer reads it as it is."""
    path = os.path.join(directory, "tokenizer_config.json")
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write('{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": %d, "unk_token": "[UNK]", '
                       '"sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}\n' % max_length)
