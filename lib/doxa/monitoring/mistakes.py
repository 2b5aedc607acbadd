"""What is known of a classifier's mistakes: from a model directory, or from a sample that holds gold labels."""

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from doxa.errors import DoxaError, UsageError
from doxa.metrics.prevalence import pool_others
from doxa.model.directory import TABLE, read_table, sha256_of
from doxa.monitoring.settings import Watch
from doxa.records.columns import Wanted, read_columns
from doxa.records.reader import Source

SHA_DIGITS = 8


@dataclass(frozen=True)
class Mistakes:
    """Pairs (2, 2) of the watched label, gold by predicted, no before yes, of texts that `source` names.

    `is_sample` says that the texts are a random sample of the stream."""

    pairs: np.ndarray
    source: str
    is_sample: bool

    @property
    def n(self) -> int:
        return int(self.pairs.sum())


class DevConfusions:
    """The confusion counts that finetune left in a model directory. Only its doxa.json is read.

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

    def mistakes(self, watch: Watch) -> Mistakes:
        """Raises UsageError where the model has no such head or label, DoxaError where the counts are damaged."""
        if watch.head not in self.heads:
            raise UsageError(f'--model: {self.path} knows no head "{watch.head}"; there are: {", ".join(sorted(self.heads)) or "none"}')
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


def read_sample(path: str, max_record_bytes: int, watch: Watch) -> Mistakes:
    """The mistakes in records that hold the gold label under the head's name beside the prediction.

    Records without one of both are left out. Raises DoxaError where none is left."""
    reader = read_columns(Source((path,), None, max_record_bytes), Wanted(by=f"field:{watch.head}"))
    pairs = np.zeros((2, 2), np.int64)
    try:
        for table in reader:
            pairs += _count_pairs(table, watch, reader.heads.get(watch.head))
    except UsageError as error:
        raise DoxaError(f"--gold-sample {path}: {error}") from None
    if not pairs.sum():
        raise DoxaError(f'--gold-sample {path} holds no record with the gold label in field "{watch.head}" beside prediction.{watch.head}')
    sha = f" sha {sha256_of(path)[:SHA_DIGITS]}" if os.path.isfile(path) else ""
    return Mistakes(pairs, f"gold sample n={int(pairs.sum())} of {os.path.basename(path)}{sha}", True)


def _count_pairs(table: pa.Table, watch: Watch, kind: str | None) -> np.ndarray:
    pairs = np.zeros((2, 2), np.int64)
    if kind not in ("label", "labels"):
        return pairs
    rows = table.select(["by", f"{kind}:{watch.head}"]).filter(table.column("error").is_null())
    seen = Counter(zip(rows.column(0).to_pylist(), map(_hashable, rows.column(1).to_pylist())))
    for (gold, predicted), n in seen.items():
        if gold and predicted is not None:
            held = watch.label in orjson.loads(gold) if kind == "labels" and gold.startswith("[") else gold == watch.label
            pairs[int(held), int(watch.label in predicted)] += n
    return pairs


def _hashable(predicted: str | list[str] | None) -> tuple[str, ...] | None:
    return (predicted,) if isinstance(predicted, str) else predicted if predicted is None else tuple(predicted)
