"""The last layer for the first token only, which is all that the head of a BERT-like classifier reads."""

import torch
from torch import nn
from transformers import PreTrainedModel

# Their layers are built alike, and their classification heads read hidden state 0.
_ALIKE = {"bert", "roberta", "xlm-roberta", "camembert", "electra"}


class FirstTokenLayer(nn.Module):
    """A BERT layer whose queries, output and feed-forward are computed for the first token: exact for that one.

    At six layers it saves 14 % of the multiplications; keys and values are still those of all tokens.
    """

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, hidden: torch.Tensor, attention_mask: torch.Tensor | None = None, *_, **__) -> torch.Tensor:
        own = self.layer.attention.self
        first = hidden[:, :1]  # (B, T, D) -> (B, 1, D)
        query, key, value = (_split(part, own.num_attention_heads) for part in (own.query(first), own.key(hidden), own.value(hidden)))
        mask = None if attention_mask is None else attention_mask[:, :, :1]  # (B, 1, T, T) -> (B, 1, 1, T)
        context = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)  # (B, H, 1, D/H)
        attended = self.layer.attention.output(context.transpose(1, 2).flatten(2), first)
        return self.layer.output(self.layer.intermediate(attended), attended)  # (B, 1, D)


def _split(states: torch.Tensor, n_heads: int) -> torch.Tensor:
    return states.unflatten(-1, (n_heads, -1)).transpose(1, 2)  # (B, T, D) -> (B, H, T, D/H)


def shorten_last_layer(model: PreTrainedModel) -> bool:
    """Replace the last layer by one for the first token, where that is exact; say whether it was."""
    config = model.config
    if config.model_type not in _ALIKE or getattr(config, "is_decoder", False):
        return False
    layers = model.base_model.encoder.layer
    layers[-1] = FirstTokenLayer(layers[-1])
    return True
