"""What is known of a classifier's mistakes, and what finetune left of them in a model directory."""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from doxa.errors import DoxaError, UsageError
from doxa.metrics.prevalence import pool_others
from doxa.model.directory import TABLE, read_table, sha256_of
from doxa.monitoring.figures import Figures
from doxa.monitoring.settings import Settings, Watch
from doxa.records.names import split_scope

SHA_DIGITS = 8


@dataclass(frozen=True)
class Mistakes:
    """Pairs (2, 2) of the watched label, gold by predicted, no before yes, of texts that `source` names.

    `is_sample` says that they are a random sample of the stream; `groups` then holds the pairs of its groups by (kind, name)."""

    pairs: np.ndarray
    source: str
    is_sample: bool
    groups: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return int(self.pairs.sum())


class DevConfusions:
    """The confusion counts of the dev set that finetune left in a model directory. Only its doxa.json is read.

    Decisions are out of fold, but dev also chose the epoch, so that the counts flatter a little.

    Raises DoxaError where there are none."""

    def __init__(self, directory: str):
        self.path = os.path.join(directory, TABLE)
        table = read_table(directory)
        if table is None:
            raise DoxaError(f"{self.path} is missing; name a directory that finetune wrote, or give labelled predictions with --gold-sample")
        dev = table.about.get("dev")
        self.heads = dev.get("confusion") if isinstance(dev, dict) else None
        if not isinstance(self.heads, dict):
            raise DoxaError(f"{self.path} holds no confusion counts; fine-tune anew with this version, or give labelled predictions "
                            "with --gold-sample")
        self.sha = sha256_of(self.path)[:SHA_DIGITS]

    def mistakes(self, watch: Watch, settings: Settings, figures: Figures) -> Mistakes:
        """Raises UsageError where the model has no such head or label, or the records are chosen by the head itself;
        DoxaError where the counts are damaged."""
        for condition in settings.conditions:
            if split_scope(condition.name)[1].removesuffix(".score") == watch.head:
                raise UsageError(f"--where {condition} chooses by the watched head, whose mistakes among those records are not the dev set's; "
                                 "correct with --gold-sample instead of --model")
        if watch.head not in self.heads:
            raise UsageError(f'--model: {self.path} has confusion counts of: {", ".join(sorted(self.heads)) or "nothing"}; not of "{watch.head}"')
        try:
            labels, pairs = _read_pairs(self.heads[watch.head], watch.label)
        except (KeyError, TypeError, ValueError) as error:
            raise DoxaError(f"{self.path} is damaged: {type(error).__name__} {error}") from None
        if pairs is None:
            raise UsageError(f'--model: head "{watch.head}" of {self.path} has no label "{watch.label}"; there are: {", ".join(labels)}')
        return Mistakes(pairs, f"dev n={int(pairs.sum())} of {TABLE} sha {self.sha}", False)


def _read_pairs(entry: dict[str, Any], label: str) -> tuple[list[str], np.ndarray | None]:
    labels, counts = list(map(str, entry["labels"])), np.array(entry["counts"], np.int64)
    n = len(labels)
    if counts.shape not in ((n, n), (n, 2, 2)) or counts.min(initial=0) < 0:
        raise ValueError(f"counts of {n} labels have the shape {counts.shape}")
    if label not in labels:
        return labels, None
    index = labels.index(label)
    if counts.ndim == 3:
        return labels, counts[index]
    unseen = np.array(entry["unseen"], np.int64)
    return labels, pool_others(np.concatenate([counts, unseen.reshape(1, n)]), index)
