"""The forms that prediction on a CPU runs, written into a new model directory: converted, and in int8 where that does no harm."""

import importlib.util
import io
import os
from collections.abc import Callable
from contextlib import redirect_stdout

import numpy as np
from transformers import PreTrainedModel

from doxa.device.cpu import computes_bf16, usable_cores
from doxa.inference.conversion import save_form
from doxa.inference.openvino_engine import OpenVinoEngine
from doxa.model.convert import CannotConvert, convert
from doxa.model.form import FOLDER, INT8, complete_form, digests
from doxa.model.kinds.kind import Stock
from doxa.model.kinds.slices import pool_texts
from doxa.model.safety import find_weights
from doxa.training.guard import LEAST_HELD_OUT, HeldOut, judge


def write_forms(directory: str, model: PreTrainedModel, stock: Stock, max_length: int, held_out: HeldOut | None, wants_int8: bool, tell: Callable[[str], None]) -> None:
    """Convert the model whose weights lie in `directory`; quantise it, and let the guard compare, where `held_out` is there
    and int8 wanted."""
    try:
        converted = convert(model, stock)
    except CannotConvert as error:
        tell(f"{error}; predict will run it with torch")
        return
    folder = os.path.join(directory, FOLDER)
    os.mkdir(folder)
    save_form(converted, folder)
    verdict = _try_int8(folder, converted, model.config.pad_token_id or 0, held_out, max_length, tell) if wants_int8 else {}
    complete_form(folder, digests(directory, None, find_weights(directory)), verdict)


def _try_int8(folder: str, converted, pad_id: int, held_out: HeldOut | None, max_length: int, tell: Callable[[str], None]) -> dict:
    """Write an int8 form where one can be made and judged; the verdict on it, nothing where there is none."""
    if held_out is None:
        tell("no int8 form: it is made for heads of label, labels and number")
    elif len(held_out.texts) < LEAST_HELD_OUT:
        tell(f"no int8 form: {len(held_out.texts)} dev records are too few to tell whether it keeps the labels ({LEAST_HELD_OUT} would do)")
    elif importlib.util.find_spec("nncf") is None:
        tell("no int8 form: nncf is not installed; it comes with: pip install 'doxa[cpu]'")
    else:
        return _write_int8(folder, converted, pad_id, held_out, max_length, tell)
    return {}


def _write_int8(folder: str, converted, pad_id: int, held_out: HeldOut, max_length: int, tell: Callable[[str], None]) -> dict:
    with redirect_stdout(io.StringIO()):  # NNCF greets, and keeps the stream that it finds
        from doxa.training.quantize import RUNGS, quantize

    def compute(form, precision: str) -> np.ndarray:
        engine = OpenVinoEngine(form, precision, pad_id, max_length, n_cores=usable_cores())
        return pool_texts(engine.compute([window for windows in held_out.texts for window in windows]), held_out.texts)

    plain, rest = compute(converted, "fp32"), "bf16" if computes_bf16() else "fp32"  # as prediction will run it
    for rung in RUNGS:
        quantised = quantize(converted, held_out.train, pad_id, rung)
        verdict = judge(held_out.heads, held_out.targets, plain, compute(quantised, rest)) | {"kept_in_float": rung}
        if verdict["is_good"]:
            save_form(quantised, folder, INT8)
            break
    name, seen = min(verdict["heads"].items(), key=lambda item: item[1]["agreement"], default=("", None))
    if seen is None:
        tell("no int8 form: no dev record is labelled")
        return {}
    tell(f"int8 form {'kept' if verdict['is_good'] else 'left out'}: on {len(held_out.texts)} dev records it agrees with fp32 on "
         f"{seen['agreement']:.1%} [{seen['interval'][0]:.1%}, {seen['interval'][1]:.1%}] for head \"{name}\", "
         f"macro-F1 {seen['int8']:.3f} against {seen['fp32']:.3f}")
    return verdict if verdict["is_good"] else {}
