"""After the last step: calibrate, compare with simple methods, publish, and see that it loads."""

import importlib.util
import os
import shutil
from dataclasses import asdict, dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.inference.torch_engine import TorchEngine
from doxa.model.classifier import ADAPTER_FOLDER, rescale_outputs, save_classifier
from doxa.model.directory import ModelTable, publish
from doxa.text.frame import Window
from doxa.text.tokenizer import write_tokenizer
from doxa.training.baseline import make_features, predict_linear, predict_majority
from doxa.training.calibrate import Calibration, calibrate
from doxa.training.evaluation import HeadFigures, compare_methods, count_confusion, decide
from doxa.training.head_start import ENCODER
from doxa.training.identity import fingerprint
from doxa.training.outputs import dev_logits
from doxa.training.plan import Listener
from doxa.training.prepare import Prepared
from doxa.training.reload import compare_reloaded
from doxa.training.rounds import Trained, Trial
from doxa.training.run_folder import LOG
from doxa.training.stages import Stages
from doxa.training.stock_tokenizer import align_stock_tokenizer
from doxa.training.trackers import FOLDER as RUNS

RELOADED_TEXTS = 64


@dataclass(frozen=True)
class Result:
    """What came of a run. `seconds` is the last stage's training alone, interruptions left out; `n_trained` counts parameters."""

    output: str
    figures: list[HeadFigures]
    calibrations: list[Calibration]
    epoch: int
    n_train: int
    n_dev: int
    n_parameters: int
    seconds: float
    n_trained: int
    remarks: list[str]
    trials: list[Trial]


def conclude(trained: Trained, stages: Stages, listener: Listener) -> Result:
    """Calibrate, compare with simple methods, publish, and see that what few weights were trained survived it. Raises DoxaError."""
    plan, prepared, loop, position = trained.plan, trained.prepared, trained.loop, trained.position
    heads, calibrations, honest = calibrate(prepared.heads, dev_logits(loop, prepared), prepared.dev_targets, plan.target_precision)
    decisions = decide(honest, prepared.heads)
    figures = _compare(prepared, decisions)
    model, adaptation, folder = prepared.model.cpu(), prepared.adaptation, stages.folder
    n_trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    rescale_outputs(model, torch.tensor(prepared.scale), torch.tensor(prepared.shift))
    asked = prepared.dev_texts[:RELOADED_TEXTS] if plan.peft else []
    expected = _plain_logits(model, prepared, asked)
    remarks = adaptation.describe(model)
    about = {
        "base": plan.base,
        "settings": asdict(prepared.settings),
        "data": {name: {"records": len(part.examples), "sha256": fingerprint(part)}
                 for name, part in (("train", prepared.train), ("dev", prepared.dev))},
        "dev": {"epoch": position.best_epoch, "heads": [asdict(figure) for figure in figures],
                "calibration": [asdict(calibration) for calibration in calibrations],
                "confusion": {head.name: count_confusion(head, target, decision)
                              for head, target, decision in zip(prepared.heads, prepared.dev_targets, decisions) if head.kind != "number"}},
    } | ({"search": [asdict(trial) for trial in trained.trials]} if trained.trials else {})
    table = ModelTable(heads, prepared.reading.max_length, "windows", *plan.text_fields, about=about)
    with publish(plan.output, table) as working:
        if plan.keeps_adapter:
            adaptation.save_alone(os.path.join(working, ADAPTER_FOLDER))
        model = adaptation.merge(model)
        save_classifier(model, working, prepared.base)
        write_tokenizer(prepared.tokenizer, working, prepared.reading.max_length)
        for remark in align_stock_tokenizer(working, prepared.tokenizer, model, prepared.train.texts()):
            listener.note(remark)
        if plan.head_start:
            shutil.copytree(prepared.encoder, os.path.join(working, ENCODER))
        if plan.peft:
            remarks += compare_reloaded(working, asked, expected, prepared.model.config.pad_token_id or 0,
                                        (prepared.encoder or prepared.base) if plan.keeps_adapter else None)
        if plan.trackers and os.path.isdir(runs := os.path.join(folder.path, RUNS)):
            shutil.copytree(runs, os.path.join(working, RUNS), symlinks=True)
        shutil.copyfile(folder.log_path, os.path.join(working, LOG))
        with open(os.path.join(working, "training.svg"), "w", encoding="utf-8") as file:
            file.write(listener.draw([row for row in folder.read_log() if row["stage"] == trained.stage]))
        if importlib.util.find_spec("openvino"):
            from doxa.training.forms import write_forms

            write_forms(working, model, heads, prepared.train_windows, prepared.dev_texts, prepared.dev_targets,
                        prepared.tokenizer.max_length, plan.wants_int8, listener.note)
    return Result(plan.output, figures, calibrations, position.best_epoch, len(prepared.train.examples), len(prepared.dev.examples),
                  sum(p.numel() for p in model.parameters()), position.seconds, n_trained, remarks, trained.trials)


def _plain_logits(model: PreTrainedModel, prepared: Prepared, texts: list[list[Window]]) -> np.ndarray | None:
    """In fp32 on the CPU, each text's first window."""
    engine = TorchEngine(model, torch.device("cpu"), prepared.tokenizer.max_length)
    return engine.compute([windows[0] for windows in texts]) if texts else None


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
