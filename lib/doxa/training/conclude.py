"""After the last step: calibrate, compare with simple methods, publish, and see that it loads."""

import importlib.util
import os
import shutil
from dataclasses import asdict, dataclass
from typing import Any

from doxa.model.directory import ModelTable, publish
from doxa.model.network import ADAPTER_FOLDER, save_network
from doxa.text.tokenizer import write_tokenizer
from doxa.training.calibrate import Calibration
from doxa.training.evaluation import HeadFigures
from doxa.training.head_start import ENCODER
from doxa.training.identity import fingerprint
from doxa.training.plan import Listener, Plan
from doxa.training.prepared import Prepared
from doxa.training.reload import compare_reloaded, compute_plain
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


def _more_settings(plan: Plan, prepared: Prepared) -> dict[str, Any]:
    """What else the run was asked for, beside the settings of its loop."""
    names = ("class_weights", "label_smoothing_factor", "focal_gamma", "head_init", "peft", "peft_rank", "target_precision", "teachers", "prompt")
    more = {"precision": prepared.precision, "gradient_checkpointing": plan.has_gradient_checkpointing,
            "adversarial": asdict(plan.adversary) if plan.adversary else None, "head_start": plan.head_start,
            "head_start_epochs": plan.head_start_epochs if plan.head_start else None, "self_training_rounds": plan.n_rounds,
            "unlabelled_texts": len(prepared.unlabelled.examples)}
    return {name: getattr(plan, name) for name in names} | more


def conclude(trained: Trained, stages: Stages, listener: Listener) -> Result:
    """Judge, publish, and see that what few weights were trained survived it. Raises DoxaError."""
    plan, prepared, loop, position = trained.plan, trained.prepared, trained.loop, trained.position
    judged = prepared.judge(plan, loop)
    model, adaptation, folder = prepared.model.cpu(), prepared.adaptation, stages.folder
    n_trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    prepared.finish(model)
    asked = prepared.probe_inputs(RELOADED_TEXTS) if plan.peft else {}
    expected = compute_plain(model, prepared.stock, asked) if asked else None
    remarks = judged.remarks + adaptation.describe(model)
    about = {
        "base": plan.base,
        "settings": asdict(prepared.settings) | _more_settings(plan, prepared),
        "data": {name: {"records": len(part.examples), "sha256": fingerprint(part)}
                 for name, part in (("train", prepared.train), ("dev", prepared.dev))},
        "dev": {"epoch": position.best_epoch} | judged.to_json(),
    } | ({"search": [asdict(trial) for trial in trained.trials]} if trained.trials else {})
    fields = prepared.train.fields
    table = ModelTable(judged.heads, prepared.reading.max_length, "windows", fields.text, fields.text_pair, about=about)
    with publish(plan.output, table) as working:
        if plan.keeps_adapter:
            adaptation.save_alone(os.path.join(working, ADAPTER_FOLDER))
        model = adaptation.merge(model)
        save_network(model, working, prepared.base)
        write_tokenizer(prepared.tokenizer, working, prepared.reading.max_length)
        for remark in align_stock_tokenizer(working, prepared.tokenizer, model, prepared.train.texts()):
            listener.note(remark)
        prepared.complete(working)
        if plan.head_start:
            shutil.copytree(prepared.encoder, os.path.join(working, ENCODER))
        if plan.peft:
            remarks += compare_reloaded(working, judged.heads, asked, expected,
                                        (prepared.encoder or prepared.base) if plan.keeps_adapter else None)
        if plan.trackers and os.path.isdir(runs := os.path.join(folder.path, RUNS)):
            shutil.copytree(runs, os.path.join(working, RUNS), symlinks=True)
        shutil.copyfile(folder.log_path, os.path.join(working, LOG))
        with open(os.path.join(working, "training.svg"), "w", encoding="utf-8") as file:
            file.write(listener.draw([row for row in folder.read_log() if row["stage"] == trained.stage]))
        if plan.wants_openvino and importlib.util.find_spec("openvino") and not prepared.kind.writes:
            from doxa.training.forms import write_forms

            write_forms(working, model, prepared.stock, prepared.tokenizer.max_length, prepared.held_out(judged.heads), plan.wants_int8, listener.note)
    return Result(plan.output, judged.figures, judged.calibrations, position.best_epoch, len(prepared.train.examples), len(prepared.dev.examples),
                  sum(p.numel() for p in model.parameters()), position.seconds, n_trained, remarks, trained.trials)
