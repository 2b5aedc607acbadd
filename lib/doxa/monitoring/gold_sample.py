"""The classifier's mistakes in a sample of the stream that holds gold labels beside predictions."""

import os
from dataclasses import replace

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import DoxaError, UsageError
from doxa.metrics.prevalence import infer_share
from doxa.model.directory import sha256_of
from doxa.monitoring.aggregate import aggregate
from doxa.monitoring.figures import Corrected, Figures, HeadCounts
from doxa.monitoring.mistakes import SHA_DIGITS, Mistakes
from doxa.monitoring.settings import Settings, Watch, choose_watch
from doxa.records.columns import ColumnReader, read_columns
from doxa.records.flat_schema import Wanted
from doxa.records.groups import MOST_GROUPS
from doxa.records.label_names import quote, quote_some
from doxa.records.quantity import are, quantity
from doxa.records.reader import Source

MOST_NAMED = 3  # labels in an error


class GoldSample:
    """A file of predictions, in any format, whose records hold the gold label under the head's name.

    It is chosen, grouped and counted as the page is, `wanted` and settings alike."""

    name = "--gold-sample"

    def __init__(self, path: str, wanted: Wanted, max_record_bytes: int):
        self.path, self.wanted, self.source = path, wanted, Source((path,), None, max_record_bytes)
        self._read: dict[str, tuple[ColumnReader, list[pa.Table]]] = {}  # by the head: it may be a pipe
        self._n_twice = 0
        self._failed = ""  # how many of its records, in words
        self._missing: pa.Array | None = None  # ids of the sample that no record of the stream had so far
        self._n_ids = 0

    def see(self, table: pa.Table, reader: ColumnReader) -> None:
        """Look for the records of the sample among those of the stream. Raises DoxaError where it cannot be read."""
        if self._missing is None:
            watch = choose_watch(self.wanted.watch, reader.schema.heads)
            tables = self._tables(watch.head)[1] if watch else []
            self._missing = pa.array([id_ for one in tables for id_ in one.column("id").to_pylist() if id_ is not None], pa.string()).unique()
            self._n_ids = len(self._missing)
        if len(self._missing):
            self._missing = self._missing.filter(pc.invert(pc.is_in(self._missing, table.column("id").combine_chunks())))

    def notes(self) -> list[str]:
        """What a reader should know of the sample. Raises DoxaError where none of it is of the stream."""
        n_missing = len(self._missing) if self._missing is not None else 0
        if n_missing and n_missing == self._n_ids:
            raise DoxaError(f"--gold-sample {self.path}: none of its {n_missing:,} ids is among these records; give some of them, drawn by lot, with gold labels")
        notes = [self._failed] if self._failed else []
        notes += [f"{quantity(self._n_twice, 'record')} {are(self._n_twice)} in the gold sample twice, and counted once"] if self._n_twice else []
        return notes + ([f"{n_missing:,} of {quantity(self._n_ids, 'record')} of the gold sample {are(n_missing)} not among these, of which it should be drawn"] if n_missing else [])

    def mistakes(self, watch: Watch, settings: Settings, figures: Figures) -> Mistakes:
        """The mistakes in the sample and in each of its groups. Records without gold label or prediction are left out.

        Raises DoxaError where none is left, or its labels are others than those of the predictions."""
        pairs, groups = self._count(watch, settings, figures)
        self._check_labels(watch, figures)
        sha = f" sha {sha256_of(self.path)[:SHA_DIGITS]}" if os.path.isfile(self.path) else ""
        return Mistakes(pairs, f"gold sample n={int(pairs.sum())} of {os.path.basename(self.path)}{sha}", True, groups)

    def label_shares(self, head: HeadCounts, watch: Watch | None, settings: Settings, figures: Figures) -> dict[str, Corrected] | None:
        """The shares of the labels of the watched head, each inferred from its own mistakes; nothing of other heads."""
        if watch is None or watch.head != head.name:
            return {}
        found = {}
        for label in dict.fromkeys([*head.labels, *self._gold_labels(head)]):
            hits = head.labels[label].hits if label in head.labels else 0
            estimate = infer_share(self._count(replace(watch, label=label), settings, figures)[0], hits, head.n)
            found[label] = Corrected.of(head.n, estimate.value, estimate.low, estimate.high)
        return found

    def _gold_labels(self, head: HeadCounts) -> list[str]:
        """The labels that the sample holds of a head of one label."""
        if head.kind != "label":
            return []
        return sorted({value for table in self._tables(head.name)[1] for value in table.column(f"field:{head.name}").unique().to_pylist() if value})

    def _check_labels(self, watch: Watch, figures: Figures) -> None:
        """Raises DoxaError where gold has other labels than predictions and the watched one is not among them: it is spelled otherwise there, and
        what would be inferred is that there is none of it."""
        head = next(head for head in figures.heads if head.name == watch.head)
        gold, said = self._gold_labels(head), {label for label, share in head.labels.items() if share.hits}
        strange = [label for label in gold if label not in said]
        if strange and watch.label in said and watch.label not in gold:
            raise DoxaError(f'--gold-sample {self.path}: no record holds {quote(watch.label)} in field "{watch.head}", and some hold {quote_some(strange, MOST_NAMED)}, '
                            "which is no label of the predictions: spell gold labels as these do")

    def _count(self, watch: Watch, settings: Settings, figures: Figures) -> tuple[np.ndarray, dict[tuple[str, str], np.ndarray]]:
        """Pairs (2, 2) of all records and of each group. Raises DoxaError where there is no record."""
        settings = replace(settings, watch=str(watch), since=figures.since, until=figures.until, last=None, every=None, top=MOST_GROUPS, n_examples=0)
        reader, tables = self._tables(watch.head)
        try:
            kind = reader.schema.heads.get(watch.head)
            sides = [_count_side(reader, tables, watch, kind, side, settings) for side in (False, True)] if kind in ("label", "labels") else []
        except UsageError as error:
            raise DoxaError(f"--gold-sample {self.path}: {error}") from None
        pairs, groups = np.zeros((2, 2), np.int64), {}
        for row, side in enumerate(sides):
            for group in [side.total, *side.groups] if side.total else []:
                own = pairs if group.kind == "all" else groups.setdefault((group.kind, group.name), np.zeros((2, 2), np.int64))
                own[row] = group.watched.n - group.watched.hits, group.watched.hits
        if not pairs.sum():
            raise DoxaError(f'--gold-sample {self.path} holds no record among those asked for with the gold label in field "{watch.head}" '
                            f"beside prediction.{watch.head}")
        return pairs, groups

    def _tables(self, head: str) -> tuple[ColumnReader, list[pa.Table]]:
        if head not in self._read:
            reader = read_columns(self.source, replace(self.wanted, where=(*self.wanted.where, f"field:{head}"), as_stored=False))
            try:
                tables = list(reader)
            except UsageError as error:
                raise DoxaError(f"--gold-sample {self.path}: {error}") from None
            n_records = sum(table.num_rows for table in tables)
            self._failed = reader.tell_failed(n_records, "the gold sample")
            if reader.n_failed and reader.n_failed == n_records:
                raise DoxaError(f"--gold-sample {self.path}: {reader.tell_failed(n_records)}")
            self._read[head] = reader, self._without_repeats(tables)
        return self._read[head]

    def _without_repeats(self, tables: list[pa.Table]) -> list[pa.Table]:
        """A record that stands there twice, its id and all, is no evidence of two."""
        seen: set[tuple[str, ...]] = set()
        kept = []
        for table in tables:
            is_new = []
            for id_, *row in zip(table.column("id").to_pylist(), *(map(repr, column.to_pylist()) for column in table.columns)):
                is_new.append(id_ is None or tuple(row) not in seen)
                seen.add(tuple(row))
            kept.append(table.filter(pa.array(is_new, pa.bool_())))
            self._n_twice += table.num_rows - kept[-1].num_rows
        return kept


class _Part:
    """Some rows of what a reader has read."""

    def __init__(self, reader: ColumnReader, tables: list[pa.Table]):
        self.schema, self.tables = reader.schema, tables

    def __iter__(self):
        return iter(self.tables)


def _count_side(reader: ColumnReader, tables: list[pa.Table], watch: Watch, kind: str, side: bool, settings: Settings) -> Figures:
    """Count the records whose gold value is the watched label or holds it, or those whose does not."""
    def is_on_side(gold: str | None) -> bool:
        if not gold:
            return False
        return (watch.label in orjson.loads(gold) if kind == "labels" and gold.startswith("[") else gold == watch.label) is side

    kept = [table.filter(pa.array(list(map(is_on_side, table.column(f"field:{watch.head}").to_pylist())), pa.bool_())) for table in tables]
    return aggregate(_Part(reader, kept), settings)
