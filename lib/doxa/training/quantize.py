"""Post-training quantisation to int8 by NNCF, calibrated on training texts."""

import io
import logging
import random
from contextlib import redirect_stdout

import nncf
import openvino

from doxa.inference.engine import pad
from doxa.text.frame import Window

N_TEXTS, BATCH_TEXTS = 600, 8
# What stays in floating point, the fastest choice first. The second linear layer of a feed-forward block sums over four
# times as many inputs as the others, some of them large: it loses most.
RUNGS = ("nothing", "feed-forward output")


def quantize(model: openvino.Model, windows: list[Window], pad_id: int, rung: str, seed: int = 0) -> openvino.Model:
    """Return an int8 copy: weights per output channel, activations per tensor, attention scores untouched."""
    nncf.set_log_level(logging.ERROR)
    names = [port.any_name for port in model.inputs]
    batches = _batches(windows, seed)

    def read(batch: list[Window]) -> dict:
        arrays = pad(batch, pad_id, len(batch[0].ids))  # one length: no padding
        return {name: arrays[name] for name in names}

    scope = nncf.IgnoredScope(names=_narrowing(model)) if rung == "feed-forward output" else None
    with redirect_stdout(io.StringIO()):  # its progress bars
        return nncf.quantize(model.clone(), nncf.Dataset(batches, read), model_type=nncf.ModelType.TRANSFORMER,
                             subset_size=len(batches), ignored_scope=scope)


def _batches(windows: list[Window], seed: int) -> list[list[Window]]:
    """Batches of windows of one length each: padding would count among the activations."""
    chosen = random.Random(seed).sample(windows, min(N_TEXTS, len(windows)))
    batches: list[list[Window]] = []
    for window in sorted(chosen, key=lambda window: len(window.ids)):
        if batches and len(batches[-1]) < BATCH_TEXTS and len(batches[-1][0].ids) == len(window.ids):
            batches[-1].append(window)
        else:
            batches.append([window])
    return batches


def _narrowing(model: openvino.Model) -> list[str]:
    """The linear layers with at least twice as many inputs as outputs, but for the output layer of the heads."""
    found = []
    for node in model.get_ops():
        if node.get_type_name() != "MatMul":
            continue
        shape = node.input(1).get_partial_shape()
        if shape.is_static and len(shape) == 2:
            n_outputs, n_inputs = shape[0].get_length(), shape[1].get_length()  # weights are stored (outputs, inputs)
            if n_inputs >= 2 * n_outputs >= 64:
                found.append(node.get_friendly_name())
    return found
