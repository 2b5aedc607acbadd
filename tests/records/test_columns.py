"""Counting's fast path equals its careful path, whatever surprises the lines hold, in every format."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shell import run

from doxa.errors import UsageError
from doxa.records import columns
from doxa.records.columns import read_columns
from doxa.records.flat_schema import Wanted
from doxa.records.outcome import Outcome
from doxa.records.reader import Source, read_records
from doxa.records.writer import open_writer

SURPRISES = [
    b'{"text": "nan", "x": NaN, "prediction": {"topic": {"label": "a", "score": 0.5}}}',
    b'{"text": "a", "text": "b", "prediction": {"topic": {"label": "twice", "score": 0.5}}}',
    b'{"text": "bad \xff byte", "prediction": {"topic": {"label": "a", "score": 0.5}}}',
    b'{"x": "bad \xff byte", "prediction": {"topic": {"label": "a", "score": 0.5}}}',
    b'{"text": "one"} {"text": "two"}',
    b'{"text": "split over',
    b'lines", "prediction": {"topic": {"label": "a", "score": 0.5}}}',
    b'{"a": {}',
    b'}',
    b'{"text": "crlf", "prediction": {"topic": {"label": "crlf", "score": 0.5}}}\r',
    b'   {"text": "indented", "prediction": {"topic": {"label": "indented", "score": 0.5}}}  ',
    b"",
    b"   ",
    b"garbage",
    b"[1, 2]",
    b"{}",
    b'{"text": 5, "id": 1.5, "prediction": {"topic": {"label": "number text", "score": 1}}}',
    b'{"id": 123456789012345678901234567890, "prediction": {"topic": {"label": "big", "score": 0.25}}}',
    b'{"id": "text id", "prediction": {"topic": {"label": "string id", "score": 0.25}}}',
    b'{"timestamp": 1704067200, "prediction": {"topic": {"label": "epoch", "score": 0.25}}}',
    b'{"prediction": {"topic": null}}',
    b'{"prediction": "words"}',
    b'{"prediction": null}',
    b'{"prediction": {"topic": {"label": "no score"}}}',
    b'{"prediction": {"other": {"label": "unknown head", "score": 0.5}}}',
    b'{"text": "\\ud83d\\ude00 \\u2028", "prediction": {"topic": {"label": "\\u4e2d", "score": 0.125}}}',
    b'{"text": "lone \\ud800", "prediction": {"topic": {"label": "lone", "score": 0.5}}}',
    b'{"error": {"code": "empty_text", "message": "m"}, "text": ""}',
    b'{"error": "own field", "prediction": {"topic": {"label": "own error", "score": 0.5}}}',
    b'{"text": "trailing comma",}',
    *(b'{"text": "%s", "x": %s, "prediction": {"topic": {"label": "not every parser", "score": 0.5}}}' % (value.replace(b'"', b""), value) for value in (
        b"[1,]", b'{"a": 1, }', b"[1 ]", b"-Infinity", b"inf", b"[nan]", b"-iNF", b"[1,nAn,2]", b"1e999", b"-1E+0400", b"1e-999", b"9" * 400,
        b"1" * 300 + b".5", b"[" * 600 + b"]" * 600, b"[" * 400 + b"]" * 400, b"1e-05", b"01", b"1.", b".5", b"+1", b"'a'", b'"\\x"', b'"\\ud800"',
        b"/* a */ 1", b"True", b"\t1", b'", nan, "', b'"in: inf "', b'" }"', b'"1e1234"')),
    b'{"id": 1e-07, "text": 1e22, "timestamp": true, "prediction": {"topic": {"label": "odd scalars", "score": 0.5}}}',
    b'{"id": {"a": [1, 1.50, "\\u00e9"]}, "text": ["x"], "prediction": {"topic": {"label": "nested id", "score": 0.5}}}',
    b'{"prediction": {"topic": {"label": 5, "score": "0.25"}, "tags": {"labels": ["x", 1, null, 1.0]}, "rating": {"score": true}}}',
    b'{"prediction": {"topic": {"label": ["a"], "score": {}}, "tags": {"labels": "x"}, "rating": {"score": "much"}}}',
    b'{"prediction": {"topic": {"label": "once", "label": "twice", "score": 0.5}}}',
    b'{"prediction": {"topic": {"score": 0.5}}}',
    b'{"prediction": {"topic": {"labels": ["a"], "score": 0.5}, "rating": {"label": "x", "score": 0.5}}}',
    b'{"prediction": {"topic": {"label": null, "score": 0.5}, "tags": {"label": "x"}}}',
    b'{"Text": "other case", "Prediction": {}, "prediction": {"Topic": {"label": "a"}, "topic": {"label": "case", "score": 0.5}}}',
    b'{"te\\u0078t": "escaped name", "prediction": {"topic": {"label": "\\u0000", "score": 0.5}}}',
    b'{"x": 1, "x": 2, "text": "twice, and not read", "prediction": {"topic": {"label": "a", "score": 0.5}}}',
]
PLAIN = [b'{"id": %d, "text": "plain %d", "source": "s%d", "timestamp": "2024-01-01T00:00:%02dZ", "prediction": {"topic": {"label": "l%d", '
         b'"score": 0.%d}, "tags": {"labels": ["x"], "scores": {}}, "rating": {"score": %d.5}}}' % (i, i, i % 3, i % 60, i % 4, i % 9 + 1, i)
         for i in range(40)]


def read(path, by=None, where=()) -> list[dict]:
    reader = read_columns(Source((str(path),)), Wanted(by=(by,) if by else (), where=where))
    rows = [row for batch in reader for row in batch.to_pylist()]
    return [*rows, (reader.n_unreadable, reader.n_unpredicted, reader.schema.heads, reader.schema.by)]


@pytest.mark.parametrize("line", SURPRISES)
def test_a_surprise_among_plain_lines_is_read_as_the_careful_reader_does(tmp_path, line):
    check_fast_equals_careful(tmp_path / "lines.jsonl", PLAIN + [line] + PLAIN, "source")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(SURPRISES + PLAIN), max_size=60), st.sampled_from([None, "source"]),
       st.sampled_from([(), ("topic.score", "id"), ("field:id", "source", "field:x", "rating")]))
def test_fast_path_equals_careful_path(tmp_path, lines, by, where):
    check_fast_equals_careful(tmp_path / "lines.jsonl", PLAIN[:12] + lines, by, where)


def check_fast_equals_careful(path, lines, by, where=()):
    path.write_bytes(b"\n".join(lines) + b"\n")
    fast_sizes = pytest.MonkeyPatch()
    with fast_sizes.context() as patch:
        patch.setattr(columns, "BLOCK_BYTES", 1500)
        patch.setattr(columns, "SMALLEST_SPLIT_BYTES", 200)
        patch.setattr("doxa.records.pieces.PIECE_BYTES", 64)
        fast = read(path, by, where)
        patch.setattr(columns.CleanParser, "parse", lambda self, block: None)
        careful = read(path, by, where)
    assert fast == careful


def test_the_fast_path_is_taken(tmp_path, monkeypatch):
    """Clean lines never reach the careful reader, so the equality above compares two things."""
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(PLAIN * 50) + b"\n")
    monkeypatch.setattr(columns.ColumnReader, "_read_records", lambda self, records: pytest.fail("careful path"))
    rows = read(path, "source")
    assert len(rows) == 2001 and rows[0]["label:topic"] == "l0" and rows[1]["field:source"] == "s1" and rows[2]["labels:tags"] == ["x"]


def test_lines_behind_a_table_take_the_fast_path_too(tmp_path, monkeypatch):
    lines, table = tmp_path / "lines.jsonl", tmp_path / "table.parquet"
    lines.write_bytes(b"\n".join(PLAIN * 50) + b"\n")
    pq.write_table(pa.Table.from_pylist([json.loads(line) | {"prediction": {"topic": {"label": "a", "score": 0.5}}} for line in PLAIN]), table)
    monkeypatch.setattr(columns.ColumnReader, "_read_records", lambda self, records: pytest.fail("careful path"))
    rows = [row for batch in read_columns(Source((str(table), str(lines))), Wanted()) for row in batch.to_pylist()]
    assert len(rows) == 2040 and [row["label:topic"] for row in rows[38:42]] == ["a", "a", "l0", "l1"]


@pytest.mark.parametrize("first", [b'{"error": {"code": "empty_text", "message": "m"}, "text": ""}', b'{"text": "not predicted"}',
                                   b'{"text": "no source", "prediction": {"topic": {"label": "z", "score": 0.5}}}'], ids=["errors", "unpredicted", "no such field"])
def test_what_stands_behind_many_lines_that_tell_nothing_is_read(first, tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join([first] * (2 * columns.N_SAMPLED) + PLAIN) + b"\n")
    rows = read(path, "source")[:-1]
    assert len(rows) == 2 * columns.N_SAMPLED + 40 and [row["label:topic"] for row in rows[-40:]] == [f"l{i % 4}" for i in range(40)]
    assert rows[-1]["field:source"] == "s0"


def test_a_number_that_is_only_compared_stays_on_the_fast_path(tmp_path, monkeypatch):
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(json.dumps({"text": "t", "weight": i / 4, "is_new": i % 2 > 0, "n": i, "prediction": {"topic": {"label": "a", "score": 0.5}}}) + "\n"
                            for i in range(9)))
    with monkeypatch.context() as patch:
        patch.setattr(columns.ColumnReader, "_read_records", lambda self, records: pytest.fail("careful path"))
        rows = read(path, None, ("weight", "is_new", "n"))
    assert [(row["field:weight"], row["field:is_new"], row["field:n"]) for row in rows[:2]] == [("0.0", "false", "0"), ("0.25", "true", "1")]
    grouped = read(path, "weight", ("weight",))  # as text, where it names a group
    assert [row["field:weight"] for row in grouped[:2]] == ["0.0", "0.25"]


def test_a_system_without_files_in_memory_reads_the_same(tmp_path, monkeypatch):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(PLAIN * 50) + b"\n")
    monkeypatch.setattr(columns.ColumnReader, "_read_records", lambda self, records: pytest.fail("careful path"))
    expected = read(path)
    monkeypatch.delattr("os.memfd_create", raising=False)
    assert read(path) == expected


def test_blocks_follow_one_another_in_the_same_file(tmp_path, monkeypatch):
    """Long after short, and equally long with other values: nothing of the block before is seen."""
    monkeypatch.setattr(columns, "BLOCK_BYTES", 1)
    monkeypatch.setattr("doxa.records.lines.CHUNK_BYTES", 700)
    monkeypatch.setattr(columns.ColumnReader, "_read_records", lambda self, records: pytest.fail("careful path"))
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(PLAIN * 50) + b"\n")
    assert [row["id"] for row in read(path)[:-1]] == [str(i) for i in range(40)] * 50


def test_texts_are_left_alone_where_none_are_asked_for(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(PLAIN + SURPRISES) + b"\n")
    rows = [row for batch in read_columns(Source((str(path),)), Wanted(text_field=None)) for row in batch.to_pylist()]
    assert rows == [row | {"text": None} for row in read(path)[:-1]]


@pytest.mark.parametrize("form", ["jsonl", "arrow", "parquet"])
@pytest.mark.parametrize("where", [(), ("topic.score",)])
def test_scores_of_labels_are_left_alone_where_none_are_asked_for(tmp_path, form, where):
    source, target = tmp_path / "lines.jsonl", tmp_path / f"rows.{form}"
    other = b'{"text": "two heads", "prediction": {"topic": {"label": "l9", "score": 0.5}, "mood": {"label": "glad", "score": 0.25}, "rating": {"score": 7}}}'
    source.write_bytes(b"\n".join([other, *PLAIN, other, b"garbage", b'{"prediction": {"topic": {"score": 0.5}}}']) + b"\n")
    with open_writer(str(target), None, {}) as writer:
        writer.write([Outcome(record) for record in read_records(Source((str(source),)))])
    rows = [row for table in read_columns(Source((str(target),)), Wanted(with_scores=False, where=where)) for row in table.to_pylist()]
    unread = {"score:mood"} if where else {"score:mood", "score:topic"}
    assert rows == [{name: value for name, value in row.items() if name not in unread} for row in read(target, None, where)[:-1]]
    assert rows[0]["score:rating"] == 7 and rows[0]["label:mood"] == "glad"


@pytest.mark.parametrize("form", ["arrow", "parquet", "csv"])
def test_every_format_gives_the_same_columns(tmp_path, form):
    source, target = tmp_path / "lines.jsonl", tmp_path / f"lines.{form}"
    source.write_bytes(b"\n".join(PLAIN + [b'{"text": "", "error": {"code": "empty_text", "message": "m"}}', b"garbage"]) + b"\n")
    entry = {"topic": pa.struct([("label", pa.string()), ("score", pa.float64())]),
             "tags": pa.struct([("labels", pa.list_(pa.string())), ("scores", pa.struct([("x", pa.float64())]))]),
             "rating": pa.struct([("score", pa.float64())])}
    with open_writer(str(target), None, {"prediction": pa.struct(list(entry.items()))}) as writer:
        writer.write([Outcome(record) for record in read_records(Source((str(source),)))])
    expected, seen = (read(path, "source", ("timestamp", "field:id", "topic.score")) for path in (source, target))
    blank = {None: None, "": None}
    clean = [{key: blank.get(value, value) if not isinstance(value, list) else value for key, value in row.items()} for row in seen[:-1]]
    assert clean[: len(PLAIN)] == expected[: len(PLAIN)]
    assert [row["error"] for row in clean] == [row["error"] for row in expected[:-1]]


@pytest.mark.parametrize("form", ["arrow", "parquet"])
@pytest.mark.parametrize("first", [
    b'{"id": 7, "text": "", "error": {"code": "empty_text", "message": "m"}}',
    b'{"id": 7, "text": "plain", "timestamp": "2024-01-01T00:00:00Z", "prediction": {"topic": {"label": "l1", "score": 0.5}}}'])
def test_what_came_too_late_for_a_column_is_read(tmp_path, form, first):
    source, target = tmp_path / "lines.jsonl", tmp_path / f"lines.{form}"
    odd = b'{"id": "a", "text": "of another type", "source": {"name": "x"}, "prediction": {"topic": {"label": "l9", "score": 0.5}}}'
    source.write_bytes(b"\n".join([first] * 20 + PLAIN + [odd]) + b"\n")
    outcomes = [Outcome(record) for record in read_records(Source((str(source),)))]
    with open_writer(str(target), None, {}) as writer:
        for start in range(0, len(outcomes), 20):
            writer.write(outcomes[start : start + 20])
    expected, seen = (read(path, "source", ("timestamp", "topic.score")) for path in (source, target))
    table = pq.read_table(target) if form == "parquet" else pa.ipc.open_stream(target).read_all()
    assert table.column("_more").null_count < len(table)
    assert seen == expected


@pytest.mark.parametrize("column", [
    pa.array([0, None, 1_704_067_200_123_456], pa.timestamp("us")), pa.array([0, None, 1_704_067_200_123_456], pa.timestamp("us", "Asia/Shanghai")),
    pa.array([0, None, 1_704_067_200], pa.timestamp("s", "UTC")), pa.array(["a", None, "b"], pa.large_string()), pa.array(["a", None, "b"], pa.string_view()),
    pa.array(["a", None, "a"]).dictionary_encode(), pa.array([-1, None, 2**60]), pa.array([True, None, False]), pa.array([0.5, None, 1e-7])])
def test_columns_of_other_types_are_read_as_the_texts_that_records_show(tmp_path, column):
    path = str(tmp_path / "rows.parquet")
    entry = pa.array([{"topic": {"label": "a", "score": 0.5}}] * 3)
    pq.write_table(pa.table({"source": column, "prediction": entry}), path)
    shown = [record.fields.get("source") for record in read_records(Source((path,)))]
    expected = [None if value is None else value if isinstance(value, str) else json.dumps(value) for value in shown]
    assert [row["field:source"] for row in read(path, "source")[:-1]] == expected


@pytest.mark.parametrize("limit", [0, 1 << 30], ids=["one after another", "several at once"])
def test_groups_of_rows_come_in_their_order_with_their_own_dictionaries(tmp_path, monkeypatch, limit):
    monkeypatch.setattr("doxa.records.parquet.MOST_GROUP_BYTES", limit)
    monkeypatch.setattr("doxa.records.parquet.usable_cores", lambda: 3)
    path = tmp_path / "rows.parquet"
    rows = [{"id": i, "source": f"s{i // 50}", "prediction": {"topic": {"label": f"l{i // 30}", "score": 0.5}}} for i in range(1000)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=70)
    found = [row for table in read_columns(Source((str(path),)), Wanted(by=("source",), as_stored=True)) for row in table.to_pylist()]
    assert [(row["id"], row["field:source"], row["label:topic"]) for row in found] == [(i, f"s{i // 50}", f"l{i // 30}") for i in range(1000)]
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 400] = b"\xff" * 400
    path.write_bytes(damaged)
    done = run("report", "--examples", "0", path)
    assert done.code == 1 and "the Parquet file is damaged or cut off" in done.err


def test_errors_before_the_first_record(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"garbage\n" * 3 + b"\n".join(PLAIN) + b"\n")
    rows = read(path)
    assert [row["error"] for row in rows[:4]] == ["not_json"] * 3 + [None]


def test_random_order_of_surprises_keeps_every_line(tmp_path):
    lines = SURPRISES * 3 + PLAIN
    random.Random(1).shuffle(lines)
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(PLAIN + lines))
    n_lines = sum(bool(line.strip()) for line in PLAIN + lines)
    assert len(read(path)) - 1 == n_lines


def test_records_without_predictions_are_refused(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text(json.dumps({"text": "raw"}) + "\n")
    with pytest.raises(UsageError, match="run them through predict"):
        read(path)


def late_head(n_before, n_after, name="risk", text=b"t"):
    usual = b'{"text": "%s", "prediction": {"sentiment": {"label": "neutral", "score": 0.5}}}\n' % text
    return usual * n_before + b'{"text": "t", "prediction": {"%s": {"label": "high", "score": 0.5}}}\n' % name.encode() * n_after


def test_a_head_that_comes_up_within_a_block_is_found(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(late_head(20_000, 2_000))
    rows = read(path)[:-1]
    assert sum(row.get("label:risk") == "high" for row in rows) == 2_000 and len(rows) == 22_000


def test_a_watched_head_that_comes_up_late_is_read_and_one_that_never_does_is_told(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(late_head(17_000, 3, text=b"t" * 1000))  # behind the first block
    done = run("report", "--watch", "risk=high", "--to", "json", path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["heads"]["risk"]["n"] == 3
    done = run("report", "--watch", "rsk=high", path)
    assert done.code == 2 and 'no head of labels is called "rsk"; there are: sentiment' in done.err
    done = run("alert", "--state", tmp_path / "state.db", "--watch", "rsk=high", stdin=late_head(50, 1).replace(b'"text"', b'"timestamp": "2026-01-01T00:00:00Z", "text"'))
    assert done.code == 2 and 'no head of labels is called "rsk"' in done.err
