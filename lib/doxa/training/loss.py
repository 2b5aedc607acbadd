"""The loss of every kind of head, over the examples that have its label."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from doxa.model.heads import Head, head_slices


@dataclass(frozen=True)
class Objective:
    """What is minimised. `class_weights` has one tensor (labels,) per head, None where all count alike.

    `label_smoothing` gives every label that share of the target, divided by their number (Szegedy et al. 2016);
    `focal_gamma` takes weight off examples that are answered well, (1 - p)^gamma (Lin et al. 2017). Both are for heads of labels."""

    heads: list[Head]
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    class_weights: tuple[torch.Tensor | None, ...] = ()

    def __call__(self, logits: torch.Tensor, targets: list[torch.Tensor], soft: torch.Tensor | None = None) -> torch.Tensor:
        """Return the sum over heads of each one's mean loss over its labelled examples (a scalar).

        `logits` (B, C) in fp32; `targets` one tensor per head, (B,) or (B, labels), NaN where there is no label.
        Cross-entropy for one label, binary cross-entropy for many, squared error for a (standardised) number, weighted
        by what a guess without knowledge costs, against the mean of the heads: else a head of many labels drowns one of few.
        With `soft`, what a teacher says (B, C: probabilities; numbers standardised), the mean of its loss and that of the labels
        (Hinton et al. 2015 at temperature 1).
        """
        units = [guess_cost(head) for head in self.heads]
        mean_unit = sum(units) / len(units)
        weights = self.class_weights or (None,) * len(self.heads)
        total = logits.sum() * 0.0  # a batch without any label still has a gradient, zero
        for head, part, target, unit, weight in zip(self.heads, head_slices(self.heads), targets, units, weights):
            rows = ~torch.isnan(target if target.dim() == 1 else target[:, 0])
            if bool(rows.any()):
                total = total + self._head_loss(head, logits[rows][:, part], target[rows], weight) * (mean_unit / unit)
            if soft is not None:
                total = total + soft_loss(head, logits[:, part], soft[:, part]) * (mean_unit / unit)
        return total if soft is None else total / 2

    def _head_loss(self, head: Head, logits: torch.Tensor, gold: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        if head.kind == "number":
            return F.mse_loss(logits[:, 0], gold)
        weight = None if weight is None else weight.to(logits.device)
        if head.kind == "label":
            if not self.focal_gamma:
                return F.cross_entropy(logits, gold.long(), weight, label_smoothing=self.label_smoothing)
            losses = F.cross_entropy(logits, gold.long(), weight, reduction="none", label_smoothing=self.label_smoothing)
            missed = 1 - logits.softmax(dim=1).gather(1, gold.long()[:, None])[:, 0]
            size = float(len(gold)) if weight is None else weight[gold.long()].sum()
            return (missed**self.focal_gamma * losses).sum() / size
        soft = gold * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        losses = F.binary_cross_entropy_with_logits(logits, soft, pos_weight=weight, reduction="none")
        if self.focal_gamma:
            losses = losses * torch.where(gold > 0.5, 1 - logits.sigmoid(), logits.sigmoid()) ** self.focal_gamma
        return losses.mean()


def soft_loss(head: Head, logits: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """The mean loss (a scalar) of a head's outputs (B, outputs) against a teacher's probabilities or numbers."""
    if head.kind == "number":
        return F.mse_loss(logits, soft)
    return F.cross_entropy(logits, soft) if head.kind == "label" else F.binary_cross_entropy_with_logits(logits, soft)


def guess_cost(head: Head) -> float:
    """The loss of a guess without knowledge: log K for one of K labels, log 2 for yes or no, 1 for a standardised number."""
    if head.kind == "number":
        return 1.0
    return math.log(len(head.labels)) if head.kind == "label" else math.log(2)


def balanced_weights(head: Head, target: np.ndarray) -> torch.Tensor | None:
    """Weights by which every label counts alike, as scikit-learn's `balanced`: N / (labels * count); None for a number.

    For a head of many labels: the number of examples without a label to those with it, at most 100."""
    if head.kind == "number":
        return None
    if head.kind == "label":
        counts = np.bincount(target[~np.isnan(target)].astype(int), minlength=len(head.labels))
        return torch.tensor(counts.sum() / (len(counts) * np.maximum(counts, 1)), dtype=torch.float32)
    rows = target[~np.isnan(target[:, 0])]
    counts = rows.sum(axis=0)
    return torch.tensor(np.clip((len(rows) - counts) / np.maximum(counts, 1), 1.0, 100.0), dtype=torch.float32)
