"""The part of a network that its base brings: which modules it is, and how it is loaded where base and network call it by different names."""

from typing import Any

import transformers
from transformers import PreTrainedModel
from transformers.models.auto import modeling_auto

from doxa.model.kinds.kind import Stock
from doxa.model.safety import read_config


def encoder_parts(model: PreTrainedModel) -> frozenset[str]:
    """The names of the modules that a base brings: the one around them all, all of an encoder alone, or where the architecture has none (T5
    that answers), its embeddings, encoder and decoder."""
    if model.base_model is not model:
        return frozenset((model.base_model_prefix,))
    if type(model).__name__ in modeling_auto.MODEL_MAPPING_NAMES.values():  # an encoder alone
        return frozenset(name for name, _ in model.named_children())
    own = [part() for part in (model.get_input_embeddings, model.get_encoder, model.get_decoder)]
    return frozenset(name for name, module in model.named_children() if any(module is part for part in own))


def is_called_otherwise(directory: str, stock: Stock) -> bool:
    """Whether the weights in a directory have another name for the encoder than the stock network, as Qwen2's and Llama's have (`model`, and
    `transformer` where they answer): transformers would take them for missing."""
    wanted = getattr(transformers, str(getattr(modeling_auto, stock.mapping).get(read_config(directory).get("model_type"))), None)
    prefixes = [getattr(network, "base_model_prefix", "") for network in (_stated_class(directory), wanted)]
    return all(prefixes) and prefixes[0] != prefixes[1]


def load_into(auto: type, directory: str, arguments: dict[str, Any]) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A network with fresh outputs around the encoder of a base, and what its loading tells, the outputs among what is missing; `arguments`
    are those of `from_pretrained`."""
    whole, info = _stated_class(directory).from_pretrained(directory, **arguments)
    encoder, stated = whole.base_model, whole.base_model_prefix + "."
    lost = {name.removeprefix(stated) for name in info["missing_keys"] if name.startswith(stated)}
    model = auto.from_config(whole.config, dtype=whole.dtype)
    if isinstance(encoder, type(model)):
        return encoder, info | {"missing_keys": lost}
    prefix = model.base_model_prefix + "."
    setattr(model, model.base_model_prefix, encoder)
    fresh = {name for name in model.state_dict() if not name.startswith(prefix)}
    return model, info | {"missing_keys": fresh | {prefix + name for name in lost}}


def _stated_class(directory: str) -> type[PreTrainedModel] | None:
    """The class that config.json says the weights are of."""
    architectures = read_config(directory).get("architectures")
    return getattr(transformers, str(architectures[0]), None) if isinstance(architectures, list) and architectures else None
