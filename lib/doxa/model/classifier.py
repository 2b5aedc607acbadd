"""Build and load the stock sequence classifier whose outputs are all heads side by side."""

import os
import shutil
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
from transformers.utils import logging

from doxa.errors import DoxaError
from doxa.model.heads import Head, output_names
from doxa.model.safety import find_weights, read_config

_TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "added_tokens.json")
_PROBLEM_TYPES = {"label": "single_label_classification", "labels": "multi_label_classification", "number": "regression"}


def build_classifier(base: str, heads: list[Head]) -> PreTrainedModel:
    """Return the classifier of a base directory with a fresh output layer for these heads, in fp32.

    Raises DoxaError when weights of the encoder itself are missing."""
    _check_classifiable(base)
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    _name_outputs(config, heads)
    model, info = _load(base, config=config, dtype=torch.float32, ignore_mismatched_sizes=True)
    encoder = model.base_model_prefix + "."
    lost = [key for key in info["missing_keys"] if key.startswith(encoder) and "pooler" not in key]
    if lost:
        raise DoxaError(f"{base} lacks {len(lost)} weights of its encoder, {lost[0]} for one; it is no whole base model")
    return model


def build_scratch(vocabulary_size: int, heads: list[Head], max_length: int = 512) -> PreTrainedModel:
    """Return a small encoder (four layers, 256 wide, BERT's architecture) with random weights."""
    config = BertConfig(
        vocab_size=vocabulary_size, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024,
        max_position_embeddings=max_length, pad_token_id=0)
    _name_outputs(config, heads)
    return AutoModelForSequenceClassification.from_config(config)


def load_classifier(directory: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load a whole classifier for prediction.

    Raises DoxaError when its weights are damaged, not finite, or do not fill the model: a head is never random."""
    _check_classifiable(directory)
    model, info = _load(directory, dtype=dtype, ignore_mismatched_sizes=True)  # told of below, and refused
    lost = sorted(info["missing_keys"]) + sorted(str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"])
    if lost:
        raise DoxaError(f"{directory} lacks weights of the classifier ({', '.join(lost[:3])}); fine-tune it first")
    for name, weights in model.named_parameters():
        if not torch.isfinite(weights).all():
            raise DoxaError(f"{directory}: the weights of {name} are not finite")
    return model.eval()


def save_classifier(model: PreTrainedModel, directory: str, base: str | None) -> None:
    """Write weights and config; the tokenizer's small files come from the base. Raises DoxaError for weights not finite."""
    for name, weights in model.named_parameters():
        if not torch.isfinite(weights).all():
            raise DoxaError(f"the weights of {name} are not finite; nothing was written")
    model.save_pretrained(directory)
    for name in _TOKENIZER_FILES if base else ():
        if os.path.exists(os.path.join(base, name)):
            shutil.copyfile(os.path.join(base, name), os.path.join(directory, name))


def output_layer(model: PreTrainedModel) -> nn.Linear:
    """The linear layer whose rows are the outputs."""
    return [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == model.config.num_labels][-1]


def rescale_outputs(model: PreTrainedModel, scale: torch.Tensor, shift: torch.Tensor) -> None:
    """Fold `scale` and `shift` (C,) into the output layer: it then gives scale * output + shift."""
    layer = output_layer(model)
    with torch.no_grad():
        layer.weight.mul_(scale[:, None].to(layer.weight))
        layer.bias.mul_(scale.to(layer.bias)).add_(shift.to(layer.bias))


def _check_classifiable(directory: str) -> None:
    config = read_config(directory)
    if not isinstance(config.get("model_type"), str) or config["model_type"] not in CONFIG_MAPPING_NAMES:
        raise DoxaError(f'{directory}/config.json: model_type "{config.get("model_type")}" is none that transformers knows')
    if config["model_type"] not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        raise DoxaError(f'{directory}: transformers has no sequence classifier for model_type "{config["model_type"]}"')
    find_weights(directory)


def _load(directory: str, **arguments) -> tuple[PreTrainedModel, dict]:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return AutoModelForSequenceClassification.from_pretrained(
            directory, use_safetensors=True, trust_remote_code=False, local_files_only=True, output_loading_info=True, **arguments)
    except Exception as error:  # whatever a damaged file makes the libraries raise
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DoxaError(f"{directory} cannot be loaded: {first}") from None


def _name_outputs(config: Any, heads: list[Head]) -> None:
    names = output_names(heads)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    config.problem_type = _PROBLEM_TYPES[heads[0].kind] if len(heads) == 1 else None
