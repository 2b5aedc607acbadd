"""alert, as a cron job runs it: real processes over one state file."""

import datetime as dt
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from opinion import START, lines, make_days, make_hours
from shell import end, run, shell, start

CALM = {"credit": (40, 0.3), "merger": (25, 0.2), "earnings": (60, 0.25)}
LEARNT = make_days(0, 40, CALM)
STRICT = ("--every", "1d", "--false-alarms", "1/year")


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A state that has learnt 40 calm days."""
    path = tmp_path_factory.mktemp("alert") / "learnt.db"
    done = run("alert", "--state", path, *STRICT, stdin=lines(LEARNT))
    assert (done.code, done.out) == (0, b"") and "alerts begin with the next run" in done.err
    return path


@pytest.fixture
def state(learnt, tmp_path):
    path = tmp_path / "monitor.db"
    path.write_bytes(learnt.read_bytes())
    return path


def told(state, records, *flags, code=0, err=""):
    """Feed records; return the lines told."""
    done = run("alert", "--state", state, "--to", "jsonl", *flags, stdin=lines(records) if isinstance(records, list) else records)
    assert done.code == code, done.err
    assert err in done.err
    return [json.loads(line) for line in done.lines if line]


def rows(state, query: str) -> list:
    with sqlite3.connect(state) as database:
        return database.execute(query).fetchall()


def counted(state) -> list:
    return rows(state, "SELECT name, bucket, n, judged, watched FROM counts JOIN series ON series.id = counts.series ORDER BY 1, 2")


BURST = CALM | {"credit": (40, 0.75)}
FLOOD = CALM | {"merger": (150, 0.2)}


def test_calm_days_are_silent(state):
    done = run("alert", "--state", state, stdin=lines(make_days(40, 55, CALM)))
    assert (done.code, done.out, done.err) == (0, b"", "")


def test_a_burst_is_told_once_and_resolved(state):
    lines_told = told(state, make_days(40, 42, BURST) + make_days(42, 48, CALM))
    assert [(line["kind"], line.get("series"), line.get("measure")) for line in lines_told if line.get("series") == "credit"] == [
        ("alert", "credit", "share"), ("resolved", "credit", "share")]
    alert = next(line for line in lines_told if line["kind"] == "alert" and line.get("series") == "credit")
    assert alert["since"] == "2026-02-14T00:00:00+00:00" and alert["watch"] == "sentiment=negative"
    assert alert["hits"] / alert["n"] == pytest.approx(alert["observed"]) and alert["observed"] > alert["high"] > alert["expected"] > alert["low"]
    assert 0.2 < alert["expected"] < 0.4 and alert["p"] < 1e-4 and alert["recurrence_s"] > 365 * 86_400
    negative = {record["id"] for record in make_days(40, 42, BURST) if record["prediction"]["sentiment"]["label"] == "negative"}
    assert len(alert["examples"]) == 3 and set(alert["examples"]) <= negative
    resolved = next(line for line in lines_told if line["kind"] == "resolved" and line.get("series") == "credit")
    assert resolved["alert"] == alert["id"] == "topic=credit|share|2026-02-14T00:00:00+00:00"
    during = [record["prediction"]["sentiment"]["label"] for record in make_days(40, 42, BURST) + make_days(42, 48, CALM)
              if record["prediction"]["topic"]["label"] == "credit" and resolved["since"] <= record["timestamp"] < resolved["until"]]
    assert (resolved["hits"], resolved["n"]) == (during.count("negative"), len(during)) and 0.2 < resolved["expected"] < 0.4
    assert f"{resolved['hits']} of {resolved['n']} texts in that time, {resolved['observed']:.1%}, about {resolved['expected']:.1%} is usual" in resolved["text"]


def test_what_is_told_of_a_bucket_under_way_is_what_its_time_holds(state):
    """`until` is the first second that is no part of it, as everywhere."""
    part = [record for record in make_days(40, 41, BURST) if record["timestamp"][11:13] < "15"]
    (line,) = [line for line in told(state, part) if line["kind"] == "alert" and line.get("series") == "credit"]
    inside = [record for record in part if record["prediction"]["topic"]["label"] == "credit" and line["since"] <= record["timestamp"] < line["until"]]
    assert len(inside) == line["n"] and line["until"][:13] == "2026-02-14T14"


def test_more_texts_are_told_as_such(state):
    alerts = [line for line in told(state, make_days(40, 42, FLOOD)) if line["kind"] == "alert"]
    merger = next(line for line in alerts if line.get("series") == "merger")
    assert merger["measure"] == "volume" and merger["observed"] > 100 > merger["high"]
    everything = [line for line in alerts if "series" not in line]
    assert not everything or any(cause.get("name") == "merger" for cause in everything[0]["causes"])


def test_a_sentence_a_line(state):
    done = run("alert", "--state", state, stdin=lines(make_days(40, 42, BURST)))
    sentence = next(line for line in done.out.decode().splitlines() if line.startswith("ALERT topic=credit"))
    assert "texts are sentiment=negative" in sentence and "is usual" in sentence and "by chance once in" in sentence


def test_the_same_input_twice_changes_nothing(state):
    burst = make_days(40, 43, BURST)
    first, before = told(state, burst), None
    assert first
    before = counted(state)
    assert told(state, burst) == [] and counted(state) == before
    without_ids = [{name: value for name, value in record.items() if name != "id"} for record in make_days(43, 44, CALM, seed=9)]
    told(state, without_ids)
    before = counted(state)
    assert told(state, without_ids) == [] and counted(state) == before


def test_order_and_portions_do_not_change_the_counts(state, learnt, tmp_path):
    records = make_days(40, 43, CALM)
    other = tmp_path / "other.db"
    other.write_bytes(learnt.read_bytes())
    told(state, records)
    shuffled = random.Random(3).sample(records, len(records))
    for part in range(5):
        told(other, shuffled[part::5])
    assert counted(other) == counted(state)


def test_overlapping_feeds_are_counted_once(state):
    records = make_days(40, 43, CALM)
    for i in range(0, len(records), 120):
        told(state, records[max(0, i - 60) : i + 120])
    assert sum(n for name, _, n, *_ in counted(state) if name is None) == len(LEARNT) + len(records)


QUIET = {name: truth for name, truth in CALM.items() if name != "merger"}


def test_a_series_that_falls_silent_is_told_once_and_when_it_is_heard_again(state, tmp_path):
    page = tmp_path / "doxa.prom"
    (line,) = told(state, make_days(40, 42, QUIET), "--silent", "1d", "--fail", "--prometheus", page, code=4, err="1 alert")
    assert (line["kind"], line["series"], line["since"][:10], line["until"][:10]) == ("silent", "merger", "2026-02-14", "2026-02-15")
    assert line["expected"] == pytest.approx(25, rel=0.3) and (line["observed"], line["longest"]) == (0, 0)
    assert 'doxa_alert_open{series="merger",measure="silence"} 1' in page.read_text()
    assert "silence since 2026-02-14" in run("alert", "--state", state, "--show").out.decode()
    assert told(state, make_days(42, 44, QUIET), "--fail") == []  # the state knows the flag, and who is silent
    (line,) = told(state, make_days(44, 46, CALM))
    assert (line["kind"], line["reason"], line["alert"]) == ("resolved", "heard again", "topic=merger|silent|2026-02-14T00:00:00+00:00")
    assert line["until"][:10] == "2026-02-18" and line["expected"] == pytest.approx(100, rel=0.3)
    assert "silence since" not in run("alert", "--state", state, "--show").out.decode()
    assert rows(state, "SELECT name, until IS NULL FROM silences JOIN series ON series.id = silences.series") == [("merger", 0)]


def test_what_nobody_asked_for_is_not_told_to_be_silent(state):
    assert told(state, make_days(40, 44, QUIET)) == []
    assert told(state, make_days(44, 46, QUIET), "--silent", "0") == []


def test_a_feed_that_was_away_silences_no_series(state):
    lines_told = told(state, make_days(44, 46, CALM), "--silent", "1d")
    assert [(line["kind"], line.get("series")) for line in lines_told] == [("silent", None), ("resolved", None)]
    assert lines_told[-1]["until"][:10] == "2026-02-18"


def test_a_series_with_pauses_of_its_own_is_silent_beyond_them(tmp_path):
    """It writes on four days of eight, whatever the weekday; only a pause three times as long is one to tell."""
    topics = {"credit": (60, 0.3), "letter": (30, 0.2)}
    days = [record for day in range(48) for record in make_days(day, day + 1, topics) if record["prediction"]["topic"]["label"] == "credit" or day % 8 < 4]
    told_of_all = told(tmp_path / "monitor.db", days[: len(days) // 2], *STRICT, "--silent", "2d") + told(tmp_path / "monitor.db", days[len(days) // 2 :])
    assert [line for line in told_of_all if line["kind"] == "silent"] == []
    (line,) = [line for line in told(tmp_path / "monitor.db", make_days(48, 72, {"credit": (60, 0.3)})) if line["kind"] == "silent"]
    assert line["series"] == "letter" and line["expected"] >= 3 * line["longest"] > 30


def test_a_late_record_ends_a_silence_that_was_none(state):
    (line,) = told(state, make_days(40, 42, QUIET), "--silent", "1d")
    late = [record for record in make_days(40, 41, CALM) if record["prediction"]["topic"]["label"] == "merger"][:1]
    (end,) = told(state, late)
    assert (end["kind"], end["alert"], end["until"][:10]) == ("resolved", line["id"], "2026-02-14")


def test_the_day_under_way_is_judged_by_its_hours(state):
    """In the evening of the first day, long before it is over."""
    noon = (START.replace(hour=18)).isoformat()[10:]
    flood = [record for record in make_days(40, 41, FLOOD) if record["timestamp"][10:] < noon]
    alerts = [line for line in told(state, flood) if line["kind"] == "alert"]
    assert any(line.get("series") == "merger" and line["until"] < "2026-02-14T18" for line in alerts)


def test_a_thin_morning_is_no_alert(state):
    records = make_days(40, 41, CALM)
    for i in range(0, len(records), 25):
        assert told(state, records[i : i + 25]) == []


def test_late_records_go_to_their_own_day_and_may_withdraw_an_alert(state):
    day = make_days(40, 41, BURST)
    early = [record for record in day if record["prediction"]["topic"]["label"] != "credit" or record["prediction"]["sentiment"]["label"] == "negative"]
    alerts = told(state, early + make_days(41, 42, CALM)[:5])
    assert any(line["kind"] == "alert" and line.get("series") == "credit" and line["measure"] == "share" for line in alerts)
    late = [record | {"id": f"late-{i}", "prediction": record["prediction"] | {"sentiment": {"label": "neutral", "score": 0.9}}}
            for i, record in enumerate(r for r in make_days(40, 41, {"credit": (70, 0.0)}, seed=4))]
    again = told(state, late)
    assert ("withdrawn", "credit") in [(line["kind"], line.get("series")) for line in again]


def test_a_series_that_comes_up_is_told_as_new_and_not_as_a_spike(state):
    coming = make_days(40, 45, CALM | {"fraud": (80, 0.9)})
    lines_told = told(state, coming)
    (new,) = [line for line in lines_told if line.get("series") == "fraud"]
    times = {record["id"]: record["timestamp"] for record in coming}
    assert new["kind"] == "new_series" and len(new["examples"]) == 3 and f"texts since {new['since'][:10]} 00:00 UTC; " in new["text"]
    assert all(new["since"] <= times[example] < new["until"] for example in new["examples"])
    assert new["n"] >= 20


def test_another_model_starts_afresh(state, tmp_path):
    models = []
    for name in ("old", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
        models.append(tmp_path / name)
    assert told(state, make_days(40, 41, CALM), "--model", models[0]) == []
    lines_told = told(state, make_days(41, 50, CALM | {"credit": (40, 0.75)}), "--model", models[1])
    assert [line["kind"] for line in lines_told] == ["new_model"]


def test_records_tell_themselves_of_another_model(state):
    assert told(state, stamped(make_days(40, 41, CALM), "aaaa/fp32/windows")) == []
    assert told(state, stamped(make_days(41, 42, CALM), "aaaa/int8/windows")) == []
    [line] = told(state, stamped(make_days(42, 50, CALM | {"credit": (40, 0.75)}), "bbbb/int8/windows"))
    assert line["kind"] == "new_model" and line["reason"] == "aaaa before, bbbb now"


def stamped(records, stamp):
    return [record | {"prediction": {head: entry | {"model": stamp} for head, entry in record["prediction"].items()}} for record in records]


def test_an_archive_of_two_models_is_told_as_it_would_have_been(tmp_path):
    """Whatever the order of its records; live, the first 40 days are learnt from alone."""
    records = stamped(LEARNT, "aaaa/fp32/windows") + stamped(make_days(40, 70, CALM | {"credit": (40, 0.75)}) + make_days(70, 71, CALM | {"credit": (40, 0.05)}), "bbbb/fp32/windows")
    for archive in (records, records[::-1]):
        path = tmp_path / "archive.jsonl"
        path.write_bytes(lines(archive))
        done = run("alert", "--backtest", *STRICT, "--to", "jsonl", path)
        *told_lines, _ = map(json.loads, done.lines)
        assert [(line["kind"], line["since"][:10]) for line in told_lines] == [("new_model", "2026-02-14")], done.err
    page = run("report", "--false-alarms", "1/year", "--every", "1d", "--to", "markdown", path)
    assert page.code == 0 and "another model from 2026-02-14" in page.out.decode().replace("\\", "") and "a spike" not in page.out.decode()


@pytest.mark.parametrize("size, n_changes", [pytest.param("run", 2, marks=pytest.mark.slow), ("record", 1)])
def test_two_models_that_speak_by_turns_are_learnt_once(state, size, n_changes):
    """A feed of two machines, one of which has another model: what both say is usual after a while, and what is not is told."""
    assert told(state, stamped(make_days(40, 41, CALM), "aaaa")) == []
    kinds = []
    for day in range(41, 62):
        records = make_days(day, day + 1, CALM | ({"credit": (40, 0.95)} if day >= 60 else {}))
        names = ["aaaa", "bbbb"]
        records = stamped(records, names[day % 2]) if size == "run" else [stamped([record], names[i % 2])[0] for i, record in enumerate(records)]
        kinds += [(line["kind"], day) for line in told(state, records)]
    changes = [day for kind, day in kinds if kind == "new_model"]
    assert len(changes) == n_changes and max(changes) <= 43, kinds
    assert [kind for kind, day in kinds if day >= 60] == ["alert"] and not [day for kind, day in kinds if kind == "alert" and day < 60], kinds


def test_a_third_model_is_another_one(state):
    for day, model in ((40, "aaaa"), (41, "bbbb"), (42, "aaaa"), (43, "bbbb"), (44, "aaaa")):
        lines_told = told(state, stamped(make_days(day, day + 1, CALM), model))
        assert [line["kind"] for line in lines_told] == (["new_model"] if day in (41, 42) else [])
    assert [line["reason"] for line in told(state, stamped(make_days(45, 46, CALM), "cccc"))] == ["aaaa before, cccc now"]
    assert [line["reason"] for line in told(state, stamped(make_days(46, 47, CALM), "aaaa"))] == ["cccc before, aaaa now"]


def test_a_late_record_of_the_model_before_changes_nothing(state):
    assert told(state, stamped(make_days(40, 41, CALM), "aaaa")) == []
    assert [line["kind"] for line in told(state, stamped(make_days(41, 43, CALM), "bbbb"))] == ["new_model"]
    late, now = stamped(make_days(41, 42, {"credit": (2, 0.3)}, seed=9), "aaaa"), stamped(make_days(43, 44, CALM), "bbbb")
    assert told(state, [record | {"id": f"late-{i}"} for i, record in enumerate(late)] + now) == []
    assert told(state, stamped(make_days(44, 46, CALM), "bbbb")) == []


def test_fail_exits_4_when_there_is_an_alert(state):
    assert told(state, make_days(40, 41, CALM), "--fail") == []
    assert told(state, make_days(41, 43, BURST), "--fail", code=4, err="alert")
    assert told(state, [], "--fail") == []


def test_exec_gets_each_line_and_a_failure_is_tried_again(state, tmp_path):
    box = tmp_path / "box.jsonl"
    done = run("alert", "--state", state, "--exec", "exit 7", stdin=lines(make_days(40, 42, BURST)))
    assert done.code == 1 and "ended with 7" in done.err and done.out == b""
    done = run("alert", "--state", state, "--exec", f"cat >> {box}; echo said by the command", stdin=b"")
    handed = [json.loads(line) for line in box.read_text().splitlines()]
    assert done.code == 0 and len(handed) == len(done.lines) and handed[0]["kind"] == "alert"
    assert "said by the command" in done.err and b"said by" not in done.out
    assert run("alert", "--state", state, "--exec", f"cat >> {box}", stdin=b"").out == b""


def test_figures_that_cannot_be_written_hold_no_line_back(state, tmp_path):
    missing = tmp_path / "missing" / "doxa.prom"
    lines_told = told(state, make_days(40, 42, BURST), "--prometheus", missing, code=1, err=f"cannot write {missing}")
    assert [line["kind"] for line in lines_told if line.get("series") == "credit"] == ["alert"]
    assert told(state, []) == []


def test_prometheus_file(state, tmp_path):
    path = tmp_path / "doxa.prom"
    hostile = 'a"b\\c\nd{}'
    told(state, make_days(40, 42, BURST | {hostile: (30, 0.1)}), "--prometheus", path)
    text = path.read_text()
    assert 'doxa_alert_open{series="credit",measure="share"} 1' in text and "# TYPE doxa_texts gauge" in text
    assert r'doxa_texts{series="a\"b\\c\nd{}"}' in text
    for line in text.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0
    assert run("alert", "--state", state, "--show", "--to", "prometheus").out.decode() == text
    done = run("alert", "--state", state, "--to", "prometheus", stdin=b"")
    assert done.code == 2 and "--prometheus FILE" in done.err and len(done.err_lines) == 1


def test_a_list_in_a_field_counts_for_the_series_of_each_member(tmp_path):
    path, records = tmp_path / "lists.db", [record | {"tickers": [["A", "B"], ["B"], []][i % 3]} for i, record in enumerate(make_days(0, 20, CALM))]
    told(path, records, *STRICT, "--by", "tickers")
    n = rows(path, "SELECT name, sum(n) FROM counts JOIN series ON series.id = counts.series GROUP BY name")
    assert dict(n) == {None: len(records), "A": len(records[::3]), "B": len(records[::3]) + len(records[1::3])}


def test_names_that_look_alike_stay_apart(tmp_path):
    """All texts, a series called all, one without a name, and two that differ by a line break."""
    names, path = ["all", "", "x\ny", "x y", "(empty)"], tmp_path / "names.db"
    records = [record | {"source": name} for i, name in enumerate(names) for record in make_days(0, 40, {"credit": (9, 0.1)}, seed=i)]
    burst = [record | {"source": name} for i, name in enumerate(names) for day in range(40, 40 + 8 * len(names))
             for record in make_days(day, day + 1, {"credit": (45, 0.7) if (day - 40) // 2 == 4 * i else (9, 0.1)}, seed=i)]
    for place, record in enumerate(records + burst):
        record["id"] = place
    told(path, records, *STRICT, "--by", "source")
    lines_told = told(path, burst, "--prometheus", tmp_path / "doxa.prom")
    ids = [line["id"] for line in lines_told]
    assert len(ids) == len(set(ids)) and {line.get("series") for line in lines_told} >= set(names)
    assert {line["kind"] for line in lines_told} == {"alert", "resolved"} and all("source=: " not in line["text"] for line in lines_told)
    samples = [line.rpartition(" ")[0] for line in (tmp_path / "doxa.prom").read_text().splitlines() if line[0] != "#"]
    assert len([sample for sample in samples if sample.startswith("doxa_texts{")]) == 6
    named = [sample for sample in samples if "(empty)" not in sample]  # which a series may be called as well
    assert len(named) == len(set(named))


@pytest.mark.parametrize("flags", [(), ("--by", "source"), ("--by", "head:topic", "--by", "source", "--where", "lang!=xx", "--where", "topic.score>=0.1")])
def test_records_that_lack_what_a_state_counts_by_are_of_all_texts(tmp_path, flags):
    path = tmp_path / "bare.db"
    records = [record | {"source": "wire", "lang": "en"} for record in make_days(0, 5, CALM)]
    told(path, records, "--every", "1d", *flags)
    bare = [{key: value for key, value in record.items() if key not in ("source", "lang")} | {"prediction": {"sentiment": record["prediction"]["sentiment"]}}
            for record in make_days(5, 6, CALM)]
    assert told(path, bare) == []
    n_before = len(records)
    n = len(bare) if not flags or "--where" not in flags else 0  # no condition holds for what is missing
    assert rows(path, "SELECT sum(n) FROM counts WHERE series = 0") == [(n_before + n,)]
    assert rows(path, "SELECT sum(n) FROM counts WHERE series > 0") == [(n_before,)]


def test_a_state_of_volume_alone_stays_one(tmp_path):
    path = tmp_path / "volume.db"
    records = make_days(0, 6, CALM)
    without = [record | {"prediction": {"topic": record["prediction"]["topic"]}} for record in records if record["timestamp"] < "2026-01-10"]
    told(path, without, "--every", "1d")
    told(path, [record for record in records if record["timestamp"] >= "2026-01-10"])
    assert rows(path, "SELECT sum(n), sum(watched) FROM counts WHERE series = 0") == [(len(records), 0)]


def test_times_of_another_zone_are_no_flood(tmp_path):
    """Local times of Beijing, written as if they were UTC, look like eight hours to come: they wait for their time."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    moments = [now - dt.timedelta(minutes=10 + 20 * i) for i in range(30 * 72)][::-1]
    records = [{"id": i, "text": f"text {i}", "timestamp": moment.isoformat(), "prediction": {"sentiment": {"label": "neutral", "score": 0.9}}}
               for i, moment in enumerate(moments)]
    path, n, later = tmp_path / "zone.db", len(moments) - 90, dt.timedelta(hours=8)
    shifted = [record | {"timestamp": (moment + later).isoformat()} for record, moment in zip(records, moments)]
    told(path, shifted[:n], "--every", "1d", "--false-alarms", "1/day")
    assert told(path, shifted[n:], err="24 records stamped later than the clock here, kept until then") == []
    assert rows(path, "SELECT sum(n) FROM counts") == [(len(records),)] and rows(path, "SELECT sum(n) FROM ahead") == [(24,)]
    with sqlite3.connect(path) as database:  # as if eight hours had gone by, and nothing more had come
        database.execute("UPDATE ahead SET time = time - 28801")
        database.execute("UPDATE settings SET value = ? WHERE name = 'watermark'", (json.dumps(now.timestamp()),))
    assert told(path, []) == [] and rows(path, "SELECT count(*) FROM ahead") == [(0,)]


def test_a_state_of_the_first_schema_is_brought_up(state):
    with sqlite3.connect(state) as database:
        database.execute("DROP TABLE ahead")
        database.execute("DROP TABLE silences")
        database.execute("DROP TABLE drifts")
        database.execute("CREATE TABLE drifts (series INTEGER, measure TEXT, total REAL NOT NULL, since INTEGER, PRIMARY KEY (series, measure)) WITHOUT ROWID")
        database.execute("INSERT INTO drifts VALUES (0, 'share', 1.5, ?)", (rows(state, "SELECT max(bucket) FROM counts")[0][0],))
        for column in ("event", "relief", "level"):
            database.execute(f"ALTER TABLE episodes DROP COLUMN {column}")
        database.execute("PRAGMA user_version = 1")
    assert run("alert", "--state", state, "--show").code == 0
    assert any(line["kind"] == "alert" for line in told(state, make_days(40, 42, BURST)))
    assert rows(state, "PRAGMA user_version") == [(4,)] and rows(state, "SELECT DISTINCT pace FROM drifts") == [(0,)]


def test_hostile_names_and_texts_stay_harmless(state):
    evil = "\x1b]0;owned\x07\u202e[/bold]"
    records = make_days(40, 44, CALM | {evil: (50, 0.2)})
    done = run("alert", "--state", state, stdin=lines(records))
    assert b"NEW SERIES" in done.out and b"\x1b" not in done.out and "\u202e" not in done.out.decode()
    shown = run("alert", "--state", state, "--show")
    assert b"\x1b" not in shown.out and "\u202e" not in shown.out.decode()


def test_show_tells_what_the_state_knows(state):
    told(state, make_days(40, 43, BURST))
    shown = run("alert", "--state", state, "--show").out.decode()
    assert "sentiment=negative, by topic, per 1d (UTC)" in shown and "share since 2026-02-14" in shown and "1/year" in shown
    figures, *series = map(json.loads, filter(None, run("alert", "--state", state, "--show", "--to", "jsonl").lines))
    assert f"schema {figures['schema']}" in shown and [(figures["schema"],)] == rows(state, "PRAGMA user_version")
    assert figures["kind"] == "state" and figures["watch"] == "sentiment=negative" and {row["kind"] for row in series} == {"series"}
    assert {row["name"] for row in series} == {None, "earnings", "credit", "merger"}
    credit = next(row for row in series if row["name"] == "credit")
    assert credit["open"].keys() >= {"share"} and 25 < credit["expected_n"] < 60


def test_show_of_a_state_that_knows_nothing(tmp_path):
    (tmp_path / "empty.db").write_bytes(b"")
    assert run("alert", "--state", tmp_path / "new.db", stdin=b"").code == 0
    for name in ("empty.db", "new.db"):
        done = run("alert", "--state", tmp_path / name, "--show")
        assert (done.code, done.out) == (0, b"no record was counted yet; the first ones settle what is watched, by what, per 1h (UTC)\n")


def test_a_state_that_cannot_judge_yet_says_so(tmp_path):
    path = tmp_path / "few.db"
    done = run("alert", "--state", path, "--every", "1d", stdin=lines(make_days(0, 5, CALM)))
    assert done.code == 0 and "alerts begin later: what is usual per 1d is known after 14 of them and two days at least" in done.err
    assert "nothing is judged yet: what is usual per 1d" in run("alert", "--state", path, "--show").out.decode()


def test_an_empty_feed(state):
    assert told(state, b"") == []
    assert run("alert", "--state", state, "--require-input", stdin=b"").code == 1


@pytest.mark.parametrize("flags, words", [
    (("--every", "1h"), "--every 1h"), (("--by", "source"), "--by source"), (("--watch", "sentiment=positive"), "--watch"),
    (("--time-zone", "Asia/Tokyo"), "--time-zone"), (("--false-alarms", "often"), "1/week"), (("--baseline", "long"), "--baseline")])
def test_settings_that_do_not_fit_are_refused(state, flags, words):
    before = state.read_bytes()
    done = run("alert", "--state", state, *flags, stdin=lines(make_days(40, 41, CALM)))
    assert done.code == 2 and words in done.err and len(done.err_lines) == 1
    assert state.read_bytes() == before


def test_state_and_backtest_exclude_each_other(state):
    assert run("alert", stdin=b"").code == 2
    assert run("alert", "--state", state, "--backtest", stdin=b"").code == 2
    assert run("alert", "--state", state, "--spike", "2026-01-01", stdin=b"").code == 2


def test_files_that_are_no_state_are_refused(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("a diary, not a database, and long enough not to be taken for an empty file " * 20)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    later = tmp_path / "later.db"
    with sqlite3.connect(later) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("CREATE TABLE settings (name, value)")
    for path, words in ((text, "not a database"), (other, "something else"), (later, "later doxa"), (tmp_path / "no" / "where.db", "where.db")):
        before = path.read_bytes() if path.exists() else None
        done = run("alert", "--state", path, stdin=lines(LEARNT[:10]))
        assert done.code == 1 and words in done.err and len(done.err_lines) == 1, done.err
        assert (path.read_bytes() if path.exists() else None) == before
    assert run("alert", "--state", tmp_path / "none.db", "--show").code == 1


def test_broken_records_do_not_stop_the_others(state):
    day = lines(make_days(40, 41, CALM))
    done = run("alert", "--state", state, stdin=b"no json\n" + day + b'{"text": "no prediction", "timestamp": "2026-02-14T00:00:00Z"}\n{"id": "x", "text": "x", '
               b'"timestamp": "yesterday", "prediction": {"topic": {"label": "credit", "score": 1}, "sentiment": {"label": "negative", "score": 1}}}\n')
    assert done.code == 3 and "could not be read or hold no prediction" in done.err and "1 record with a time that cannot be read" in done.err
    assert sum(n for name, _, n, *_ in counted(state) if name is None) == len(LEARNT) + day.count(b"\n")


def test_one_wild_time_does_not_stretch_the_calendar(state):
    wild = [record | {"id": f"wild-{time}", "timestamp": time} for record, time in
            zip(make_days(41, 42, CALM), ("1905-01-01T00:00:00Z", "2190-01-01T00:00:00Z"))]
    assert told(state, wild + make_days(40, 41, CALM)) == []
    assert rows(state, "SELECT count(DISTINCT bucket) FROM counts")[0][0] == 41


def test_two_runs_at_once_lose_nothing(state):
    parts = [make_days(day, day + 1, CALM) for day in range(40, 44)]
    started = [start("alert", "--state", state) for _ in parts]
    for process, part in zip(started, parts):
        process.stdin.write(lines(part))
        process.stdin.close()
        process.stdin = None
    assert [end(process).code for process in started] == [0] * len(parts)
    assert sum(n for name, _, n, *_ in counted(state) if name is None) == len(LEARNT) + sum(map(len, parts))


def start_handing_over(state, command: str, begun: Path) -> subprocess.Popen:
    """A run with something to tell, once its command has made the file `begun`."""
    process = start("alert", "--state", state, "--exec", command)
    process.stdin.write(lines(make_days(40, 41, BURST)))
    process.stdin.close()
    process.stdin = None
    while not begun.exists():
        time.sleep(0.02)
    return process


def test_a_slow_command_holds_up_no_other_run(state, tmp_path):
    """What comes while lines are handed over is counted, in silence where it tells nothing; what it tells goes with them, or with the next run."""
    slow = start_handing_over(state, f"cat >> {tmp_path}/handed; touch {tmp_path}/begun; sleep 3", tmp_path / "begun")
    before, more = rows(state, "SELECT sum(n) FROM counts WHERE series = 0")[0][0], make_days(41, 42, FLOOD)
    assert told(state, make_days(40, 41, CALM)[:5], "--exec", "false") == []  # nothing of its own to tell
    assert told(state, more, "--fail", "--wait", "0.1", code=4, err="alert: 1 alert") == []
    assert rows(state, "SELECT sum(n) FROM counts WHERE series = 0") == [(before + len(more),)]
    assert end(slow).code == 0
    handed = [json.loads(line) for line in (tmp_path / "handed").read_text().splitlines()]
    assert {line.get("series") for line in handed if line["kind"] == "alert"} >= {"credit", "merger"} and told(state, []) == []


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_command_is_stopped_with_all_that_it_started(state, tmp_path, number, code):
    process = start_handing_over(state, f"sleep 600 & echo $! > {tmp_path}/child; touch {tmp_path}/begun; wait", tmp_path / "begun")
    process.send_signal(number)
    assert end(process).code == code
    child = int((tmp_path / "child").read_text())
    assert not Path(f"/proc/{child}").exists() or "Z (zombie)" in Path(f"/proc/{child}/status").read_text()
    assert any(line["kind"] == "alert" for line in told(state, []))


def test_no_bucket_waits_for_records_that_are_not_counted(state, tmp_path):
    words = "--lateness is longer than --remember"
    for flags in (("--lateness", "30d"), ("--remember", "1d", "--lateness", "2d")):
        for path in (state, tmp_path / "new.db"):
            done = run("alert", "--state", path, *flags, stdin=b"")
            assert done.code == 2 and words in done.err and len(done.err_lines) == 1
    assert run("alert", "--state", state, "--lateness", "30d", "--remember", "30d", stdin=b"").code == 0
    assert words in run("alert", "--state", state, "--remember", "7d", stdin=b"").err  # the state knows the other one
    assert run("alert", "--state", state, "--show").code == 0
    assert words not in run("alert", "--backtest", "--lateness", "30d", stdin=b"").err  # nothing is too old there


def test_a_run_that_does_not_wait_names_the_other(state):
    first = start("alert", "--state", state)
    try:
        first.stdin.write(lines(make_days(40, 41, CALM)))
        first.stdin.flush()
        until = time.monotonic() + 20
        while not (state.parent / "monitor.db.lock").exists() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.3)
        second = run("alert", "--state", state, "--wait", "0", stdin=b"")
        assert second.code == 1 and f"pid {first.pid}" in second.err
    finally:
        assert end(first).code == 0


def test_a_run_waits_no_longer_for_another_program_than_for_a_run(state):
    with sqlite3.connect(state, isolation_level=None) as database:
        database.execute("BEGIN EXCLUSIVE")
        for wait_s in (0, 1.5):
            done = run("alert", "--state", state, "--wait", wait_s, stdin=b"")
            assert done.code == 1 and f"another program holds {state}; --wait" in done.err and len(done.err_lines) == 1
            assert wait_s <= done.seconds < wait_s + 10


def kill_and_repeat(state, records: list[dict], n_kills: int, seed: int) -> list[dict]:
    """Kill runs at random moments, then let one end: what was told, each line once by its id."""
    lottery, heard = random.Random(seed), {}
    for attempt in range(n_kills + 1):
        process = start("alert", "--state", state, "--to", "jsonl")
        process.stdin.write(lines(records))
        process.stdin.close()
        process.stdin = None
        if attempt < n_kills:
            time.sleep(lottery.uniform(0.3, 1.3))
            process.kill()
        done = end(process)
        for line in done.lines:
            if line:
                said = json.loads(line)
                heard[said["id"], said["kind"]] = said
    assert done.code == 0
    return list(heard.values())


@pytest.mark.parametrize("n_kills", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_killed_runs_lose_and_double_nothing(state, learnt, tmp_path, n_kills):
    records = make_days(40, 44, BURST) + make_days(44, 48, CALM)
    calm = tmp_path / "undisturbed.db"
    calm.write_bytes(learnt.read_bytes())
    expected = told(calm, records)
    assert kill_and_repeat(state, records, n_kills, 5) == expected
    assert counted(state) == counted(calm)


def test_terminated_runs_keep_the_state_as_it_was(state):
    before = counted(state)
    process = start("alert", "--state", state)
    process.stdin.write(lines(make_days(40, 41, CALM)))
    process.stdin.flush()
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    done = end(process)
    assert done.code == 143 and done.out == b""
    assert counted(state) == before and told(state, []) == []


def test_a_reader_that_went_away_hears_it_with_the_next_run(state):
    process = start("alert", "--state", state)
    process.stdout.close()
    process.stdout = None
    process.stdin.write(lines(make_days(40, 42, BURST)))
    process.stdin.close()
    process.stdin = None
    assert end(process).code == 141
    assert any(line["kind"] == "alert" for line in told(state, []))


def test_a_full_disk_keeps_what_was_to_be_told(state):
    with open("/dev/full", "w") as full:
        done = run("alert", "--state", state, stdin=lines(make_days(40, 42, BURST)), stdout=full.fileno())
    assert done.code == 1 and len(done.err_lines) == 1
    assert any(line["kind"] == "alert" for line in told(state, []))


@pytest.mark.parametrize("zone, lengths", [("Europe/Berlin", {86_400, 82_800}), ("Asia/Kathmandu", {86_400})])
def test_buckets_are_local_days_across_a_clock_change(tmp_path, zone, lengths):
    path = tmp_path / "zone.db"
    run("alert", "--state", path, "--every", "1d", "--time-zone", zone, stdin=lines(make_days(75, 90, CALM)))
    found = [bucket for bucket, in rows(path, "SELECT DISTINCT bucket FROM counts ORDER BY 1")]
    assert all(dt.datetime.fromtimestamp(bucket, ZoneInfo(zone)).strftime("%H:%M") == "00:00" for bucket in found)
    assert {b - a for a, b in zip(found, found[1:])} == lengths
    assert zone in run("alert", "--state", path, "--show").out.decode()


def test_only_records_that_meet_the_conditions_count(tmp_path):
    path = tmp_path / "where.db"
    told(path, LEARNT, *STRICT, "--where", "topic!=merger", "--where", "field:text~on")
    assert {name for name, *_ in counted(path)} == {None, "credit", "earnings"}
    told(path, make_days(40, 41, FLOOD))  # the state remembers them
    assert "merger" not in {name for name, *_ in counted(path)}
    assert run("alert", "--state", path, "--where", "topic=credit", stdin=b"").code == 2


def test_series_of_combinations_and_causes_by_source_and_author(tmp_path):
    path, flags = tmp_path / "by.db", ("--by", "topic", "--by", "field:source")
    usual = make_days(0, 40, CALM, source="wire", author="desk") + make_days(0, 40, {"credit": (20, 0.3)}, seed=2, source="blog")
    told(path, [record | {"id": f"{i}"} for i, record in enumerate(usual)], *STRICT, *flags)
    assert {name for name, *_ in counted(path)} >= {None, "topic=credit, source=wire", "topic=credit, source=blog"}
    burst = [record | {"id": f"new-{i}"} for i, record in enumerate(make_days(40, 41, BURST, source="wire", author="one voice") + make_days(41, 42, CALM))]
    alerts = [line for line in told(path, burst) if line["kind"] == "alert" and line.get("series") == "topic=credit, source=wire"]
    assert alerts and alerts[0]["by"] == "topic, source"
    cause = next(cause for cause in alerts[0]["causes"] if cause["kind"] == "one_author")
    assert cause["name"] == "one voice" and cause["hits"] == cause["n"] and cause["low"] > 0.8


def test_examples_are_of_the_cause_that_is_named(tmp_path):
    path = tmp_path / "source.db"
    told(path, make_days(0, 41, CALM, source="wire"), *STRICT)
    flood = [record | {"id": f"flood-{i}"} for i, record in enumerate(make_days(41, 42, {"credit": (60, 0.2)}, seed=5, source="newssite"))]
    (line,) = [line for line in told(path, make_days(41, 42, CALM, source="wire") + flood + make_days(42, 43, CALM, source="wire")) if line["kind"] == "alert"]
    assert [cause["name"] for cause in line["causes"] if cause["kind"] == "source"] == ["newssite"]
    assert len(line["examples"]) == 3 and all(example.startswith("flood-") for example in line["examples"])


def test_few_records_long_before_all_others_are_no_history(tmp_path):
    hours = make_hours(0, 48, {"credit": (8, 0.3)})
    stray = {**hours[0], "id": "stray", "timestamp": "2025-01-03T00:00:00Z"}
    path = tmp_path / "stray.db"
    assert told(path, [stray, *hours], "--every", "1h", err="1 record more than a day in the future, or far from the others, and not counted") == []
    assert rows(path, "SELECT min(bucket) FROM counts")[0][0] == rows(path, "SELECT min(first_bucket) FROM series")[0][0] >= START.timestamp()
    assert rows(path, "SELECT sum(n) FROM counts WHERE series = 0")[0][0] == len(hours)


def test_the_number_of_texts_tells_where_the_share_is_less_clear(tmp_path):
    path = tmp_path / "state.db"
    told(path, make_days(0, 41, CALM), "--every", "1d")
    (line,) = [line for line in told(path, make_days(41, 42, CALM | {"earnings": (200, 0.36)}) + make_days(42, 43, CALM)) if line["kind"] == "alert"]
    assert (line["series"], line["measure"], line["detector"]) == ("earnings", "volume", "spike") and line["recurrence_s"] > 10 * 365 * 86400
    assert {"series": "earnings", "measure": "share"} in line["covers"]


def test_causes_are_told_of_a_day_under_way(state):
    """With its figures by now, and the campaign's own records first."""
    flood = [record for record in make_days(40, 41, CALM | {"merger": (150, 0.8)}) if record["timestamp"][11:] < "18"]
    copies = [record | {"text": f"Stop this merger before they rob all of us, please share! {i}", "id": f"camp-{i}"} if i % 3 and "merger" in record["text"] else record
              for i, record in enumerate(flood)]
    (alert,) = [line for line in told(state, copies) if line["kind"] == "alert"]
    assert (alert["series"], alert["measure"]) == ("merger", "share") and alert["until"] < "2026-02-14T18"
    assert [cause["kind"] for cause in alert["causes"]] == ["more_texts", "near_duplicates"]
    assert alert["examples"][0].startswith("camp-") and alert["causes"][1]["ids"][0] == alert["examples"][0]
    more = alert["causes"][0]
    assert more["n"] == sum("merger" in record["prediction"]["topic"]["label"] for record in copies) and 12 < more["expected"] < 25
    covered = [{"series": name, "measure": measure} for name, measure in ((None, "volume"), (None, "share"), ("merger", "volume"))]
    assert sorted(alert["covers"], key=str) == sorted(covered, key=str)
    assert "At once: all texts (number of texts), all texts (share), topic=merger (number of texts)" in alert["text"]


def test_a_campaign_among_many_usual_texts_that_are_alike_is_found(tmp_path):
    def alike(records):
        return [record | {"text": f"Daily note on {record['prediction']['topic']['label']} by the desk, number {i}"} for i, record in enumerate(records)]

    path, usual = tmp_path / "alike.db", {"credit": (300, 0.3)}
    told(path, alike(make_days(0, 40, usual)), *STRICT)
    copies = [record | {"text": "The bank froze my account, share this", "id": f"camp-{i}"} for i, record in enumerate(make_days(40, 41, {"credit": (120, 0.3)}, seed=5))]
    alerts = [line for line in told(path, alike(make_days(40, 41, usual)) + copies + alike(make_days(41, 42, usual))) if line["kind"] == "alert"]
    cause = next(cause for cause in alerts[0]["causes"] if cause["kind"] == "near_duplicates")
    assert cause["text"] == "The bank froze my account, share this" and cause["low"] < 120 / 420 < cause["high"]


MANY = {f"t{i}": (20, 0.2) for i in range(12)}


def test_an_event_of_many_series_is_one_line(tmp_path):
    path = tmp_path / "many.db"
    told(path, make_days(0, 40, MANY), *STRICT)
    lines_told = told(path, make_days(40, 42, {name: (60, 0.2) for name in MANY}) + make_days(42, 49, MANY), "--prometheus", tmp_path / "doxa.prom")
    assert [(line["kind"], line.get("series")) for line in lines_told if line["measure"] == "volume"] == [("alert", None), ("resolved", None)]
    covered = {one["series"] for one in lines_told[0]["covers"]}
    assert len(covered) > 6 and covered <= set(MANY) and f"and {len(covered) - 6} more" in lines_told[0]["text"]
    (tmp_path / "archive.jsonl").write_bytes(lines(make_days(0, 40, MANY) + make_days(40, 42, {name: (60, 0.2) for name in MANY})))
    name = next(iter(covered))
    done = run("alert", "--backtest", *STRICT, "--spike", f"{name}@2026-02-14", "--to", "jsonl", tmp_path / "archive.jsonl")
    assert json.loads(done.lines[-1])["spikes"][0]["delay_s"] == 86_400
    assert not [line for line in (tmp_path / "doxa.prom").read_text().splitlines() if "open" in line and "volume" in line and line.endswith(" 1")]  # all are over


def test_what_was_only_learnt_covers_nothing(tmp_path):
    """The first records end in a burst of one series, which is learnt from in silence; where it becomes a flood of all texts, that is told."""
    path = tmp_path / "learnt.db"
    assert told(path, make_days(0, 40, MANY) + make_days(40, 42, MANY | {"t0": (60, 0.2)}), *STRICT) == []
    lines_told = told(path, make_days(42, 44, MANY | {"t0": (300, 0.2)}))
    assert [(line["kind"], line.get("series")) for line in lines_told if line["measure"] == "volume"] == [("alert", "t0")]


def test_what_goes_on_when_its_cover_is_over_is_told(tmp_path):
    """One series floods for two days; from then on all others bring half as much again, none of them enough to be told by itself."""
    path = tmp_path / "uncovered.db"
    told(path, make_days(0, 40, MANY), *STRICT)
    more = MANY | {f"t{i}": (30, 0.2) for i in range(1, 12)}
    first = told(path, make_days(40, 42, MANY | {"t0": (220, 0.2)}), "--prometheus", tmp_path / "doxa.prom")
    assert [(line.get("series"), [one["series"] for one in line["covers"]]) for line in first] == [("t0", [None])]
    assert 'doxa_alert_open{series="",measure="volume"} 1' in (tmp_path / "doxa.prom").read_text()
    then = told(path, make_days(42, 50, more))
    (over,) = [line for line in then if line["kind"] == "eased"]
    assert over["alert"] == first[0]["id"] and over["goes_on"] == [{"series": None, "measure": "volume"}]
    assert over["text"].endswith("It goes on: all texts (number of texts)")
    (last,) = [line for line in told(path, make_days(50, 60, MANY)) if line["kind"] == "resolved" and line.get("series") == "t0"]
    assert last["alert"] == first[0]["id"] and last["id"] == f"{first[0]['id']}|resolved" and "goes_on" not in last
    (part,) = last["covers"]  # each with its own end
    assert (part["series"], part["measure"]) == (None, "volume") and last["until"] == over["until"] < part["until"] and "reason" not in last


def test_an_event_that_its_last_part_leaves_is_over(tmp_path):
    """One series floods, and when that is over all texts are three times as many: what they were part of is over, and they have a line."""
    path = tmp_path / "left.db"
    told(path, make_days(0, 40, MANY), *STRICT)
    more, most = (MANY | {f"t{i}": (n, 0.2) for i in range(1, 12)} for n in (30, 150))
    heard = told(path, make_days(40, 42, MANY | {"t0": (220, 0.2)}) + make_days(42, 49, more))
    assert "eased" in {line["kind"] for line in heard}
    then = told(path, make_days(49, 51, most))
    assert {(line["kind"], line.get("series")) for line in then} >= {("alert", None), ("resolved", "t0")}
    check_ends(heard + then + told(path, make_days(51, 64, MANY)))


def check_ends(lines_told: list[dict]) -> None:
    """Every alert is over once, nothing is told of it afterwards, and no id comes twice."""
    ends: dict[str, str] = {}
    for line in lines_told:
        assert line["kind"] == "alert" or line["alert"] not in ends
        if line["kind"] in ("resolved", "withdrawn"):
            ends[line["alert"]] = line["kind"]
    assert set(ends) == {line["id"] for line in lines_told if line["kind"] == "alert"}
    assert len({line["id"] for line in lines_told}) == len(lines_told)


def test_what_grows_far_beyond_what_was_told_is_told_again(state):
    first = told(state, make_days(40, 42, CALM | {"credit": (110, 0.3)}))
    assert [(line["kind"], line["series"]) for line in first] == [("alert", "credit")]
    again = told(state, make_days(42, 43, CALM | {"credit": (700, 0.3)}), "--fail", code=4, err="1 alert")
    assert [(line["kind"], line["series"], line["alert"]) for line in again] == [("worse", "credit", first[0]["id"])]
    assert again[0]["observed"] > 600 and "WORSE topic=credit: " in again[0]["text"] and "times as many) from 2026-02-16 00:00 to" in again[0]["text"]
    assert told(state, make_days(43, 44, CALM | {"credit": (900, 0.3)})) == []  # that much was told
    check_ends([*first, *again, *told(state, make_days(44, 52, CALM))])


SIZEABLE = {f"t{i}": (60, 0.2) for i in range(12)}


def test_a_part_of_an_event_that_goes_its_own_way_has_a_line(tmp_path):
    """All series double for a week; one of them is eight times the usual on the third day."""
    path, double = tmp_path / "own.db", {name: (120, 0.2) for name in SIZEABLE}
    told(path, make_days(0, 40, SIZEABLE), *STRICT)
    heard = told(path, make_days(40, 42, double))
    assert [line.get("series") for line in heard] == [None]
    own = told(path, make_days(42, 43, double | {"t7": (480, 0.2)}))
    assert [(line["kind"], line.get("series")) for line in own] == [("alert", "t7")]
    over = told(path, make_days(43, 47, double) + make_days(47, 60, SIZEABLE))
    check_ends(heard + own + over)
    (of_all,) = [line for line in over if line["kind"] == "resolved" and line["alert"] == heard[0]["id"]]
    assert {part["series"] for part in of_all["covers"]} >= {f"t{i}" for i in range(12) if i != 7}


def test_a_series_that_rises_when_all_do_is_part_of_it_and_a_later_one_is_not(tmp_path):
    path = tmp_path / "later.db"
    told(path, make_days(0, 40, SIZEABLE), *STRICT)
    most = SIZEABLE | {f"t{i}": (110, 0.2) for i in range(11)}
    first = told(path, make_days(40, 45, most))
    assert [line.get("series") for line in first if line["kind"] == "alert"] == [None]
    later = told(path, make_days(45, 48, most | {"t11": (110, 0.2)}))
    assert [line["series"] for line in later if line["kind"] == "alert"] == ["t11"]


def test_what_a_withdrawn_line_covered_has_its_end(state):
    """A series floods with negative texts; late ones of it that are neutral make its share a usual one, and not its number."""
    (first,) = [line for line in told(state, make_days(40, 41, CALM | {"credit": (160, 0.8)})) if line["kind"] == "alert"]
    covered = {(part["series"], part["measure"]) for part in first["covers"]}
    assert (first["series"], first["measure"]) == ("credit", "share") and covered == {("credit", "volume"), (None, "volume"), (None, "share")}
    told(state, make_days(41, 42, CALM))
    late = make_days(40, 41, {"credit": (420, 0.0)}, seed=5)
    kinds = {(line["kind"], line.get("series"), line["measure"]) for line in told(state, [record | {"id": f"late-{i}"} for i, record in enumerate(late)])}
    assert kinds == {("eased", "credit", "share")}
    ends = told(state, make_days(42, 50, CALM))
    assert [(line["kind"], line["series"], line["alert"]) for line in ends] == [("resolved", "credit", first["id"])]
    assert rows(state, "SELECT count(*) FROM episodes WHERE status = 'open'") == [(0,)]


def test_a_model_that_is_stamped_ahead_is_told_when_its_time_comes(tmp_path):
    path, now = tmp_path / "ahead.db", dt.datetime.now(dt.UTC)
    records = [{"id": i, "text": f"text {i}", "timestamp": (now - dt.timedelta(minutes=10 + 20 * i)).isoformat(),
                "prediction": {"sentiment": {"label": "neutral", "score": 0.9, "model": "aaaa"}}} for i in range(30 * 72)]
    told(path, records, "--every", "1d")
    later = [record | {"id": f"b{i}", "timestamp": (now + dt.timedelta(hours=2, minutes=i)).isoformat(),
                       "prediction": {"sentiment": {"label": "neutral", "score": 0.9, "model": "bbbb"}}} for i, record in enumerate(records[:30])]
    told(path, later)
    assert json.loads(rows(path, "SELECT value FROM settings WHERE name = 'model'")[0][0]) == ("aaaa" if (now + dt.timedelta(hours=2)).date() > now.date() else "bbbb")


def test_an_event_that_is_seen_bit_by_bit_has_few_lines(tmp_path):
    """Twelve series double, looked at every three hours: all texts have a line, three series beside them, and the end is one line or, for what lasts longer, its own."""
    path = tmp_path / "cron.db"
    told(path, make_days(0, 40, MANY), *STRICT)
    day = make_days(40, 41, {name: (60, 0.2) for name in MANY})
    alerts = []
    for hour in range(0, 24, 3):
        part = [record for record in day if hour <= int(record["timestamp"][11:13]) < hour + 3]
        alerts += [line for line in told(path, part) if line["kind"] == "alert" and line["measure"] == "volume"]
    assert alerts[0].get("series") is None and 1 <= len(alerts) <= 5, [(line.get("series"), line["until"]) for line in alerts]
    ends = told(path, make_days(41, 50, MANY))
    assert [line for line in ends if line["kind"] == "resolved" and line.get("series") is None]
    assert len([line for line in ends if line["kind"] == "resolved"]) <= 6
    assert rows(path, "SELECT count(*) FROM episodes WHERE status = 'open'") == [(0,)]


def test_few_authors_are_told_and_those_who_always_write_much_are_not(tmp_path):
    def by(records, *names):
        return [record | {"author": names[i % len(names)]} for i, record in enumerate(records)]

    path = tmp_path / "authors.db"
    told(path, by(make_days(0, 40, CALM), "desk", *(f"reader {i}" for i in range(40))), *STRICT)
    flood = by(make_days(40, 41, FLOOD), "troll one", "troll two", "reader 7")
    alerts = [line for line in told(path, flood + make_days(41, 42, CALM)) if line["kind"] == "alert" and line.get("series") == "merger"]
    cause = next(cause for cause in alerts[0]["causes"] if cause["kind"] == "few_authors")
    assert {"troll one", "troll two"} <= set(cause["names"])
    other = tmp_path / "desk.db"
    told(other, by(make_days(0, 40, CALM), "desk"), *STRICT)
    alerts = [line for line in told(other, by(make_days(40, 42, FLOOD), "desk")) if line["kind"] == "alert"]
    assert alerts and not any("author" in cause["kind"] for line in alerts for cause in line.get("causes", ()))


def test_a_campaign_of_one_text_is_told_as_a_cause(state):
    copies = [record | {"text": f"Sell your shares of the bank before it is too late, they hide it! {i}"} if record["prediction"]["topic"]["label"] == "credit" else record
              for i, record in enumerate(make_days(40, 41, BURST))]
    alerts = [line for line in told(state, copies + make_days(41, 42, CALM)) if line["kind"] == "alert" and line.get("series") == "credit"]
    cause = next(cause for cause in alerts[0]["causes"] if cause["kind"] == "near_duplicates")
    assert cause["hits"] == cause["n"] and cause["text"].startswith("Sell your shares")


def test_backtest_replays_an_archive(tmp_path):
    path = tmp_path / "archive.jsonl"
    path.write_bytes(lines(LEARNT + make_days(40, 43, BURST) + make_days(43, 50, CALM)))
    done = run("alert", "--backtest", *STRICT, "--to", "jsonl", "--spike", "credit@2026-02-14", "--spike", "merger@2026-02-14", path)
    *told_lines, sum_line = map(json.loads, done.lines)
    assert done.code == 0 and sum_line["kind"] == "backtest" and sum_line["alerts"] == sum(line["kind"] == "alert" for line in told_lines) >= 1
    credit, merger = sum_line["spikes"]
    assert credit["delay_s"] in (86_400.0, 2 * 86_400.0) and merger["told"] is None
    assert "spike credit at 2026-02-14 00:00: told after 1 day" in run("alert", "--backtest", *STRICT, "--spike", "credit@2026-02-14", path).out.decode()
    assert "spike Credit at 2026-02-14 00:00: there is no such series" in run("alert", "--backtest", *STRICT, "--spike", "Credit@2026-02-14", path).out.decode()
    assert os.listdir(tmp_path) == ["archive.jsonl"]


def test_what_is_no_file_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "fifo", tmp_path / "folder"):
        done = run("alert", "--state", path, stdin=lines(LEARNT[:5]))
        assert done.code == 1 and "no file" in done.err and path.exists()
    (tmp_path / "empty.db").touch()
    assert run("alert", "--state", tmp_path / "empty.db", "--every", "1x", stdin=b"").code == 2
    assert sorted(os.listdir(tmp_path)) == ["empty.db", "empty.db.lock", "fifo", "folder"]
    assert run("alert", "--state", "", stdin=b"").code == 2


def test_a_clock_that_runs_ahead_does_not_blind_the_others(tmp_path):
    """One record stamped 20 hours from now, among those of the last hours; time is that of this machine."""
    now = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0)
    begun, topics = now - dt.timedelta(days=9), {"credit": (12, 0.2)}
    path = tmp_path / "ahead.db"
    told(path, make_hours(0, 200, topics, start=begun), "--every", "1h", "--false-alarms", "1/month")
    ahead = make_hours(200, 224, topics, start=begun)[:1]  # some hours of the night have none
    ahead[0] |= {"id": "ahead", "timestamp": (now + dt.timedelta(hours=20)).isoformat()}
    burst = make_hours(200, 214, {"credit": (80, 0.8)}, start=begun)
    assert any(line["kind"] == "alert" for line in told(path, ahead + burst, err="1 record stamped later than the clock here"))


def test_a_source_that_comes_late_is_judged_within_lateness(tmp_path):
    path, topics = tmp_path / "late.db", {"credit": (15, 0.2), "slow": (15, 0.2)}
    told(path, make_hours(0, 24 * 10, topics), "--every", "1h", "--lateness", "6h", "--false-alarms", "1/month")
    alerts = []
    for hour in range(240, 249):  # the slow source is three hours behind
        now = make_hours(hour, hour + 1, {"credit": (15, 0.2)}, seed=2)
        late = [record | {"id": "late-" + record["id"]} for record in make_hours(hour - 3, hour - 2, {"slow": (90, 0.8)}, seed=3)]
        alerts += [line for line in told(path, late + now) if line["kind"] == "alert"]
    assert any(line.get("series") == "slow" for line in alerts)
    assert not any(line.get("series") == "credit" for line in alerts)


def test_a_crisis_of_days_is_one_episode(tmp_path):
    path, calm, crisis = tmp_path / "crisis.db", {"credit": (6, 0.2)}, {"credit": (6, 0.7)}
    told(path, make_hours(0, 24 * 14, calm), "--every", "1h", "--false-alarms", "1/month")
    heard = told(path, make_hours(24 * 14, 24 * 18, crisis) + make_hours(24 * 18, 24 * 21, calm))
    assert [line["kind"] for line in heard if line.get("series") == "credit" and line["measure"] == "share"] == ["alert", "resolved"]


@pytest.mark.parametrize("first", [0, 5], ids=["from a Monday", "from a Saturday"])
def test_the_first_working_week_is_no_alarm(tmp_path, first):
    path = tmp_path / "week.jsonl"
    week = [record for day in range(first, first + 12) for record in
            make_hours(24 * day, 24 * day + 24, {topic: (12 * (0.55 if day % 7 >= 5 else 1.0), 0.2) for topic in "abc"})]
    path.write_bytes(lines(week))
    summed = json.loads(run("alert", "--backtest", "--every", "1h", "--to", "jsonl", path).lines[-1])
    assert summed["alerts"] <= 4


def test_the_monday_after_a_first_weekend_is_no_flood(tmp_path):
    """Of a stream that begins on a Saturday, with three times as many texts on working days."""
    path = tmp_path / "week.jsonl"
    path.write_bytes(lines([record for day in range(5, 12) for record in
                            make_hours(24 * day, 24 * day + 24, {topic: (4.0 if day % 7 >= 5 else 12.0, 0.2) for topic in "abcde"})]))
    told_lines = map(json.loads, run("alert", "--backtest", "--every", "1h", "--to", "jsonl", path).lines)
    assert [line for line in told_lines if line.get("measure") == "volume"] == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_rises_in_every_series_is_told_of_all_texts(tmp_path, seed):
    """A share that rises alike in five series, a few of which surprise by themselves at first."""
    calm = {"credit": (40, 0.3), "market": (35, 0.3), "insurance": (15, 0.3), "payments": (25, 0.3), "other": (20, 0.3)}
    path = tmp_path / "common.jsonl"
    path.write_bytes(lines(make_days(0, 60, calm, seed) + make_days(60, 67, {topic: (n, 0.55) for topic, (n, _) in calm.items()}, seed)))
    told_lines = [line for line in map(json.loads, run("alert", "--backtest", "--every", "1d", "--to", "jsonl", path).lines)
                  if line["kind"] == "alert" and line["since"] >= "2026-03-05"]
    assert "series" not in told_lines[0] and told_lines[0]["measure"] == "share" and len(told_lines) <= 2


@pytest.mark.parametrize("every", ["6h", pytest.param("12h", marks=pytest.mark.slow)])
def test_a_clock_change_is_no_alarm(tmp_path, every):
    """Europe/Berlin, 2026-03-29: a day of 23 hours, whose buckets are cut and shifted."""
    path = tmp_path / "clock.jsonl"
    path.write_bytes(lines(make_hours(24 * 50, 24 * 90, {"credit": (15, 0.2), "merger": (10, 0.2)})))
    heard = [json.loads(line) for line in run("alert", "--backtest", "--every", every, "--time-zone", "Europe/Berlin", "--to", "jsonl", path).lines]
    assert [line["id"] for line in heard if line["kind"] == "alert" and "2026-03-28" <= line["until"][:10] <= "2026-03-30"] == []


@pytest.mark.parametrize("after, is_still_more", [(40, True), (25, False)])
def test_an_end_says_so_where_it_is_still_more_than_usual(state, after, is_still_more):
    records = make_days(40, 45, FLOOD) + make_days(45, 51, CALM | {"merger": (after, 0.2)})
    heard = told(state, records)
    (over,) = [line for line in heard if line["kind"] == "resolved" and line.get("series") == "merger"]
    assert ("still" in over) == ("still more than usual" in over["text"]) == ("no longer so high" in over["text"]) == is_still_more
    if is_still_more:  # three usual days in a row end it
        until = (dt.datetime.fromisoformat(over["until"]) + dt.timedelta(days=3)).isoformat()
        since = [record for record in records if record["prediction"]["topic"]["label"] == "merger" and over["until"] <= record["timestamp"] < until]
        assert over["still"] == {"observed": len(since), "expected": pytest.approx(75, rel=0.1)}


def test_times_on_both_sides_of_a_clock_change_have_their_own_offsets(tmp_path):
    """Berlin's clocks go from 2 to 3 on 2026-03-29; a flood begins on the day before and goes on."""
    path = tmp_path / "clock.jsonl"
    path.write_bytes(lines(make_days(0, 82, CALM) + make_days(82, 86, FLOOD) + make_days(86, 92, CALM)))
    heard = [json.loads(line) for line in run("alert", "--backtest", *STRICT, "--time-zone", "Europe/Berlin", "--to", "jsonl", path).lines]
    (flood,) = [line for line in heard if line["kind"] == "alert" and line.get("series") == "merger"]
    (over,) = [line for line in heard if line["kind"] == "resolved" and line.get("series") == "merger"]
    assert f"from {flood['since'][:10]} 00:00 to " in flood["text"] and f"{flood['until'][:10]} {flood['until'][11:16]} UTC+01:00: a spike" in flood["text"]
    assert f"usual again from {over['until'][:10]} 00:00 UTC+02:00 on; it began {over['since'][:10]} 00:00 UTC+01:00" in over["text"]


def test_weekly_buckets_see_a_second_spike(tmp_path):
    path, spike = tmp_path / "weeks.jsonl", {"credit": (10, 0.2), "merger": (6, 0.9)}
    weeks = [record for week in range(36) for record in
             make_days(7 * week, 7 * week + 7, spike if week in (22, 30) else {"credit": (10, 0.2), "merger": (6, 0.2)})]
    path.write_bytes(lines(weeks))
    heard = [json.loads(line) for line in run("alert", "--backtest", "--every", "1w", "--false-alarms", "1/quarter", "--to", "jsonl", path).lines]
    assert {line["since"][:10] for line in heard if line["kind"] == "alert" and line.get("series") == "merger"} >= {"2026-06-08", "2026-08-03"}


def test_what_was_handed_over_is_not_handed_twice(state, tmp_path):
    box = tmp_path / "box.jsonl"
    for feed in (make_days(40, 42, BURST), []):
        with open("/dev/full", "w") as full:
            assert run("alert", "--state", state, "--exec", f"cat >> {box}", stdin=lines(feed), stdout=full.fileno()).code == 1
    assert len(box.read_text().splitlines()) == 1
    heard = told(state, [], "--exec", f"cat >> {box}")
    assert [json.loads(line)["id"] for line in box.read_text().splitlines()] == [line["id"] for line in heard]


def test_it_runs_in_the_pipe_of_the_readme(tmp_path, tiny_model):
    texts = b"".join(json.dumps({"id": i, "text": f"Profit rose {i} percent.", "timestamp": f"2026-02-{1 + i // 10:02d}T10:00:00Z"}).encode() + b"\n" for i in range(60))
    done = shell(f"predict -q --model {tiny_model} | tee -a archive.jsonl | alert --state monitor.db --false-alarms 1/week", stdin=texts, cwd=tmp_path)
    assert done.code == 0 and done.out == b"" and (tmp_path / "archive.jsonl").read_bytes().count(b"\n") == 60
    assert rows(tmp_path / "monitor.db", "SELECT sum(n) FROM counts WHERE series = 0") == [(60,)]


def test_chinese_series(tmp_path):
    path = tmp_path / "zh.db"
    topics = {"信用": (40, 0.2), "并购": (30, 0.3)}
    run("alert", "--state", path, *STRICT, stdin=lines(make_days(0, 40, topics)))
    done = run("alert", "--state", path, stdin=lines(make_days(40, 42, topics | {"信用": (40, 0.8)})))
    assert "ALERT topic=信用" in done.out.decode()


def test_it_stays_light():
    code = "import sys, doxa.monitoring.alerts.watching; print([m for m in ('torch', 'transformers', 'sklearn', 'scipy.stats') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": "lib"}).stdout.strip() == "[]"
