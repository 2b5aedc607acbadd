"""Where output layers start: at what the base makes of the texts already, at how frequent labels are, or at random."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from doxa.inference.torch_engine import TorchEngine
from doxa.model.network import output_layer
from doxa.records.signals import held_for_work, signal_seen
from doxa.text.frame import Window
from doxa.training.loop import Stopped
from doxa.training.plan import Plan
from doxa.training.prepared import EVALUATED_AT_ONCE, Prepared
from doxa.training.probe import Probe, fit_probe
from doxa.training.processes import Processes

LINEAR, PRIOR, RANDOM = "linear", "prior", "random"
Start = tuple[torch.Tensor, torch.Tensor]


def init_heads(plan: Plan, prepared: Prepared, processes: Processes) -> None:
    """Set the output layer of a model that nothing was trained of yet.

    `linear` fits it to the features that the untrained network has for the training texts: fine-tuning that starts there distorts them less, and
    many labels are told apart from the first step on (Kumar et al. 2022). `prior` sets the bias alone, to how frequent labels are (Lin et al. 2017).
    Raises Stopped when a signal arrived."""
    way, probe = plan.head_init or LINEAR, prepared.probe(plan)
    if probe is None or way == RANDOM:
        return
    with held_for_work():
        start = processes.from_first(_find_start(way, prepared, probe.sample()) if processes.is_first else None)
        if start is None:
            raise Stopped(0, prepared.settings.n_steps(prepared.n_rows(plan)))
    layer = output_layer(prepared.model)
    weight, bias = start
    with torch.no_grad():
        if weight.shape == layer.weight.shape:
            layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias)


def _find_start(way: str, prepared: Prepared, probe: Probe) -> Start | None:
    """Weights (C, D), without columns where they stay at random, and bias (C,); None when a signal arrived."""
    has_bias = output_layer(prepared.model).bias is not None
    features = _features(prepared, probe.windows) if way == LINEAR else np.zeros((sum(probe.n_rows), 0), np.float32)
    if features is None:
        return None
    if not np.isfinite(features).all():  # the first step will say so
        features = features[:, :0]
    parts = []
    for objective, targets in zip(probe.objectives, probe.targets):
        part = fit_probe(objective, features, targets, has_bias, lambda: signal_seen() is not None)
        if part is None:
            return None
        parts.append(part)
    return torch.cat([weight for weight, _ in parts]), torch.cat([bias for _, bias in parts])


def _features(prepared: Prepared, windows: list[Window]) -> np.ndarray | None:
    """What the output layer reads (N, D), a row for each window or for each token; None when a signal arrived."""
    engine = TorchEngine(prepared.model, prepared.device, prepared.tokenizer.max_length, mixed=prepared.mixed, stock=prepared.stock)
    parts = []
    with _without_outputs(prepared.model) as width:
        engine.n_outputs = width
        for start in range(0, len(windows), EVALUATED_AT_ONCE):
            if signal_seen() is not None:
                return None
            found = engine.compute(windows[start : start + EVALUATED_AT_ONCE])
            parts.append(np.concatenate(found) if engine.per_token else found)
    return np.concatenate(parts)


@contextmanager
def _without_outputs(model: PreTrainedModel) -> Iterator[int]:
    """For as long as the context lasts the model gives what its output layer reads, so many values wide."""
    layer = output_layer(model)
    name = next(name for name, module in model.named_modules() if module is layer)
    model.set_submodule(name, nn.Identity())
    try:
        yield layer.in_features
    finally:
        model.set_submodule(name, layer)
