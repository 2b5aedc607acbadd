"""The bottleneck adapter of Houlsby et al. (2019): a small network after each of a layer's two sub-layers, before its residual sum.

It cannot be folded into the weights of the base. The model's config.json says how wide it is (`bottleneck_size`), and the
weights bear the names of the base's with `adapter_down` and `adapter_up` beside them."""

import re

import torch
from torch import nn
from torch.nn import functional as F

CONFIG_KEY = "bottleneck_size"
# Where the sub-layers of BERT-like, of MPNet's and of DistilBERT-like layers end.
_ENDS = re.compile(r"\.\d+\.(?:attention\.output\.dense|attention\.attn\.o|output\.dense|attention\.out_lin|ffn\.lin2)$")


class BottleneckLinear(nn.Linear):
    """A linear layer (…, in) -> (…, out) with an adapter after it; that begins as nearly the identity."""

    def __init__(self, linear: nn.Linear, size: int):
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.adapter_down, self.adapter_up = nn.Linear(linear.out_features, size), nn.Linear(size, linear.out_features)
        for layer in (self.adapter_down, self.adapter_up):
            nn.init.trunc_normal_(layer.weight, std=0.01, a=-0.02, b=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y + self.adapter_up(F.gelu(self.adapter_down(y)))


def add_bottlenecks(model: nn.Module, size: int) -> int:
    """Put an adapter after every sub-layer and note it in the config; return how many there are (0: another architecture)."""
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear) and _ENDS.search(name)]
    for name, module in found:
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, BottleneckLinear(module, size))
    if found:
        setattr(model.config, CONFIG_KEY, size)
    return len(found)
