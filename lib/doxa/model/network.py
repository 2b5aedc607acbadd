"""Build, run, load and save the stock network of a kind of head."""

import os
import shutil
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM, BertConfig, PreTrainedModel
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.utils import logging

from doxa.errors import DoxaError, first_line
from doxa.model.bottleneck import CONFIG_KEY, add_bottlenecks
from doxa.model.encoder import encoder_parts, is_called_otherwise, load_into
from doxa.model.heads import Head, output_names
from doxa.model.kinds.kind import Stock
from doxa.model.kinds.mask import GUESS_SIZE, MASKED
from doxa.model.kinds.slices import CLASSIFIER
from doxa.model.kinds.table import kind_of, stock_of
from doxa.model.safety import find_weights, read_config
from doxa.model.suit import suit
from doxa.model.writing import scratch_config

_TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "added_tokens.json", "chat_template.jinja")
ADAPTER_FOLDER = "adapter"
_LANGUAGE_HEADS = {"bert": "cls", "roberta": "lm_head", "xlm-roberta": "lm_head", "camembert": "lm_head"}
_OF_HEADS = ("id2label", "label2id", "num_labels", "problem_type", "architectures")
_PROBLEM_TYPES = {"label": "single_label_classification", "labels": "multi_label_classification", "number": "regression"}


def build_network(base: str, heads: list[Head]) -> PreTrainedModel:
    """Return the stock network of a base directory with fresh outputs for these heads, in fp32.

    Raises DoxaError when weights of the encoder itself are missing, or transformers has no such network for the base."""
    kind = kind_of(heads)
    stock = stock_of(heads, read_config(base))
    _check_stock(base, stock)
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    _name_outputs(config, heads)
    model, info = load_pretrained(base, stock, config=config, dtype=torch.float32, ignore_mismatched_sizes=True)
    parts = encoder_parts(model)
    lost = [key for key in info["missing_keys"] if (kind.writes or key.split(".")[0] in parts) and "pooler" not in key]  # what writes wants its outputs, too
    if lost:
        raise DoxaError(f"{base} lacks {len(lost)} weights of its {'network' if kind.writes else 'encoder'}, {lost[0]} for one; it is no whole base model")
    return model


def build_scratch(vocabulary_size: int, heads: list[Head], max_length: int = 512) -> PreTrainedModel:
    """Return a small encoder (four layers, 256 wide, BERT's architecture) with random weights, and the outputs of these heads; for heads that
    write an encoder-decoder."""
    if kind_of(heads).writes:
        return auto_class(kind_of(heads).stock).from_config(scratch_config(vocabulary_size, max_length))
    config = BertConfig(
        vocab_size=vocabulary_size, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024,
        max_position_embeddings=max_length, pad_token_id=0)
    _name_outputs(config, heads)
    return auto_class(kind_of(heads).stock).from_config(config)


def auto_class(stock: Stock) -> type:
    return getattr(transformers, stock.auto_class)


def forward(model: PreTrainedModel, stock: Stock, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The outputs of windows, given as (B, T): (B, T, C) where the network gives a row per token, else (B, C). Where it guesses, `position` (B,)
    is that of the hidden token, and C the size of the vocabulary."""
    if stock.guesses:
        inputs = dict(inputs)
        position = inputs.pop("position")
        return logits_at(model, inputs, (torch.arange(position.shape[0], device=position.device), position))
    if stock.has_choice_axis:
        inputs = {name: tensor[:, None] for name, tensor in inputs.items()}  # (B, T) -> (B, 1, T)
    found = model(**inputs)
    tensors = [getattr(found, name) for name in stock.outputs]
    if stock.pooling:
        return _pool_tokens(tensors[0].float(), inputs["attention_mask"], stock.pooling)
    return tensors[0] if len(tensors) == 1 else torch.stack(tensors, dim=-1)  # (B, T) each -> (B, T, C)


def _pool_tokens(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector (B, D) of length 1 from a state for every token (B, T, D): their mean over the mask (B, T), or the first."""
    if pooling == "cls":
        return functional.normalize(states[:, 0], dim=-1)
    is_there = mask[:, :, None].to(states.dtype)
    return functional.normalize((states * is_there).sum(dim=1) / is_there.sum(dim=1), dim=-1)


def logits_at(model: PreTrainedModel, inputs: dict[str, torch.Tensor], places: Any) -> torch.Tensor:
    """A masked-language model's scores (n, V) of all tokens at n places alone, an index of (B, T), where the architecture is known: the vocabulary
    is most of the work."""
    head = _LANGUAGE_HEADS.get(model.config.model_type)
    if head is None:
        return model(**inputs).logits[places]
    return getattr(model, head)(model.base_model(**inputs).last_hidden_state[places])


def count_outputs(model: PreTrainedModel, stock: Stock) -> int:
    """C of what an engine returns."""
    if stock.guesses:
        return GUESS_SIZE
    return model.config.hidden_size if stock.pooling else stock.n_outputs or model.config.num_labels


def build_masked_model(base: str | None, config: Any, seed: int) -> PreTrainedModel:
    """Return a masked-language model: that of a base directory, or (None) with random weights and the shape of a classifier's config.

    Raises DoxaError where transformers has none for the architecture."""
    if config.model_type not in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise DoxaError(f"--head-start mlm: transformers has no masked-language model for {config.model_type}; choose another --base")
    torch.manual_seed(seed)
    if base is None:
        return AutoModelForMaskedLM.from_config(AutoConfig.for_model(**{key: value for key, value in config.to_dict().items() if key not in _OF_HEADS}))
    return load_pretrained(base, MASKED, dtype=torch.float32, ignore_mismatched_sizes=True)[0]


def load_network(directory: str, dtype: torch.dtype = torch.float32, stock: Stock = CLASSIFIER) -> PreTrainedModel:
    """Load a whole network for prediction.

    Raises DoxaError when its weights are damaged, not finite, or do not fill the model: a head is never random."""
    _check_stock(directory, stock)
    if CONFIG_KEY in read_config(directory):
        return _check_finite(_load_with_bottlenecks(directory, stock).to(dtype), directory).eval()
    model, info = load_pretrained(directory, stock, dtype=dtype, ignore_mismatched_sizes=True)  # told of below, and refused
    lost = sorted(key for key in info["missing_keys"] if not (stock.pooling and "pooler" in key)) + sorted(str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"])
    if lost:
        raise DoxaError(f"{directory} lacks weights of the {stock.words.split()[-1]} ({', '.join(lost[:3])}); fine-tune it first")
    return _check_finite(model, directory).eval()


def _check_finite(model: PreTrainedModel, directory: str) -> PreTrainedModel:
    for name, weights in model.named_parameters():
        if not torch.isfinite(weights).all():
            raise DoxaError(f"{directory}: the weights of {name} are not finite")
    return model


def _load_with_bottlenecks(directory: str, stock: Stock) -> PreTrainedModel:
    """A network with adapters, which transformers does not know of. Raises DoxaError when weights are damaged or missing."""
    logging.set_verbosity_error()
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        model = auto_class(stock).from_config(config, dtype=torch.float32)
        add_bottlenecks(model, int(getattr(config, CONFIG_KEY)))
        weights: dict[str, torch.Tensor] = {}
        for name in find_weights(directory):
            weights |= load_file(os.path.join(directory, name))
        missing, unexpected = model.load_state_dict(weights, strict=False)
        places = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
        filled = {places[name] for name in weights if name in places}  # of tensors that share their memory, one is in the file
        if lost := unexpected + [name for name in missing if places[name] not in filled]:
            raise DoxaError(f"its weights are not those of the network ({lost[0]})")
        suit(model, directory)
    except Exception as error:  # whatever a damaged file makes the libraries raise
        raise DoxaError(f"{directory} cannot be loaded: {first_line(error)}") from None
    return model


def save_network(model: PreTrainedModel, directory: str, base: str | None) -> None:
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


def _check_stock(directory: str, stock: Stock) -> None:
    config = read_config(directory)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING_NAMES:
        raise DoxaError(f'{directory}/config.json: model_type "{model_type}" is none that transformers knows')
    if model_type not in getattr(modeling_auto, stock.mapping):
        raise DoxaError(f'{directory}: transformers has no {stock.words} for model_type "{model_type}"; choose another base')
    if stock.encoders and model_type in getattr(modeling_auto, stock.encoders) and not config.get("is_decoder"):
        raise DoxaError(f'{directory}: model_type "{model_type}" is an encoder, which reads and does not write; take a decoder or an '
                        "encoder-decoder as --base, or scratch")
    find_weights(directory)


def load_pretrained(directory: str, stock: Stock = CLASSIFIER, **arguments) -> tuple[PreTrainedModel, dict]:
    """A model and what its loading tells of missing weights, offline, from safetensors alone. Raises DoxaError for whatever goes wrong."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    arguments |= dict(use_safetensors=True, trust_remote_code=False, local_files_only=True, output_loading_info=True)
    try:
        if is_called_otherwise(directory, stock):
            model, info = load_into(auto_class(stock), directory, arguments)
        else:
            model, info = auto_class(stock).from_pretrained(directory, **arguments)
    except Exception as error:  # whatever a damaged file makes the libraries raise
        raise DoxaError(f"{directory} cannot be loaded: {first_line(error)}") from None
    suit(model, directory)
    return model, info


def _name_outputs(config: Any, heads: list[Head]) -> None:
    kind = kind_of(heads)
    if not (kind.shares or kind.has_labels):
        if kind.stock.n_outputs:
            config.num_labels = kind.stock.n_outputs
        return
    names = output_names(heads)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    config.problem_type = _PROBLEM_TYPES.get(heads[0].kind) if len(heads) == 1 else None
