"""A network of torch in the form that OpenVINO runs, proven equal before anybody relies on it."""

import copy
import logging
import warnings

import numpy as np
import openvino
import torch
from torch import nn
from transformers import PreTrainedModel

from doxa.errors import DoxaError, first_line
from doxa.model.first_token import shorten_last_layer
from doxa.model.kinds.kind import Stock
from doxa.model.kinds.slices import CLASSIFIER
from doxa.model.network import forward
from doxa.model.suit import takes_token_types

MOST_DIFFERENCE = 1e-3  # between logits in fp32, of which ten thousandths are usual
_PROBES = ((1, 3), (2, 17), (5, 64), (3, 8))  # texts and tokens: shapes that a traced constant would not survive


class CannotConvert(DoxaError):
    """OpenVINO cannot run this model, or runs it to other logits."""


def convert(model: PreTrainedModel, stock: Stock = CLASSIFIER) -> openvino.Model:
    """Convert a network (fp32, on the CPU). Raises CannotConvert; outputs are compared with torch's on several shapes."""
    model = model.eval()
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if takes_token_types(model) else [])]
    names += ["position"] if stock.guesses else []
    shortened = copy.deepcopy(model)
    if stock.reads_first_token:
        shorten_last_layer(shortened)
    try:
        with _silence(), torch.inference_mode():
            converted = openvino.convert_model(_OutputsOnly(shortened, stock, names), example_input=_probe(model, names, 2, 9))
            for port, name in zip(converted.inputs, names):
                port.get_tensor().set_names({name})
            compiled = openvino.compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            difference = max(_difference(_OutputsOnly(model, stock, names), compiled, *shape) for shape in _PROBES)
    except Exception as error:  # tracing runs code of the architecture, and OpenVINO raises RuntimeError for all
        raise CannotConvert(f"OpenVINO cannot run this {model.config.model_type}: {first_line(error)}") from None
    if not difference <= MOST_DIFFERENCE:
        raise CannotConvert(f"OpenVINO computes other logits for this {model.config.model_type} (they differ by {difference:.2g})")
    return converted


class _OutputsOnly(nn.Module):
    def __init__(self, model: PreTrainedModel, stock: Stock, names: list[str]):
        super().__init__()
        self.model, self.stock, self.names = model, stock, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return forward(self.model, self.stock, dict(zip(self.names, inputs)))


def _probe(model: PreTrainedModel, names: list[str], n_texts: int, n_tokens: int) -> tuple[torch.Tensor, ...]:
    """Random ids, every text but the first padded, the second half of each of the second type; for an encoder-decoder ends of text as well,
    the last of each text's tokens and in the second text one more."""
    generator = torch.Generator().manual_seed(n_texts * 1000 + n_tokens)
    n_tokens = min(n_tokens, getattr(model.config, "max_position_embeddings", n_tokens))
    pad_id = getattr(model.config, "pad_token_id", None) or 0
    ids = torch.randint(0, model.config.vocab_size, (n_texts, n_tokens), generator=generator)
    ids = torch.where(ids == pad_id, (pad_id + 1) % model.config.vocab_size, ids)
    mask = torch.ones_like(ids)
    mask[1:, max(1, n_tokens * 2 // 3):] = 0
    if getattr(model.config, "is_encoder_decoder", False) and isinstance(model.config.eos_token_id, int):
        ids[torch.arange(n_texts), mask.sum(dim=1) - 1] = model.config.eos_token_id
        ids[1:2, 0] = model.config.eos_token_id
    types = torch.zeros_like(ids)
    if getattr(model.config, "type_vocab_size", 0) > 1:
        types[:, n_tokens // 2:] = 1
    inputs = {"input_ids": torch.where(mask == 1, ids, pad_id), "attention_mask": mask, "token_type_ids": types * mask, "position": mask.sum(dim=1) // 2}
    return tuple(inputs[name] for name in names)


def _difference(plain: _OutputsOnly, compiled: openvino.CompiledModel, n_texts: int, n_tokens: int) -> float:
    """The largest between outputs for tokens that are there."""
    probe = dict(zip(plain.names, _probe(plain.model, plain.names, n_texts, n_tokens)))
    difference = np.abs(plain(*probe.values()).numpy() - compiled({name: part.numpy() for name, part in probe.items()})[0])
    if plain.stock.per_token:
        difference *= probe["attention_mask"].numpy()[..., None]
    return float(difference.max())


class _silence:
    """Tracing warns of every Python branch it meets; that they do no harm is what the probes are for."""

    def __enter__(self) -> None:
        self.caught = warnings.catch_warnings()
        self.caught.__enter__()
        warnings.simplefilter("ignore")
        self.level = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_) -> None:
        logging.disable(self.level)
        self.caught.__exit__(None, None, None)
