"""Labels for unlabelled texts from the model itself, where its calibrated scores are high (Lee 2013; Zhang et al. 2021 per class)."""

from dataclasses import dataclass

import numpy as np

from doxa.model.heads import Head, head_slices, probabilities
from doxa.terminal import visible
from doxa.training.calibrate import calibrate
from doxa.training.classifying import Classifying

# A label is taken from the score on at which at least this share of the dev texts that got it were right.
WANTED_PRECISION = 0.9
LEAST_DECIDED = 20  # dev texts of a label, below which the wanted precision itself is the least score
MOST_PER_LABELLED = 10  # chosen texts of a label for each labelled one: rare labels stay rare


@dataclass(frozen=True)
class ChosenLabels:
    """Rows of the unlabelled texts that got a label, and their targets, one array per head (see `encode_targets`)."""

    rows: np.ndarray
    targets: list[np.ndarray]

    def describe(self, heads: list[Head]) -> str:
        parts = []
        for head, target in zip(heads, self.targets):
            known = target[~np.isnan(target if target.ndim == 1 else target[:, 0])]
            counts = np.bincount(known.astype(int), minlength=len(head.labels)) if head.kind == "label" else known.sum(axis=0) if len(known) else []
            named = ", ".join(f"{visible(label, one_line=True)} {int(count)}" for label, count in zip(head.labels, counts) if count)
            parts.append(f"{head.name}: {len(known)}" + (f" ({named})" if len(head.labels) <= 10 and named else ""))
        return f"{len(self.rows)} unlabelled texts got a label; " + "; ".join(parts)


def choose_labels(prepared: Classifying, dev_logits: np.ndarray, logits: np.ndarray) -> ChosenLabels:
    """Choose among the unlabelled texts by their logits (n, C); thresholds and temperature come from dev, whose texts are never learnt from."""
    heads, _, _ = calibrate(prepared.heads, dev_logits, prepared.dev_targets)
    targets = []
    for head, part, gold, known in zip(heads, head_slices(heads), prepared.dev_targets, prepared.train_targets):
        scores = probabilities(logits[:, part] / head.temperature, head) if head.kind != "number" else None
        if head.kind == "label":
            dev = probabilities(dev_logits[:, part] / head.temperature, head)
            targets.append(_choose_one(scores, dev, gold, known))
        elif head.kind == "labels":
            is_clear = ((scores >= WANTED_PRECISION) | (scores <= 1 - WANTED_PRECISION)).all(axis=1)
            targets.append(np.where(is_clear[:, None], (scores > 0.5).astype(float), np.nan))
        else:
            targets.append(np.full(len(logits), np.nan))
    rows = np.flatnonzero(np.any([~np.isnan(target if target.ndim == 1 else target[:, 0]) for target in targets], axis=0))
    return ChosenLabels(rows, [target[rows] for target in targets])


def _choose_one(scores: np.ndarray, dev_scores: np.ndarray, gold: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A label per text, NaN where its score is below the label's threshold or the label has its share already.

    The chosen texts are to have the labels in the shares of the labelled ones: else the round learns that what is easy to
    tell is frequent. For each labelled text of a label, no more are chosen than the median label has to offer."""
    chosen = np.full(len(scores), np.nan)
    said, confidence = scores.argmax(axis=1), scores.max(axis=1)
    is_known = ~np.isnan(gold)
    dev_said, dev_confidence = dev_scores[is_known].argmax(axis=1), dev_scores[is_known].max(axis=1)
    is_right = dev_said == gold[is_known]
    offered = []
    for label in range(scores.shape[1]):
        mine = dev_said == label
        rows = np.flatnonzero((said == label) & (confidence >= least_score(dev_confidence[mine], is_right[mine])))
        offered.append(rows[np.argsort(-confidence[rows], kind="stable")])
    counts = np.array([(known == label).sum() for label in range(scores.shape[1])])
    share = min(MOST_PER_LABELLED, float(np.median([len(rows) / count for rows, count in zip(offered, counts) if count] or [0.0])))
    for label, rows in enumerate(offered):
        chosen[rows[: int(np.ceil(share * counts[label]))]] = label
    return chosen


def least_score(confidence: np.ndarray, is_right: np.ndarray) -> float:
    """The least score from which on the wanted share is right; 1.01 where none is, the wanted share itself among few texts."""
    if len(confidence) < LEAST_DECIDED:
        return WANTED_PRECISION
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(is_right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((precision >= WANTED_PRECISION) & (np.arange(1, len(order) + 1) >= LEAST_DECIDED // 2))
    return float(confidence[order[good[-1]]]) if len(good) else 1.01
