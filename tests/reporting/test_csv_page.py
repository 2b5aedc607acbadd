"""report --to csv: the numbers of the trend, harmless in a spreadsheet."""

import csv
import io
import json

import pytest
from shell import run

DANGEROUS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "=cmd|' /C calc'!A0"]


def page(records, *flags):
    done = run("report", "--to", "csv", *flags, stdin="".join(json.dumps(record) + "\n" for record in records).encode())
    assert done.code == 0, done.err
    return list(csv.DictReader(io.StringIO(done.out.decode(), newline=""))), done


def record(i, label="negative", **more):
    return {"id": i, "text": f"text {i}", "timestamp": f"2026-10-0{1 + i % 3}T09:00:00Z", "source": "wire",
            "prediction": {"sentiment": {"label": label, "score": 0.9}}} | more


def test_a_row_for_each_group_and_bucket():
    records = [record(i, "negative" if i < 4 else "neutral", source="ab"[i % 2]) for i in range(12)]
    rows, done = page(records, "--by", "source", "--every", "1d")
    assert [(row["group"], row["kind"]) for row in rows[::3]] == [("all texts", "all"), ("a", "value"), ("b", "value")]
    figures = json.loads(run("report", "--to", "json", "--by", "source", "--every", "1d", stdin=b"".join(json.dumps(r).encode() + b"\n" for r in records)).out)
    expected = [(bucket["start"], bucket["end"], bucket["complete"], bucket["n"], *(bucket["watched"][key] for key in ("n", "hits", "share", "low", "high")))
                for group in (figures["total"], *figures["groups"]) for bucket in group["trend"]]
    seen = [(row["start"], row["end"], row["complete"] == "true", int(row["n"]), int(row["judged"]), int(row["watched"]),
             *(float(row[key]) for key in ("share", "low", "high"))) for row in rows]
    assert seen == expected and [row["complete"] for row in rows[:3]] == ["true", "true", "false"]


def test_the_first_row_says_how_the_figures_were_made():
    rows, _ = page([record(i, source="ab"[i % 2]) for i in range(4)], "--by", "source", "--where", "source=a")
    assert rows[0]["signature"].startswith("doxa ") and "source=a" in rows[0]["signature"] and not any(row["signature"] for row in rows[1:])


def test_an_empty_bucket_has_no_share():
    rows, _ = page([record(0), record(2)], "--every", "1d")
    assert (rows[1]["n"], rows[1]["judged"], rows[1]["share"], rows[1]["low"]) == ("0", "0", "", "")


def test_a_cell_never_begins_a_formula():
    rows, done = page([record(i, source=text) for i, text in enumerate(DANGEROUS)], "--by", "source", "--every", "3mo")
    names = [row["group"] for row in rows if row["kind"] == "value"]
    assert len(names) == len(DANGEROUS) and all(name.startswith("'") for name in names) and "'=1+1" in names
    assert all(name[1:].startswith(tuple(DANGEROUS)) or name == "'\\x0d=1" for name in names)
    assert not set(b"\x1b\r") & set(done.out)


def test_columns_of_a_combination_are_safe_too():
    rows, _ = page([record(0, source="=1", **{"@lang": "+2"})], "--by", "source", "--by", "@lang")
    assert rows[-1]["by.source"] == "'=1" and rows[-1]["by.@lang"] == "'+2" and rows[-1]["group"] == "source==1, @lang=+2"
    assert (rows[0]["kind"], rows[0]["by.source"]) == ("all", "")


@pytest.mark.parametrize("records", [[], [{"error": {"code": "empty_text", "message": "m"}}, record(0, timestamp=None)]])
def test_without_times_or_records(records):
    rows, done = page(records, "--by", "field:source")
    assert [(row["group"], row["start"], row["n"]) for row in rows] == ([("all texts", "", "1"), ("wire", "", "1")] if records else [])
    assert done.out.startswith(b"group,kind,start,end,complete,n,judged,watched,share,low,high" + (b",label.negative" if records else b"") + b",signature\n")


def test_notes_go_to_stderr_and_the_suffix_chooses(tmp_path):
    rows, done = page([record(0), record(1)], "--where", "id=1")
    assert "1 record is left out by --where id=1" in done.err and rows[0]["n"] == "1"
    target = tmp_path / "page.csv"
    quiet = run("report", "-q", "--where", "id=1", "-o", target, stdin=json.dumps(record(0)).encode())
    assert (quiet.code, quiet.err) == (0, "") and target.read_bytes().startswith(b"group,kind,")


def test_every_label_has_its_trend():
    records = [record(i, ("negative", "neutral", "=positive")[i * i % 3 if i % 7 else 2], source="ab"[i % 2]) for i in range(60)]
    rows, _ = page(records, "--by", "source", "--every", "1d")
    figures = json.loads(run("report", "--to", "json", "--by", "source", "--every", "1d", stdin=b"".join(json.dumps(r).encode() + b"\n" for r in records)).out)
    told = [bucket["labels"] for group in (figures["total"], *figures["groups"]) for bucket in group["trend"]]
    for row, labels in zip(rows, told, strict=True):
        expected = {}
        for r in records:
            if r["timestamp"][:10] == row["start"][:10] and (row["kind"] == "all" or r["source"] == row["group"]):
                expected[r["prediction"]["sentiment"]["label"]] = expected.get(r["prediction"]["sentiment"]["label"], 0) + 1
        assert labels == expected
        assert {name: int(row[f"label.{name}"]) for name in ("negative", "neutral", "=positive")} == {"negative": 0, "neutral": 0, "=positive": 0} | expected
        assert int(row["watched"]) == int(row["label.negative"])


def test_labels_stand_where_nothing_has_a_time_and_where_groups_overlap():
    rows, _ = page([record(i, timestamp=None, prediction={"sentiment": {"label": "negative", "score": 0.5}, "tags": {"labels": ["x", "y"], "scores": {}}}) for i in range(4)],
                   "--by", "tags")
    assert [(row["group"], row["n"], row["label.negative"]) for row in rows] == [("all texts", "4", "4"), ("x", "4", "4"), ("y", "4", "4")]
