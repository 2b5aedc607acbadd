"""Rows of columnar formats as records: Arrow IPC streams and files, Parquet, CSV."""

import datetime
import decimal
import json
import math
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from doxa.errors import DoxaError, RecordError
from doxa.records.compressed import CHUNK_BYTES, ByteStream
from doxa.records.label_names import quote
from doxa.records.lines import skip_mark
from doxa.records.quantity import quantity
from doxa.records.record import Record, load_exact
from doxa.records.single import plain_values

MARK = b"doxa"  # key in the schema metadata of what doxa wrote
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
OVERFLOW = "_more"  # JSON text of the fields of a record that fit no column
BATCH_ROWS, LARGE_BATCH_ROWS = 4096, 1 << 17


class RowFields:
    """One row of a RecordBatch as a mapping; each column becomes Python values once, when first asked for."""

    __slots__ = ("columns", "index")

    def __init__(self, columns: "BatchColumns", index: int):
        self.columns, self.index = columns, index

    def get(self, name: str, default: Any = None) -> Any:
        values = self.columns.values(name)
        if values is None:
            return self.overflow.get(name, default)
        value = values[self.index]
        return default if value is None and self.columns.is_marked and name in _OPTIONAL else value

    @property
    def overflow(self) -> dict:
        return self._unfold() or {}

    def _unfold(self) -> dict | None:
        """What the overflow column holds of the row; None where it is not there, or another program's of the same name."""
        values = self.columns.values(OVERFLOW) if self.columns.is_marked else None
        return None if values is None else read_overflow(values[self.index])

    def to_dict(self) -> dict:
        """The row as a JSON object; our own columns are left out where they are null."""
        row, overflow = {}, self._unfold()
        for name in self.columns.batch.schema.names:
            value = self.columns.values(name)[self.index]
            is_ours = name == OVERFLOW and (not value or overflow is not None) or value is None and name in _OPTIONAL
            if self.columns.is_marked and is_ours:
                continue
            row[name] = value
        return row | (overflow or {})


def read_overflow(text: str | None) -> dict | None:
    """The fields that a cell of the overflow column holds; None where it is empty, or another program's column of the same name."""
    try:
        found = load_exact(text.encode()) if text else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


_OPTIONAL = {"error", "prediction", "n_tokens", "truncated", "input_ids", "token_type_ids", "tokenizer"}


class BatchColumns:
    """A RecordBatch and the Python values of the columns that were asked for."""

    def __init__(self, batch: pa.RecordBatch):
        self.batch = batch
        self.is_marked = MARK in (batch.schema.metadata or {})
        self._values: dict[str, list | None] = {}

    def values(self, name: str) -> list | None:
        if name not in self._values:
            index = self.batch.schema.get_field_index(name)
            if index < 0 and name in self.batch.schema.names:
                raise DoxaError(f"there are several columns {quote(name)}; rename all but one")
            self._values[name] = None if index < 0 else python_values(self.batch.column(index))
        return self._values[name]


def python_values(column: pa.Array) -> list:
    if pa.types.is_timestamp(column.type):
        zone = column.type.tz
        if zone is not None:  # the instant is what counts; text keeps every digit
            column = column.cast(pa.timestamp(column.type.unit, "UTC"))
        texts = column.cast(pa.string()).to_pylist()
        return [text if text is None else text.replace(" ", "T").removesuffix("Z") + ("Z" if zone else "") for text in texts]
    if pa.types.is_primitive(column.type) or pa.types.is_string(column.type):
        values = plain_values(column)
        return [json_value(v) for v in values] if not pa.types.is_string(column.type) else values
    if pa.types.is_list(column.type) and pa.types.is_integer(column.type.value_type):
        return column.to_pylist()
    return [json_value(value) for value in plain_values(column)]


def json_value(value: Any) -> Any:
    """Turn a value of an Arrow column into one that JSON can hold: times as ISO 8601, non-finite numbers as null."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: json_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(inner) for inner in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    if isinstance(value, decimal.Decimal):
        return str(value)
    return str(value)


def batch_records(batch: pa.RecordBatch, source: str, first_number: int) -> Iterator[Record]:
    columns = BatchColumns(batch)
    for index in range(batch.num_rows):
        yield Record(source, first_number + index, None, RowFields(columns, index), row=(batch, index))


def joined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of batches of one schema in batches of at least LARGE_BATCH_ROWS, but for the last."""
    waiting: list[pa.RecordBatch] = []
    n_waiting = 0
    for batch in batches:
        waiting.append(batch)
        n_waiting += batch.num_rows
        if n_waiting >= LARGE_BATCH_ROWS:
            yield pa.concat_batches(waiting)
            waiting, n_waiting = [], 0
    if waiting:
        yield pa.concat_batches(waiting)


def overflow_holds(batch: pa.RecordBatch, names: set[str] | None) -> bool:
    """Whether fields of these names, or any, stand in the overflow column of a batch that doxa wrote; it may say so where only a value has the name."""
    index = batch.schema.get_field_index(OVERFLOW)
    if index < 0 or MARK not in (batch.schema.metadata or {}):
        return False
    texts = batch.column(index).drop_null()
    texts = texts.filter(pc.not_equal(texts, ""))  # of CSV
    return len(texts) > 0 and (names is None or any(pc.any(pc.match_substring(texts, json.dumps(name, ensure_ascii=False))).as_py() for name in names))


def read_table_records(parts: Iterator[pa.RecordBatch | Record], source: str) -> Iterator[Record]:
    number = 1
    for part in parts:
        if isinstance(part, Record):
            yield part
            number += 1
        else:
            yield from batch_records(part, source, number)
            number += part.num_rows


class _Tail:
    """Passes reads through and remembers the last eight bytes, the end marker of a whole stream."""

    def __init__(self, stream: ByteStream):
        self.stream, self.last = stream, b""
        self.closed = False

    def read(self, n: int = -1) -> bytes:
        pieces, left = [], n
        while left:
            data = self.stream.read_some(left if left > 0 else CHUNK_BYTES)
            if not data:
                break
            pieces.append(data)
            left = left - len(data) if left > 0 else left
        data = b"".join(pieces)
        self.last = (self.last + data[-8:])[-8:]
        return data

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def read_arrow_stream(stream: ByteStream) -> Iterator[pa.RecordBatch]:
    """Yield the batches of an Arrow IPC stream.

    Raises DoxaError when it is damaged, or is ours and ends without its end marker."""
    tail = _Tail(stream)
    try:
        reader = pa.ipc.open_stream(pa.PythonFile(tail, mode="r"))
        for batch in reader:
            batch.validate(full=True)
            yield from _slices(batch)
    except (pa.ArrowException, OSError) as error:
        raise damaged(stream.name, "Arrow stream", error) from None
    if tail.last != END_OF_STREAM and MARK in (reader.schema.metadata or {}):
        raise DoxaError(f"{stream.name}: the Arrow stream ends without its end marker; whoever wrote it was cut off")


def read_arrow_file(stream: ByteStream) -> Iterator[pa.RecordBatch]:
    """Yield the batches of an Arrow IPC file."""
    with seekable(stream) as file:
        try:
            with pa.ipc.open_file(pa.OSFile(file) if isinstance(file, str) else file) as reader:
                for index in range(reader.num_record_batches):
                    batch = reader.get_batch(index)
                    batch.validate(full=True)
                    yield from _slices(batch)
        except (pa.ArrowException, OSError) as error:
            raise damaged(stream.name, "Arrow file", error) from None


def read_csv(stream: ByteStream) -> Iterator[pa.RecordBatch | Record]:
    """Yield the rows of a CSV file with a header line; every value is a text, so that nothing is changed, but for what an overflow column holds. Where the header
    has no comma, semicolons or tabs stand between values. A row with more or fewer values than the header is a record with an error, in its place. Raises DoxaError
    where the file is damaged or not UTF-8."""
    skip_mark(stream)
    try:
        head = stream.peek(CHUNK_BYTES)
        if not head:
            return
        header = head[: head.find(b"\n") + 1] or head
        delimiter = next((mark for mark in (",", ";", "\t") if mark.encode() in header), ",")
        ragged: deque[pa_csv.InvalidRow] = deque()
        options = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=lambda row: ragged.append(row) or "skip")
        first = pa_csv.read_csv(pa.BufferReader(header), parse_options=options)
        names = first.column_names
        reader = pa_csv.open_csv(
            pa.PythonFile(stream, mode="r"),
            read_options=pa_csv.ReadOptions(block_size=1 << 22, use_threads=False),  # rows have numbers then
            parse_options=options,
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False))
        for part in _with_ragged(reader, ragged, stream.name):
            if isinstance(part, Record):
                yield part
            else:
                yield from _slices(part.replace_schema_metadata({MARK: b"1"}) if OVERFLOW in names else part)
    except UnicodeDecodeError:
        raise _not_utf8(stream.name) from None
    except (pa.ArrowException, OSError) as error:
        if "UTF8" in str(error):
            raise _not_utf8(stream.name) from None
        raise damaged(stream.name, "CSV file", error) from None


def _not_utf8(name: str) -> DoxaError:
    return DoxaError(f"{name}: the CSV file is not UTF-8; convert it with: iconv -f LATIN1 -t UTF-8, or from what it is in")


def _with_ragged(batches: Iterable[pa.RecordBatch], ragged: deque[pa_csv.InvalidRow], source: str) -> Iterator[pa.RecordBatch | Record]:
    """The good rows, and those that the reader passes by, `ragged`, where they stood; both may come a block ahead. Rows are numbered from 1, the header."""
    n_rows = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            if ragged and ragged[0].number - 2 == n_rows:
                yield _ragged_record(ragged.popleft(), source)
                n_rows += 1
                continue
            n_taken = min(batch.num_rows - start, ragged[0].number - 2 - n_rows if ragged else batch.num_rows)
            yield batch.slice(start, n_taken)
            start, n_rows = start + n_taken, n_rows + n_taken
    yield from (_ragged_record(row, source) for row in ragged)


def _ragged_record(row: pa_csv.InvalidRow, source: str) -> Record:
    error = RecordError("ragged_row", f"the row has {quantity(row.actual_columns, 'value')}, not {row.expected_columns} as the header")
    return Record(source, row.number - 1, row.text.encode(), None, error)


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield batch.slice(start, BATCH_ROWS)


def damaged(name: str, kind: str, error: Exception) -> DoxaError:
    return DoxaError(f"{name}: the {kind} is damaged or cut off ({str(error).splitlines()[0]})")


class seekable:
    """The path of a stream; what comes from a pipe is spooled to a temporary file first.

    The file has no name, so that nothing of it stays however the command ends.
    """

    def __init__(self, stream: ByteStream):
        self.stream, self.spool = stream, None

    def __enter__(self) -> str | BinaryIO:
        if self.stream.path is not None:
            return self.stream.path
        try:
            self.spool = tempfile.TemporaryFile()
            shutil.copyfileobj(self.stream, self.spool, CHUNK_BYTES)
            self.spool.flush()
        except OSError as error:
            raise DoxaError(f"cannot spool {self.stream.name} to {tempfile.gettempdir()}: {error.strerror}") from None
        return self.spool

    def __exit__(self, *exc) -> None:
        if self.spool is not None:
            self.spool.close()
