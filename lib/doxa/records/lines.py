"""Cut a byte stream into blocks of whole lines, and lines into records."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from doxa.errors import DoxaError, RecordError
from doxa.records.compressed import CHUNK_BYTES, ByteStream
from doxa.records.record import Record, parse_object

BOM = b"\xef\xbb\xbf"
SHOWN_OF_LONG_LINE_BYTES = 200


@dataclass(slots=True)
class Block:
    """Whole lines (`data` ends with a newline, or at the end of the input), or the beginning of a line that is too long."""

    data: bytes
    first_number: int
    is_too_long: bool = False


def read_blocks(stream: ByteStream, max_record_bytes: int, at_least_bytes: int = 0) -> Iterator[Block]:
    """Yield the lines of a stream in blocks, as soon as they are there (or `at_least_bytes` of them).

    A line of more than `max_record_bytes` is skipped without being held; its beginning comes out alone in a block.
    Raises DoxaError for UTF-16.
    """
    _refuse_utf16(stream)
    if stream.peek(3) == BOM:
        stream.read_some(3)
    pieces: list[bytes] = []  # the line that has begun, and whole lines that wait for company
    held_bytes, number, is_skipping = 0, 1, False
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
            number += _count_newlines(data)
            del data
        if held_bytes > max_record_bytes + at_least_bytes:
            data = b"".join(pieces)
            last = data.rfind(b"\n") + 1
            if last:
                yield from _split_long(data[:last], number, max_record_bytes)
                number += _count_newlines(data[:last])
            rest = data[last:]
            if len(rest) > max_record_bytes:
                yield Block(rest[:SHOWN_OF_LONG_LINE_BYTES], number, is_too_long=True)
                is_skipping, rest = True, b""
            pieces, held_bytes = [rest] if rest else [], len(rest)
            del data
    if pieces and not is_skipping:
        yield from _split_long(b"".join(pieces), number, max_record_bytes)


def _count_newlines(data: bytes) -> int:
    """`data.count(b"\\n")`, four times as fast."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == 0x0A))


def _split_long(data: bytes, number: int, max_record_bytes: int) -> Iterator[Block]:
    """Yield the block, cut where one of its lines is too long."""
    if len(data) <= max_record_bytes:
        yield Block(data, number)
        return
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        if end - start - (data[end - 1] == 0x0A) > max_record_bytes:
            yield Block(data[start : start + SHOWN_OF_LONG_LINE_BYTES], number, is_too_long=True)
        else:
            yield Block(data[start:end], number)
        number += 1
        start = end


def _refuse_utf16(stream: ByteStream) -> None:
    head = stream.peek(2)
    if head in (b"\xff\xfe", b"\xfe\xff"):
        raise DoxaError(f"{stream.name}: the input is UTF-16, not UTF-8; convert it with: iconv -f UTF-16 -t UTF-8")


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
    lines = block.data.split(b"\n")
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
