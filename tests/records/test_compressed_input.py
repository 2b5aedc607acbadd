"""Compressed input: whole it reads as if it were plain, cut it gives the good records and says so."""

import gzip
import io
import json
import random

import pyarrow as pa
import pytest

from doxa.records.compressed import ByteStream, CutStream, decompress
from doxa.records.lines import read_line_records
from doxa.records.reader import Source, read_records

RANDOM = random.Random(3)
LINES = [json.dumps({"id": i, "text": "银行 " + "".join(RANDOM.choices("abcdefgh ", k=60))}, ensure_ascii=False).encode() for i in range(5000)]
PLAIN = b"".join(line + b"\n" for line in LINES)


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKED = {"gz": gzip.compress(PLAIN), "zst": zstd(PLAIN), "gz-members": gzip.compress(PLAIN[:1000]) + gzip.compress(PLAIN[1000:])}


def collect(records) -> tuple[list[bytes], Exception | None]:
    found = []
    try:
        for record in records:
            found.append(record.raw)
    except CutStream as error:
        return found, error
    return found, None


@pytest.mark.parametrize("kind", PACKED)
def test_whole_files_read_as_if_plain(kind, tmp_path):
    path = tmp_path / "feed"  # the name does not matter, the first bytes do
    path.write_bytes(PACKED[kind])
    assert collect(read_records(Source((str(path),)))) == (LINES, None)


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_cut_anywhere_is_noticed_and_what_came_before_is_right(kind):
    packed = PACKED[kind]
    for cut in sorted({8, 9, len(packed) - 1, *range(20, len(packed), len(packed) // 20)}):
        stream = decompress(ByteStream(io.BytesIO(packed[:cut]), "feed"))
        found, error = collect(read_line_records(stream, 1 << 20))
        assert error is not None, f"a cut at {cut} of {len(packed)} went unnoticed"
        assert "feed" in str(error) and "ends early" in str(error)
        assert found == LINES[: len(found)]


def test_a_flipped_bit_in_gzip_is_noticed():
    packed = bytearray(PACKED["gz"])
    packed[len(packed) // 2] ^= 4
    stream = decompress(ByteStream(io.BytesIO(bytes(packed)), "feed"))
    with pytest.raises(CutStream):
        list(read_line_records(stream, 1 << 20))


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_byte_order_mark_inside_is_not_kept(pack):
    stream = decompress(ByteStream(io.BytesIO(pack(b"\xef\xbb\xbf" + b'{"a":1}\n')), "feed"))
    record, = read_line_records(stream, 1 << 20)
    assert record.raw == b'{"a":1}' and record.error is None


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_an_empty_one_holds_no_record(pack):
    assert list(read_line_records(decompress(ByteStream(io.BytesIO(pack(b"")), "feed")), 1 << 20)) == []
