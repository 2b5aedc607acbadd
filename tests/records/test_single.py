"""Columns of single precision through the commands: no digit more than tells a float32 from its neighbours, and none less."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shell import run

EDGES = [0.1, -0.3, 1e-20, 3.4028235e38, 1.1754944e-38, 1e-45, 16777216.0, 0.0, -0.0, 1 / 3, 2.0]
SINGLES = np.array(EDGES + np.random.default_rng(1).normal(size=5000).tolist(), np.float32)  # more rows than a batch


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A column of numbers, one of lists of them, one of objects that hold both; the second row has none."""
    path = tmp_path_factory.mktemp("single") / "in.parquet"
    n, single = len(SINGLES), pa.float32()
    rows = [{"text": "Profit rose.", "number": number, "many": [number, None, number / 2], "held": {"one": number, "all": [number]}} for number in SINGLES]
    rows[1] = {"text": "Profit rose.", "number": None, "many": None, "held": None}
    kinds = pa.schema([("text", pa.string()), ("number", single), ("many", pa.list_(single)), ("held", pa.struct([("one", single), ("all", pa.list_(single))]))])
    pq.write_table(pa.Table.from_pylist(rows, kinds), path, row_group_size=n // 3)
    return path


def shortest(number: np.float32) -> float:
    return float(str(number))  # numpy's, which is Dragon4


def test_json_lines_hold_the_shortest_text(table, tiny_model):
    found = [json.loads(line) for line in run("tokenize", "--base", tiny_model, "--to", "jsonl", table).lines]
    assert len(found) == len(SINGLES) and found[1]["number"] is found[1]["many"] is None
    for number, record in zip(SINGLES[2:], found[2:]):
        assert record["number"] == shortest(number) and record["many"] == [shortest(number), None, shortest(number / 2)]
        assert record["held"] == {"one": shortest(number), "all": [shortest(number)]}
    assert b"0.10000000149" not in run("tokenize", "--base", tiny_model, "--to", "jsonl", table).out


def test_csv_holds_the_shortest_text(table, tiny_model):
    rows = list(csv.DictReader(io.StringIO(run("tokenize", "--base", tiny_model, "--to", "csv", table).out.decode())))
    assert rows[1]["number"] == rows[1]["many"] == ""
    for number, row in zip(SINGLES[2:], rows[2:]):
        assert row["number"] == row["held.one"] == str(shortest(number)) and json.loads(row["many"]) == [shortest(number), None, shortest(number / 2)]


def test_parquet_keeps_every_bit_and_needs_no_overflow(table, tiny_model, tmp_path):
    done = run("tokenize", "--base", tiny_model, "--to", "parquet", "-o", tmp_path / "out.parquet", table)
    assert done.code == 0, done.err
    given, written = pq.read_table(table), pq.read_table(tmp_path / "out.parquet")
    assert all(written.column(name).equals(given.column(name)) for name in given.column_names)
    assert written.column("_more").null_count == len(SINGLES)


def test_a_number_with_more_digits_than_the_column_holds_goes_beside_it(table, tiny_model, tmp_path):
    """JSON Lines behind Parquet: 0.1 is what the column says of its float32, 0.123456789 would lose digits."""
    (tmp_path / "more.jsonl").write_text('{"text": "Profit fell.", "number": 0.1}\n{"text": "Profit fell.", "number": 0.123456789}\n')
    done = run("tokenize", "--base", tiny_model, "--to", "parquet", "-o", tmp_path / "out.parquet", table, tmp_path / "more.jsonl")
    assert done.code == 0, done.err
    written = pq.read_table(tmp_path / "out.parquet").slice(len(SINGLES)).to_pylist()
    assert [row["number"] for row in written] == [float(np.float32(0.1)), None]
    assert [row["_more"] and json.loads(row["_more"]) for row in written] == [None, {"number": 0.123456789}]
