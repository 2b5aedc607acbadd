"""A model directory made ready to predict."""

import pyarrow as pa

from doxa.device.choose import choose_device, choose_precision
from doxa.errors import DoxaError, UsageError
from doxa.inference.engine import TorchEngine
from doxa.inference.predictor import Predictor
from doxa.model.bases import find_model
from doxa.model.classifier import foreign_head, load_classifier
from doxa.model.directory import ModelTable, read_table
from doxa.model.safety import read_config
from doxa.text.frame import Reading
from doxa.text.tokenizer import load_tokenizer


def load_predictor(name: str, *, device: str = "auto", precision: str = "auto", batch_tokens: int | None = None,
                   long_policy: str | None = None, text_field: str | None = None, text_pair_field: str | None = None,
                   head_name: str | None = None, with_scores: bool = False, verify: bool = True) -> tuple[Predictor, list[str], list[str]]:
    """Load a model directory or hub id. Returns the predictor, why device and precision were chosen, and what the user
    should know of the model.

    Raises DoxaError for a directory that is missing, incomplete, altered or unsafe.
    """
    directory = find_model(name)
    read_config(directory)
    table = read_table(directory, verify)
    where, why_device = choose_device(device)
    dtype, why_precision = choose_precision(precision, where)
    tokenizer = load_tokenizer(directory)
    model = load_classifier(directory, dtype)
    reasons = [f"device {where}: {why_device}", f"precision {str(dtype).removeprefix('torch.')}: {why_precision}"]
    notes: list[str] = []
    if table is None:
        table = ModelTable([foreign_head(model.config, head_name or "label")], tokenizer.max_length)
        notes.append(f'{name} was not written by doxa: one head, "{table.heads[0].name}"; nothing is known of its calibration')
    elif head_name is not None:
        raise UsageError("--head names the head of a model that doxa did not write; this one names its own")
    if sum(head.n_outputs for head in table.heads) != model.config.num_labels:
        raise DoxaError(f"{directory}: doxa.json describes {sum(h.n_outputs for h in table.heads)} outputs, "
                        f"the model has {model.config.num_labels}")
    reading = Reading(tokenizer.frame, min(table.max_length, tokenizer.max_length), long_policy or table.long_policy)
    engine = TorchEngine(model, where, batch_tokens)
    predictor = Predictor(engine, table.heads, tokenizer, reading, text_field or table.text_field,
                          text_pair_field or table.text_pair_field, with_scores)
    return predictor, reasons, notes


def prediction_types(predictor: Predictor):
    """The Arrow types of the keys that predict adds."""
    def entry(head):
        scores = pa.struct([(label, pa.float64()) for label in head.labels])
        if head.kind == "number":
            return pa.struct([("score", pa.float64())])
        if head.kind == "labels":
            return pa.struct([("labels", pa.list_(pa.string())), ("scores", scores)])
        members = [("label", pa.string()), ("score", pa.float64())]
        return pa.struct(members + ([("scores", scores)] if predictor.with_scores else []))

    return {"prediction": pa.struct([(head.name, entry(head)) for head in predictor.heads]),
            "n_tokens": pa.int64(), "truncated": pa.bool_()}
