"""AdamW over the parameters that are trained, in groups by decay and by depth."""

import re

import torch
from torch import nn
from transformers import PreTrainedModel

_LAYER = re.compile(r"\.(?:layers?|h|blocks?)\.(\d+)\.")


def make_optimizer(model: PreTrainedModel, learning_rate: float, weight_decay: float, layerwise_decay: float = 1.0,
                   head_factor: float = 1.0) -> torch.optim.AdamW:
    """Weight decay on matrices only: biases and LayerNorm weights (one-dimensional) go without.

    Every group has an `lr_factor`: `layerwise_decay` to the power of the layers between it and the heads (Howard and
    Ruder 2018, as Clark et al. 2020 use it), the embeddings lying one below the first layer; for the heads `head_factor`."""
    n_layers = 1 + max((_depth(name) for name, _ in model.named_parameters()), default=-1)
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_head = model.base_model is not model and model.base_model_prefix not in name.split(".")
            factor = head_factor if is_head else layerwise_decay ** _distance(name, n_layers)
            groups.setdefault((parameter.dim() > 1, factor), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "weight_decay": weight_decay if is_matrix else 0.0, "lr_factor": factor}
         for (is_matrix, factor), parameters in groups.items()], lr=learning_rate, fused=True)


def is_in_layer(name: str) -> bool:
    """Whether a module of this name lies in one of the encoder's layers."""
    return _depth(name + ".") >= 0


def _depth(name: str) -> int:
    found = _LAYER.search(name)
    return int(found[1]) if found else -1


def _distance(name: str, n_layers: int) -> int:
    """0 for heads and pooler, 1 for the last layer, n_layers + 1 for the embeddings."""
    if "embeddings" in name or "embed_tokens" in name:
        return n_layers + 1
    depth = _depth(name)
    return 0 if depth < 0 else n_layers - depth
