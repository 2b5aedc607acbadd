"""Predictions as flat Arrow columns for counting: fast on clean blocks of JSON Lines, careful on the others."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from doxa.device.cpu import usable_cores
from doxa.errors import UsageError
from doxa.records import tables
from doxa.records.clean import CleanParser, halves, sample_lines
from doxa.records.csv_entries import csv_records, marked_heads, nest_prediction
from doxa.records.flat_schema import FlatSchema, Wanted, error_code
from doxa.records.lines import Block, parse_block
from doxa.records.loading import read_parquet
from doxa.records.pieces import count_newlines
from doxa.records.placed import read_placed_blocks
from doxa.records.prefetch import map_ahead
from doxa.records.reader import Source, open_streams
from doxa.records.record import Record
from doxa.records.unfold import read_cell

BLOCK_BYTES = 16 << 20
SMALLEST_SPLIT_BYTES = 1 << 15
MOST_PARSING = 4  # threads: more of them wait for Python, and for who counts what they parse
N_SAMPLED = 1000
_UNREADABLE = ("not_json", "not_utf8", "not_an_object", "too_long")


def read_columns(source: Source, wanted: Wanted, count: Callable[[int], None] = lambda n: None) -> "ColumnReader":
    """`count` is told how many records more were read."""
    return ColumnReader(source, wanted, count)


def keep_memory() -> None:
    """Let Arrow take its memory as everything else does, for the whole process: its own pool gives pages back that it takes again for the next columns, which
    costs 6 % of the time on lines and 13 % on Parquet."""
    pa.set_memory_pool(pa.system_memory_pool())


class ColumnReader:
    """Iterates over pyarrow.Table with the columns of `schema`, which is settled with the first of them.

    `n_unreadable` counts the lines that were no records, `n_unpredicted` the records without a prediction.
    Raises UsageError when the first records hold no prediction that is asked for, or a name means nothing.
    """

    def __init__(self, source: Source, wanted: Wanted, count: Callable[[int], None]):
        self.source, self.wanted, self.schema, self.count = source, wanted, FlatSchema(wanted), count
        self.n_unreadable = self.n_unpredicted = 0
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
        return self._count(pa.Table.from_pylist(rows, schema=self.schema.arrow()))

    def _read(self) -> Iterator[pa.Table]:
        for stream, kind in open_streams(self.source):
            if kind == "jsonl":
                for block, fast in self._parsed_ahead(read_placed_blocks(stream, self.source.max_record_bytes, BLOCK_BYTES, self._n_parsing + 1), stream.name):
                    yield from self._read_block(block, fast, stream.name)
            else:
                read_batch = self._read_csv if kind == "csv" else self._read_batch
                for part in self._batches(stream, kind):
                    yield from self._read_records([part]) if isinstance(part, Record) else read_batch(part, stream.name)

    # --- JSON Lines

    def _parsed_ahead(self, blocks: Iterator[Block], name: str) -> Iterator[tuple[Block, list[pa.RecordBatch] | None]]:
        """Every block with what the fast path makes of it, from the first on that tells what there is to read."""
        for block in blocks:
            if not self.schema.is_settled:
                self._settle(block, name)
            if self.schema.is_settled and not self.schema.has_entries:
                self._parser = self._parser or CleanParser(pa.schema(list(self.schema.types.items())), tuple(dict.fromkeys(self.schema.hashed.values())))
                yield from map_ahead(itertools.chain([block], blocks), self._parser.parse, self._n_parsing)
            else:
                yield block, None

    def _settle(self, block: Block, name: str) -> None:
        """Settle by some lines of a block, or where these hold too little, by all of them. Raises UsageError."""
        failure: UsageError | None = None
        for lines in (sample_lines(block, N_SAMPLED), block):
            try:
                self.schema.settle([r for r in parse_block(lines, name, self.source.max_record_bytes) if r.fields is not None], lines is block)
                failure = None
            except UsageError as error:
                failure = error
            if self.schema.is_settled:
                return
        if failure:
            raise failure

    def _read_block(self, block: Block, fast: list[pa.RecordBatch] | None, name: str) -> Iterator[pa.Table]:
        if fast is not None:
            yield self._flatten(fast)
        elif self._parser is None or block.is_too_long or len(block.data) < SMALLEST_SPLIT_BYTES or count_newlines(block.data[:-1]) == 0:
            yield from self._read_records(list(parse_block(block, name, self.source.max_record_bytes)))
        else:
            for half in halves(block):
                yield from self._read_block(half, self._parser.parse(half), name)

    def _read_records(self, records: list[Record], read_value: Callable[[Any], Any] = lambda value: value) -> Iterator[pa.Table]:
        """Records one by one, with care; `read_value` makes values of what stands in a field."""
        if self.schema.is_settled:
            yield self._count(pa.Table.from_pylist([self.schema.row(record, read_value) for record in records], schema=self.schema.arrow()))
        else:
            self._early_errors += [error_code(record) or "no_prediction" for record in records]

    # --- columns

    def _batches(self, stream, kind: str) -> Iterator[pa.RecordBatch | Record]:
        if kind == "csv":
            yield from tables.read_csv(stream)
        elif kind == "parquet":
            yield from read_parquet(stream, self._choose_leaves if self.wanted.fields() is not None else None, self.wanted.as_stored)
        else:
            yield from tables.joined(tables.read_arrow_stream(stream) if kind == "arrow-stream" else tables.read_arrow_file(stream))

    def _choose_leaves(self, columns: pa.Schema, may_overflow: bool) -> list[str]:
        """What is read of a Parquet file with these columns; where fields may stand in its overflow column, all of what is wanted."""
        if may_overflow:
            names = self.wanted.fields() | {tables.OVERFLOW}
            return [name for name in columns.names if name in names]
        if not self.schema.is_settled:
            self.schema.settle_by(columns)
        return self.schema.leaves(columns)

    def _read_csv(self, batch: pa.RecordBatch, name: str) -> Iterator[pa.Table]:
        marked = marked_heads(batch.schema.names, self.wanted.kinds)
        if not tables.overflow_holds(batch, self.wanted.fields()) and (not marked or self.wanted.gold is None):
            self.schema.pass_by(marked)
            yield from self._read_batch(nest_prediction(batch, marked), name)
            return
        records = list(csv_records(batch, name, self.wanted.kinds))
        if not self.schema.is_settled:
            self.schema.settle(records)
        yield from self._read_records(records, read_cell)

    def _read_batch(self, batch: pa.RecordBatch, name: str) -> Iterator[pa.Table]:
        records: list[Record] | None = None
        if tables.overflow_holds(batch, self.wanted.fields()):
            records = [Record(name, record.number, None, record.fields.to_dict()) for record in tables.batch_records(batch, name, 1)]
        if not self.schema.is_settled:
            self.schema.settle(records) if records else self.schema.settle_by(batch.schema)
        if records is None and self.schema.has_entries:
            records = list(tables.batch_records(batch, name, 1))
        if records is None:
            yield self._flatten([batch])
        else:
            yield from self._read_records(records)

    def _flatten(self, batches: list[pa.RecordBatch]) -> pa.Table:
        return self._count(pa.Table.from_batches(list(map(self.schema.flatten, batches))) if batches else self.schema.arrow().empty_table())

    def _count(self, table: pa.Table) -> pa.Table:
        self.count(table.num_rows)
        errors = table.column("error")
        if errors.null_count < len(errors):
            self.n_unpredicted += pc.sum(pc.equal(errors, pa.scalar("no_prediction", pa.string()))).as_py() or 0
            self.n_unreadable += pc.sum(pc.is_in(errors, pa.array(_UNREADABLE, pa.string()))).as_py() or 0
        return table
