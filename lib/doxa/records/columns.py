"""Predictions as flat Arrow columns for counting: fast on clean blocks of JSON Lines, careful on the others."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.device.cpu import usable_cores
from doxa.errors import UsageError
from doxa.records import tables
from doxa.records.clean import CleanParser, first_lines, halves
from doxa.records.csv_entries import csv_records, marked_heads, nest_prediction, read_cell
from doxa.records.entries import FLAT_KINDS, EntryColumn, HeadColumns, as_text, find_kind, member
from doxa.records.lines import Block, count_newlines, parse_block
from doxa.records.names import Named, field_names, resolve_name
from doxa.records.placed import read_placed_blocks
from doxa.records.prefetch import map_ahead
from doxa.records.reader import Source, open_streams
from doxa.records.record import Record
from doxa.records.text_fields import texts_in_words

TIME_FIELDS = ("timestamp", "time", "created_at", "publish_time", "date")
BLOCK_BYTES = 16 << 20
SMALLEST_SPLIT_BYTES = 1 << 15
MOST_PARSING = 4  # threads: more of them wait for Python, and for who counts what they parse
N_SAMPLED = 1000
_UNREADABLE = ("not_json", "not_utf8", "not_an_object", "too_long")


@dataclass(frozen=True)
class Wanted:
    """Which fields to read. `by` and `where` (the names in conditions) name heads or fields, as `records/names.py` reads
    them; no `by` takes a head `topic`. Without `text_field` the column `text` is null. `gold` asks for what judges predictions, and
    groups by nothing unless told: gold labels (head -> field; that of another head is the field of its name) and all scores.
    `with_model`, and `gold`, ask for what predict --stamp says of the model. `kinds` are the kinds of heads beside label, labels and
    number, by a key of their entries (see `find_kind`): where `gold` is asked for they are read whole, else passed by. `checks` names for some of these kinds a field that is read
    beside the gold label."""

    by: tuple[str, ...] = ()
    time_field: str | None = None
    text_field: str | None = "text"
    id_field: str = "id"
    where: tuple[str, ...] = ()
    gold: Mapping[str, str] | None = None
    with_model: bool = False
    kinds: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)


def read_columns(source: Source, wanted: Wanted) -> "ColumnReader":
    return ColumnReader(source, wanted)


class ColumnReader:
    """Iterates over pyarrow.Table with the flat columns

        error, id, time, text: string   (all but `error` may be null; `error` is the code of an error record)
        field:F string for each field that `by` or `where` names, and for gold labels
        label:H string and score:H double for a head of one label, labels:H list<string> for one of many,
        score:H double for a number; where asked for scores:H and model:H too (records/entries.py)
        entry:H, gold:H, beside:H string, JSON text, for a head of another kind; where there is one, `text` is the question and the context, or
        the tokens, of a record without the text field

    `heads` (name -> kind), `labels` (those of which a head gives scores), `by` and `where` (asked name -> what it
    means) are known with the first batch.
    `n_unreadable` counts the lines that were no records, `n_unpredicted` the records without a prediction.
    Raises UsageError when the first records hold no prediction that is asked for, or a name means nothing.
    """

    def __init__(self, source: Source, wanted: Wanted):
        self.source, self.wanted = source, wanted
        self.heads: dict[str, str] = {}
        self.labels: dict[str, list[str]] = {}
        self.by: tuple[Named, ...] = ()
        self.where: dict[str, Named] = {}
        self.time_field: str | None = None
        self.n_unreadable = self.n_unpredicted = 0
        self._columns: list[HeadColumns | EntryColumn] = []
        self._passed: dict[str, str] = {}  # heads of kinds that were not asked for
        self._fields: list[str] = []
        self._types: dict[str, pa.DataType] | None = None
        self._parser: CleanParser | None = None
        self._n_parsing = min(MOST_PARSING, usable_cores())
        self._early_errors: list[str] = []  # codes of error records that came before anything told the schema

    @property
    def n_failed(self) -> int:
        return self.n_unreadable + self.n_unpredicted

    def tell_failed(self, n_records: int, source: str = "") -> str:
        """How many of the records read (of a source) failed, in words; nothing where none did."""
        of_source = f" of {source}" if source else ""
        return f"{self.n_failed} of {n_records} records{of_source} could not be read or hold no prediction" if self.n_failed else ""

    def __iter__(self) -> Iterator[pa.Table]:
        for table in self._read():
            if self._early_errors:
                yield self._error_table()
            yield table
        if self._early_errors:
            yield self._error_table()

    def _error_table(self) -> pa.Table:
        rows, self._early_errors = [{"error": code} for code in self._early_errors], []
        return self._count(pa.Table.from_pylist(rows, schema=self._flat_schema()))

    def _read(self) -> Iterator[pa.Table]:
        for stream, kind in open_streams(self.source):
            if kind == "jsonl":
                for block, fast in self._parsed_ahead(read_placed_blocks(stream, self.source.max_record_bytes, BLOCK_BYTES, self._n_parsing + 1), stream.name):
                    yield from self._read_block(block, fast, stream.name)
            else:
                for batch in self._table_batches(stream, kind):
                    yield self._read_csv(batch, stream.name) if kind == "csv" else self._read_table(batch, stream.name)

    @property
    def _is_careful(self) -> bool:
        """Whether records are read one by one, whatever they come in: an entry that is kept whole has no columns."""
        return any(isinstance(head, EntryColumn) for head in self._columns)

    # --- JSON Lines

    def _parsed_ahead(self, blocks: Iterator[Block], name: str) -> Iterator[tuple[Block, list[pa.RecordBatch] | None]]:
        """Every block with what the fast path makes of it, from the first on that tells what there is to read."""
        for block in blocks:
            if self._types is None:
                self._decide([r for r in parse_block(first_lines(block, N_SAMPLED), name, self.source.max_record_bytes) if r.fields is not None])
            if self._types is not None and not self._is_careful:
                self._parser = self._parser or CleanParser(pa.schema(list(self._types.items())))
                yield from map_ahead(itertools.chain([block], blocks), self._parser.parse, self._n_parsing)
            else:
                yield block, None

    def _read_block(self, block: Block, fast: list[pa.RecordBatch] | None, name: str) -> Iterator[pa.Table]:
        if fast is not None:
            yield self._flatten(fast)
        elif self._types is None:
            self._early_errors += [self._error_code(r) or "no_prediction" for r in parse_block(block, name, self.source.max_record_bytes)]
        elif self._is_careful or block.is_too_long or len(block.data) < SMALLEST_SPLIT_BYTES or count_newlines(block.data[:-1]) == 0:
            yield self._careful(list(parse_block(block, name, self.source.max_record_bytes)))
        else:
            for half in halves(block):
                yield from self._read_block(half, self._parser.parse(half), name)

    def _careful(self, records: list[Record], read_value: Callable[[Any], Any] = lambda value: value) -> pa.Table:
        """`read_value` makes values of what stands in a field."""
        rows = [self._row(record, read_value) for record in records]
        return self._count(pa.Table.from_pylist(rows, schema=self._flat_schema()))

    def _row(self, record: Record, read_value: Callable[[Any], Any]) -> dict[str, Any]:
        if record.fields is None:
            return {"error": self._error_code(record)}
        row = {
            "error": self._error_code(record),
            "id": as_text(record.fields.get(self.wanted.id_field)),
            "time": as_text(record.fields.get(self.time_field)) if self.time_field else None,
            "text": as_text(record.fields.get(self.wanted.text_field)) if self.wanted.text_field else None,
        }
        if row["text"] is None and self.wanted.text_field and self._is_careful:  # many heads of other kinds read no such field
            row["text"] = texts_in_words(record)
        prediction = record.fields.get("prediction")
        prediction = prediction if isinstance(prediction, dict) else {}
        for head in self._columns:
            entry = prediction.get(head.name)
            if isinstance(entry, dict):
                row |= head.read(entry)
            if isinstance(head, EntryColumn):
                row |= head.read_gold(lambda field: read_value(record.fields.get(field)))
        if row["error"] is None and all(row.get(head.main) is None for head in self._columns):
            row["error"] = "no_prediction"
        for name in self._fields:
            row[f"field:{name}"] = as_text(record.fields.get(name))
        return row

    def _error_code(self, record: Record) -> str | None:
        if record.fields is None:
            return record.error.code
        return record.get("error")["code"] if record.carries_error else None

    # --- what there is to read

    def _decide(self, records: list[Record]) -> None:
        """Settle heads, grouping and column types from the first records."""
        for record in records:
            prediction = record.fields.get("prediction")
            for head, entry in prediction.items() if isinstance(prediction, dict) else ():
                if isinstance(entry, dict):
                    self._note_head(head, find_kind(entry, self.wanted.kinds), entry.get("scores"))
        if not self.heads:
            if self._passed or any(not record.carries_error for record in records):
                raise self._nothing_to_read()
            return  # error records only: decide when a good one comes
        present = {name for record in records for name in record.fields} if records else set()
        self._choose_names(present)
        self._types = {"error": pa.struct([("code", pa.string())])}
        for name in filter(None, (self.wanted.id_field, self.wanted.text_field, self.time_field, *self._fields)):
            self._types.setdefault(name, pa.string())
        self._types["prediction"] = pa.struct([(head.name, head.entry_type()) for head in self._columns if isinstance(head, HeadColumns)])

    def _note_head(self, head: str, kind: str | None, scores: Any) -> None:
        if kind in FLAT_KINDS:
            self.heads.setdefault(head, kind)
            self._note_labels(head, scores)
        elif kind is not None:
            (self._passed if self.wanted.gold is None else self.heads).setdefault(head, kind)

    def _nothing_to_read(self) -> UsageError:
        if self._passed:
            told = ", ".join(f'"{head}" ({kind})' for head, kind in self._passed.items())
            return UsageError(f"no head gives labels or numbers, which are counted here; evaluate and compare read {told}")
        return UsageError("the records hold no prediction; run them through predict first")

    def _note_labels(self, head: str, scores: Any) -> None:
        """Remember the labels of which some entry gives scores, in order of appearance."""
        known = self.labels.setdefault(head, [])
        if isinstance(scores, dict):
            known += [label for label in scores if label not in known]

    def _choose_names(self, present: set[str]) -> None:
        self.time_field = self.wanted.time_field or next((name for name in TIME_FIELDS if name in present), None)
        is_judging = self.wanted.gold is not None
        flat = {head: kind for head, kind in self.heads.items() if kind in FLAT_KINDS}
        self._columns = [HeadColumns(head, kind, self.labels.get(head, []) if is_judging else [], is_judging or self.wanted.with_model)
                         if head in flat else EntryColumn(head, kind, self._marks(kind), self.gold_field(head), self.wanted.checks.get(kind, "")) for head, kind in self.heads.items()]
        by = self.wanted.by or (("head:topic",) if "topic" in flat and not is_judging else ())
        self.by = tuple(resolve_name(name, "--by", flat, present) for name in by)
        for asked, named in zip(by, self.by):
            if named.part == "score":
                raise UsageError(f'--by {asked}: head "{named.name}" gives numbers, not labels')
            if self.by.count(named) > 1:
                raise UsageError(f"--by {asked} is given twice")
        self.where = {name: resolve_name(name, "--where", flat, present) for name in self.wanted.where}
        gold = [self.gold_field(head) for head in flat] if is_judging else []
        self._fields = list(dict.fromkeys([named.name for named in (*self.by, *self.where.values()) if named.part == "field"] + gold))

    def _marks(self, kind: str) -> frozenset[str]:
        return frozenset(mark for mark, marked in self.wanted.kinds.items() if marked == kind)

    def gold_field(self, head: str) -> str:
        return self.wanted.gold.get(head, head)

    # --- columns

    def _table_batches(self, stream, kind: str) -> Iterator[pa.RecordBatch]:
        if kind == "csv":
            yield from tables.read_csv(stream)
        elif kind == "parquet":
            names = field_names((*self.wanted.by, *self.wanted.where))
            wanted = {"prediction", "error", self.wanted.text_field, self.wanted.id_field, *names, *TIME_FIELDS}
            yield from tables.read_parquet(stream, None if self.wanted.gold is not None else wanted | {self.wanted.time_field})
        else:
            yield from tables.read_arrow_stream(stream) if kind == "arrow-stream" else tables.read_arrow_file(stream)

    def _read_csv(self, batch: pa.RecordBatch, name: str) -> pa.Table:
        marked = marked_heads(batch.schema.names, self.wanted.kinds)
        if not marked or self.wanted.gold is None:
            self._passed |= marked
            return self._flatten([nest_prediction(batch, marked)])
        records = list(csv_records(batch, name, self.wanted.kinds))
        if self._types is None:
            self._decide(records)
            self._types = self._types or {}
        return self._careful(records, read_cell)

    def _read_table(self, batch: pa.RecordBatch, name: str) -> pa.Table:
        if self._types is None:
            self._decide_from_schema(batch)
        return self._careful(list(tables.batch_records(batch, name, 1))) if self._is_careful else self._flatten([batch])

    def _flatten(self, batches: list[pa.RecordBatch]) -> pa.Table:
        """Pick the columns out of batches that hold `prediction` as a struct."""
        if self._types is None:
            self._decide_from_schema(batches[0])
        return self._count(pa.Table.from_batches(map(self._flatten_one, batches), self._flat_schema()))

    def _flatten_one(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        n = batch.num_rows
        code = member(_column(batch, "error"), "code", pa.string(), n)
        prediction = _column(batch, "prediction")
        columns: dict[str, pa.Array] = {
            "id": _text(_column(batch, self.wanted.id_field), n),
            "time": _text(_column(batch, self.time_field), n),
            "text": _text(_column(batch, self.wanted.text_field), n),
        }
        has_any = pa.array(np.zeros(n, bool))
        for head in self._columns:
            columns |= head.flatten(member(prediction, head.name, None, n), n)
            has_any = pc.or_(has_any, pc.is_valid(columns[head.main]))
        columns["error"] = pc.if_else(pc.or_(pc.is_valid(code), has_any), code, pa.scalar("no_prediction", pa.string()))
        for name in self._fields:
            columns[f"field:{name}"] = _text(_column(batch, name), n)
        schema = self._flat_schema()
        return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)

    def _decide_from_schema(self, batch: pa.RecordBatch) -> None:
        index = batch.schema.get_field_index("prediction")
        if index < 0 or not pa.types.is_struct(batch.schema.field(index).type):
            raise self._nothing_to_read()
        for entry in batch.schema.field(index).type:
            members = {f.name: f.type for f in entry.type} if pa.types.is_struct(entry.type) else {}
            scores = members.get("scores")
            self._note_head(entry.name, find_kind(members, self.wanted.kinds),
                            {f.name: None for f in scores} if scores is not None and pa.types.is_struct(scores) else None)
        if self._passed and not self.heads:
            raise self._nothing_to_read()
        self._choose_names(set(batch.schema.names))
        self._types = {}

    def _flat_schema(self) -> pa.Schema:
        fields = [(name, pa.string()) for name in ("error", "id", "time", "text")]
        fields += [(f"field:{name}", pa.string()) for name in self._fields]
        return pa.schema(fields + [column for head in self._columns for column in head.fields()])

    def _count(self, table: pa.Table) -> pa.Table:
        errors = table.column("error")
        if errors.null_count < len(errors):
            self.n_unpredicted += pc.sum(pc.equal(errors, pa.scalar("no_prediction", pa.string()))).as_py() or 0
            self.n_unreadable += pc.sum(pc.is_in(errors, pa.array(_UNREADABLE, pa.string()))).as_py() or 0
        return table


# Their texts in Arrow are those of `tables.python_values`, in one step.
_CAST_AS_JSON = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_large_string, pa.types.is_string_view)


def _column(batch: pa.RecordBatch, name: str | None) -> pa.Array | None:
    index = batch.schema.get_field_index(name) if name else -1
    return None if index < 0 else batch.column(index)


def _text(column: pa.Array | None, n: int) -> pa.Array:
    if column is None:
        return pa.nulls(n, pa.string())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type):
        return column
    if any(is_kind(column.type) for is_kind in _CAST_AS_JSON):
        return column.cast(pa.string())
    if pa.types.is_timestamp(column.type):
        unzoned = column.cast(pa.int64()).cast(pa.timestamp(column.type.unit))  # pyarrow writes these forty times as fast
        return pc.binary_join_element_wise(pc.replace_substring(unzoned.cast(pa.string()), " ", "T"), "Z" if column.type.tz else "", "")
    return pa.array([as_text(value) for value in tables.python_values(column)], pa.string())
