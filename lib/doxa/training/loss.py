"""The loss of every kind of head, over the examples that have its label."""

import math

import torch
from torch.nn import functional as F

from doxa.model.heads import Head, head_slices


def heads_loss(logits: torch.Tensor, targets: list[torch.Tensor], heads: list[Head]) -> torch.Tensor:
    """Return the sum over heads of each one's mean loss over its labelled examples (a scalar).

    `logits` (B, C) in fp32; `targets` one tensor per head, (B,) or (B, labels), NaN where there is no label.
    Cross-entropy for one label, binary cross-entropy for many, squared error for a (standardised) number, weighted
    by what a guess without knowledge costs, against the mean of the heads: else a head of many labels drowns one of few.
    """
    units = [guess_cost(head) for head in heads]
    mean_unit = sum(units) / len(units)
    total = logits.sum() * 0.0  # a batch without any label still has a gradient, zero
    for head, part, target, unit in zip(heads, head_slices(heads), targets, units):
        rows = ~torch.isnan(target if target.dim() == 1 else target[:, 0])
        if not bool(rows.any()):
            continue
        own, gold = logits[rows][:, part], target[rows]
        if head.kind == "label":
            loss = F.cross_entropy(own, gold.long())
        elif head.kind == "labels":
            loss = F.binary_cross_entropy_with_logits(own, gold)
        else:
            loss = F.mse_loss(own[:, 0], gold)
        total = total + loss * (mean_unit / unit)
    return total


def guess_cost(head: Head) -> float:
    """The loss of a guess without knowledge: log K for one of K labels, log 2 for yes or no, 1 for a standardised number."""
    if head.kind == "number":
        return 1.0
    return math.log(len(head.labels)) if head.kind == "label" else math.log(2)
