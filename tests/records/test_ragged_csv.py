"""Rows of CSV with more or fewer values than the header: errors in their place, and no other row is lost."""

import json

import pytest
from shell import run


def make_csv(n: int, is_ragged) -> bytes:
    """Texts hold line ends and commas, so that rows are not lines."""
    return b"id,text\n" + b"".join(b"%d\n" % i if is_ragged(i) else b'%d,"text %d,\n%s"\n' % (i, i, b"x" * (i % 50)) for i in range(n))


@pytest.mark.parametrize("is_ragged", [lambda i: i == 0, lambda i: i in (3, 4), lambda i: i == 2999, lambda i: i % 7 == 5, lambda i: True, lambda i: False],
                         ids=["first", "two", "last", "many", "all", "none"])
def test_ragged_rows_are_errors_in_their_place(is_ragged, tiny_model, tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(make_csv(3000, is_ragged))
    done = run("tokenize", "--model", tiny_model, "-q", path)
    assert done.code == (1 if is_ragged(2998) and is_ragged(0) else 0 if not any(map(is_ragged, range(3000))) else 3)
    records = [json.loads(line) for line in done.lines]
    assert len(records) == 3000
    for i, record in enumerate(records):
        if is_ragged(i):
            assert record["error"] == {"code": "ragged_row", "message": "the row has 1 value, not 2 as the header", "line": i + 1} and record["raw"] == str(i)
        else:
            assert record["id"] == str(i) and record["text"] == f"text {i},\n{'x' * (i % 50)}"


def test_across_the_blocks_that_are_read(tiny_model):
    """Rows that are passed by are known a block ahead of the good ones beside them."""
    text = b"y" * 30_000
    rows = [b"%d,%s\n" % (i, text) if i % 3 else b"%d,a,b\n" % i for i in range(600)]  # 12 MB
    done = run("tokenize", "--model", tiny_model, "--from", "csv", "-q", stdin=b"id,text\n" + b"".join(rows))
    assert done.code == 3
    assert [record.get("raw", record.get("id")) for record in map(json.loads, done.lines)] == [str(i) if i % 3 else f"{i},a,b" for i in range(600)]


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_those_who_count_count_them_as_errors(command):
    done = run(command, "--from", "csv", "--to", "json", stdin=b"k,prediction.k.label\na,a\nb\nb,a\nc,c,c\n")
    found = json.loads(done.out)
    assert found["records"] == 4 and found["errors"] == {"ragged_row": 2}


def test_a_first_row_that_is_ragged_hides_no_column():
    done = run("evaluate", "--from", "csv", "--to", "json", stdin=b"k,prediction.k.label\nb\na,a\nb,a\n")
    assert json.loads(done.out)["heads"]["k"]["n"] == 2


def test_a_column_that_is_there_twice_is_named(tiny_model):
    done = run("predict", "--model", tiny_model, "--from", "csv", stdin=b"text,text\na,b\n")
    assert (done.code, done.out) == (1, b"") and 'several columns "text"' in done.err and len(done.err_lines) == 1


def test_another_encoding_is_named(tiny_model):
    done = run("predict", "--model", tiny_model, "--from", "csv", stdin=b"id,text\n1,caf\xe9\n")
    assert done.code == 1 and "the CSV file is not UTF-8; convert it with: iconv" in done.err
