"""Heads as slices of one linear layer, and how their outputs are read."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

SCORE_DIGITS = 6


@dataclass(frozen=True)
class Head:
    """One question asked of every text.

    `kind` is one of `kinds/table.py`. Of those that are slices, `label` is read by softmax, `labels` by a sigmoid each, `number` as it is.
    `temperature` divides the logits first; `thresholds` (one per label, 0..1) belong to `labels`. `settings` are the kind's own.
    """

    name: str
    kind: str
    labels: tuple[str, ...] = ()
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def n_outputs(self) -> int:
        return 1 if self.kind == "number" else len(self.labels)

    def to_json(self) -> dict[str, Any]:
        """As doxa.json has it; `settings` only where the kind has some."""
        entry = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {key: value for key, value in entry.items() if key != "settings" or value}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "Head":
        """Raises KeyError, TypeError or ValueError for an entry that describes no head."""
        head = cls(str(entry["name"]), entry["kind"], tuple(map(str, entry["labels"])),
                   float(entry.get("temperature", 1.0)), tuple(map(float, entry.get("thresholds", ()))), dict(entry.get("settings", {})))
        if not isinstance(head.kind, str) or not head.temperature > 0:
            raise ValueError(f'head "{head.name}" is none')
        return head


def read_output_names(config: dict[str, Any]) -> list[str]:
    """The names of a classifier's outputs as its config.json has them. Raises ValueError when they are no names."""
    names = config.get("id2label") or {str(i): f"LABEL_{i}" for i in range(int(config.get("num_labels", 2)))}
    if not isinstance(names, dict):
        raise ValueError("id2label holds no names")
    return [str(names[key]) for key in sorted(names, key=int)]


def output_names(heads: list[Head]) -> list[str]:
    """The name of every output, side by side: plain labels for a single head, `head=label` for several."""
    names = []
    for head in heads:
        labels = head.labels or (head.name,)
        names += labels if len(heads) == 1 else [f"{head.name}={label}" if head.labels else head.name for label in labels]
    return names


def head_slices(heads: list[Head]) -> list[slice]:
    starts = np.cumsum([0] + [head.n_outputs for head in heads])
    return [slice(int(start), int(end)) for start, end in zip(starts, starts[1:])]


def read_logits(logits: np.ndarray, heads: list[Head], with_scores: bool = False) -> list[dict[str, Any] | None]:
    """Turn logits (N, C) into one `prediction` object per row; None for a row that is not finite."""
    finite = np.isfinite(logits).all(axis=1)
    logits = np.where(finite[:, None], logits, 0.0).astype(np.float64)
    columns = [_read_head(logits[:, part] / head.temperature, head, with_scores) for head, part in zip(heads, head_slices(heads))]
    names = [head.name for head in heads]
    return [dict(zip(names, entries)) if is_finite else None for is_finite, *entries in zip(finite.tolist(), *columns)]


def probabilities(logits: np.ndarray, head: Head) -> np.ndarray:
    """Scores (N, labels) in 0..1 of a head of labels, from its own logits."""
    if head.kind == "label":
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)
    return 0.5 * (1.0 + np.tanh(0.5 * logits))  # the sigmoid, without overflow


def _read_head(logits: np.ndarray, head: Head, with_scores: bool) -> list[dict[str, Any]]:
    if head.kind == "number":
        return [{"score": round(value, SCORE_DIGITS)} for value in logits[:, 0].tolist()]
    scores = probabilities(logits, head)
    rows = np.round(scores, SCORE_DIGITS).tolist()
    if head.kind == "labels":
        thresholds = np.array(head.thresholds or [0.5] * len(head.labels))
        return [_many(head.labels, row, chosen, with_scores) for row, chosen in zip(rows, (scores >= thresholds).tolist())]
    best = scores.argmax(axis=1).tolist()
    entries: list[dict[str, Any]] = [{"label": head.labels[i], "score": row[i]} for i, row in zip(best, rows)]
    if with_scores:
        for entry, row in zip(entries, rows):
            entry["scores"] = dict(zip(head.labels, row))
    return entries


def _many(labels: tuple[str, ...], row: list[float], chosen: list[bool], with_scores: bool) -> dict[str, Any]:
    found = [label for label, is_chosen in zip(labels, chosen) if is_chosen]
    scores = {label: score for label, score, is_chosen in zip(labels, row, chosen) if is_chosen or with_scores}
    return {"labels": found, "scores": scores}
