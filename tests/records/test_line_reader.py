"""The line reader: any bytes in, and every line that is not blank is a record or an error record, in order."""

import io
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.errors import DoxaError
from doxa.records.compressed import CHUNK_BYTES, ByteStream
from doxa.records.lines import parse_block, read_blocks, read_line_records
from doxa.records.placed import read_placed_blocks

ROOMY = 1 << 20


class Chopped(io.RawIOBase):
    """Gives the data in pieces of the given sizes, the last size over and over."""

    def __init__(self, data: bytes, sizes: list[int]):
        self.data, self.sizes, self.at = data, list(sizes), 0

    def read(self, n: int = -1) -> bytes:
        size = self.sizes.pop(0) if len(self.sizes) > 1 else self.sizes[0]
        piece = self.data[self.at : self.at + min(size, n)]
        self.at += len(piece)
        return piece


def stream_of(data: bytes, sizes=(CHUNK_BYTES,)) -> ByteStream:
    return ByteStream(Chopped(data, sizes), "feed")


def read(data: bytes, sizes=(CHUNK_BYTES,), limit: int = ROOMY) -> list[tuple]:
    return [(r.number, r.raw, r.fields, r.error and r.error.code) for r in read_line_records(stream_of(data, sizes), limit)]


def expected_lines(data: bytes) -> list[tuple[int, bytes]]:
    """Number and bytes of every line that is not blank."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip(b" \t\r\x0b\x0c")]


def is_object(line: bytes) -> bool:
    def refuse(name):
        raise ValueError(name)
    try:
        return isinstance(json.loads(line.decode("utf-8"), parse_constant=refuse), dict)
    except ValueError:
        return False


LINES = st.one_of(
    st.binary(max_size=12),
    st.dictionaries(st.text(max_size=3), st.one_of(st.integers(), st.text(max_size=6)), max_size=2).map(
        lambda d: json.dumps(d, ensure_ascii=False).encode("utf-8", "replace")),
    st.sampled_from([b"", b" ", b"\t\r", b"null", b"[1]", b'"x"', b"{", b"}", b'{"a":NaN}', b'{"a":1}{"b":2}', b'{"a":1}\r',
                     '{"t":"\u2028\x85银行😀"}'.encode(), b'{"t":"\xff"}', b'{"a":1,"a":2}', b"\x1f\x8b", b"\xef\xbb\xbf{}"]))
DATA = st.lists(LINES, max_size=8).map(b"\n".join).filter(lambda data: not data.startswith((b"\xff\xfe", b"\xfe\xff")))
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=30)


@settings(deadline=None, max_examples=400)
@given(DATA, SIZES)
def test_records_and_errors_are_the_lines_in_order(data, sizes):
    got = read(data, sizes)
    assert [(number, raw) for number, raw, _, _ in got] == expected_lines(data)
    for _, raw, fields, code in got:
        assert (fields is None) == (code is not None) == (not is_object(raw))
        if fields is not None:
            assert fields == json.loads(raw)


@settings(deadline=None, max_examples=200)
@given(DATA, SIZES)
def test_the_reads_do_not_matter(data, sizes):
    assert repr(read(data, sizes)) == repr(read(data))


@settings(deadline=None, max_examples=200)
@given(DATA.map(lambda data: data.removeprefix(b"\xef\xbb\xbf")), SIZES, st.integers(0, 40))
def test_blocks_are_whole_lines_and_the_whole_input(data, sizes, at_least):
    data = data.removeprefix(b"\xef\xbb\xbf")
    blocks = list(read_blocks(stream_of(data, sizes), ROOMY, at_least))
    assert b"".join(block.data for block in blocks) == data
    assert all(block.data.endswith(b"\n") for block in blocks[:-1])
    assert all(len(block.data) >= at_least for block in blocks[:-1])
    number = 1
    for block in blocks:
        assert block.first_number == number
        number += block.data.count(b"\n")


@settings(deadline=None, max_examples=300)
@given(DATA, SIZES, st.integers(1, 40), st.integers(1, 3))
def test_blocks_that_lie_in_places_are_the_lines_too(data, sizes, size, n_places):
    """Each stays as it is until `n_places` more are asked for; lines longer than a place go another way."""
    found, alive = [], []
    for block in read_placed_blocks(stream_of(data, sizes), ROOMY, size, n_places):
        alive.append((block, bytes(block.data)))
        for earlier, was in alive[-n_places:]:
            assert bytes(earlier.data) == was
            assert earlier.place is None or Path(earlier.place.path).read_bytes() == was
        found += [(r.number, r.raw) for r in parse_block(block, "feed", ROOMY)]
    assert found == expected_lines(data)


def test_places_are_used_again_and_bounded():
    blocks = read_placed_blocks(stream_of(b"".join(b'{"n": %d}\n' % i for i in range(1000))), ROOMY, 100, 2)
    places = [id(block.place) for block in blocks]
    assert len(places) > 90 and len(set(places)) == 2 and places[0] != places[1]


def test_a_read_may_end_inside_any_character():
    data = '{"text":"银行😀é"}\n{"text":"第二"}\n'.encode()
    for cut in range(1, len(data)):
        assert [fields["text"] for _, _, fields, _ in read(data, [cut, len(data)])] == ["银行😀é", "第二"]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.one_of(st.integers(0, 290), st.integers(310, 900)), max_size=8), SIZES.map(lambda s: [n * 37 for n in s]),
       st.booleans(), st.integers(0, 600))
def test_lines_too_long_are_errors_and_the_others_records(lengths, sizes, ends_whole, at_least):
    lines = [b'{"t":"' + b"x" * n + b'"}' for n in lengths]
    data = b"\n".join(lines) + (b"\n" if ends_whole else b"")
    got = [r for block in read_blocks(stream_of(data, sizes), 300, at_least) for r in parse_block(block, "feed", 300)]
    assert [r.number for r in got] == list(range(1, len(lines) + 1))
    for record, line in zip(got, lines):
        if len(line) > 300:
            assert record.error.code == "too_long" and record.fields is None
            assert line.startswith(record.raw) and len(record.raw) <= 200
        else:
            assert record.error is None and record.raw == line


@pytest.mark.parametrize("at_least", [0, 5000])
@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("company", [b"", b"{}\n"])
def test_the_limit_is_exact(at_least, end, company):
    for n_bytes, is_too_long in ((299, False), (300, False), (301, True), (302, True)):
        line = b'{"t":"' + b"x" * (n_bytes - 8) + b'"}'
        assert len(line) == n_bytes
        blocks = read_blocks(stream_of(company + line + end), 300, at_least)
        *_, last = [r for block in blocks for r in parse_block(block, "feed", 300)]
        assert (last.error is not None) == is_too_long, n_bytes


class Endless(io.RawIOBase):
    """One line of many megabytes, made while it is read."""

    def __init__(self, n_chunks: int):
        self.n_left, self.chunk, self.tail = n_chunks, b"x" * CHUNK_BYTES, b'\n{"a":1}\n'

    def read(self, n: int = -1) -> bytes:
        if self.n_left:
            self.n_left -= 1
            return self.chunk
        tail, self.tail = self.tail, b""
        return tail


def test_a_line_too_long_is_not_held():
    tracemalloc.start()
    try:
        got = [(r.number, r.error and r.error.code) for r in read_line_records(ByteStream(Endless(200), "feed"), 2 << 20)]
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert got == [(1, "too_long"), (2, None)]
    assert peak_bytes < 12 << 20


@pytest.mark.parametrize("line, code", [
    (b"[1]", "not_an_object"), (b"null", "not_an_object"), (b"7", "not_an_object"), (b"{", "not_json"), (b'{"a":NaN}', "not_json"),
    (b'{"a":Infinity}', "not_json"), (b'{"t":"\xff"}', "not_utf8"), (b"{'a':1}", "not_json"), (b'{"a":' * 5000 + b"1" + b"}" * 5000, "not_json")])
def test_what_is_wrong_has_a_name(line, code):
    assert [c for _, _, _, c in read(line)] == [code]


def test_chinese_bytes_of_another_encoding_get_the_way_out():
    record, = read_line_records(stream_of('{"text":"银行"}'.encode("gb18030")), ROOMY)
    assert record.error.code == "not_utf8" and "iconv -f GB18030" in record.error.message


@pytest.mark.parametrize("read_stream", [lambda stream: read_line_records(stream, ROOMY), lambda stream: read_placed_blocks(stream, ROOMY, 100)])
@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf16_ends_with_the_way_out(mark, read_stream):
    with pytest.raises(DoxaError, match="iconv"):
        list(read_stream(stream_of(mark + '{"a":1}'.encode("utf-16-le"))))
