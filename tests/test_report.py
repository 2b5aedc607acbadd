"""report's flags through the command line, in every format, against a naive count."""

import csv
import json
import random
import re
import resource
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opinion import lines, make_days
from shell import run, shell

from doxa.monitoring.aggregate import aggregate
from doxa.records.conditions import parse_conditions
from doxa.monitoring.settings import Settings
from doxa.records.columns import read_columns
from doxa.records.flat_schema import Wanted
from doxa.records.reader import Source

FORMATS = ["jsonl", "jsonl.gz", "arrow", "parquet", "csv"]


def make_records(n=600, seed=11):
    chance = random.Random(seed)
    return [{"id": i, "text": f"{chance.choice(['Dividend', 'DIVIDEND', 'loan', '分红'])} {i}", "timestamp": f"2026-10-{1 + i % 20:02d}T{i % 24:02d}:00:00Z",
             "source": chance.choice(["reuters", "bot", None]), "retweets": chance.choice([None, 0, 3, 10, 11, 250]),
             "weight": chance.choice([None, 0.5, 1.0, 2.25]), "code": chance.choice(["600036", "000001", "1"]), "verified": chance.choice([True, False, None]),
             "tickers": [["AAPL", "腾讯"], ["AAPL"], [], None, ["腾讯", "腾讯", "MSFT"]][i % 5],
             "prediction": {"topic": {"label": chance.choice(["credit", "deals"]), "score": round(chance.random(), 3)},
                            "sentiment": {"label": chance.choice(["negative", "neutral"]), "score": round(chance.random(), 3)},
                            "tags": {"labels": chance.sample(["a", "b", "c"], chance.randrange(3))}, "rating": {"score": round(chance.gauss(3, 1), 2)}}}
            for i in range(n)]


def write(records, path):
    """Write records without any code of ours."""
    if path.suffix in (".parquet", ".arrow"):
        table = pa.Table.from_pylist(records)
        if path.suffix == ".parquet":
            pq.write_table(table, path)
        else:
            with pa.ipc.new_stream(path, table.schema) as writer:
                writer.write_table(table)
    elif path.suffix == ".csv":
        flat = [{key: json.dumps(value) if isinstance(value, list) else value for key, value in record.items() if key != "prediction"} |
                {f"prediction.{head}.{key}": json.dumps(value) if key == "labels" else value
                 for head, entry in record["prediction"].items() for key, value in entry.items()} for record in records]
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(flat[0]))
            writer.writeheader()
            writer.writerows([{k: str(v).lower() if isinstance(v, bool) else v for k, v in row.items()} for row in flat])
    else:
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
        with pa.CompressedOutputStream(str(path), "gzip") if path.suffix == ".gz" else open(path, "wb") as file:
            file.write(text)
    return path


@pytest.fixture(scope="module")
def records():
    return make_records()


@pytest.fixture(scope="module")
def files(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("formats")
    return {form: write(records, folder / f"records.{form}") for form in FORMATS}


def report(*args, **more):
    done = run("report", "--to", "json", *args, **more)
    assert done.code == 0, done.err
    return json.loads(done.out)


def head(record, name):
    return record["prediction"][name]


CONDITIONS = {
    "topic=credit": lambda r: head(r, "topic")["label"] == "credit",
    "topic!=credit": lambda r: head(r, "topic")["label"] != "credit",
    "source!=bot": lambda r: r["source"] not in (None, "bot"),
    "sentiment.score>=0.8": lambda r: head(r, "sentiment")["score"] >= 0.8,
    "retweets > 10": lambda r: r["retweets"] is not None and r["retweets"] > 10,
    "retweets=10.0": lambda r: r["retweets"] == 10,
    "weight<=1": lambda r: r["weight"] is not None and r["weight"] <= 1,
    "weight!=1": lambda r: r["weight"] not in (None, 1.0),
    "code=1": lambda r: r["code"] == "1",
    "verified=true": lambda r: r["verified"] is True,
    "text~dividend": lambda r: "dividend" in r["text"].lower(),
    "text~分红": lambda r: "分红" in r["text"],
    "tags=a": lambda r: "a" in head(r, "tags")["labels"],
    "tags!=a": lambda r: "a" not in head(r, "tags")["labels"],
    "tickers=AAPL": lambda r: "AAPL" in (r["tickers"] or ()),
    "tickers!=AAPL": lambda r: r["tickers"] is not None and "AAPL" not in r["tickers"],
    "tickers~msf": lambda r: "MSFT" in (r["tickers"] or ()),
    "rating>3.5": lambda r: head(r, "rating")["score"] > 3.5,
    "head:topic=deals": lambda r: head(r, "topic")["label"] == "deals",
    "field:source=reuters": lambda r: r["source"] == "reuters",
    "field:nothing!=1": lambda r: False,
}


@pytest.mark.parametrize("form, as_stored", [*((form, True) for form in FORMATS), ("jsonl", False), ("parquet", False)])  # what is stored otherwise is read otherwise
def test_conditions_in_every_format(files, records, form, as_stored):
    for text, holds in CONDITIONS.items():  # not 90 processes, but what the command calls
        conditions = parse_conditions([text])
        reader = read_columns(Source((str(files[form]),)), Wanted(where=(conditions[0].name,), as_stored=as_stored))
        seen = aggregate(reader, Settings(conditions=conditions, n_examples=0))
        expected = [r for r in records if holds(r)]
        assert (seen.n_good, seen.n_unmet) == (len(expected), len(records) - len(expected)), text
        labels = [head(r, "topic")["label"] for r in expected]
        assert {label: share.hits for label, share in seen.heads[0].labels.items()} == {label: labels.count(label) for label in set(labels)}, text


def test_all_conditions_must_hold_and_the_page_says_so(files, records):
    texts = ["source!=bot", "retweets>0", "topic=credit"]
    seen = report(*(flag for text in texts for flag in ("--where", text)), files["jsonl"])
    expected = [r for r in records if all(CONDITIONS.get(text, lambda r: (r["retweets"] or 0) > 0)(r) for text in texts)]
    assert seen["counted"] == len(expected) > 0 and seen["settings"]["where"] == texts
    assert f"where=source!=bot where=retweets>0 where=topic=credit unmet={len(records) - len(expected)}" in seen["signature"]
    assert f"{len(records) - len(expected)} records are left out by --where source!=bot and retweets>0 and topic=credit" in seen["notes"]
    assert all("--where" in run("report", "--to", kind, "--where", "topic=credit", files["csv"]).out.decode().replace("\\", "")
               for kind in ("terminal", "markdown", "html"))


def test_a_condition_that_nothing_meets_is_told(files):
    seen = report("--where", "topic=Credit", files["jsonl"])
    assert seen["counted"] == 0 and "no record meets --where topic=Credit" in seen["notes"]


@pytest.mark.parametrize("flags, said", [
    (["--where", "topic"], "such as topic=credit"), (["--where", "retweets>many"], "such as retweets>10"), (["--where", "nothing=1"], "no such head or field"),
    (["--where", "tags.score>1"], "no one score"), (["--by", "topic", "--by", "head:topic"], "given twice"), (["--by", "topic.score"], "gives numbers"),
    (["--last", "soon"], "such as 12h"), (["--last", "1d", "--since", "2026-10-01"], "--last"), (["--last", "1d", "--until", "2026-10-01"], "--last")])
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_usage_errors_are_one_line(files, flags, said, form):
    done = run("report", *flags, files[form])
    assert (done.code, done.out, len(done.err_lines)) == (2, b"", 1) and said in done.err


@pytest.mark.parametrize("form", FORMATS)
def test_combined_groups_in_every_format(files, records, form):
    seen = report("--by", "tags", "--by", "source", "--by", "tickers", "--top", "100", files[form])
    expected = Counter((tag, r["source"], ticker) for r in records for tag in head(r, "tags")["labels"] or [None] for ticker in set(r["tickers"] or [None]))
    assert {(g["values"]["tags"], g["values"]["source"], g["values"]["tickers"]): g["n"] for g in seen["groups"]} == expected
    names = {g["name"]: g["values"] for g in seen["groups"] if g["kind"] == "value"}
    assert names["tags=a, source=reuters, tickers=AAPL"] == {"tags": "a", "source": "reuters", "tickers": "AAPL"}
    assert "a text counts in every group that it is in by tags and source and tickers, once in all texts" in seen["notes"]
    assert seen["settings"]["by"] == "tags, source, tickers" and seen["total"]["n"] == len(records) and "by=tags,source,tickers " in seen["signature"]


@pytest.mark.parametrize("late", [False, True], ids=["beside each other", "behind the first batch"])
def test_what_fits_no_column_is_read_from_csv_and_parquet_as_from_lines(tmp_path, tiny_model, late):
    """The first records decide the columns; what is of another type, or comes later, stands in the column `_more`."""
    odd = [{"src": 7, "tickers": ["AA", "BB"]}, {"src": "7", "tickers": "AA", "new": "x"}, {"src": None, "tickers": ["BB"], "new": 3}]
    usual = [{"src": "X", "tickers": ["AA"]}] * (4200 if late else 1)
    records = [{"id": i, "text": "late", "topic": "credit"} | fields for i, fields in enumerate([*usual, *odd])]
    found = {}
    for kind in ("jsonl", "csv", "parquet"):
        done = run("predict", "-q", "--engine", "torch", "--model", tiny_model, "--output", tmp_path / f"out.{kind}", stdin=lines(records))
        assert done.code == 0, done.err
        seen = [report("--top", "9", *flags, tmp_path / f"out.{kind}") for flags in (
            ("--by", "tickers", "--by", "src"), ("--where", "tickers=AA"), ("--by", "field:new"), ("--where", "field:new!=x"))]
        judged = json.loads(run("evaluate", "--to", "json", "--gold", "topic=topic", "--head", "topic", "--where", "field:src=7", tmp_path / f"out.{kind}").out)["judged"]
        found[kind] = [[one["counted"], [(group["values"], group["n"]) for group in one["groups"]]] for one in seen], judged
    assert found["csv"] == found["parquet"] == found["jsonl"]
    assert found["csv"][0][1][0] == len(usual) + 2 and found["csv"][1] == 2


def test_another_programs_column_of_the_name_is_a_field(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text('id,_more,prediction.s.label\n1,see below,a\n2,"[1]",b\n3,{broken,a\n')
    assert [group["n"] for group in report("--by", "field:_more", path)["groups"]] == [1, 1, 1]


def typed(table, zone="UTC"):
    """With whole numbers as ids, instants as times and texts in dictionaries."""
    table = table.set_column(0, "id", table.column("id").cast(pa.int64()))
    place = table.schema.get_field_index("timestamp")
    table = table.set_column(place, "timestamp", table.column("timestamp").cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("ms", zone)))
    return table.set_column(table.schema.get_field_index("text"), "text", table.column("text").dictionary_encode())


STORED = {
    "plain": lambda table, path: pq.write_table(table, path, use_dictionary=False),
    "one dictionary": lambda table, path: pq.write_table(table, path),
    "many dictionaries": lambda table, path: pq.write_table(table, path, row_group_size=97),
    "a dictionary of texts": lambda table, path: pq.write_table(table, path, use_dictionary=["text"], row_group_size=500),
    "types": lambda table, path: pq.write_table(typed(table), path, row_group_size=1000),
    "types in a zone": lambda table, path: pq.write_table(typed(table, "Asia/Shanghai"), path),
    "large texts": lambda table, path: pq.write_table(table.cast(pa.schema([
        field.with_type(pa.large_string()) if field.type == pa.string() else field for field in table.schema])), path),
}
ODD_TIMES = ["2026-10-03T07:00:00", "2026-10-03 08:00:00.5+02:00", "yesterday", None, "1760000000", "2026-10-03T09:00:00.123456789Z", "0001-01-01T00:00:00Z"]
WAYS = ("--by source --by tags --where text~dividend --assume-time-zone Asia/Shanghai --every 1d", "--by text --since 2026-10-03 --where source!=bot --examples 0",
        "--last 3d --by field:retweets --watch tags=a", "--false-alarms 1/week --watch topic=deals --where id!=17", "--time-field text --by id --top 3")



def stored_records(is_odd):
    """Some ids and many texts are there twice; of odd ones some lack what others have."""
    records = make_records(2000, 3)
    for i, record in enumerate(records):
        record |= {"id": str(i % 1900), "text": f"{record['text'].split()[0]} {i % 23}", "error": None}
        if is_odd and i % 3 == 0:
            record["timestamp"] = ODD_TIMES[i // 3 % len(ODD_TIMES)]
        if is_odd and i % 50 == 1:
            record["text"] = record["source"] = None
        if is_odd and i % 70 == 2:
            record["prediction"]["sentiment"] = None
        if is_odd and i % 90 == 3:
            record |= {"error": {"code": "empty_text"}, "prediction": None}
    return records


@pytest.fixture(scope="module")
def told_of_lines(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "lines.jsonl"
    told = {}
    for is_odd in (False, True):
        path.write_bytes(lines(stored_records(is_odd)))
        told[is_odd] = [run("report", "--to", "json", *way.split(), path) for way in WAYS]
    return told


QUICK = ("many dictionaries", "a dictionary of texts", "types")  # what the other ways read, these read as well


@pytest.mark.parametrize("stored, is_odd", [("many dictionaries", False), *(
    pytest.param(stored, "types" not in stored, marks=() if stored in QUICK else pytest.mark.slow) for stored in STORED)])
def test_what_is_stored_in_dictionaries_and_numbers_counts_as_its_texts(tmp_path, told_of_lines, stored, is_odd):
    names = ["id", "timestamp", "text", "source", "retweets", "prediction", "error"]
    table = pa.Table.from_pylist([{name: record[name] for name in names} for record in stored_records(is_odd)], pa.schema(
        [(name, pa.string()) for name in names[:4]] + [("retweets", pa.int64()), pa.Table.from_pylist(make_records(9)).schema.field("prediction"),
                                                      ("error", pa.struct([("code", pa.string())]))]))
    STORED[stored](table, tmp_path / "stored.parquet")
    for way, expected in zip(WAYS, told_of_lines[is_odd]):
        done = run("report", "--to", "json", *way.split(), tmp_path / "stored.parquet")
        assert (done.code, done.err) == (expected.code, expected.err.replace("lines.jsonl", "stored.parquet"))
        assert settled(json.loads(done.out)) == settled(json.loads(expected.out)), way


@pytest.mark.parametrize("flags", ["", "--last 30d", "--false-alarms 1/week"])
def test_an_id_is_known_again_however_it_is_stored(tmp_path, flags):
    records = stored_records(False)[:500]
    STORED["types"](pa.Table.from_pylist(records), tmp_path / "a.parquet")
    STORED["many dictionaries"](pa.Table.from_pylist(records), tmp_path / "b.parquet")
    (tmp_path / "c.jsonl").write_bytes(lines([{**record, "id": int(record["id"])} for record in records]))
    seen = report(*flags.split(), "--where", "text~loan", *(tmp_path / name for name in ("a.parquet", "b.parquet", "c.jsonl")))
    n = sum("loan" in record["text"] for record in records)
    assert (seen["counted"], seen["duplicate_ids"]) == (3 * n, 2 * n)


def test_a_prediction_that_is_a_text_is_told_also_from_a_dictionary(tmp_path):
    pq.write_table(pa.table({"id": range(900), "prediction": ["{}"] * 900}), tmp_path / "a.parquet")
    done = run("report", tmp_path / "a.parquet")
    assert done.code == 2 and len(done.err_lines) == 1 and 'the column "prediction" holds texts' in done.err


def settled(page):
    """Without how a time was written, which an instant does not keep, and without the last digits of a mean, which depend on the portions."""
    if isinstance(page, dict):
        return {key: settled(value) for key, value in page.items() if key != "timestamp"}
    return [settled(value) for value in page] if isinstance(page, list) else round(page, 9) if isinstance(page, float) else page


@pytest.mark.parametrize("form", FORMATS)
def test_last_is_since_the_latest_time_whatever_the_way_in(files, records, form):
    flags = ["--every", "1d", "--by", "source"]
    seen = report("--last", "3d", *flags, files[form])
    times = sorted(r["timestamp"] for r in records)
    assert times[-1] == "2026-10-20T23:00:00Z" and seen["last"].startswith("2026-10-20T23")
    assert seen["counted"] == sum(time > "2026-10-17T23:00:00Z" for time in times) and seen["outside"] == len(times) - seen["counted"]
    piped = report("--last", "3d", *flags, *(["--from", "csv"] if form == "csv" else []), stdin=files[form].read_bytes())
    assert piped == seen
    bounded = report("--since", seen["settings"]["since"], "--until", seen["settings"]["until"], *flags, files[form])
    for page in (seen, bounded):
        for key in ("signature", "notes", "settings"):
            page.pop(key)
    assert seen == bounded


def test_last_reads_several_files_and_keeps_no_copy(files, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    seen = report("--last", "1d", files["jsonl"], files["parquet"], env={"TMPDIR": str(spool)})
    assert seen["records"] == 1200 and list(spool.iterdir()) == []


def test_a_full_disk_under_last_is_one_clear_line(tmp_path):
    path = write(make_records(20_000), tmp_path / "many.jsonl")
    done = run("report", "--last", "1d", path, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert (done.code, done.out, len(done.err_lines)) == (1, b"", 1) and "TMPDIR" in done.err


def test_last_and_where_work_together_in_a_pipe(files, records):
    done = shell(f"cat {files['jsonl']} | report --last 2d --where source=bot --where 'sentiment.score>=0.5' --by topic --by source --to csv")
    rows = list(csv.DictReader(done.out.decode().splitlines()))
    expected = [r for r in records if r["timestamp"] > "2026-10-18T23:00:00Z" and r["source"] == "bot" and head(r, "sentiment")["score"] >= 0.5]
    assert done.code == 0 and sum(int(row["n"]) for row in rows if row["kind"] == "all") == len(expected) > 0
    assert {row["by.source"] for row in rows if row["kind"] == "value"} == {"bot"}


CALM = {"credit": (40, 0.3), "merger": (25, 0.2)}
MOVED = make_days(0, 40, CALM) + make_days(40, 42, CALM | {"credit": (40, 0.8)}, author="one voice <b>") + make_days(42, 50, CALM)


@pytest.mark.parametrize("to", ["terminal", "markdown", "html", "json"])
def test_false_alarms_mark_what_alert_would_have_told(tmp_path, to):
    path = tmp_path / "archive.jsonl"
    path.write_bytes(lines(MOVED))
    page = run("report", "--every", "1d", "--false-alarms", "1/year", "--to", to, path).out.decode()
    told = [json.loads(line) for line in run("alert", "--backtest", "--every", "1d", "--false-alarms", "1/year", "--to", "jsonl", path).lines]
    alerts = [line for line in told if line["kind"] == "alert"]
    assert [line.get("series") for line in alerts if line["measure"] == "share"].count("credit") == 1
    ends = {line["alert"]: line for line in told if line["kind"] == "resolved"}
    if to == "json":
        found = json.loads(page)["alerts"]
        assert [line["id"] for line in found] == [line["id"] for line in alerts] and [line["end"] and line["end"]["id"] for line in found] == [
            ends[line["id"]]["id"] if line["id"] in ends else None for line in alerts]
        return
    page = " ".join(page.split())
    assert "What moved" in page and "One author, one voice" in page and ("<b>" in page) == (to == "terminal")
    assert page.count("by chance once in") == len(alerts) and page.count("usual again from") == len(ends) > 0
    if to == "html":
        with_alerts = len({one.get("series") for line in alerts for one in (line, *line.get("covers", ()))})
        assert page.count('class="marks"') == with_alerts and "Alerts: share from 2026-02-14 00:00" in page


def test_alerts_stand_in_csv_where_they_are(tmp_path):
    path = tmp_path / "archive.jsonl"
    path.write_bytes(lines(MOVED))
    flags = ("--every", "1d", "--false-alarms", "1/year")
    table = list(csv.DictReader(run("report", *flags, "--to", "csv", path).out.decode().splitlines()))
    page = report(*flags, path)
    told = {(alert.get("series"), alert["measure"], alert["since"][:10]) for alert in page["alerts"] if alert["kind"] == "alert"}
    assert told and told <= {(row["group"] if row["kind"] == "value" else None, measure, row["start"][:10]) for row in table for measure in row["alerts"].split()}
    assert sum(bool(row["alerts"]) for row in table) < len(table) / 4 and "alerts" not in run("report", "--to", "csv", path).out.decode().splitlines()[0]


def test_overlapping_groups_that_are_not_shown_are_told_and_not_summed(tmp_path):
    chance = random.Random(4)
    records = [{"text": f"t {i}", "prediction": {"tags": {"labels": chance.sample([f"l{k}" for k in range(40)], 4)}}} for i in range(300)]
    (tmp_path / "many.jsonl").write_bytes(lines(records))
    page = report("--by", "tags", tmp_path / "many.jsonl")
    sizes = sorted((sum(f"l{k}" in record["prediction"]["tags"]["labels"] for record in records) for k in range(40)), reverse=True)
    assert [group["n"] for group in page["groups"]] == sizes[:20]
    assert f"20 more groups are not shown, none of more than {sizes[20]} texts; see --top" in page["notes"]
    for kind in ("terminal", "markdown", "html", "csv"):
        assert run("report", "--by", "tags", "--to", kind, tmp_path / "many.jsonl").code == 0


def test_a_text_that_is_told_over_and_over_is_among_the_examples_of_its_group(tmp_path):
    records = [record | {"source": "a"} for record in make_days(0, 4, {"credit": (60, 0.3)})]
    rumour = "The bank will close its doors on Friday, a friend who works there says"
    for i, record in enumerate(records[::6]):
        record["text"], record["prediction"]["sentiment"]["score"] = f"{rumour}{'!' * (i % 3)} {i}", 0.2
    records += [record | {"id": f"b{i}", "source": "b"} for i, record in enumerate(records[::6][:3])]
    (tmp_path / "rumour.jsonl").write_bytes(lines(records))
    page = report("--by", "source", "--every", "1d", tmp_path / "rumour.jsonl")
    told = {group["name"]: [(example["why"], example["count"]) for example in group["examples"] if rumour in example["text"]] for group in page["groups"]}
    n = len(records[:-3][::6])
    assert told["a"][0][0] == "told most often" and n / 2 < told["a"][0][1] <= n
    assert [count for _, count in told["b"]] == [3]


def test_what_moved_is_told_of_the_last_days_alone_by_all_that_went_before(tmp_path):
    path = tmp_path / "archive.jsonl"
    path.write_bytes(lines(MOVED))
    for flags, n_least, n_most in ((("--last", "12d"), 1, 9), (("--since", "2026-02-18"), 0, 0)):
        alerts = json.loads(run("report", "--every", "1d", "--false-alarms", "1/year", *flags, "--to", "json", path).out)["alerts"]
        assert n_least <= len([line for line in alerts if line.get("series") == "credit"]) <= n_most, flags


@pytest.mark.parametrize("time, says", [(None, "no record has a time in the field that is read"), ("2026-10-01T09:00:00", "the times have no zone"), ("soon", "no time can be read")])
def test_the_last_of_records_without_a_time_is_refused_and_says_why(tmp_path, time, says):
    records = [{"id": i, "text": "x", "prediction": {"topic": {"label": "credit", "score": 0.9}}} | ({"timestamp": time} if time else {}) for i in range(3)]
    done = run("report", "--last", "3d", "-o", tmp_path / "page.html", stdin=lines(records))
    assert done.code == 1 and says in done.err and len(done.err_lines) == 1 and not (tmp_path / "page.html").exists()
    assert run("report", "--last", "3d", stdin=b"").code == 0


@pytest.mark.parametrize("to", ["terminal", "markdown", "html"])
def test_labels_of_which_nothing_is_to_be_seen_are_seen_everywhere(tmp_path, to):
    """In the table of the head, in that of the groups and above their texts."""
    records = [{"id": i, "text": "x", "timestamp": f"2026-10-0{1 + i}T09:00:00Z", "prediction": {"topic": {"label": label, "score": 0.9}}}
               for i, label in enumerate(["", "  ", "credit"])]
    page = run("report", "--to", to, stdin=lines(records)).out.decode().replace("\\", "").replace("&#34;", '"')
    assert page.count("(empty)") >= 3 and len(re.findall('" +"', page)) >= 3
    assert not [line for line in page.splitlines() if line.strip() == "##" or line.startswith("|  |")] and "<h3></h3>" not in page and '<th scope="row"></th>' not in page


def test_nothing_moved(tmp_path):
    done = run("report", "--every", "1d", "--false-alarms", "1/year", stdin=lines(make_days(0, 30, CALM)))
    assert done.code == 0 and "nothing beyond the usual" in done.out.decode()
    assert run("report", "--false-alarms", "now and then", stdin=lines(MOVED[:50])).code == 2


@pytest.mark.parametrize("kind", ["terminal", "markdown", "html"])
def test_a_label_without_end_is_shortened_for_people(tmp_path, kind):
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps({"text": "t", "timestamp": "2026-01-01T00:00:00Z", "prediction": {name: {"label": "L" * 50_000, "score": 0.5} for name in ("topic", "sentiment")}})
                            + "\n" for _ in range(3)))
    done = run("report", "--to", kind, path)
    assert done.code == 0 and "L" * 79 + "…" in done.out.decode().replace("\n", "").replace(" ", "") and "L" * 500 not in done.out.decode().replace("\n", "").replace(" ", "")
    assert "L" * 50_000 in run("report", "--to", "json", path).out.decode()


def test_semicolons_and_tabs_stand_for_commas_and_other_encodings_are_told(tmp_path):
    path, expected = tmp_path / "in.csv", []
    for mark in ",;\t":
        path.write_text(f"text{mark}prediction.sentiment.label{mark}prediction.sentiment.score\n" + f"a{mark}negative{mark}0.5\n" * 3)
        expected.append(json.loads(run("report", "--to", "json", path).out)["heads"])
    assert expected[0] == expected[1] == expected[2] and expected[0]["sentiment"]["n"] == 3
    for encoding, said in (("utf-16", "iconv -f UTF-16"), ("latin-1", "is not UTF-8")):
        path.write_text("größe,prediction.sentiment.label\na,negative\n", encoding=encoding)
        done = run("report", path)
        assert done.code == 1 and said in done.err and done.err.count("\n") == 1


def test_a_window_without_length_is_refused(files):
    done = run("report", "--since", "2026-02-01", "--until", "2026-01-01", files["jsonl"])
    assert done.code == 2 and "nothing lies between" in done.err
