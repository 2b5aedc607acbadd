"""The loss of every kind of head, over the examples that have its label."""

import math

import torch
from torch.nn import functional as F

from doxa.model.heads import Head, head_slices


def heads_loss(logits: torch.Tensor, targets: list[torch.Tensor], heads: list[Head]) -> torch.Tensor:
    """Return the sum over heads of each one's mean loss over its labelled examples (a scalar).

    `logits` (B, C) in fp32; `targets` one tensor per head, (B,) or (B, labels), NaN where there is no label.
    Cross-entropy for one label, binary cross-entropy for many, squared error for a (standardised) number, each in
    units of what a guess without knowledge costs: otherwise a head of many labels drowns one of few.
    """
    total = logits.sum() * 0.0  # a batch without any label still has a gradient, zero
    for head, part, target in zip(heads, head_slices(heads), targets):
        rows = ~torch.isnan(target if target.dim() == 1 else target[:, 0])
        if not bool(rows.any()):
            continue
        own, gold = logits[rows][:, part], target[rows]
        if head.kind == "label":
            total = total + F.cross_entropy(own, gold.long()) / math.log(len(head.labels))
        elif head.kind == "labels":
            total = total + F.binary_cross_entropy_with_logits(own, gold) / math.log(2)
        else:
            total = total + F.mse_loss(own[:, 0], gold)
    return total
