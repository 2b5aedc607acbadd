"""Training of heads that are slices of one classifier: windows, targets, rounds of self-training, teachers, calibration."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.inference.torch_engine import TorchEngine
from doxa.model.heads import Head
from doxa.model.kinds.slices import pool_texts
from doxa.model.network import output_layer, rescale_outputs
from doxa.text.frame import Window
from doxa.training.baseline import make_features, predict_linear, predict_majority
from doxa.training.calibrate import calibrate
from doxa.training.encode import head_windows, number_scales, scaled_targets, token_ids
from doxa.training.evaluation import HeadFigures, compare_methods, count_confusion, decide, dev_scores
from doxa.training.guard import HeldOut
from doxa.training.labels import encode_targets
from doxa.training.loop import TrainingLoop
from doxa.training.loss import Objective, balanced_weights
from doxa.training.plan import Listener, Plan
from doxa.training.prepared import EVALUATED_AT_ONCE, Judged, Prepared
from doxa.training.probe import Probe
from doxa.training.tasks import Classification


@dataclass(kw_only=True)
class Classifying(Prepared):
    """Texts as windows, and one array of targets per head (see `encode_targets`). `scale` and `shift` (C,) lead from standardised outputs
    to numbers."""

    train_windows: list[Window]
    train_targets: list[np.ndarray]
    dev_texts: list[list[Window]]
    dev_targets: list[np.ndarray]
    scale: np.ndarray
    shift: np.ndarray
    unlabelled_texts: list[list[Window]]

    def n_rows(self, plan: Plan) -> int:
        return len(self.train_windows) + (len(self.unlabelled_texts) if plan.teachers else 0)

    def train_windows_of(self) -> list[Window]:
        return self.train_windows

    def unlabelled_windows(self) -> list[Window]:
        return [windows[0] for windows in self.unlabelled_texts]

    def probe(self, plan: Plan) -> Probe | None:
        objectives = [self._objective(plan, [head], [target]) for head, target in zip(self.heads, self.train_targets)]
        targets = scaled_targets(self.heads, self.train_targets, self.scale, self.shift)
        return Probe(self.train_windows, [1] * len(self.train_windows), objectives, targets)

    def make_task(self, plan: Plan, chosen: Any = None, soft: torch.Tensor | None = None) -> Classification:
        """The labelled texts, with them those that self-training labelled, or with teachers all that are there."""
        objective = self._objective(plan, self.heads, self.train_targets)
        windows, targets = list(self.train_windows), self.train_targets
        places = [example.place for example in self.train.examples]
        if soft is not None:
            windows, places, targets = self._with_unlabelled()
        elif chosen is not None:
            windows, places, targets = self._with_unlabelled(chosen.rows, chosen.targets)
        return Classification(objective, windows, scaled_targets(self.heads, targets, self.scale, self.shift), places, self.pad_id, self.mixed, soft)

    def _objective(self, plan: Plan, heads: list[Head], targets: list[np.ndarray]) -> Objective:
        weights = tuple(map(balanced_weights, heads, targets)) if plan.class_weights == "balanced" else ()
        return Objective(heads, plan.label_smoothing_factor, plan.focal_gamma, weights)

    def _with_unlabelled(self, rows: np.ndarray | None = None, targets: list[np.ndarray] | None = None
                         ) -> tuple[list[Window], list[str], list[np.ndarray]]:
        """Windows, places and targets of the labelled texts and of rows (None: all) of the unlabelled; these are without a label unless given."""
        rows = np.arange(len(self.unlabelled_texts)) if rows is None else rows
        windows = [*self.train_windows, *(self.unlabelled_texts[i][0] for i in rows)]
        places = [example.place for example in self.train.examples] + [self.unlabelled.examples[i].place for i in rows]
        more = targets or [np.full((len(rows), *known.shape[1:]), np.nan) for known in self.train_targets]
        return windows, places, [np.concatenate([known, added]) for known, added in zip(self.train_targets, more)]

    def evaluate(self, loop: TrainingLoop) -> dict[str, float]:
        logits = self.logits_of(loop, self.dev_texts, stops=True)
        return {} if logits is None else dev_scores(logits, self.dev_targets, self.heads)

    def logits_of(self, loop: TrainingLoop, texts: list[list[Window]], stops: bool = False) -> np.ndarray | None:
        """Outputs (n, C) for texts, given as their windows; None when `stops` and a signal arrived."""
        engine, parts = self.engine_of(loop), []
        for start in range(0, len(texts), EVALUATED_AT_ONCE):
            if stops and self.is_stopped(loop):
                return None
            parts.append(_logits(engine, texts[start : start + EVALUATED_AT_ONCE]))
        return np.concatenate(parts) * self.scale + self.shift

    def judge(self, plan: Plan, loop: TrainingLoop) -> Judged:
        """Calibrate, and compare with simple methods."""
        heads, calibrations, honest = calibrate(self.heads, self.logits_of(loop, self.dev_texts), self.dev_targets, plan.target_precision)
        decisions = decide(honest, self.heads)
        confusion = {head.name: count_confusion(head, target, decision)
                     for head, target, decision in zip(self.heads, self.dev_targets, decisions) if head.kind != "number"}
        return Judged(heads, self._compare(decisions), calibrations, {"confusion": confusion})

    def _compare(self, decisions: list[np.ndarray]) -> list[HeadFigures]:
        features, dev_features = make_features(self.train.texts(), self.dev.texts())
        figures = []
        for head, known, target, decision in zip(self.heads, self.train_targets, self.dev_targets, decisions):
            if np.isnan(target).all():
                continue
            methods = {"model": decision, "tfidf": predict_linear(head, features, known, dev_features),
                       "majority": predict_majority(head, known, len(target))}
            figures.append(compare_methods(head, target, methods))
        return figures

    def finish(self, model: PreTrainedModel) -> None:
        rescale_outputs(model, torch.tensor(self.scale), torch.tensor(self.shift))

    def probe_windows(self, most: int) -> list[Window]:
        return [windows[0] for windows in self.dev_texts[:most]]

    def held_out(self, heads: list[Head]) -> HeldOut | None:
        return HeldOut(heads, self.train_windows, self.dev_texts, self.dev_targets)


def _logits(engine: TorchEngine, texts: list[list[Window]]) -> np.ndarray:
    return pool_texts(engine.compute([window for windows in texts for window in windows]), texts)


def prepare_slices(plan: Plan, shared: dict[str, Any], listener: Listener) -> dict[str, Any]:
    """What Classifying has beyond what is shared by all. Raises DoxaError for token ids of another tokenizer."""
    heads, tokenizer, reading = shared["heads"], shared["tokenizer"], shared["reading"]

    def ids_of(name: str):
        return token_ids(tokenizer, shared[name], plan.base, shared["base"] is None, listener.warn)

    windows, n_long = head_windows(reading, ids_of("train"))
    if n_long:
        listener.note(f"{n_long} training texts are longer than {reading.max_length} tokens; training reads the beginning of each")
    dev_texts, unlabelled_texts = ([reading.read(*ids)[0] for ids in ids_of(name)] for name in ("dev", "unlabelled"))
    train_targets, dev_targets = ([encode_targets(head, shared[name].column(i)) for i, head in enumerate(heads)] for name in ("train", "dev"))
    scale, shift = number_scales(heads, train_targets, output_layer(shared["model"]).bias is not None)
    return dict(train_windows=windows, train_targets=train_targets, dev_texts=dev_texts, dev_targets=dev_targets, scale=scale, shift=shift,
                unlabelled_texts=unlabelled_texts)
