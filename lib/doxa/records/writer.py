"""Write outcomes in the format that was asked for; a file appears whole or not at all."""

import csv
import io
import os
import stat
from typing import Any

import orjson
import pyarrow as pa

from doxa.errors import DoxaError, UsageError
from doxa.records import standard
from doxa.records.columnar import Tabulator
from doxa.records.loading import write_parquet
from doxa.records.outcome import Outcome, to_line
from doxa.records.single import plain_values

_SUFFIXES = {".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl", ".arrow": "arrow", ".arrows": "arrow",
             ".parquet": "parquet", ".csv": "csv"}
_CODECS = {".gz": "gzip", ".zst": "zstd"}
_STDOUT = (None, "-", "/dev/stdout")  # opening the last would write over what `>> file` holds


def choose_format(output: str | None, to: str | None) -> tuple[str, str | None]:
    """Return (format, codec or None) from `--to` and the suffix of `--output`.

    Raises UsageError for a suffix that names no format."""
    if output in _STDOUT:
        return to or "jsonl", None
    stem, suffix = os.path.splitext(output)
    codec = _CODECS.get(suffix)
    if codec is not None:
        suffix = os.path.splitext(stem)[1]
    if to is None and suffix not in _SUFFIXES and _is_regular(output):
        raise UsageError(f"cannot tell the format of {output}; add --to jsonl|arrow|parquet|csv, or one of its suffixes")
    return to or _SUFFIXES.get(suffix, "jsonl"), codec


def _is_regular(path: str) -> bool:
    """Whether a file may be put in the place of `path`; what stands for an open descriptor never is replaced."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and not path.startswith(("/dev/", "/proc/"))
    except OSError:
        return True


def open_writer(output: str | None, to: str | None, added_types: dict[str, pa.DataType],
                target: "FileOutput | None" = None) -> "RecordWriter":
    """Return the writer for stdout, the file `output` or a `target` that is open already; use it as a context manager.

    Raises UsageError when binary data would go to a terminal."""
    kind, codec = choose_format(output, to)
    if output in _STDOUT and kind in ("arrow", "parquet") and standard.stdout_is_terminal():
        raise UsageError(f"{kind} is binary and stdout is a terminal; redirect it or name a file with --output")
    if target is None:
        target = FileOutput(output) if output not in _STDOUT else standard.LineOutput()
    sink = _CompressedOutput(target, codec) if codec else target
    encoder = {"jsonl": _JsonLines, "arrow": _ArrowStream, "parquet": _Parquet, "csv": _Csv}[kind]
    return RecordWriter(encoder(sink, Tabulator(added_types)), sink, target)


class RecordWriter:
    """Writes lists of outcomes; leaving the context normally finishes the output, an exception discards a file."""

    def __init__(self, encoder, sink, target):
        self.encoder, self.sink, self.target = encoder, sink, target

    def __enter__(self) -> "RecordWriter":
        return self

    def write(self, outcomes: list[Outcome]) -> None:
        if outcomes:
            self.encoder.write(outcomes)

    def __exit__(self, kind, *exc) -> None:
        is_whole = False
        try:
            if kind is None:
                self.encoder.finish()
                if self.sink is not self.target:
                    self.sink.finish()
                is_whole = True
        finally:
            if isinstance(self.target, FileOutput):
                self.target.close(keep=is_whole)


class FileOutput:
    """A file written beside its place and renamed when whole. Pipes and devices are written straight, links followed."""

    def __init__(self, path: str):
        self.is_replaced = _is_regular(path)
        self.path = os.path.realpath(path) if self.is_replaced else path
        # Not the process id: in a container it is the same at every run, and a killed run leaves its file behind.
        self.path_written = f"{self.path}.{os.urandom(4).hex()}.tmp" if self.is_replaced else path
        if self.is_replaced:
            standard.register_unfinished(self.path_written)
        try:
            flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if self.is_replaced else 0)
            self.descriptor = os.open(self.path_written, flags, 0o666)
        except OSError as error:
            raise DoxaError(f"cannot write {path}: {error.strerror}") from None
        self._lines = standard.LineOutput(self.descriptor, path)

    def write(self, data: bytes) -> int:
        return self._lines.write(data)

    def close(self, keep: bool) -> None:
        try:
            if keep and self.is_replaced:
                os.fsync(self.descriptor)
            os.close(self.descriptor)
            if keep and self.is_replaced:
                os.replace(self.path_written, self.path)
                standard.forget_unfinished(self.path_written)
        except OSError as error:
            self._discard()
            raise standard.output_failure(self.path, error) from None
        if not keep:
            self._discard()

    def _discard(self) -> None:
        if self.is_replaced:
            try:
                os.unlink(self.path_written)
            except OSError:
                pass


class _Sink(io.RawIOBase):
    """What pyarrow writes to: passes bytes on, and keeps the failure that pyarrow would wrap."""

    def __init__(self, output):
        self.output, self.failure = output, None

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        try:
            return self.output.write(bytes(data))
        except BaseException as error:
            self.failure = error
            raise


class _ThroughArrow:
    """Calls pyarrow, and raises our own failure in place of pyarrow's account of it."""

    def __init__(self, sink):
        self.sink = _Sink(sink)

    def call(self, function, *args) -> Any:
        try:
            return function(*args)
        except (pa.ArrowException, OSError, ValueError):
            if self.sink.failure is not None:
                raise self.sink.failure from None
            raise


class _CompressedOutput(_ThroughArrow):
    def __init__(self, output, codec: str):
        super().__init__(output)
        self.stream = pa.CompressedOutputStream(pa.PythonFile(self.sink, mode="w"), codec)

    def write(self, data: bytes) -> int:
        self.call(self.stream.write, data)
        return len(data)

    def finish(self) -> None:
        self.call(self.stream.close)


class _JsonLines:
    def __init__(self, sink, tabulator: Tabulator):
        self.sink = sink

    def write(self, outcomes: list[Outcome]) -> None:
        self.sink.write(b"".join(to_line(outcome) + b"\n" for outcome in outcomes))

    def finish(self) -> None:
        pass


class _ArrowStream(_ThroughArrow):
    def __init__(self, sink, tabulator: Tabulator):
        super().__init__(sink)
        self.tabulator, self.writer = tabulator, None

    def write(self, outcomes: list[Outcome]) -> None:
        batch = self.tabulator.to_batch(outcomes)
        self._open()
        self.call(self.writer.write, batch)

    def _open(self) -> None:
        if self.writer is None:
            schema = self.tabulator.empty_schema()
            self.writer = self.call(self._new_writer, pa.PythonFile(self.sink, mode="w"), schema)

    @staticmethod
    def _new_writer(file, schema: pa.Schema):
        return pa.ipc.new_stream(file, schema)

    def finish(self) -> None:
        self._open()
        self.call(self.writer.close)


class _Parquet(_ArrowStream):
    ROWS_PER_GROUP = 65536

    def __init__(self, sink, tabulator: Tabulator):
        super().__init__(sink, tabulator)
        self.waiting: list[pa.RecordBatch] = []
        self.n_waiting = 0

    @staticmethod
    def _new_writer(file, schema: pa.Schema):
        return write_parquet(file, schema, compression="zstd", write_page_checksum=True)

    def write(self, outcomes: list[Outcome]) -> None:
        batch = self.tabulator.to_batch(outcomes)
        self.waiting.append(batch)
        self.n_waiting += batch.num_rows
        if self.n_waiting >= self.ROWS_PER_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        self._open()
        if self.waiting:
            table = pa.Table.from_batches(self.waiting, self.tabulator.schema)
            self.call(self.writer.write_table, table)
            self.waiting, self.n_waiting = [], 0

    def finish(self) -> None:
        self._write_group()
        self.call(self.writer.close)


class _Csv:
    """CSV with a header; members of objects get columns of their own (`prediction.topic.label`), lists are JSON text."""

    def __init__(self, sink, tabulator: Tabulator):
        self.sink, self.tabulator, self.is_begun = sink, tabulator, False

    def write(self, outcomes: list[Outcome]) -> None:
        self._write_batch(self.tabulator.to_batch(outcomes))

    def _write_batch(self, batch: pa.RecordBatch) -> None:
        columns = dict(item for name, column in zip(batch.schema.names, batch.columns) for item in _flatten(name, column))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self.is_begun:
            writer.writerow(columns)
            self.is_begun = True
        writer.writerows(zip(*columns.values()))
        self.sink.write(text.getvalue().encode("utf-8"))

    def finish(self) -> None:
        if not self.is_begun:
            self._write_batch(pa.RecordBatch.from_pylist([], schema=self.tabulator.empty_schema()))


def _flatten(name: str, column: pa.Array) -> list[tuple[str, list]]:
    if pa.types.is_struct(column.type):
        return [item for f, inner in zip(column.type, column.flatten()) for item in _flatten(f"{name}.{f.name}", inner)]
    return [(name, [_cell(value) for value in plain_values(column)])]


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return orjson.dumps(value).decode() if isinstance(value, (list, dict)) else value




def write_page(text: str, output: str | None) -> None:
    """Write text for people or machines to stdout, or to a file that appears whole or not at all."""
    if output in _STDOUT:
        standard.write_text(text)
        return
    file = FileOutput(output)
    is_whole = False
    try:
        file.write(text.encode("utf-8", errors="backslashreplace"))
        is_whole = True
    finally:
        file.close(keep=is_whole)
