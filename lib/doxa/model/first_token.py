"""The last layer for the first token only, which is all that the head of a BERT-like classifier reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType

import torch
from torch import nn
from transformers import PreTrainedModel

# Their layers are built alike, and their classification heads read hidden state 0.
_ALIKE = {"bert", "roberta", "xlm-roberta", "camembert", "electra"}


def _forward(layer: nn.Module, hidden: torch.Tensor, attention_mask: torch.Tensor | None = None, *_, **__) -> torch.Tensor:
    """A BERT layer whose queries, output and feed-forward are computed for the first token: exact for that one.

    At six layers it saves 14 % of the multiplications; keys and values are still those of all tokens."""
    own = layer.attention.self
    first = hidden[:, :1]  # (B, T, D) -> (B, 1, D)
    query, key, value = (_split(part, own.num_attention_heads) for part in (own.query(first), own.key(hidden), own.value(hidden)))
    mask = None if attention_mask is None else attention_mask[:, :, :1]  # (B, 1, T, T) -> (B, 1, 1, T)
    dropped = own.dropout.p if layer.training else 0.0
    context = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropped)  # (B, H, 1, D/H)
    attended = layer.attention.output(context.transpose(1, 2).flatten(2), first)
    return layer.output(layer.intermediate(attended), attended)  # (B, 1, D)


def _split(states: torch.Tensor, n_heads: int) -> torch.Tensor:
    return states.unflatten(-1, (n_heads, -1)).transpose(1, 2)  # (B, T, D) -> (B, H, T, D/H)


def _last_layer(model: PreTrainedModel) -> nn.Module | None:
    config = model.config
    if config.model_type not in _ALIKE or getattr(config, "is_decoder", False):
        return None
    return model.base_model.encoder.layer[-1]


def shorten_last_layer(model: PreTrainedModel) -> bool:
    """Compute the last layer for the first token only, where that is exact; say whether it was."""
    layer = _last_layer(model)
    if layer is not None:
        layer.forward = MethodType(_forward, layer)
    return layer is not None


@contextmanager
def first_token_only(model: PreTrainedModel) -> Iterator[None]:
    """`shorten_last_layer` for as long as the context lasts."""
    is_short = shorten_last_layer(model)
    try:
        yield
    finally:
        if is_short:
            del _last_layer(model).forward
