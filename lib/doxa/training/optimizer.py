"""AdamW over the parameters that are trained, in groups by decay and by depth."""

import re

import torch
from torch import nn
from transformers import PreTrainedModel

_LAYER = re.compile(r"[._](?:layers?|h|blocks?|layer_groups)\.(\d+)\.")
_EMBEDDING = re.compile(r"embed|(?:^|\.)(?:wte|wpe|shared)\.|relative_attention_bias")  # where it lies in no layer


def make_optimizer(model: PreTrainedModel, learning_rate: float, weight_decay: float, layerwise_decay: float = 1.0,
                   head_factor: float = 1.0) -> torch.optim.AdamW:
    """Weight decay on matrices only: biases and LayerNorm weights (one-dimensional) go without.

    Every group has an `lr_factor`: `layerwise_decay` to the power of the layers between it and the heads (Howard and
    Ruder 2018, as Clark et al. 2020 use it), the embeddings lying one below the first layer and a decoder on top of its encoder; for the
    heads `head_factor`."""
    distance = _distances([name for name, _ in model.named_parameters()])
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_head = model.base_model_prefix not in name.split(".")
            factor = head_factor if is_head else layerwise_decay ** distance[name]
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


def _distances(names: list[str]) -> dict[str, int]:
    """For every parameter 0 in heads and pooler, 1 in the last layer, one more for each layer below, and for the embeddings still one more."""
    is_pair = any(".encoder." in name for name in names) and any(".decoder." in name for name in names)
    below = 1 + max((_depth(name) for name in names if ".encoder." in name), default=-1) if is_pair else 0  # layers below a decoder
    depths = {}
    for name in names:
        depth = _depth(name)
        if depth < 0 and _EMBEDDING.search(name):
            continue
        if is_pair and ".decoder." in name and depth >= 0:
            depth += below
        elif is_pair and ".encoder." in name and depth < 0:
            depth = below - 1  # the norm at its end
        depths[name] = depth
    n_layers = 1 + max(depths.values(), default=-1)
    return {name: n_layers + 1 if name not in depths else 0 if depths[name] < 0 else n_layers - depths[name] for name in names}
