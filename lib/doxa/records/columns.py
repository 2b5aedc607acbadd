"""Predictions as flat Arrow columns for counting: fast on clean blocks of JSON Lines, careful on the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.records import tables
from doxa.records.clean import CleanParser, first_lines, halves
from doxa.records.entries import HeadColumns, as_text, find_kind, member, read_numbers
from doxa.records.lines import Block, parse_block, read_blocks
from doxa.records.names import Named, field_names, resolve_name
from doxa.records.reader import Source, open_streams
from doxa.records.record import Record

TIME_FIELDS = ("timestamp", "time", "created_at", "publish_time", "date")
BLOCK_BYTES = 8 << 20
SMALLEST_SPLIT_BYTES = 1 << 15
N_SAMPLED = 1000
_UNREADABLE = ("not_json", "not_utf8", "not_an_object", "too_long")


@dataclass(frozen=True)
class Wanted:
    """Which fields to read. `by` and `where` (the names in conditions) name heads or fields, as `records/names.py` reads
    them; no `by` takes a head `topic`. Without `text_field` the column `text` is null. `gold` asks for what judges predictions, and
    groups by nothing unless told: gold labels (head -> field; that of another head is the field of its name) and all scores.
    `with_model`, and `gold`, ask for what predict --stamp says of the model."""

    by: tuple[str, ...] = ()
    time_field: str | None = None
    text_field: str | None = "text"
    id_field: str = "id"
    where: tuple[str, ...] = ()
    gold: Mapping[str, str] | None = None
    with_model: bool = False


def read_columns(source: Source, wanted: Wanted) -> "ColumnReader":
    return ColumnReader(source, wanted)


class ColumnReader:
    """Iterates over pyarrow.Table with the flat columns

        error, id, time, text: string   (all but `error` may be null; `error` is the code of an error record)
        field:F string for each field that `by` or `where` names, and for gold labels
        label:H string and score:H double for a head of one label, labels:H list<string> for one of many,
        score:H double for a number; where asked for scores:H and model:H too (records/entries.py)

    `heads` (name -> label, labels, number), `labels` (those of which a head gives scores), `by` and `where` (asked name -> what it
    means) are known with the first batch.
    `n_unreadable` counts the lines that were no records, `n_unpredicted` the records without a prediction.
    Raises UsageError when the first records hold no prediction at all, or a name means nothing.
    """

    def __init__(self, source: Source, wanted: Wanted):
        self.source, self.wanted = source, wanted
        self.heads: dict[str, str] = {}
        self.labels: dict[str, list[str]] = {}
        self.by: tuple[Named, ...] = ()
        self.where: dict[str, Named] = {}
        self.time_field: str | None = None
        self.n_unreadable = self.n_unpredicted = 0
        self._columns: list[HeadColumns] = []
        self._fields: list[str] = []
        self._types: dict[str, pa.DataType] | None = None
        self._parser: CleanParser | None = None
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
                for block in read_blocks(stream, self.source.max_record_bytes, BLOCK_BYTES):
                    yield from self._read_block(block, stream.name)
            else:
                for batch in self._table_batches(stream, kind):
                    yield self._flatten([batch])

    # --- JSON Lines

    def _read_block(self, block: Block, name: str) -> Iterator[pa.Table]:
        if self._types is None:
            sample = first_lines(block, N_SAMPLED)
            self._decide([r for r in parse_block(sample, name, self.source.max_record_bytes) if r.fields is not None])
        if self._types is None:
            self._early_errors += [self._row(r)["error"] for r in parse_block(block, name, self.source.max_record_bytes)]
            return
        if self._parser is None:
            self._parser = CleanParser(pa.schema(list(self._types.items())))
        fast = None if block.is_too_long else self._parser.parse(block.data)
        if fast is not None:
            yield self._flatten(fast)
        elif len(block.data) < SMALLEST_SPLIT_BYTES or block.is_too_long or block.data.count(b"\n", 0, -1) == 0:
            yield self._careful(list(parse_block(block, name, self.source.max_record_bytes)))
        else:
            for half in halves(block):
                yield from self._read_block(half, name)

    def _careful(self, records: list[Record]) -> pa.Table:
        rows = [self._row(record) for record in records]
        return self._count(pa.Table.from_pylist(rows, schema=self._flat_schema()))

    def _row(self, record: Record) -> dict[str, Any]:
        if record.fields is None:
            return {"error": record.error.code}
        row = {
            "error": record.get("error")["code"] if record.carries_error else None,
            "id": as_text(record.fields.get(self.wanted.id_field)),
            "time": as_text(record.fields.get(self.time_field)) if self.time_field else None,
            "text": as_text(record.fields.get(self.wanted.text_field)) if self.wanted.text_field else None,
        }
        prediction = record.fields.get("prediction")
        prediction = prediction if isinstance(prediction, dict) else {}
        for head in self._columns:
            entry = prediction.get(head.name)
            if isinstance(entry, dict):
                row |= head.read(entry)
        if row["error"] is None and all(row.get(head.main) is None for head in self._columns):
            row["error"] = "no_prediction"
        for field in self._fields:
            row[f"field:{field}"] = as_text(record.fields.get(field))
        return row

    # --- what there is to read

    def _decide(self, records: list[Record]) -> None:
        """Settle heads, grouping and column types from the first records."""
        for record in records:
            prediction = record.fields.get("prediction")
            for head, entry in prediction.items() if isinstance(prediction, dict) else ():
                if isinstance(entry, dict) and find_kind(entry):
                    self.heads.setdefault(head, find_kind(entry))
                    self._note_labels(head, entry.get("scores"))
        if not self.heads:
            if any(not record.carries_error for record in records):
                raise UsageError("the records hold no prediction; run them through predict first")
            return  # error records only: decide when a good one comes
        present = {name for record in records for name in record.fields} if records else set()
        self._choose_names(present)
        self._types = {"error": pa.struct([("code", pa.string())])}
        for name in filter(None, (self.wanted.id_field, self.wanted.text_field, self.time_field, *self._fields)):
            self._types.setdefault(name, pa.string())
        self._types["prediction"] = pa.struct([(head.name, head.entry_type()) for head in self._columns])

    def _note_labels(self, head: str, scores: Any) -> None:
        """Remember the labels of which some entry gives scores, in order of appearance."""
        known = self.labels.setdefault(head, [])
        if isinstance(scores, dict):
            known += [label for label in scores if label not in known]

    def _choose_names(self, present: set[str]) -> None:
        self.time_field = self.wanted.time_field or next((name for name in TIME_FIELDS if name in present), None)
        is_judging = self.wanted.gold is not None
        self._columns = [HeadColumns(head, kind, self.labels.get(head, []) if is_judging else [],
                                     is_judging or self.wanted.with_model) for head, kind in self.heads.items()]
        by = self.wanted.by or (("head:topic",) if "topic" in self.heads and not is_judging else ())
        self.by = tuple(resolve_name(name, "--by", self.heads, present) for name in by)
        for asked, named in zip(by, self.by):
            if named.part == "score":
                raise UsageError(f'--by {asked}: head "{named.name}" gives numbers, not labels')
            if self.by.count(named) > 1:
                raise UsageError(f"--by {asked} is given twice")
        self.where = {name: resolve_name(name, "--where", self.heads, present) for name in self.wanted.where}
        gold = [self.gold_field(head) for head in self.heads] if is_judging else []
        self._fields = list(dict.fromkeys([named.name for named in (*self.by, *self.where.values()) if named.part == "field"] + gold))

    def gold_field(self, head: str) -> str:
        return self.wanted.gold.get(head, head)

    # --- columns

    def _table_batches(self, stream, kind: str) -> Iterator[pa.RecordBatch]:
        if kind == "csv":
            yield from map(_nest_prediction, tables.read_csv(stream))
        elif kind == "parquet":
            names = field_names((*self.wanted.by, *self.wanted.where))
            wanted = {"prediction", "error", self.wanted.text_field, self.wanted.id_field, *names, *TIME_FIELDS}
            yield from tables.read_parquet(stream, None if self.wanted.gold is not None else wanted | {self.wanted.time_field})
        else:
            yield from tables.read_arrow_stream(stream) if kind == "arrow-stream" else tables.read_arrow_file(stream)

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
        columns["error"] = pc.if_else(pc.or_(pc.is_valid(code), has_any), code, pa.scalar("no_prediction"))
        for field in self._fields:
            columns[f"field:{field}"] = _text(_column(batch, field), n)
        schema = self._flat_schema()
        return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)

    def _decide_from_schema(self, batch: pa.RecordBatch) -> None:
        index = batch.schema.get_field_index("prediction")
        if index < 0 or not pa.types.is_struct(batch.schema.field(index).type):
            raise UsageError("the records hold no prediction; run them through predict first")
        for entry in batch.schema.field(index).type:
            members = {f.name: f.type for f in entry.type} if pa.types.is_struct(entry.type) else {}
            kind = find_kind(members)
            if kind:
                self.heads[entry.name] = kind
                scores = members.get("scores")
                self._note_labels(entry.name, {f.name: None for f in scores} if scores is not None and pa.types.is_struct(scores) else None)
        self._choose_names(set(batch.schema.names))
        self._types = {}

    def _flat_schema(self) -> pa.Schema:
        fields = [(name, pa.string()) for name in ("error", "id", "time", "text")]
        fields += [(f"field:{field}", pa.string()) for field in self._fields]
        return pa.schema(fields + [column for head in self._columns for column in head.fields()])

    def _count(self, table: pa.Table) -> pa.Table:
        errors = table.column("error")
        if errors.null_count < len(errors):
            self.n_unpredicted += pc.sum(pc.equal(errors, "no_prediction")).as_py() or 0
            self.n_unreadable += pc.sum(pc.is_in(errors, pa.array(_UNREADABLE))).as_py() or 0
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


def _read_labels(cell: str | None) -> list[str | None] | None:
    """The labels that a cell of CSV holds as a JSON list; None where it holds no list."""
    try:
        values = orjson.loads(cell or "null")
    except orjson.JSONDecodeError:
        return None
    return [as_text(value) for value in values] if isinstance(values, list) else None


def _nest_prediction(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Undo the flat column names of our CSV (`prediction.topic.label`); an empty cell is null."""
    members: dict[str, dict[str, pa.Array]] = {}
    scores: dict[str, dict[str, pa.Array]] = {}
    columns: dict[str, pa.Array] = {}
    codes = None
    for name, column in zip(batch.schema.names, batch.columns):
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        if name.startswith("prediction.") and name.count(".") >= 2:
            head, _, key = name.removeprefix("prediction.").rpartition(".")
            if ".scores." in name:
                head, _, label = name.removeprefix("prediction.").partition(".scores.")
                scores.setdefault(head, {})[label] = read_numbers(column)
            elif key in ("label", "model"):
                members.setdefault(head, {})[key] = column
            elif key == "score":
                members.setdefault(head, {})[key] = read_numbers(column)
            elif key == "labels":
                members.setdefault(head, {})[key] = pa.array(map(_read_labels, column.to_pylist()), pa.list_(pa.string()))
        elif name == "error.code":
            codes = column
        else:
            columns[name] = column
    if codes is not None:
        columns["error"] = pa.StructArray.from_arrays([codes], ["code"])
    for head, own in scores.items():
        members.setdefault(head, {})["scores"] = pa.StructArray.from_arrays(list(own.values()), list(own))
    entries = {head: pa.StructArray.from_arrays(list(m.values()), list(m)) for head, m in members.items()}
    if entries:
        columns["prediction"] = pa.StructArray.from_arrays(list(entries.values()), list(entries))
    return pa.RecordBatch.from_pydict(columns)


