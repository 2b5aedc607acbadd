"""Open what the command line names and yield its records, whatever the format."""

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass

from doxa.errors import DoxaError, UsageError
from doxa.records import standard, tables
from doxa.records.compressed import ByteStream, decompress
from doxa.records.lines import read_line_records
from doxa.records.loading import read_parquet
from doxa.records.record import Record

FORMATS = ("jsonl", "arrow", "parquet", "csv")
MAX_RECORD_BYTES = 64 << 20
_TABLE_READERS = {
    "arrow-stream": tables.read_arrow_stream,
    "arrow-file": tables.read_arrow_file,
    "parquet": read_parquet,
    "csv": tables.read_csv,
}


@dataclass(frozen=True)
class Source:
    """What to read: `paths` (`-` is stdin; none means stdin), `from_format` one of FORMATS or None to recognise it."""

    paths: tuple[str, ...] = ()
    from_format: str | None = None
    max_record_bytes: int = MAX_RECORD_BYTES


def read_records(source: Source) -> Iterator[Record]:
    """Yield every record of every input, one input after another, broken ones with `error` set.

    Raises DoxaError when an input cannot be opened (before any is read), is cut off or is damaged.
    """
    for stream, kind in open_streams(source):
        if kind == "jsonl":
            yield from read_line_records(stream, source.max_record_bytes)
        else:
            yield from tables.read_table_records(_TABLE_READERS[kind](stream), stream.name)


def open_streams(source: Source) -> Iterator[tuple[ByteStream, str]]:
    """Yield each input, decompressed, with its kind: jsonl, arrow-stream, arrow-file, parquet or csv."""
    paths = list(expand_paths(source.paths))
    for path in paths:
        if path != "-":
            _check_readable(path)
    for path in paths:
        with _open(path) as opened:
            stream = decompress(opened)
            yield stream, recognise(stream, path, source.from_format)


def expand_paths(paths: tuple[str, ...]) -> Iterator[str]:
    """Expand the patterns that the shell left alone (quoted, or in a crontab). No path means stdin."""
    for path in paths or ("-",):
        if path == "-" or os.path.lexists(path) or not glob.has_magic(path):
            yield path
            continue
        matches = sorted(glob.glob(path, recursive=True))
        if not matches:
            raise DoxaError(f"no file matches {path}")
        yield from matches


def _check_readable(path: str) -> None:
    try:
        if os.path.isdir(path):
            raise DoxaError(f"{path} is a folder; name its files, for example {os.path.join(path, '*.jsonl')}")
        os.stat(path)
        if not os.access(path, os.R_OK):
            raise DoxaError(f"cannot read {path}: permission denied")
    except OSError as error:
        raise DoxaError(f"cannot read {path}: {error.strerror}") from None


def _open(path: str) -> ByteStream:
    if path == "-":
        return ByteStream(standard.open_stdin(), "<stdin>")
    try:
        raw = open(path, "rb", buffering=0)
    except OSError as error:
        raise DoxaError(f"cannot read {path}: {error.strerror}") from None
    return ByteStream(raw, path, path if os.path.isfile(path) else None)


def recognise(stream: ByteStream, path: str, from_format: str | None) -> str:
    """Tell the kind of an input by its first bytes; CSV by the suffix of its name or `from_format`."""
    head = stream.peek(8)
    if head.startswith(b"ARROW1"):
        kind = "arrow-file"
    elif head.startswith(b"PAR1"):
        kind = "parquet"
    elif head.startswith(b"\xff\xff\xff\xff"):
        kind = "arrow-stream"
    else:
        kind = "csv" if from_format == "csv" or _is_csv_name(path) else "jsonl"
    if from_format not in (None, kind.split("-")[0]) and head:
        raise UsageError(f"{stream.name} is {kind.split('-')[0]}, not {from_format}; leave out --from")
    if kind == "jsonl" and path.endswith((".parquet", ".arrow")) and head:
        raise DoxaError(f"{stream.name} is not a {path.rsplit('.', 1)[1]} file: its first bytes are wrong")
    return kind


def _is_csv_name(path: str) -> bool:
    return path.removesuffix(".gz").removesuffix(".zst").endswith(".csv")
