"""Dropout whose random bits come cheap on CPUs, where drawing them took a sixth of a training step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

_NAME = "doxa"
# Encoders whose attention is softmax(q k' * scaling + mask) v and nothing more; a test holds each equal to its own attention.
PLAIN_ATTENTION = ("bert", "roberta", "xlm-roberta", "electra", "camembert", "distilbert")
_STEPS = 1 << 16


def cheap_dropout(x: torch.Tensor, p: float) -> torch.Tensor:
    """Zero every value with probability `p` (to 1/65536) and divide the others by 1 - p, as `torch.nn.functional.dropout` does.

    The bits are those of torch's default generator, four decisions to a draw; so its state is all there is to keep."""
    return _CheapDropout.apply(x, p) if round(p * _STEPS) else x


class _CheapDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor, p: float) -> torch.Tensor:
        n = x.numel()
        bits = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)[:n].view(x.shape)
        mask = (bits >= round(p * _STEPS) - _STEPS // 2).to(x.dtype).mul_(1 / (1 - p))
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradient * mask, None


class CheapDropout(nn.Module):
    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cheap_dropout(x, self.p) if self.training else x


def _attend(module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None,
            scaling: float | None = None, dropout: float = 0.0, **_) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention over (batch, heads, tokens, width); `attention_mask` is added to the scores."""
    scores = torch.matmul(query * (query.size(-1) ** -0.5 if scaling is None else scaling), key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    if module.training:
        weights = cheap_dropout(weights, dropout)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


@contextmanager
def cheap_dropouts(model: PreTrainedModel) -> Iterator[None]:
    """Let the model draw its dropout cheaply for as long as the context lasts; on a GPU nothing changes."""
    if model.device.type != "cpu":
        yield
        return
    replaced = [(module, name, child) for module in model.modules() for name, child in module.named_children() if type(child) is nn.Dropout]
    attention = model.config._attn_implementation
    changes_attention = model.config.model_type in PLAIN_ATTENTION
    try:
        for module, name, child in replaced:
            module._modules[name] = CheapDropout(child.p).train(child.training)
        if changes_attention:
            AttentionInterface.register(_NAME, _attend)
            AttentionMaskInterface.register(_NAME, eager_mask)
            model.set_attn_implementation(_NAME)
        yield
    finally:
        for module, name, child in replaced:
            child.train(module._modules[name].training)
            module._modules[name] = child
        if changes_attention:
            model.set_attn_implementation(attention)
