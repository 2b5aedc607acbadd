"""What is explained: one number of a text, the log-odds of a label."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_softmax, logsumexp

from doxa.model.heads import Head, probabilities


@dataclass(frozen=True)
class Target:
    """One label of a head, or the value of a head that is a number (`label` None). `outputs` is the head's slice of the logits.

    The number is, with the head's logits over its temperature: for one label its log-odds against all others, logit - logsumexp(others),
    whose sigmoid is the label's score; for many labels the label's own logit, whose sigmoid is its score; for a number the number.
    """

    head: Head
    outputs: slice
    label: int | None

    def value(self, logits: np.ndarray) -> np.ndarray:
        """The number (N,) of pooled logits (N, C)."""
        own = logits[:, self.outputs].astype(np.float64) / self.head.temperature
        if not self._has_rivals:
            return own[:, self.label or 0]
        return own[:, self.label] - logsumexp(np.delete(own, self.label, axis=1), axis=1)

    def slope(self, logits: np.ndarray) -> np.ndarray:
        """The derivative (N, C) of the number by the pooled logits (N, C)."""
        slope = np.zeros(logits.shape, dtype=np.float64)
        own = slope[:, self.outputs]  # a view
        if self._has_rivals:
            rivals = np.delete(np.arange(self.head.n_outputs), self.label)
            scaled = logits[:, self.outputs].astype(np.float64) / self.head.temperature
            own[:, rivals] = -np.exp(log_softmax(scaled[:, rivals], axis=1))
        own[:, self.label or 0] = 1.0
        return slope / self.head.temperature

    def score(self, values: np.ndarray) -> np.ndarray:
        """What predict would give as score for these numbers: 0..1 for a label."""
        return values if self.label is None else expit(values)

    @property
    def _has_rivals(self) -> bool:
        return self.head.kind == "label" and self.head.n_outputs > 1


def label_scores(logits: np.ndarray, head: Head, outputs: slice) -> np.ndarray:
    """The scores (labels,) of a head for one row of pooled logits (C,); the number itself where the head is one."""
    own = logits[None, outputs].astype(np.float64) / head.temperature
    return own[0] if head.kind == "number" else probabilities(own, head)[0]


def choose_labels(scores: np.ndarray, head: Head) -> list[int | None]:
    """Which labels of a head to explain: what predict says, and the likeliest where a head of many labels says none."""
    if head.kind == "number":
        return [None]
    if head.kind == "label":
        return [int(scores.argmax())]
    said = np.flatnonzero(scores >= np.array(head.thresholds or [0.5] * len(head.labels)))
    return said.tolist() or [int(scores.argmax())]
