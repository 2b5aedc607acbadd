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
import zlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from shell import BIN, Done, end, environment, run, shell, start

ADDED = {"tokenize": ("input_ids", "tokenizer"), "predict": ("prediction", "n_tokens"), "explain": ("explanation",)}
ADDERS = tuple(ADDED)
ALL = ("tokenize", "predict", "explain", "report", "alert", "evaluate")
READERS = ("report", "alert", "evaluate")  # of predictions
PREDICTED = b'{"id": %d, "text": "ok", "timestamp": "2026-11-01T00:00:00Z", "topic": "merger", "prediction": {"topic": {"label": "credit", "score": 0.9}}}\n'
LONG_BYTES = 20 << 20


@pytest.fixture(scope="session")
def flags(tiny_model):
    """The flags without which a command does not start."""
    return {"tokenize": ("--base", tiny_model), "predict": ("--model", tiny_model), "explain": ("--model", tiny_model, "--method", "occlusion"),
            "report": ("--to", "json"), "alert": ("--backtest", "--to", "jsonl"),
            "evaluate": ("--to", "json")}


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
FAILED = [line for line in LINES if line.code not in (None, "kept")]


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
@pytest.mark.parametrize("command", ("tokenize", *READERS))
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
    # Measured from a small process: what a child of this one is charged with includes this one's size before exec.
    measure = ("import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; "
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(code)")
    line = [BIN / "tokenize", *flags["tokenize"], "-q", "--max-record-bytes", 1 << 20]
    done = subprocess.run([sys.executable, "-c", measure, *map(str, line)], input=packed.getvalue(), capture_output=True, env=environment())
    assert done.returncode == 3
    assert [record.get("error", {}).get("code") for record in records_of(done.stdout)] == [None, "too_long", None]
    assert int(done.stderr.split()[-1]) < 250_000  # kB; the libraries alone take some 90,000


# --- nothing, all bad, some bad


@pytest.mark.parametrize("stdin", [b"", b"\n \n\r\n", b"\xef\xbb\xbf", gzip.compress(b"")], ids=["nothing", "blank", "bom", "gzip"])
def test_empty_input(stdin, flags):
    """[17] No record is no failure."""
    done = run("tokenize", *flags["tokenize"], stdin=stdin)
    assert (done.code, done.out, done.err) == (0, b"", "")


@pytest.mark.parametrize("command", ("predict", "explain", *READERS))
def test_empty_input_of_other_commands(command, flags):
    done = run(command, *flags[command])
    assert (done.code, done.err) == (0, "")
    assert done.out == b"" if command in ADDERS else json.loads(done.out)["records"] == 0


@pytest.mark.parametrize("command", ("tokenize", *READERS))
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
    if command not in READERS:
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
@pytest.mark.parametrize("command", ("tokenize", *READERS))
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
    assert len(seen) >= lines_before_cut(kind, plain, whole, cut) - 1


def lines_before_cut(kind: str, plain: bytes, whole: bytes, cut: float | int) -> int:
    """How many whole lines lie before the cut: for gzip what zlib gets out, for zstd the blocks of 128 KiB that are whole."""
    if kind == "gz":
        return zlib.decompressobj(31).decompress(whole[: int(cut * len(whole)) if isinstance(cut, float) else cut]).count(b"\n")
    share = cut if isinstance(cut, float) else 1 + cut / len(whole)
    return plain[: max(0, int(share * len(plain) / (1 << 17)) - 1) * (1 << 17)].count(b"\n")


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


@pytest.mark.parametrize("kind", ["arrow", "parquet", "csv"])
def test_deep_nesting_ends_no_table(kind, flags, tmp_path):
    """[12] A value too deep for a column travels as JSON text, and one too deep for anything is an error record."""
    def nested(depth: int) -> str:
        return "[" * depth + "123456789012345678901234" + "]" * depth

    lines = [f'{{"id": {depth}, "text": "ok", "deep": {nested(depth)}}}' for depth in (1, 31, 65, 500, 511, 512, 1000)]
    lines.append('{"id": 9, "text": "ok", "deep": ' + '{"a": ' * 300 + "1" + "}" * 301)
    path = tmp_path / f"deep.{kind}"
    done = run("tokenize", *flags["tokenize"], "-q", "-o", path, stdin="\n".join(lines).encode())
    assert done.code == 3
    assert says_one_line(done, "2 of 8 records", "nested deeper than 512 levels")
    records = read_back(path)
    assert len(records) == 8
    if kind != "csv":
        assert [record.get("deep") for record in records] == [
            json.loads(line)["deep"] if index not in (5, 6) else None for index, line in enumerate(lines)]


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
    n_data = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # the footer behind has no check sum in the format
    expected = read(whole)
    assert len(expected) == 200
    n_noticed = 0
    for place in range(0, n_data, max(1, n_data // 150)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x04
        found = read(bytes(flipped))
        assert found is None or found == expected, f"byte {place} of {n_data}"
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


# --- where output goes: a reader that leaves, a full disk, closed descriptors


@pytest.mark.parametrize("command, arguments", [
    ("tokenize", ""), ("tokenize", "--to arrow"), ("tokenize", "--to csv"), ("predict", ""), ("explain", ""),
], ids=lambda value: value or "jsonl")
def test_reader_that_leaves(command, arguments, flags):
    """[28] The input never ends: 141, silent, as soon as the reader has gone."""
    call = f"{command} {' '.join(map(str, flags[command]))} {arguments}"
    done = shell(f"yes '{{\"id\": 1, \"text\": \"ok\"}}' | {call} | head -c 20; echo ${{PIPESTATUS[1]}} >&2", timeout=60)
    assert len(done.out) == 20
    assert done.err == "141\n"


def test_reader_that_leaves_a_spooled_table(table_bytes, flags, tmp_path):
    """[28] The temporary copy of a Parquet pipe goes with the command."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "table").write_bytes(table_bytes["parquet"])
    call = f"cat table | tokenize --base {flags['tokenize'][1]} | head -1; echo ${{PIPESTATUS[1]}} >&2"
    done = shell(call, env={"TMPDIR": str(tmp_path / "tmp")}, cwd=tmp_path)
    assert json.loads(done.out)["id"] == 0
    assert done.err == "141\n"
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize("command, arguments", [
    ("tokenize", "--to jsonl"), ("tokenize", "--to arrow"), ("tokenize", "--to parquet"), ("tokenize", "--to csv"), ("report", ""), ("alert", "--backtest"),
    ("report", "--help"), ("tokenize", "--version"),
])
def test_full_disk_on_stdout(command, arguments, flags):
    """[25] Exit 1, one line."""
    stdin = PREDICTED % 1 if command in READERS else texts(50)
    call = f"{command} {' '.join(map(str, flags[command]))} {arguments} > /dev/full"
    done = shell(call, stdin=stdin)
    assert done.code == 1
    assert says_one_line(done, "stdout", "No space left on device")


@pytest.mark.parametrize("name", ["full.jsonl", "full.jsonl.gz", "full.jsonl.zst", "full.parquet"])
def test_full_disk_on_a_device_named_by_output(name, flags, tmp_path):
    (tmp_path / name).symlink_to("/dev/full")
    done = run("tokenize", *flags["tokenize"], "-q", "-o", tmp_path / name, stdin=texts(50))
    assert done.code == 1
    assert says_one_line(done, name, "No space left on device")
    assert os.listdir(tmp_path) == [name] and os.path.islink(tmp_path / name)


@pytest.mark.parametrize("command", ("tokenize", *READERS))
def test_closed_stdout(command, flags):
    """[26] With data to write it is a failure."""
    stdin = PREDICTED % 1 if command in READERS else texts(1)
    done = shell(f"{command} {' '.join(map(str, flags[command]))} >&-", stdin=stdin)
    assert done.code == 1
    assert says_one_line(done, "stdout is closed")


def test_closed_stdout_does_not_matter_without_data(flags, tmp_path):
    call = f"tokenize --base {flags['tokenize'][1]}"
    assert shell(f"{call} >&-").code == 0
    done = shell(f"{call} -o out.jsonl >&- <&- {tmp_path}/in.jsonl", cwd=tmp_path)
    assert done.code == 1  # no such file
    (tmp_path / "in.jsonl").write_bytes(texts(2))
    done = shell(f"{call} -q -o out.jsonl in.jsonl >&- <&- 2>&-", cwd=tmp_path)
    assert done.code == 0
    assert len(records_of((tmp_path / "out.jsonl").read_bytes())) == 2


@pytest.mark.parametrize("command", ("tokenize", *READERS))
def test_closed_stdin(command, flags):
    """[26] A usage error, before any output."""
    done = shell(f"{command} {' '.join(map(str, flags[command]))} <&-")
    assert (done.code, done.out) == (2, b"")
    assert says_one_line(done, "stdin is closed")


def test_closed_stderr(flags):
    """[26] What would be said is lost, nothing else; no message lands in the output."""
    done = shell(f"tokenize --base {flags['tokenize'][1]} 2>&-", stdin=SOME_BAD)
    assert done.code == 3
    assert len(records_of(done.out)) == 10


def test_full_stderr(flags):
    done = shell(f"tokenize --base {flags['tokenize'][1]} 2>/dev/full", stdin=SOME_BAD)
    assert done.code == 3
    assert len(records_of(done.out)) == 10


# --- --output: whole or not at all


def limit_file_size(n_bytes: int):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


@pytest.mark.parametrize("n_bytes", [0, 4096, 60_000])
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out.arrow", "out.jsonl.gz", "out.csv"])
def test_output_that_does_not_fit(name, n_bytes, flags, tmp_path):
    """[27] The old file stays, nothing lies beside it, exit 1 and one line. Formats that write all at their end included."""
    (tmp_path / name).write_bytes(b"the old file")
    random.seed(1)
    stdin = b"".join(b'{"text": "ok", "noise": "%s"}\n' % random.randbytes(100).hex().encode() for _ in range(1500))
    done = run("tokenize", *flags["tokenize"], "-q", "-o", tmp_path / name, stdin=stdin, before=limit_file_size(n_bytes),
               env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.code == 1
    assert says_one_line(done, name, "File too large")
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"the old file"


@pytest.mark.parametrize("arguments, code", [(["--on-error", "stop"], 1), (["--max-errors", "0"], 1), ([], 3)])
def test_output_of_a_run_that_fails(arguments, code, flags, tmp_path):
    """A run that fails leaves what was there; one that ends with some errors is done."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"old")
    done = run("tokenize", *flags["tokenize"], *arguments, "-o", path, stdin=SOME_BAD)
    assert (done.code, done.out) == (code, b"")
    assert os.listdir(tmp_path) == ["out.jsonl"]
    assert (path.read_bytes() == b"old") == (code == 1)


def test_output_appears_only_at_the_end(flags, tmp_path):
    """While the input is open there is no file of that name; input and output may be the same file."""
    path = tmp_path / "out.jsonl"
    process = start("tokenize", *flags["tokenize"], "-q", "-o", path)
    process.stdin.write(texts(5000))
    process.stdin.flush()  # more than a pipe holds: the command is at work when this returns
    assert not path.exists()
    assert end(process).code == 0
    assert os.listdir(tmp_path) == ["out.jsonl"]
    done = run("tokenize", *flags["tokenize"], "-q", "--text-field", "id", "--on-error", "drop", "-o", path, path)
    assert done.code == 2  # input_ids are there: the file stays
    assert len(records_of(path.read_bytes())) == 5000
    (tmp_path / "same.jsonl").write_bytes(texts(2000))
    assert run("tokenize", *flags["tokenize"], "-q", "-o", tmp_path / "same.jsonl", tmp_path / "same.jsonl").code == 0
    assert [record["id"] for record in read_back(tmp_path / "same.jsonl")] == list(range(2000))


def test_output_through_a_link_and_to_nowhere(flags, tmp_path):
    (tmp_path / "real.jsonl").write_bytes(b"old")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    assert run("tokenize", *flags["tokenize"], "-q", "-o", tmp_path / "link.jsonl", stdin=texts(1)).code == 0
    assert os.path.islink(tmp_path / "link.jsonl")
    assert len(read_back(tmp_path / "real.jsonl")) == 1
    done = run("tokenize", *flags["tokenize"], "-o", tmp_path / "no" / "such.jsonl", stdin=texts(1))
    assert done.code == 1 and says_one_line(done, "such.jsonl", "No such file")
    (tmp_path / "folder.jsonl").mkdir()
    done = run("tokenize", *flags["tokenize"], "-o", tmp_path / "folder.jsonl", stdin=texts(1))
    assert done.code == 1 and says_one_line(done, "folder.jsonl", "directory")
    assert sorted(os.listdir(tmp_path)) == ["folder.jsonl", "link.jsonl", "real.jsonl"]


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_output_to_stdout_by_name(name, flags, tmp_path):
    """Appending works, and nothing is put in the place of a device."""
    (tmp_path / "all.jsonl").write_bytes(b"first\n")
    done = shell(f"tokenize --base {flags['tokenize'][1]} -q -o {name} >> all.jsonl", stdin=texts(1), cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    lines = (tmp_path / "all.jsonl").read_bytes().split(b"\n")
    assert lines[0] == b"first" and json.loads(lines[1])["id"] == 0
    assert os.listdir(tmp_path) == ["all.jsonl"]
    assert os.path.realpath("/dev/stdout") != "/dev/stdout"


# --- surroundings


@pytest.mark.parametrize("command", ALL)
def test_bare_environment(command, flags, tmp_path):
    """[59] No HOME, no locale, no TZ: the same bytes."""
    stdin = PREDICTED % 1 if command in READERS else LINES[2].raw + b"\n" + LINES[4].raw + b"\n"
    bare = run(command, *flags[command], "-q", stdin=stdin, only_env={"PATH": environment()["PATH"]})
    usual = run(command, *flags[command], "-q", stdin=stdin, env={"LC_ALL": "C.UTF-8", "TZ": "Asia/Shanghai"}) if command not in ("predict", "explain") else bare
    assert (bare.code, bare.err) == (0, "")
    assert bare.out == usual.out


@pytest.mark.parametrize("locale", ["C", "no_SUCH.locale"])
def test_locales(locale, flags, places):
    """[59] Bytes in, bytes out; names of files and messages in another alphabet too."""
    done = run("tokenize", *flags["tokenize"], "不存在.jsonl", cwd=places, env={"LC_ALL": locale})
    assert done.code == 1 and says_one_line(done, ".jsonl: No such file")
    done = run("tokenize", *flags["tokenize"], "-q", "--text-field", "正文", stdin='{"正文": "利润增长"}\n{"x": 1}\n'.encode(),
               env={"LC_ALL": locale})
    assert done.code == 3
    records = records_of(done.out)
    assert records[0]["正文"] == "利润增长" and records[0]["input_ids"]
    assert "正文" in records[1]["error"]["message"]


@pytest.mark.parametrize("cwd", ["commands", "elsewhere"])
def test_through_a_link_from_any_folder(cwd, flags, tmp_path):
    """A link to bin/ runs from anywhere, also from lib/doxa/commands, whose tokenize.py must not shadow the standard library's."""
    (tmp_path / "linked").symlink_to(BIN / "tokenize")
    place = BIN.parent / "lib" / "doxa" / "commands" if cwd == "commands" else tmp_path
    done = shell(f"{tmp_path}/linked --base {flags['tokenize'][1]} -q", stdin=texts(1), cwd=place)
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["input_ids"]


# --- streams and signals


@pytest.mark.parametrize("command", ADDERS)
def test_slow_pipe(command, flags):
    """`tail -f`: what has come is answered while the input stays open; one line and then three, each followed by a wait."""
    process = start(command, *flags[command], "-q")
    for batch in (texts(1), texts(3)):
        process.stdin.write(batch)
        process.stdin.flush()
        written_s = time.monotonic()
        answers = [process.stdout.readline() for _ in batch.splitlines()]
        waited_s = time.monotonic() - written_s
        assert [json.loads(answer)["id"] for answer in answers] == list(range(len(answers)))
    assert process.poll() is None
    assert waited_s < 2  # the second time everything is loaded
    done = end(process)
    assert (done.code, done.out, done.err) == (0, b"", "")


NAMES = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated"), signal.SIGHUP: (129, "hung up")}


def endless(command: str, *args, stdout, **options) -> tuple[subprocess.Popen, subprocess.Popen]:
    """Start a command on an input without an end, past its start: its first output has been seen, or it has opened its file."""
    source = subprocess.Popen(["yes", '{"id": 1, "text": "Profit rose."}'], stdout=subprocess.PIPE)
    process = start(command, *args, stdin=source.stdout, stdout=stdout, **options)
    source.stdout.close()
    return source, process


def stop(source: subprocess.Popen) -> None:
    source.kill()
    source.wait()


def wait_until(condition, timeout_s: float = 60) -> None:
    ends_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_s, "it did not happen"
        time.sleep(0.002)


@pytest.mark.parametrize("number", list(NAMES), ids=lambda number: signal.Signals(number).name)
@pytest.mark.parametrize("command, rounds", [("tokenize", 2), ("predict", 1), ("explain", 1)])
def test_signal_while_writing(command, rounds, number, flags, tmp_path):
    """[29] At a random time: the signal's exit code, one line said, whole lines written."""
    random.seed(number)
    for _ in range(rounds):
        with open(tmp_path / "out.jsonl", "wb") as out:
            source, process = endless(command, *flags[command], "-q", stdout=out)
            wait_until(lambda: os.path.getsize(tmp_path / "out.jsonl") > 0)
            time.sleep(random.random() * 0.1)  # the random time
            process.send_signal(number)
            done = end(process)
            stop(source)
        assert done.code == NAMES[number][0]
        assert [line for line in done.err_lines if line] == [f"{command}: {NAMES[number][1]}"]
        written = (tmp_path / "out.jsonl").read_bytes()
        assert written.endswith(b"}\n")
        assert all(ADDED[command][0] in record for record in records_of(written))


@pytest.mark.parametrize("number", list(NAMES), ids=lambda number: signal.Signals(number).name)
def test_signal_while_the_pipe_is_full(number, flags):
    """[29] The reader is slow: the line that has begun is finished when the reader goes on."""
    source, process = endless("tokenize", *flags["tokenize"], "-q", stdout=subprocess.PIPE)
    first = os.read(process.stdout.fileno(), 1)  # it writes; soon the pipe is full
    wait_until(lambda: is_blocked(process.pid))
    process.send_signal(number)
    done = end(process)
    stop(source)
    assert done.code == NAMES[number][0]
    assert done.out.endswith(b"}\n")
    assert all(record["input_ids"] for record in records_of(first + done.out))


def is_blocked(pid: int) -> bool:
    """Whether the main thread sleeps in a write to a full pipe; True too where the kernel does not say."""
    try:
        fields = Path(f"/proc/{pid}/syscall").read_text().split()
    except OSError:
        return True
    return fields[:2] == ["1", "0x1"] if os.uname().machine == "x86_64" else True


@pytest.mark.parametrize("delay_s", [0, 0.03])
@pytest.mark.parametrize("number", list(NAMES), ids=lambda number: signal.Signals(number).name)
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out.jsonl.gz"])
def test_signal_with_output(name, number, delay_s, flags, tmp_path):
    """[29] No half file and no temporary one, also when the signal comes while the file is being opened; the old one stays."""
    (tmp_path / name).write_bytes(b"old")
    source, process = endless("tokenize", *flags["tokenize"], "-o", tmp_path / name, stdout=subprocess.PIPE)
    wait_until(lambda: len(os.listdir(tmp_path)) == 2)
    time.sleep(delay_s)
    process.send_signal(number)
    done = end(process)
    stop(source)
    assert done.code == NAMES[number][0]
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"old"


@pytest.mark.parametrize("number", list(NAMES), ids=lambda number: signal.Signals(number).name)
def test_signal_while_the_model_loads(number, flags):
    """[29] Nothing is written, no traceback."""
    process = start("predict", *flags["predict"], "-q", env={})  # not a warm process, which has loaded all
    wait_until(lambda: "libopenvino" in Path(f"/proc/{process.pid}/maps").read_text())
    time.sleep(random.random())
    process.send_signal(number)
    done = end(process)
    assert (done.code, done.out) == (NAMES[number][0], b"")
    assert [line for line in done.err_lines if line] == [f"predict: {NAMES[number][1]}"]


def test_signal_while_waiting_for_input(flags):
    """[29] Idle at a pipe that stays open."""
    for number in (*NAMES, signal.SIGTERM, signal.SIGTERM, signal.SIGTERM):
        process = start("tokenize", *flags["tokenize"], "-q")
        process.stdin.write(texts(1))
        process.stdin.flush()
        assert process.stdout.readline().startswith(b'{"id": 0')
        process.send_signal(number)
        assert process.wait(timeout=20) == NAMES[number][0]  # with the pipe still open
        assert process.stderr.read().decode().strip() == f"tokenize: {NAMES[number][1]}"
        end(process)


@pytest.mark.parametrize("number, raised", [(signal.SIGINT, "Interrupted"), (signal.SIGTERM, "Terminated"), (signal.SIGHUP, "HungUp")])
def test_signal_that_a_library_swallows(number, raised):
    """[29] pyarrow drops what a handler raises while it guesses a type; the next window raises it again."""
    code = f"""
import os, signal
from doxa.errors import Terminated
from doxa.records import prefetch, signals
signal.signal({int(number)}, signals.end_on_signal)
windows = prefetch.gather(iter(range(10)), 2)
next(windows)
try:
    os.kill(os.getpid(), {int(number)})
except BaseException:
    pass
try:
    next(windows)
except BaseException as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment({"PYTHONPATH": str(BIN.parent / "lib")}), capture_output=True, text=True)
    assert done.stdout.strip() == raised, done.stderr


@pytest.mark.parametrize("number", list(NAMES), ids=lambda number: signal.Signals(number).name)
def test_ignored_signal_stays_ignored(number, flags):
    """[30] nohup and `&` ignore signals for their children."""
    process = start("tokenize", *flags["tokenize"], "-q", before=lambda: signal.signal(number, signal.SIG_IGN))
    process.stdin.write(texts(1))
    process.stdin.flush()
    first = os.read(process.stdout.fileno(), 1)
    process.send_signal(number)  # idle
    process.stdin.write(texts(1000))
    process.stdin.flush()
    wait_until(lambda: is_blocked(process.pid))
    process.send_signal(number)  # in the middle of a write
    done = end(process)
    assert (done.code, done.err) == (0, "")
    assert len(records_of(first + done.out)) == 1001


def test_sigterm_never_publishes_a_model(tiny_model, tmp_path):
    """[31] 143, a checkpoint, and no model, whole or half."""
    train = b"".join(b'{"text": "word %d", "topic": "%s"}\n' % (i, b"ab"[i % 2 : i % 2 + 1]) for i in range(400))
    (tmp_path / "train.jsonl").write_bytes(train)
    process = start("finetune", "--base", tiny_model, "--head", "topic", "-o", tmp_path / "model", "--num-train-epochs", 1000,
                    tmp_path / "train.jsonl")
    while b"epoch 1 of" not in (line := process.stderr.readline()):
        assert line, "it ended"
    process.send_signal(signal.SIGTERM)
    done = end(process)
    assert (done.code, done.out) == (143, b"")
    assert "--resume goes on" in done.err_lines[-1] and "Traceback" not in done.err
    assert sorted(os.listdir(tmp_path)) == ["model", "train.jsonl"]
    left = sorted(os.listdir(tmp_path / "model"))
    assert len(left) == 2 and left[0].startswith("checkpoint-") and left[1] == "training.partial.jsonl"


# --- commands one after another


@pytest.mark.parametrize("key", ["input_ids", "tokenizer", "token_type_ids"])
def test_own_key_is_there_already(key, flags):
    """[15] A usage error where it is the first record, else that of the record alone; a key is never written over."""
    raw = json.dumps({"id": 1, "text": "ok", key: None}).encode() + b"\n"
    done = run("tokenize", *flags["tokenize"], "-q", stdin=raw + texts(1))
    assert (done.code, done.out) == (2, b"")
    assert says_one_line(done, "<stdin>:1", key)
    done = run("tokenize", *flags["tokenize"], "-q", stdin=texts(1) + raw + texts(1))
    good, bad, other = map(json.loads, done.lines)
    assert done.code == 3 and "input_ids" in good and "input_ids" in other and bad["error"]["code"] == "already_there" and key in bad["error"]["message"]
    assert bad[key] is None and "<stdin>" not in bad["error"]["message"]


@pytest.fixture(scope="module")
def predictor(tiny_model):
    from doxa.inference.loading import Request, load_predictor

    return load_predictor(Request(str(tiny_model), "cpu", precision="fp32"))[0]


def predict_here(predictor, stdin: bytes) -> list[bytes]:
    """What predict makes of the input, without a process."""
    from doxa.records.compressed import ByteStream
    from doxa.records.lines import read_line_records
    from doxa.records.outcome import to_line

    records = read_line_records(ByteStream(io.BytesIO(stdin), "<stdin>"), 1 << 20)
    return [to_line(outcome) for outcomes in predictor.predict(records) for outcome in outcomes]


@pytest.mark.parametrize("fields, says", [
    (b'"n_tokens": 5', "n_tokens"), (b'"truncated": false', "truncated"), (b'"prediction": 7', "no object"),
    (b'"prediction": {"topic": {"label": "x"}}', 'head "topic"'), (b'"prediction": {"a": 1}, "prediction": {"sentiment": {}}', 'head "sentiment"'),
    (b'"input_ids": [2, 5, 3]', "another tokenizer"), (b'"input_ids": [2, 5, 3], "tokenizer": "0123"', "another tokenizer"),
])
def test_predict_refuses(fields, says, predictor):
    from doxa.errors import UsageError

    with pytest.raises(UsageError, match=says):
        predict_here(predictor, b'{"text": "ok", ' + fields + b"}\n")


@pytest.mark.parametrize("fields", [b'"n_tokens": 5', b'"prediction": {"topic": {"label": "x"}}', b'"input_ids": [2, 5, 3], "tokenizer": "0123"'])
def test_predict_lets_one_such_record_among_others_be(fields, predictor):
    first, bad, last = predict_here(predictor, b'{"text": "ok"}\n{"text": "ok", ' + fields + b'}\n{"text": "ok"}\n')
    assert first == last and json.loads(bad)["error"]["code"] == "already_there" and bad.startswith(b'{"text": "ok", ' + fields)


def test_predict_refuses_as_a_process(flags):
    done = run("predict", *flags["predict"], stdin=b'{"text": "ok", "prediction": {"topic": {"label": "x"}}}\n')
    assert (done.code, done.out) == (2, b"")
    assert says_one_line(done, "<stdin>:1", 'head "topic"')


def test_predictions_of_two_models_are_merged(predictor):
    """A record that has a prediction keeps it, byte for byte, and gains the new heads."""
    raw = b'{"id": 1.10, "prediction": { "mood" : {"label": "calm", "score": 0.50}}, "text": "ok", "n_tokens": 99}'
    (line,) = predict_here(predictor, raw + b"\n")
    assert line.startswith(b'{"id": 1.10, "prediction": { "mood" : {"label": "calm", "score": 0.50}')
    assert line.endswith(b'}, "text": "ok", "n_tokens": 99}')
    assert list(json.loads(line)["prediction"]) == ["mood", "topic", "sentiment"]
    (line,) = predict_here(predictor, b'{"text": "ok", "prediction": null}\n')
    assert list(json.loads(line)["prediction"]) == ["topic", "sentiment"]


def test_bad_token_ids_are_errors_of_their_record(predictor):
    good = predictor.tokenizer.frame.single(predictor.tokenizer.encode(["ok"])[0])
    for ids in ([], good[:-1], good[1:], [2, 10**6, 3], [2, -1, 3], [2, 1.5, 3], "2 3", [2, True, 3], {}):
        record = {"text": "ok", "input_ids": ids, "tokenizer": predictor.tokenizer.fingerprint}
        (line,) = predict_here(predictor, json.dumps(record).encode() + b"\n")
        assert json.loads(line)["error"]["code"] == "bad_input_ids", ids
    (line,) = predict_here(predictor, json.dumps(record | {"input_ids": good}).encode() + b"\n")
    assert json.loads(line)["prediction"] == json.loads(predict_here(predictor, b'{"text": "ok"}\n')[0])["prediction"]


def test_pipe_of_tokens_gives_the_same_predictions(flags, tmp_path):
    """tokenize --to arrow | predict --to parquet is predict on the raw lines; errors travel through both."""
    (tmp_path / "in.jsonl").write_bytes(SOME_BAD + LINES[2].raw + b"\n" + json.dumps({"text": "long text " * 200}).encode() + b"\n")
    base, model = flags["tokenize"][1], flags["predict"][1]
    done = shell(f"tokenize -q --base {base} --to arrow in.jsonl | predict -q --model {model} --to parquet > out.parquet", cwd=tmp_path)
    assert done.code == 3
    assert [line for line in done.err_lines if line.startswith("tokenize")] == done.err_lines
    direct = run("predict", *flags["predict"], "-q", tmp_path / "in.jsonl")
    assert direct.code == 3
    piped, plain = read_back(tmp_path / "out.parquet"), records_of(direct.out)
    assert len(piped) == len(plain) == 12
    for one, other in zip(piped, plain):
        assert one.get("prediction") == other.get("prediction")
        assert one.get("n_tokens") == other.get("n_tokens")
        assert (one.get("error") or {}).get("code") == (other.get("error") or {}).get("code")
    assert len({record["prediction"]["topic"]["label"] for record in plain if "prediction" in record}) > 1


def test_ids_of_another_tokenizer_are_refused(flags, tmp_path):
    done = shell(f"tokenize --base minilm -q | predict --model {flags['predict'][1]}; echo ${{PIPESTATUS[1]}}", stdin=texts(1))
    assert done.out == b"2\n"
    assert says_one_line(done, "another tokenizer", "--base MODEL_DIR")


@pytest.mark.parametrize("command", ("predict", *READERS))
def test_a_person_sees_how_far_it_is_and_nothing_stays_of_it(flags, command):
    person, terminal = os.openpty()
    process = start(command, *flags[command], stderr=terminal)
    os.close(terminal)
    process.stdin.write(b"".join(PREDICTED.replace(b"prediction", b"guessed" if command == "predict" else b"prediction") % i for i in range(3)))
    process.stdin.close()
    shown = b""
    while piece := read_terminal(person):
        shown += piece
    os.close(person)
    assert process.stdout.read() and process.wait() == 0
    assert b"3 records" in shown and (b"buckets judged" in shown) == (command == "alert")
    assert shown.endswith(b"\r\x1b[K") and b"\n" not in shown


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # how Linux says that nobody writes to it any more
        return b""


@pytest.mark.parametrize("line", [
    "tokenize --base minilm - -", "finetune --head a --output none - --dev -", "finetune --head a --output none --unlabelled -",
    "predict --model none - -", "evaluate - x -", "compare - -", "explain --contrast --head a --label b - -", "report - -", "alert - -"])
def test_standard_input_is_read_once(line):
    command, *args = line.split()
    done = run(command, *args, stdin=b"")
    assert (done.code, done.err, done.out) == (2, f"{command}: - is given twice, and standard input can be read once\n", b"")
