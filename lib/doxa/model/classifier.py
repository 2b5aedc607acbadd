"""Build and load the stock sequence classifier whose outputs are all heads side by side."""

import os
import shutil
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, BertConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
from transformers.utils import logging

from doxa.errors import DoxaError
from doxa.model.bottleneck import CONFIG_KEY, add_bottlenecks
from doxa.model.heads import Head, output_names
from doxa.model.safety import find_weights, read_config
from doxa.model.suit import suit

_TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "added_tokens.json")
ADAPTER_FOLDER = "adapter"
_OF_HEADS = ("id2label", "label2id", "num_labels", "problem_type", "architectures")
_PROBLEM_TYPES = {"label": "single_label_classification", "labels": "multi_label_classification", "number": "regression"}


def build_classifier(base: str, heads: list[Head]) -> PreTrainedModel:
    """Return the classifier of a base directory with a fresh output layer for these heads, in fp32.

    Raises DoxaError when weights of the encoder itself are missing."""
    _check_classifiable(base)
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    _name_outputs(config, heads)
    model, info = load_pretrained(base, config=config, dtype=torch.float32, ignore_mismatched_sizes=True)
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


def build_masked_model(base: str | None, config: Any, seed: int) -> PreTrainedModel:
    """Return a masked-language model: that of a base directory, or (None) with random weights and the shape of a classifier's config.

    Raises DoxaError where transformers has none for the architecture."""
    if config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise DoxaError(f"--head-start mlm: transformers has no masked-language model for {config.model_type}; choose another --base")
    torch.manual_seed(seed)
    if base is None:
        return AutoModelForMaskedLM.from_config(AutoConfig.for_model(**{key: value for key, value in config.to_dict().items() if key not in _OF_HEADS}))
    return load_pretrained(base, AutoModelForMaskedLM, dtype=torch.float32, ignore_mismatched_sizes=True)[0]


def load_classifier(directory: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load a whole classifier for prediction.

    Raises DoxaError when its weights are damaged, not finite, or do not fill the model: a head is never random."""
    _check_classifiable(directory)
    if CONFIG_KEY in read_config(directory):
        return _check_finite(_load_with_bottlenecks(directory).to(dtype), directory).eval()
    model, info = load_pretrained(directory, dtype=dtype, ignore_mismatched_sizes=True)  # told of below, and refused
    lost = sorted(info["missing_keys"]) + sorted(str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"])
    if lost:
        raise DoxaError(f"{directory} lacks weights of the classifier ({', '.join(lost[:3])}); fine-tune it first")
    return _check_finite(model, directory).eval()


def _check_finite(model: PreTrainedModel, directory: str) -> PreTrainedModel:
    for name, weights in model.named_parameters():
        if not torch.isfinite(weights).all():
            raise DoxaError(f"{directory}: the weights of {name} are not finite")
    return model


def _load_with_bottlenecks(directory: str) -> PreTrainedModel:
    """A classifier with adapters, which transformers does not know of. Raises DoxaError when weights are damaged or missing."""
    logging.set_verbosity_error()
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
        add_bottlenecks(model, int(getattr(config, CONFIG_KEY)))
        weights: dict[str, torch.Tensor] = {}
        for name in find_weights(directory):
            weights |= load_file(os.path.join(directory, name))
        model.load_state_dict(weights)
        suit(model, directory)
    except Exception as error:  # whatever a damaged file makes the libraries raise
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DoxaError(f"{directory} cannot be loaded: {first}") from None
    return model


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
    """Fold `scale` and `shift` (C,) into the output layer: it then gives scale * output + shift. Where it has no bias, as decoders'
    have none, `shift` must be 0."""
    layer = output_layer(model)
    with torch.no_grad():
        layer.weight.mul_(scale[:, None].to(layer.weight))
        if layer.bias is not None:
            layer.bias.mul_(scale.to(layer.bias)).add_(shift.to(layer.bias))


def _check_classifiable(directory: str) -> None:
    config = read_config(directory)
    if not isinstance(config.get("model_type"), str) or config["model_type"] not in CONFIG_MAPPING_NAMES:
        raise DoxaError(f'{directory}/config.json: model_type "{config.get("model_type")}" is none that transformers knows')
    if config["model_type"] not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        raise DoxaError(f'{directory}: transformers has no sequence classifier for model_type "{config["model_type"]}"')
    find_weights(directory)


def load_pretrained(directory: str, auto_class: type = AutoModelForSequenceClassification, **arguments) -> tuple[PreTrainedModel, dict]:
    """A model and what its loading tells of missing weights, offline, from safetensors alone. Raises DoxaError for whatever goes wrong."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, info = auto_class.from_pretrained(
            directory, use_safetensors=True, trust_remote_code=False, local_files_only=True, output_loading_info=True, **arguments)
    except Exception as error:  # whatever a damaged file makes the libraries raise
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DoxaError(f"{directory} cannot be loaded: {first}") from None
    suit(model, directory)
    return model, info


def _name_outputs(config: Any, heads: list[Head]) -> None:
    names = output_names(heads)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    config.problem_type = _PROBLEM_TYPES[heads[0].kind] if len(heads) == 1 else None
