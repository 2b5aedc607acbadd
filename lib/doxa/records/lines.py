"""Cut a byte stream into blocks of whole lines, and lines into records."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from doxa.errors import DoxaError, RecordError
from doxa.records.compressed import CHUNK_BYTES, ByteStream
from doxa.records.pieces import count_newlines
from doxa.records.place import Place
from doxa.records.record import Record, parse_object

BOM = b"\xef\xbb\xbf"
SHOWN_OF_LONG_LINE_BYTES = 200


@dataclass(slots=True)
class Block:
    """Whole lines (`data` ends with a newline, or at the end of the input), or the beginning of a line that is too long.

    Where they lie in a `place`, `data` are a view of it, for as long as who reads blocks says."""

    data: bytes | memoryview
    first_number: int
    is_too_long: bool = False
    place: Place | None = None


def read_blocks(stream: ByteStream, max_record_bytes: int, at_least_bytes: int = 0) -> Iterator[Block]:
    """Yield the lines of a stream in blocks, as soon as they are there (or `at_least_bytes` of them).

    A line of more than `max_record_bytes` is skipped without being held; its beginning comes out alone in a block.
    Raises DoxaError for UTF-16.
    """
    skip_mark(stream)
    yield from cut_blocks(stream, max_record_bytes, at_least_bytes, 1)


def cut_blocks(stream: ByteStream, max_record_bytes: int, at_least_bytes: int, number: int) -> Iterator[Block]:
    """The blocks of `read_blocks` from line `number` on."""
    pieces: list[bytes] = []  # the line that has begun, and whole lines that wait for company
    held_bytes, is_skipping = 0, False
    while chunk := stream.read_some(CHUNK_BYTES):
        if is_skipping:
            newline = chunk.find(b"\n")
            if newline < 0:
                continue
            chunk, is_skipping = chunk[newline + 1 :], False
            number += 1
        last = chunk.rfind(b"\n")
        if last < 0 or held_bytes + last + 1 < at_least_bytes:
            pieces.append(chunk)
            held_bytes += len(chunk)
        else:
            pieces.append(chunk[: last + 1])
            data = b"".join(pieces)
            rest = chunk[last + 1 :]
            pieces, held_bytes = [rest] if rest else [], len(rest)
            yield from _split_long(data, number, max_record_bytes)
            number += count_newlines(data)
            del data
        if held_bytes > max_record_bytes + at_least_bytes:
            data = b"".join(pieces)
            last = data.rfind(b"\n") + 1
            if last:
                yield from _split_long(data[:last], number, max_record_bytes)
                number += count_newlines(data[:last])
            rest = data[last:]
            if len(rest) > max_record_bytes:
                yield Block(rest[:SHOWN_OF_LONG_LINE_BYTES], number, is_too_long=True)
                is_skipping, rest = True, b""
            pieces, held_bytes = [rest] if rest else [], len(rest)
            del data
    if pieces and not is_skipping:
        yield from _split_long(b"".join(pieces), number, max_record_bytes)


def _split_long(data: bytes, number: int, max_record_bytes: int) -> Iterator[Block]:
    """Yield the block, cut at lines that are too long."""
    if len(data) <= max_record_bytes:
        yield Block(data, number)
        return
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 0x0A)
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.append(0, ends[:-1] + 1)
    done = 0
    for line in np.flatnonzero(ends - starts > max_record_bytes).tolist():
        if done < line:
            yield Block(data[starts[done] : starts[line]], number + done)
        yield Block(data[starts[line] : starts[line] + SHOWN_OF_LONG_LINE_BYTES], number + line, is_too_long=True)
        done = line + 1
    if done < len(starts):
        yield Block(data[starts[done] :], number + done)


def skip_mark(stream: ByteStream) -> None:
    """Pass over a byte order mark at the beginning. Raises DoxaError for one of UTF-16."""
    if stream.peek(2) in (b"\xff\xfe", b"\xfe\xff"):
        raise DoxaError(f"{stream.name}: the input is UTF-16, not UTF-8; convert it with: iconv -f UTF-16 -t UTF-8")
    if stream.peek(3) == BOM:
        stream.read_some(3)


def read_line_records(stream: ByteStream, max_record_bytes: int) -> Iterator[Record]:
    """Yield one Record for every line that is not blank, with `error` set where it is no JSON object."""
    for block in read_blocks(stream, max_record_bytes):
        yield from parse_block(block, stream.name, max_record_bytes)


def parse_block(block: Block, source: str, max_record_bytes: int) -> Iterator[Record]:
    if block.is_too_long:
        shown = block.data.decode("utf-8", errors="ignore").encode()
        yield Record(source, block.first_number, shown, None, too_long(max_record_bytes))
        return
    number = block.first_number
    lines = bytes(block.data).split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        if line.endswith(b"\r"):
            line = line[:-1]
        if line and not line.isspace():
            try:
                yield Record(source, number, line, parse_object(line))
            except RecordError as error:
                yield Record(source, number, line, None, error)
            except RecursionError:
                yield Record(source, number, line, None, RecordError("not_json", "the line is nested too deeply"))
        number += 1


def too_long(max_record_bytes: int) -> RecordError:
    return RecordError(
        "too_long", f"the line is longer than {max_record_bytes} bytes; raise the limit with --max-record-bytes")
