"""What is known of a classifier's mistakes, and what finetune left of them in a model directory."""

import os
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from doxa.errors import DoxaError, UsageError
from doxa.metrics.prevalence import adjust_all_shares, adjust_shares, can_correct, pool_others
from doxa.model.directory import TABLE, read_table, sha256_of
from doxa.model.form import digests, name_model
from doxa.model.safety import find_weights
from doxa.monitoring.figures import Corrected, Figures, HeadCounts
from doxa.monitoring.settings import Settings, Watch
from doxa.records.columns import ColumnReader
from doxa.records.conditions import Condition
from doxa.records.names import split_scope

SHA_DIGITS = 8
OPEN = (np.nan, 0.0, 1.0)  # share and bounds where nothing is known of it


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

    name = "--model"

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
        self.directory, self.table = directory, table
        self._stamps: set[str] = set()

    def see(self, table: pa.Table, reader: ColumnReader) -> None:
        """Note which models predicted, where predict --stamp told it."""
        for head in self.heads:
            name = f"model:{head}"
            if name in table.schema.names:
                self._stamps |= {stamp.partition("/")[0] for stamp in table.column(name).drop_null().unique().to_pylist()}

    def notes(self) -> list[str]:
        """Raises DoxaError where the records tell that other models alone predicted them."""
        if not self._stamps:
            return []
        own = name_model(self.table.heads, digests(self.directory, self.table.files, find_weights(self.directory)))
        others = ", ".join(sorted(self._stamps - {own}))
        if own not in self._stamps:
            raise DoxaError(f"--model {self.directory} is {own}, and the records were predicted by {others}: its mistakes are not theirs; name the model that "
                            "predicted, or give labelled predictions with --gold-sample")
        return [f"some records were predicted by another model than {own}, whose mistakes are corrected: {others}"] if others else []

    def mistakes(self, watch: Watch, settings: Settings, figures: Figures) -> Mistakes:
        """Raises UsageError where the model has no such head or label, or the records are chosen by the head itself;
        DoxaError where the counts are damaged."""
        if condition := _chooses(settings, watch.head):
            raise UsageError(f"--where {condition} chooses by the watched head, whose mistakes among those records are not the dev set's; "
                             "correct with --gold-sample instead of --model")
        if watch.head not in self.heads:
            raise UsageError(f'--model: {self.path} has confusion counts of: {", ".join(sorted(self.heads)) or "nothing"}; not of "{watch.head}"')
        labels, counts, unseen = self._read(watch.head)
        if watch.label not in labels:
            raise UsageError(f'--model: head "{watch.head}" of {self.path} has no label "{watch.label}"; there are: {", ".join(labels)}')
        pairs = _pairs(counts, unseen, labels.index(watch.label))
        return Mistakes(pairs, f"dev n={int(pairs.sum())} of {TABLE} sha {self.sha}", False)

    def label_shares(self, head: HeadCounts, watch: Watch | None, settings: Settings, figures: Figures) -> dict[str, Corrected] | None:
        """The shares of a head's labels: of one label, adjusted for all of them at once, of many, each by itself; open where its mistakes are not told
        from chance. Nothing where mistakes are not known, or the records are chosen by the head; None where they do not suffice: the dev set lacks a
        label, or the records hold another.

        Raises DoxaError where the counts are damaged."""
        if head.name not in self.heads or _chooses(settings, head.name):
            return {}
        labels, counts, unseen = self._read(head.name)
        if not set(head.labels) <= set(labels):
            return None
        hits = np.array([head.labels[label].hits if label in head.labels else 0 for label in labels])
        pairs = [_pairs(counts, unseen, i) for i in range(len(labels))]
        if counts.ndim == 3:
            found = [adjust_shares(own, n, head.n) for own, n in zip(pairs, hits)]
        else:
            try:
                found = zip(*adjust_all_shares(counts, hits))
            except ValueError:
                return None
        return {label: Corrected.of(head.n, *(estimate if can_correct(own) else OPEN)) for label, own, estimate in zip(labels, pairs, found)}

    def _read(self, head: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Labels, counts, and how often each label was predicted for texts whose label training did not have."""
        try:
            entry = self.heads[head]
            labels, counts = list(map(str, entry["labels"])), np.array(entry["counts"], np.int64)
            n = len(labels)
            unseen = np.array(entry["unseen"] if counts.ndim == 2 else np.zeros(n), np.int64)
            if counts.shape not in ((n, n), (n, 2, 2)) or unseen.shape != (n,) or min(counts.min(initial=0), unseen.min(initial=0)) < 0:
                raise ValueError(f"counts of {n} labels have the shapes {counts.shape} and {unseen.shape}")
            return labels, counts, unseen
        except (KeyError, TypeError, ValueError) as error:
            raise DoxaError(f"{self.path} is damaged: {type(error).__name__} {error}") from None


def _pairs(counts: np.ndarray, unseen: np.ndarray, index: int) -> np.ndarray:
    """Pairs (2, 2) of one label against all others."""
    return counts[index] if counts.ndim == 3 else pool_others(np.concatenate([counts, unseen[None]]), index)


def _chooses(settings: Settings, head: str) -> Condition | None:
    """The condition that chooses records by a head, if there is one."""
    return next((condition for condition in settings.conditions if split_scope(condition.name)[1].removesuffix(".score") == head), None)
