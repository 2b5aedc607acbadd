"""From labelled sets to a published model directory."""

import hashlib
import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from doxa.device.choose import choose_device, choose_precision
from doxa.errors import DoxaError, UsageError
from doxa.inference.labeller import pool
from doxa.inference.torch_engine import TORCH_TYPES, TorchEngine
from doxa.model.bases import SCRATCH, find_model
from doxa.model.classifier import build_classifier, build_scratch, rescale_outputs, save_classifier
from doxa.model.directory import ModelTable, publish
from doxa.model.heads import Head
from doxa.text.frame import Reading, Window
from doxa.text.tokenizer import MANY_UNKNOWN, TextTokenizer, describe_unknown, load_tokenizer
from doxa.text.vocabulary import learn_tokenizer
from doxa.training.baseline import make_features, predict_linear, predict_majority
from doxa.training.evaluation import HeadFigures, compare_methods, decide, dev_score
from doxa.training.examples import LabelledSet
from doxa.training.labels import encode_targets
from doxa.training.loop import LoopSettings, Progress, TrainingLoop

SCRATCH_LENGTH = 512


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


@dataclass
class Listener:
    """What is told while training goes on."""

    note: Callable[[str], None]
    warn: Callable[[str], None]
    step: Callable[[Progress], None]


@dataclass(frozen=True)
class Result:
    """What came of a run. `seconds` is the training alone."""

    output: str
    figures: list[HeadFigures]
    epoch: int
    n_train: int
    n_dev: int
    n_parameters: int
    seconds: float


def finetune(plan: Plan, heads: list[Head], train: LabelledSet, dev: LabelledSet, listener: Listener) -> Result:
    """Train, evaluate, publish. Raises DoxaError; what it raises, and any signal, leaves no directory behind."""
    device, why_device = choose_device(plan.device)
    precision, why_precision = choose_precision(plan.precision, device)
    if precision not in ("fp32", "bf16"):
        raise UsageError(f"--precision {precision} is for prediction; training takes bf16 or fp32")
    listener.note(f"training on {device} ({why_device}) in {precision} ({why_precision})")
    torch.manual_seed(plan.loop["seed"])
    torch.use_deterministic_algorithms(True, warn_only=True)
    base = None if plan.base == SCRATCH else find_model(plan.base)
    tokenizer = _make_tokenizer(base, train)
    model = build_scratch(tokenizer.rust.get_vocab_size(), heads, SCRATCH_LENGTH) if base is None else build_classifier(base, heads)
    settings = LoopSettings(plan.learning_rate or default_rate(base is None, model.config.hidden_size), **plan.loop)
    reading = Reading(tokenizer.frame, min(plan.max_length or tokenizer.max_length, tokenizer.max_length))
    train_ids = _token_ids(tokenizer, train, plan.base, listener)
    train_windows = [_head_window(reading, *ids) for ids in train_ids]
    if n_long := sum(window.weight < sum(map(len, ids)) for window, ids in zip(train_windows, train_ids)):
        listener.note(f"{n_long} training texts are longer than {reading.max_length} tokens; training reads the beginning of each")
    dev_texts = [reading.read(*ids)[0] for ids in _token_ids(tokenizer, dev, plan.base, listener)]

    train_targets = [encode_targets(head, train.column(i)) for i, head in enumerate(heads)]
    dev_targets = [encode_targets(head, dev.column(i)) for i, head in enumerate(heads)]
    scale, shift = _number_scales(heads, train_targets)
    mixed = TORCH_TYPES[precision] if precision != "fp32" else None
    device = torch.device(device)
    pad_id = model.config.pad_token_id or 0
    loop = TrainingLoop(model, heads, settings, device, mixed, pad_id)
    engine = TorchEngine(model, device, tokenizer.max_length, mixed=mixed)
    compute = lambda: _logits(engine, dev_texts) * scale + shift  # noqa: E731 (told again after every epoch)

    started_s = time.monotonic()
    epoch, _ = loop.run(
        train_windows, _scaled(heads, train_targets, scale, shift),
        lambda: dev_score(compute(), dev_targets, heads), listener.step,
        lambda number, score: listener.note(f"epoch {number} of {settings.num_train_epochs}: dev score {score:.4f}"))
    seconds = time.monotonic() - started_s
    if loop.n_skipped:
        listener.warn(f"{loop.n_skipped} steps were skipped: their loss or gradient was not finite")

    decisions = decide(compute(), heads)
    figures = _compare(heads, train, dev, train_targets, dev_targets, decisions)
    rescale_outputs(model.cpu(), torch.tensor(scale), torch.tensor(shift))
    table = ModelTable(heads, reading.max_length, "windows", *plan.text_fields, about=_about(plan, settings, train, dev, epoch, figures))
    with publish(plan.output, table) as working:
        save_classifier(model, working, base)
        tokenizer.rust.save(os.path.join(working, "tokenizer.json"))
        _write_tokenizer_config(working, reading.max_length)
        if importlib.util.find_spec("openvino"):
            from doxa.training.forms import write_forms

            write_forms(working, model, heads, train_windows, dev_texts, dev_targets, tokenizer.max_length, plan.wants_int8, listener.note)
    return Result(plan.output, figures, epoch, len(train.examples), len(dev.examples),
                  sum(p.numel() for p in model.parameters()), seconds)


def default_rate(is_scratch: bool, hidden_size: int) -> float:
    """A learning rate that suits the base: 3e-4 from nothing, 8e-5 for small encoders, 2e-5 from BERT-base size on."""
    return 3e-4 if is_scratch else 8e-5 if hidden_size < 768 else 2e-5


def _make_tokenizer(base: str | None, train: LabelledSet) -> TextTokenizer:
    if base is None:
        return TextTokenizer(learn_tokenizer(text for example in train.examples for text in example.texts), SCRATCH_LENGTH)
    return load_tokenizer(base)


def _token_ids(tokenizer: TextTokenizer, found: LabelledSet, base: str, listener: Listener) -> list[tuple]:
    """Own ids of every example: those that `tokenize` left, else fresh ones."""
    ids: list[tuple] = []
    encoded = iter(tokenizer.encode([text for example in found.examples if not example.given_ids for text in example.texts]))
    for example in found.examples:
        if example.given_ids is None:
            ids.append(tuple(next(encoded) for _ in example.texts))
            continue
        given, types, fingerprint = example.given_ids
        if fingerprint != tokenizer.fingerprint:
            raise DoxaError(f"{example.place}: input_ids come from another tokenizer than that of --base {base}")
        try:
            is_pair = len(example.texts) == 2
            ids.append(tokenizer.frame.unframe_pair(given, types) if is_pair else (tokenizer.frame.unframe(given),))
        except (ValueError, TypeError) as error:
            raise DoxaError(f"{example.place}: input_ids was not made by tokenize: {error}") from None
    n_tokens = sum(len(part) for parts in ids for part in parts)
    n_unknown = sum(tokenizer.count_unknown(part) for parts in ids for part in parts)
    if base != SCRATCH and n_tokens and n_unknown / n_tokens > MANY_UNKNOWN:
        listener.warn(describe_unknown(n_unknown, n_tokens, base)[0])
    return ids


def _head_window(reading: Reading, first: list[int], second: list[int] | None = None) -> Window:
    """Training reads the first window of a long text: its label belongs to the whole, most of which is there."""
    return reading.read(first, second)[0][0]


def _logits(engine: TorchEngine, texts: list[list[Window]]) -> np.ndarray:
    windows = [window for parts in texts for window in parts]
    ends = np.cumsum([len(parts) for parts in texts]).tolist()
    return pool(engine.compute(windows), windows, list(zip([0, *ends], ends)))


def _number_scales(heads: list[Head], targets: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift (C,) from standardised outputs, which train well, to the numbers themselves."""
    scale, shift = [], []
    for head, target in zip(heads, targets):
        is_number = head.kind == "number"
        scale += [max(float(np.nanstd(target)), 1e-8)] if is_number else [1.0] * head.n_outputs
        shift += [float(np.nanmean(target))] if is_number else [0.0] * head.n_outputs
    return np.array(scale), np.array(shift)


def _scaled(heads: list[Head], targets: list[np.ndarray], scale: np.ndarray, shift: np.ndarray) -> list[torch.Tensor]:
    scaled, column = [], 0
    for head, target in zip(heads, targets):
        values = (target - shift[column]) / scale[column] if head.kind == "number" else target
        scaled.append(torch.tensor(values, dtype=torch.float32))
        column += head.n_outputs
    return scaled


def _compare(heads, train, dev, train_targets, dev_targets, decisions) -> list[HeadFigures]:
    features, dev_features = make_features(train.texts(), dev.texts())
    figures = []
    for head, known, target, decision in zip(heads, train_targets, dev_targets, decisions):
        if np.isnan(target).all():
            continue
        methods = {"model": decision, "tfidf": predict_linear(head, features, known, dev_features),
                   "majority": predict_majority(head, known, len(target))}
        figures.append(compare_methods(head, target, methods))
    return figures


def _about(plan: Plan, settings: LoopSettings, train: LabelledSet, dev: LabelledSet, epoch: int, figures: list[HeadFigures]) -> dict:
    return {
        "base": plan.base,
        "settings": asdict(settings),
        "data": {name: {"records": len(part.examples), "sha256": fingerprint(part)} for name, part in (("train", train), ("dev", dev))},
        "dev": {"epoch": epoch, "heads": [asdict(figure) for figure in figures]},
    }


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
