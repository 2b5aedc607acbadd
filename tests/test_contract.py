"""The record contract, as real processes: what every command inherits. Fault numbers are the rows of the fault table."""

import base64
import gzip
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from shell import BIN, Done, end, environment, run, shell, start

ADDED = {"tokenize": ("input_ids", "tokenizer"), "predict": ("prediction", "n_tokens")}
ADDERS = tuple(ADDED)
ALL = ("tokenize", "predict", "report")
PREDICTED = b'{"id": %d, "text": "ok", "timestamp": "2026-11-01T00:00:00Z", "prediction": {"topic": {"label": "credit", "score": 0.9}}}\n'
LONG_BYTES = 20 << 20


@pytest.fixture(scope="session")
def flags(tiny_model):
    """The flags without which a command does not start."""
    return {"tokenize": ("--base", tiny_model), "predict": ("--model", tiny_model), "report": ("--to", "json")}


def says_one_line(done: Done, *words: str) -> bool:
    """One line on stderr, no traceback, and the words in it."""
    return len(done.err_lines) == 1 and "Traceback" not in done.err and "internal error" not in done.err and all(
        word in done.err for word in words)


def records_of(out: bytes) -> list[dict]:
    return [json.loads(line) for line in out.split(b"\n")[:-1]]


def texts(n: int, **fields) -> bytes:
    return b"".join(json.dumps({"id": i, "text": f"Profit rose {i} percent.", **fields}).encode() + b"\n" for i in range(n))


# --- one input with every kind of line; the commands that add keys read it once each


@dataclass(frozen=True)
class Line:
    """A line of input, and the code of its error record (None: it succeeds; "kept": an earlier command's error)."""

    name: str
    raw: bytes
    code: str | None = None
    says: str = ""


GB18030 = '{"id": 1, "text": "评级机构下调了展望"}'.encode("gb18030")
LINES = (
    Line("plain", b'{"id": 1, "text": "Profit rose."}'),
    Line("compact", b'{"id":2,"text":"Profit rose."}'),
    Line("chinese", '{"id": "三", "text": "公司利润增长"}'.encode()),
    Line("emoji", '{"id": 4, "text": "Profit 😀👨‍👩‍👧 rose"}'.encode()),
    Line("line-separators-in-text", '{"text": "one\u2028two\u2029three\u0085four\u000bfive"}'.replace("\u000b", "\\u000b").encode()),
    Line("escapes", rb'{"text": "caf\u00e9 \/ \"quoted\" \ud83d\ude00", "n\u00f6te": "\u0000\t"}'),
    Line("beyond-64-bits", b'{"text": "ok", "big": 123456789012345678901234567890, "less": -9223372036854775809}'),
    Line("beyond-53-bits", b'{"text": "ok", "big": 9007199254740993}'),
    Line("number-spelling", b'{"text": "ok", "a": 1.10, "b": 1E5, "c": -0.0, "d": 0.1000000000000000055511151231257827}'),
    Line("key-order", b'{"z": 1, "text": "ok", "a": 2, "m": {"z": 1, "a": 2}}'),
    Line("duplicate-keys", b'{"text": "ok", "k": 1, "k": 2}'),
    Line("duplicate-text", b'{"text": 5, "text": "the last one counts"}'),
    Line("escaped-field-name", rb'{"t\u0065xt": "the key is text"}'),
    Line("duplicate-id-1", b'{"id": "same", "text": "first"}'),
    Line("duplicate-id-2", b'{"id": "same", "text": "second"}'),
    Line("spaces", b' {  "text" :  "ok" }  '),
    Line("tab-after", b'{"text": "ok"}\t'),
    Line("braces-in-strings", b'{"text": "a } b { c", "x": "}"}'),
    Line("nested", b'{"text": "ok", "x": ' + b'{"a": [' * 100 + b"1" + b"]}" * 100 + b"}"),
    Line("own-error-text", b'{"text": "ok", "error": "a field of the user"}'),
    Line("own-error-null", b'{"text": "ok", "error": null}'),
    Line("earlier-error", b'{"id": 9, "text": "",  "error": {"code": "earlier", "message": "said before"}, "big": 1.10}', "kept"),
    Line("earlier-unreadable", b'{"error":{"code":"not_json","message":"x","line":3},"raw":"oops"}', "kept"),
    Line("not-json", b"this is no JSON", "not_json"),
    Line("half-an-object", b'{"text": "ok", "x": ', "not_json"),
    Line("two-objects", b'{"text": "a"} {"text": "b"}', "not_json"),
    Line("trailing-comma", b'{"text": "a",}', "not_json"),
    Line("single-quotes", b"{'text': 'a'}", "not_json"),
    Line("control-character", b'{"text": "a\x01b"}', "not_json"),
    Line("lone-surrogate", rb'{"text": "\ud800"}', "not_json"),
    Line("list", b"[1, 2, 3]", "not_an_object", "a list"),
    Line("number", b"42", "not_an_object", "a number"),
    Line("string", b'"text"', "not_an_object", "a text"),
    Line("null", b"null", "not_an_object", "null"),
    Line("nan", b'{"text": "ok", "x": NaN}', "not_json"),
    Line("infinity", b'{"text": "ok", "x": -Infinity}', "not_json"),
    Line("1e999", b'{"text": "ok", "x": 1e999}', "not_json"),
    Line("too-deep", b'{"text": "ok", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
    Line("invalid-utf8", b'{"text": "a\xffb"}', "not_utf8", "byte 12"),
    Line("overlong-utf8", b'{"text": "\xc0\x80"}', "not_utf8"),
    Line("cut-utf8", '{"text": "利"}'.encode()[:-4], "not_utf8"),
    Line("gb18030", GB18030, "not_utf8", "iconv -f GB18030 -t UTF-8"),
    Line("utf16-line", '{"text": "x"}'.encode("utf-16-le"), "not_utf8", "iconv -f UTF-16 -t UTF-8"),
    Line("missing-text", b'{"id": 1, "body": "x"}', "missing_field", '"text" is missing; name the field with --text-field'),
    Line("empty-object", b"{}", "missing_field"),
    Line("null-text", b'{"text": null}', "not_text", "null"),
    Line("number-text", b'{"text": 5, "big": 123456789012345678901}', "not_text", "a number"),
    Line("boolean-text", b'{"text": true}', "not_text", "a boolean"),
    Line("list-text", b'{"text": ["a"]}', "not_text", "a list"),
    Line("object-text", b'{"text": {"a": "b"}}', "not_text", "an object"),
    Line("empty-text", b'{"text": "", "x": 1.10}', "empty_text"),
    Line("blank-text", '{"text": " \\n\u3000"}'.encode(), "empty_text"),
    Line("bad-with-own-error", b'{"text": 7, "error": {"my": "own"}, "x": 1.10}', "not_text"),
)
FAILED = [line for line in LINES if line.code is not None]


@pytest.fixture(scope="module", params=ADDERS)
def mixed(request, flags) -> tuple[str, Done, list[bytes]]:
    """(command, how it ended, one line of output per line of LINES); the run is -q so that stderr holds the count alone."""
    done = run(request.param, *flags[request.param], "-q", stdin=b"\n".join(line.raw for line in LINES))
    return request.param, done, done.lines


def test_one_record_out_for_each_in_and_one_line_said(mixed):
    _, done, lines = mixed
    assert len(lines) == len(LINES)
    assert done.out.endswith(b"\n") and b"\r" not in done.out
    assert done.code == 3
    assert says_one_line(done, f"{len(FAILED)} of {len(LINES)} records carry an error")


@pytest.mark.parametrize("index", range(len(LINES)), ids=[line.name for line in LINES])
def test_line(mixed, index):
    command, _, lines = mixed
    line, out = LINES[index], lines[index]
    if line.code is None:
        assert kept_before(out, line.raw)
        assert all(key in json.loads(out) for key in ADDED[command])
    elif line.code == "kept":
        assert out == line.raw
    else:
        record = json.loads(out)
        assert record["error"]["code"] == line.code
        assert line.says in record["error"]["message"]
        assert not any(key in record for key in ADDED[command])
        assert input_inside(record, out, line.raw, index + 1)


def kept_before(out: bytes, raw: bytes) -> bool:
    """Whether every byte of the object comes out, in place: all before its last brace, then the added keys."""
    before, _, after = raw.rpartition(b"}")
    added = out[len(before) : len(out) - len(after) - 1]
    return out == before + added + b"}" + after and added.lstrip(b", ").startswith(b'"')


def input_inside(record: dict, out: bytes, raw: bytes, number: int) -> bool:
    """Whether an error record holds the line: spliced, as text under `raw`, or as base64 where it is not UTF-8."""
    if "raw_base64" in record:
        return base64.b64decode(record["raw_base64"]) == raw and record["error"]["line"] == number
    if "raw" in record:
        return record["raw"].encode() == raw and record["error"]["line"] == number
    return kept_before(out, raw)


# --- how lines are cut: byte order mark, line ends, blank lines, long lines


def test_line_ends_and_marks(flags):
    """[2, 3, 5] A BOM, CRLF, blank lines and a missing last newline change nothing but the number of a line."""
    stdin = b'\xef\xbb\xbf{"id": 1, "text": "one"}\r\n\r\n  \n{"id": 2, "text": "two"}\nbad\r\n{"id": 3, "text": "three"}\r'
    done = run("tokenize", *flags["tokenize"], stdin=stdin)
    assert [record.get("id") for record in records_of(done.out)] == [1, 2, None, 3]
    assert done.lines[0].startswith(b'{"id": 1, "text": "one", ')
    assert b"\r" not in done.out
    assert records_of(done.out)[2] == {"error": {"code": "not_json", "message": records_of(done.out)[2]["error"]["message"], "line": 5},
                                       "raw": "bad"}


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be"])
@pytest.mark.parametrize("command", ("tokenize", "report"))
def test_utf16_file_names_the_converter(command, codec, flags):
    """[1] A file of UTF-16 with its mark is one failure, not a thousand."""
    stdin = (b"\xfe\xff" if codec == "utf-16-be" else b"") + '{"text": "a"}\n{"text": "b"}\n'.encode(codec)
    done = run(command, *flags[command], stdin=stdin)
    assert (done.code, done.out) == (1, b"")
    assert says_one_line(done, "<stdin>", "iconv -f UTF-16 -t UTF-8")


def test_character_across_every_read(flags):
    """[1] A character of several bytes is whole wherever a read may cut it: the writer flushes after every single byte."""
    line = '{"text": "利😀é"}\n'.encode()
    process = start("tokenize", *flags["tokenize"])
    for byte in line * 3:
        os.write(process.stdin.fileno(), bytes([byte]))
    done = end(process)
    assert done.code == 0
    assert [record["text"] for record in records_of(done.out)] == ["利😀é"] * 3


def test_long_line_in_another_field(flags):
    """[11] 20 MB beside the text go through byte for byte."""
    filler = b"x" * LONG_BYTES
    raw = b'{"id": 1, "filler": "' + filler + b'", "text": "ok"}'
    done = run("tokenize", *flags["tokenize"], stdin=texts(1) + raw + b"\n" + texts(1))
    assert done.code == 0
    assert kept_before(done.lines[1], raw)
    assert len(done.lines) == 3


def test_line_beyond_the_limit(flags):
    """[11] The limit counts the line without its newline; the others go on; the beginning is shown."""
    short, exact = b'{"text": "ok"}', b'{"text": "okay"}'
    stdin = b"\n".join([short, exact, exact[:-2] + b'!"}', b"9" * 5000, "利".encode() * 3000, short])
    done = run("tokenize", *flags["tokenize"], "--max-record-bytes", len(exact), stdin=stdin)
    records = records_of(done.out)
    assert done.code == 3
    assert [record.get("error", {}).get("code") for record in records] == [None, None, "too_long", "too_long", "too_long", None]
    assert [record["error"]["line"] for record in records[2:5]] == [3, 4, 5]
    assert records[3]["raw"] == "9" * 200 and "利利".startswith(records[4]["raw"][:2])
    assert "--max-record-bytes" in records[2]["error"]["message"]


def test_endless_line_is_not_held(flags):
    """[11, 55] A line of 400 MB inside a gzip of 400 kB is skipped in little memory."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(texts(1))
        for _ in range(400):
            file.write(b" " * (1 << 20))
        file.write(b"\n" + texts(1))
    process = start("tokenize", *flags["tokenize"], "--max-record-bytes", 1 << 20)
    process.stdin.write(packed.getvalue())
    process.stdin.close()
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 3
    assert [record.get("error", {}).get("code") for record in records_of(out)] == [None, "too_long", None]
    assert usage.ru_maxrss < 250_000  # kB; the libraries alone take some 90,000


# --- nothing, all bad, some bad


@pytest.mark.parametrize("stdin", [b"", b"\n \n\r\n", b"\xef\xbb\xbf", gzip.compress(b"")], ids=["nothing", "blank", "bom", "gzip"])
def test_empty_input(stdin, flags):
    """[17] No record is no failure."""
    done = run("tokenize", *flags["tokenize"], stdin=stdin)
    assert (done.code, done.out, done.err) == (0, b"", "")


@pytest.mark.parametrize("command", ("predict", "report"))
def test_empty_input_of_other_commands(command, flags):
    done = run(command, *flags[command])
    assert (done.code, done.err) == (0, "")
    assert done.out == b"" if command == "predict" else json.loads(done.out)["records"] == 0


@pytest.mark.parametrize("command", ("tokenize", "report"))
def test_require_input(command, flags):
    done = run(command, *flags[command], "--require-input")
    assert (done.code, done.out) == (1, b"")
    assert says_one_line(done, "--require-input")


def test_empty_tables_are_valid(flags, tmp_path):
    for kind, read in (("arrow", lambda p: pa.ipc.open_stream(p).read_all()), ("parquet", pq.read_table), ("csv", pa_csv.read_csv)):
        path = tmp_path / f"empty.{kind}"
        assert run("tokenize", *flags["tokenize"], "-o", path).code == 0
        table = read(str(path))
        assert table.num_rows == 0 and "input_ids" in table.column_names
        again = run("tokenize", *flags["tokenize"], path)
        assert (again.code, again.out, again.err) == (0, b"", "")


def test_finetune_of_nothing(tiny_model, tmp_path):
    """[17] There is nothing to learn: exit 1, and the file is named."""
    (tmp_path / "train.jsonl").write_bytes(b"")
    done = run("finetune", "--base", tiny_model, "--head", "topic", "-o", tmp_path / "model", tmp_path / "train.jsonl")
    assert (done.code, done.out) == (1, b"")
    assert says_one_line(done, "train.jsonl")
    assert os.listdir(tmp_path) == ["train.jsonl"]


def test_finetune_of_bad_records(tiny_model, tmp_path):
    """[8] All records bad: exit 1, no model."""
    (tmp_path / "train.jsonl").write_bytes(b"nonsense\n" * 3)
    done = run("finetune", "--base", tiny_model, "--head", "topic", "-o", tmp_path / "model", tmp_path / "train.jsonl")
    assert (done.code, done.out) == (1, b"")
    assert says_one_line(done, "3 of 3 records")
    assert os.listdir(tmp_path) == ["train.jsonl"]


@pytest.mark.parametrize("command", ALL)
def test_all_lines_bad(command, flags):
    """[8] Exit 1, not 3; the error records are written all the same."""
    done = run(command, *flags[command], stdin=b"bad\nworse\n")
    assert done.code == 1
    assert says_one_line(done, "2 of 2 records")
    if command != "report":
        assert [record["raw"] for record in records_of(done.out)] == ["bad", "worse"]


def test_some_lines_bad_for_report(flags):
    stdin = PREDICTED % 1 + b"bad\n" + PREDICTED % 2 + b'{"id": 3, "text": "x", "error": {"code": "empty_text", "message": "m"}}\n\xff\n'
    done = run("report", *flags["report"], stdin=stdin)
    assert done.code == 3
    assert says_one_line(done)
    figures = json.loads(done.out)
    assert figures["records"] == 5
    assert figures["errors"] == {"not_json": 1, "empty_text": 1, "not_utf8": 1}
    assert figures["heads"]["topic"]["n"] == 2


SOME_BAD = texts(3) + b"bad\n" + texts(1) + b"worse\n" + texts(4)  # 2 of 10


@pytest.mark.parametrize("arguments, code, n_out, says", [
    (["--on-error", "keep"], 3, 10, "2 of 10"),
    (["--on-error", "drop"], 3, 8, "2 of 10"),
    (["--on-error", "stop"], 1, 3, "<stdin>:4: the line is not JSON"),
    (["--max-errors", "2"], 3, 10, "2 of 10"),
    (["--max-errors", "1"], 1, None, "more than 1 records failed (--max-errors)"),
    (["--max-errors", "0"], 1, None, "--max-errors"),
    (["--max-errors", "20%"], 3, 10, "2 of 10"),
    (["--max-errors", "19.9%"], 1, 10, "--max-errors"),
    (["--on-error", "drop", "--max-errors", "0%"], 1, 8, "--max-errors"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else None)
def test_what_errors_do(arguments, code, n_out, says, flags):
    done = run("tokenize", *flags["tokenize"], "-q", *arguments, stdin=SOME_BAD)
    assert done.code == code
    assert says_one_line(done, says)
    assert n_out is None or len(done.lines) == n_out


@pytest.mark.parametrize("value", ["-1", "101%", "many", "nan%", "1.5", ""])
def test_max_errors_makes_sense(value, flags):
    done = run("tokenize", *flags["tokenize"], "--max-errors", value, stdin=SOME_BAD)
    assert (done.code, done.out) == (2, b"")
    assert says_one_line(done, "--max-errors")


# --- where records come from


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A folder with files of one record each; `id` is the file's name."""
    folder = tmp_path_factory.mktemp("places")
    for name in ("a.jsonl", "b.jsonl", "c[1].jsonl", "d e.jsonl"):
        (folder / name).write_text(json.dumps({"id": name, "text": "ok"}) + "\n")
    (folder / "unended.jsonl").write_text('{"id": "unended", "text": "ok"}')
    (folder / "folder").mkdir()
    (folder / "packed.bin").write_bytes(gzip.compress(b"\xef\xbb\xbf" + b'{"id": "gz", "text": "ok"}\n'))
    (folder / "two.gz").write_bytes(gzip.compress(b'{"id": "gz1", "text": "ok"}\n{"id": "gz') + gzip.compress(b'2", "text": "ok"}\n'))
    zstd = pa.CompressedOutputStream(str(folder / "packed.zst"), "zstd")
    zstd.write(b'{"id": "zst", "text": "ok"}\n')
    zstd.close()
    (folder / "two.zst").write_bytes((folder / "packed.zst").read_bytes() * 2)
    return folder


@pytest.mark.parametrize("files, ids", [
    (["a.jsonl"], ["a.jsonl"]),
    (["b.jsonl", "-", "a.jsonl"], ["b.jsonl", "stdin", "a.jsonl"]),
    (["unended.jsonl", "a.jsonl"], ["unended", "a.jsonl"]),
    (["?.jsonl"], ["a.jsonl", "b.jsonl"]),
    (["c[1].jsonl"], ["c[1].jsonl"]),
    (["**/d*.jsonl"], ["d e.jsonl"]),
    (["packed.bin", "packed.zst", "two.gz", "two.zst"], ["gz", "zst", "gz1", "gz2", "zst", "zst"]),
    (["/dev/stdin"], ["stdin"]),
], ids=lambda value: " ".join(value))
def test_files(files, ids, places, flags):
    done = run("tokenize", *flags["tokenize"], "-q", *files, stdin=b'{"id": "stdin", "text": "ok"}\n', cwd=places)
    assert (done.code, done.err) == (0, "")
    assert [record["id"] for record in records_of(done.out)] == ids


@pytest.mark.parametrize("files, says", [
    (["a.jsonl", "missing.jsonl"], "missing.jsonl: No such file"),
    (["a.jsonl", "folder"], "folder/*.jsonl"),
    (["a.jsonl", "nothing*.jsonl"], "no file matches nothing*.jsonl"),
    (["a.jsonl", "a.jsonl/b"], "a.jsonl/b: Not a directory"),
])
@pytest.mark.parametrize("command", ("tokenize", "report"))
def test_files_that_are_not_there(command, files, says, places, flags):
    """They are noticed before any output."""
    done = run(command, *flags[command], *files, cwd=places)
    assert (done.code, done.out) == (1, b"")
    assert says_one_line(done, says)


def test_names_in_messages_are_harmless(places, flags):
    """[51] A file name with terminal controls comes out in visible escapes."""
    done = run("tokenize", *flags["tokenize"], "\x1b]52;c;evil\x07\u202e.jsonl", cwd=places)
    assert done.code == 1
    assert says_one_line(done, "\\x1b]52;c;evil\\x07\\u202e.jsonl")
    assert not set(done.err) & {"\x1b", "\x07", "\u202e"}


# --- compressed input that is cut


@pytest.fixture(scope="module")
def packed() -> dict[str, tuple[bytes, bytes]]:
    """2,000 lines that do not pack well, plain and packed."""
    random.seed(3)
    lines = b"".join(b'{"id": %d, "text": "ok", "noise": "%s"}\n' % (i, random.randbytes(60).hex().encode()) for i in range(2000))
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(lines)
    return {"gz": (lines, gzip.compress(lines)), "zst": (lines, sink.getvalue().to_pybytes())}


CUTS = [0.02, 0.31, 0.77, -1, -4, -9]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_cut_compressed_input(kind, cut, packed, flags):
    """[18, 19] The good records come out, then exit 1 and one line: what was cut off is never taken for all."""
    plain, whole = packed[kind]
    done = run("tokenize", *flags["tokenize"], "-q", stdin=whole[: int(cut * len(whole)) if isinstance(cut, float) else cut])
    assert done.code == 1
    assert says_one_line(done, "<stdin>", "ends early")
    seen = [record["id"] for record in records_of(done.out)]
    assert seen == list(range(len(seen)))
    if kind == "gz":
        assert len(seen) >= expected_from_gzip(whole, cut) - 1
    if cut == -1:
        assert len(seen) >= 1999


def expected_from_gzip(whole: bytes, cut: float | int) -> int:
    """How many whole lines zlib gets out of the cut file."""
    import zlib

    data = zlib.decompressobj(31).decompress(whole[: int(cut * len(whole)) if isinstance(cut, float) else cut])
    return data.count(b"\n")


def test_flipped_byte_in_gzip(packed, flags):
    plain, whole = packed["gz"]
    damaged = bytearray(whole)
    damaged[-6] ^= 1  # the check sum
    done = run("tokenize", *flags["tokenize"], "-q", stdin=bytes(damaged))
    assert done.code == 1
    assert says_one_line(done, "damaged")


# --- tables in and out


def read_back(path: Path) -> list[dict]:
    """The records of a file as JSON objects, by doxa's own reader."""
    from doxa.records.outcome import Outcome, to_line
    from doxa.records.reader import Source, read_records

    return [json.loads(to_line(Outcome(record))) for record in read_records(Source((str(path),)))]


@pytest.fixture(scope="module")
def table_bytes(tmp_path_factory) -> dict[str, bytes]:
    """3,000 records in every format, as doxa writes them (three batches)."""
    from doxa.records.lines import read_line_records
    from doxa.records.compressed import ByteStream
    from doxa.records.outcome import Outcome
    from doxa.records.writer import open_writer

    folder = tmp_path_factory.mktemp("tables")
    outcomes = [Outcome(record) for record in read_line_records(ByteStream(io.BytesIO(texts(3000)), "x"), 1 << 20)]
    for kind in ("arrow", "parquet", "csv"):
        with open_writer(str(folder / f"t.{kind}"), None, {}) as writer:
            for first in range(0, 3000, 1024):
                writer.write(outcomes[first : first + 1024])
    table = pa.ipc.open_stream(folder / "t.arrow").read_all()
    with pa.ipc.new_file(folder / "t.arrow-file", table.schema) as writer:
        writer.write_table(table)
    return {kind: (folder / f"t.{kind}").read_bytes() for kind in ("arrow", "arrow-file", "parquet", "csv")}


@pytest.mark.parametrize("way", ["pipe", "file"])
@pytest.mark.parametrize("kind", ["arrow", "arrow-file", "parquet"])
def test_tables_in(kind, way, table_bytes, flags, tmp_path):
    """Every table is recognised by its first bytes, on a pipe too."""
    feed, files = {"stdin": table_bytes[kind]}, ()
    if way == "file":
        (tmp_path / "table").write_bytes(table_bytes[kind])
        feed, files = {}, (tmp_path / "table",)
    done = run("tokenize", *flags["tokenize"], "-q", *files, **feed)
    assert (done.code, done.err) == (0, "")
    records = records_of(done.out)
    assert [record["id"] for record in records] == list(range(3000))
    assert all(set(record) == {"id", "text", "input_ids", "tokenizer"} for record in records)


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_tables_keep_the_types_of_their_columns(kind, flags, tmp_path):
    """Table to table: every column goes out as it came in, in its place."""
    import datetime

    table = pa.table({
        "when": pa.array([datetime.datetime(2026, 11, 1), None], pa.timestamp("ms", "Asia/Shanghai")),
        "text": pa.array(["one", "two"], pa.large_string()), "price": pa.array([1, 2], pa.decimal128(10, 2)),
        "small": pa.array([1, None], pa.int8()), "kind": pa.array(["a", "b"]).dictionary_encode()})
    if kind == "arrow":
        with pa.ipc.new_stream(str(tmp_path / "in"), table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, tmp_path / "in")
    done = run("tokenize", *flags["tokenize"], "-q", "-o", tmp_path / f"out.{kind}", tmp_path / "in")
    assert (done.code, done.err) == (0, "")
    out = pa.ipc.open_stream(tmp_path / "out.arrow").read_all() if kind == "arrow" else pq.read_table(tmp_path / "out.parquet")
    assert out.select(table.column_names).equals(table)
    assert out.column("input_ids").to_pylist()[0]


HARD = [
    {"id": 1, "text": "one", "n": 1, "mixed": 1, "when": "2026-11-01T00:00:00Z", "tags": ["a", "b"], "deep": {"x": 1, "y": [1, 2]}},
    {"id": 2, "text": "二 😀\u2028", "n": 2.5, "mixed": "two", "tags": [], "deep": {"x": 2}},
    {"id": 12345678901234567890123, "text": "three", "n": None, "mixed": [3], "flag": True},
    {"id": "four", "text": "four", "mixed": {"a": 1}, "late": "field", "quote": 'a "b", c\nd'},
    {"id": 9007199254740993, "text": "five", "big": 9223372036854775807, "x": 1e300},
]


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_tables_lose_nothing(kind, flags, tmp_path):
    """jsonl -> table -> jsonl: every value of every field, also those that fit no column."""
    stdin = b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in HARD) + b"bad\n\xff\n"
    path = tmp_path / f"hard.{kind}"
    assert run("tokenize", *flags["tokenize"], "-o", path, stdin=stdin).code == 3
    records = read_back(path)
    assert len(records) == 7
    for record, original in zip(records, HARD):
        assert record.pop("input_ids") and record.pop("tokenizer")
        assert without_nulls(record) == without_nulls(original)
    assert records[5]["error"]["code"] == "not_json" and records[5]["raw"] == "bad"
    assert records[6]["error"]["code"] == "not_utf8" and base64.b64decode(records[6]["raw_base64"]) == b"\xff"


def without_nulls(value):
    """A column has a null where a JSON object has no key."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def test_csv_in_and_out(flags, tmp_path):
    """CSV only by suffix or --from; every value is a text, so that nothing is changed; UTF-8, quotes and line ends survive."""
    content = 'id,text,price\n007,"利润, ""up""\nagain",1.10\nNA,null,\n'.encode()
    (tmp_path / "in.csv").write_bytes(content)
    by_suffix = run("tokenize", *flags["tokenize"], "-q", tmp_path / "in.csv")
    by_flag = run("tokenize", *flags["tokenize"], "-q", "--from", "csv", stdin=content)
    assert by_suffix.code == by_flag.code == 0
    assert by_suffix.out == by_flag.out
    records = records_of(by_suffix.out)
    assert [(r["id"], r["text"], r["price"]) for r in records] == [("007", '利润, "up"\nagain', "1.10"), ("NA", "null", "")]
    out = run("tokenize", *flags["tokenize"], "-q", "--to", "csv", tmp_path / "in.csv")
    again = pa_csv.read_csv(pa.BufferReader(out.out), parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                            convert_options=pa_csv.ConvertOptions(column_types={"id": pa.string(), "price": pa.string()}))
    assert again.column("text").to_pylist() == ['利润, "up"\nagain', "null"]
    assert again.column("price").to_pylist() == ["1.10", ""]


@pytest.mark.parametrize("name, magic", [
    ("a.jsonl", b"{"), ("a.ndjson", b"{"), ("a.arrow", b"\xff\xff\xff\xff"), ("a.parquet", b"PAR1"), ("a.csv", b"id,text,"),
    ("a.jsonl.gz", b"\x1f\x8b"), ("a.jsonl.zst", b"\x28\xb5\x2f\xfd"), ("a.csv.gz", b"\x1f\x8b"), ("a.arrow.zst", b"\x28\xb5\x2f\xfd"),
])
def test_suffix_of_output_chooses(name, magic, flags, tmp_path):
    done = run("tokenize", *flags["tokenize"], "-o", tmp_path / name, stdin=texts(3))
    assert (done.code, done.out) == (0, b"")
    assert (tmp_path / name).read_bytes().startswith(magic)
    assert os.listdir(tmp_path) == [name]
    assert [int(record["id"]) for record in read_back(tmp_path / name)] == [0, 1, 2]


def test_unknown_suffix_is_asked_for(flags, tmp_path):
    done = run("tokenize", *flags["tokenize"], "-o", tmp_path / "a.xyz", stdin=texts(1))
    assert done.code == 2 and says_one_line(done, "--to")
    done = run("tokenize", *flags["tokenize"], "--to", "jsonl", "-o", tmp_path / "a.xyz", stdin=texts(1))
    assert done.code == 0 and len(records_of((tmp_path / "a.xyz").read_bytes())) == 1


@pytest.mark.parametrize("damage", ["cut", "cut-1", "head-only", "text", "middle"])
def test_damaged_parquet(damage, table_bytes, flags, tmp_path):
    """[21] Exit 1, one line."""
    whole = table_bytes["parquet"]
    middle = bytearray(whole)
    middle[len(whole) // 3] ^= 0x10
    data = {"cut": whole[: len(whole) // 2], "cut-1": whole[:-1], "head-only": whole[:4], "text": b'{"text": "ok"}\n',
            "middle": bytes(middle)}[damage]
    (tmp_path / "damaged.parquet").write_bytes(data)
    done = run("tokenize", *flags["tokenize"], tmp_path / "damaged.parquet")
    assert (done.code, done.out) == (1, b"")
    assert says_one_line(done, "damaged.parquet")
    if damage in ("cut", "middle"):
        piped = run("tokenize", *flags["tokenize"], stdin=data)
        assert (piped.code, piped.out) == (1, b"")
        assert says_one_line(piped, "<stdin>", "Parquet")


def test_flipped_bytes_in_parquet_never_change_a_value(table_bytes, tmp_path):
    """[22] One flipped byte anywhere: the same records, or a failure; never others."""
    from doxa.errors import DoxaError
    from doxa.records.reader import Source, read_records

    path = tmp_path / "flipped.parquet"

    def read(data: bytes):
        path.write_bytes(data)
        try:
            return [record.fields.to_dict() for record in read_records(Source((str(path),)))]
        except DoxaError:
            return None

    table = pq.read_table(pa.BufferReader(table_bytes["parquet"])).slice(0, 200)
    small = io.BytesIO()
    pq.write_table(table, small, compression="zstd", write_page_checksum=True)
    whole = small.getvalue()
    expected = read(whole)
    assert len(expected) == 200
    n_noticed = 0
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x04
        found = read(bytes(flipped))
        assert found is None or found == expected, f"byte {place} of {len(whole)}"
        n_noticed += found is None
    assert n_noticed > 20


def test_cut_arrow_stream(table_bytes, flags):
    """[23] Ours is noticed wherever it is cut, between batches too; the whole batches before come out."""
    whole = table_bytes["arrow"]
    edges = batch_ends(whole)
    assert len(edges) == 4 and edges[-1] == len(whole) - 8
    for cut, n_records in ((edges[0] - 9, 0), (edges[0], 0), (edges[1], 1024), (edges[1] + 40, 1024), (edges[-1], 3000), (len(whole) - 3, 3000)):
        done = run("tokenize", *flags["tokenize"], "-q", stdin=whole[:cut])
        assert done.code == 1, cut
        assert says_one_line(done, "<stdin>", "Arrow stream"), cut
        assert [record["id"] for record in records_of(done.out)] == list(range(n_records)), cut


def batch_ends(stream: bytes) -> list[int]:
    """Where the schema and each batch of an Arrow stream end."""
    buffer = pa.BufferReader(stream)
    ends = []
    while True:
        try:
            pa.ipc.read_message(buffer)
        except EOFError:
            return ends
        ends.append(buffer.tell())
