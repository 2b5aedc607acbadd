"""Streams in which a simple count goes wrong."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from batches import count, row

from doxa.errors import UsageError
from doxa.monitoring import counts
from doxa.monitoring.buckets import parse_every
from doxa.records import groups

UTC = dt.UTC


def test_a_record_in_several_groups_is_one_record():
    rows = [row(i, by=["a", "b"] if i % 2 else ["a", "a"], **{"labels:tags": ["a", "b"] if i % 2 else ["a", "a"]}) for i in range(10)]
    rows += [row(10, by=[], **{"labels:tags": []}), row(11, by=None, **{"labels:tags": None})]
    figures = count(rows, {"tags": "labels", "sentiment": "label"}, "tags")
    assert [(group.kind, group.name, group.n) for group in figures.groups] == [("value", "a", 10), ("value", "b", 5), ("none", "", 2)]
    assert figures.groups[0].share.n == 12 and figures.total.n == 12 == sum(bucket.n for bucket in figures.total.buckets)
    heads = {head.name: head for head in figures.heads}
    assert heads["sentiment"].n == 12 and heads["tags"].n == 11
    assert {label: share.hits for label, share in heads["tags"].labels.items()} == {"a": 10, "b": 5}
    assert figures.n_duplicate_ids == 0


@pytest.mark.parametrize("every, expected", [("1m", [1] * 60), ("5m", [5] * 12), ("10m", [10] * 6), ("20m", [20] * 3)])
def test_buckets_of_minutes(every, expected):
    rows = [row(i, time=f"2026-10-01T09:{i:02d}:00Z") for i in range(60)]
    assert [bucket.n for bucket in count(rows, every=parse_every(every)).total.buckets] == expected


def test_times_before_1970_fall_on_their_day():
    rows = [row(0, time="1969-12-31T23:59:00Z"), row(1, time="1970-01-01T00:01:00Z")]
    assert [bucket.n for bucket in count(rows, every=parse_every("1d")).total.buckets] == [1, 1]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "99999-01-01T00:00:00Z", "999999999999999", "-1"])
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Shanghai"])
def test_one_impossible_time_does_not_spoil_the_trend(time, zone):
    figures = count([row(0, time=time), *(row(i) for i in range(1, 5))], zone=ZoneInfo(zone), every=parse_every("1d"))
    assert figures.n_untimed == {"bad_time": 1}
    assert [bucket.n for bucket in figures.total.buckets] == [4] and figures.total.n == 5


def test_a_few_times_in_the_future_are_left_out_of_the_trend_and_told():
    now = dt.datetime(2026, 10, 2, tzinfo=UTC)
    rows = [row(i) for i in range(300)] + [row(300, time="2126-10-01T09:00:00Z")]
    figures = count(rows, now=now)
    assert figures.n_untimed == {"future_time": 1} and figures.last.year == 2026
    assert sum(bucket.n for bucket in figures.total.buckets) == 300
    assert any("future" in note for note in figures.notes)
    many = count(rows + [row(301 + i, time="2027-01-01T09:00:00Z") for i in range(20)], now=now)
    assert many.last.year == 2126 and not many.n_untimed  # too many for a broken clock: shown
    wrong_clock = count(rows, now=now - dt.timedelta(days=30))  # ours may be the wrong one: then all are shown
    assert wrong_clock.last.year == 2126 and any("301 times are in the future" in note for note in wrong_clock.notes)


def test_heads_that_differ_in_case_are_two_heads():
    rows = [row(i, **{"label:Sentiment": "x", "label:a\"b": "y"}) for i in range(3)]
    figures = count(rows, {"sentiment": "label", "Sentiment": "label", "a\"b": "label"})
    assert [list(head.labels) for head in figures.heads] == [["negative"], ["x"], ["y"]]


def test_what_is_not_watched_has_no_share():
    figures = count([row(0, label="bad")])
    assert figures.watch is None and figures.total.watched.share is None and figures.total.labels == {"bad": 1}


def test_watched_label_of_a_head_of_many():
    rows = [{"text": "t", "time": "2026-10-01T09:00:00Z", "labels:tags": tags} for tags in (["a", "b"], ["b"], [], None)]
    figures = count(rows, {"tags": "labels"}, watch="tags=a")
    assert (figures.total.watched.hits, figures.total.watched.n, figures.total.labels) == (1, 3, {"a": 1})


def test_a_head_name_with_an_equals_sign_can_be_watched():
    heads = {"sentiment": "label", "a": "label", "a=b": "label"}
    figures = count([row(0, **{"label:a": "x", "label:a=b": "c=d"})], heads, watch="a=b=c=d")
    assert figures.watch == "a=b=c=d" and figures.total.watched.hits == 1


def test_since_and_until_stand_in_the_figures():
    rows = [row(0), row(1, time="2026-11-01T09:00:00Z"), row(2, time=None)]
    figures = count(rows, since=dt.datetime(2026, 10, 15, tzinfo=UTC))
    assert (figures.n_records, figures.n_good, figures.n_outside) == (3, 1, 2)
    assert "since=2026-10-15" in figures.signature and any("left out" in note for note in figures.notes)


def test_until_in_the_past_completes_the_last_bucket():
    rows = [row(i, time=f"2026-10-{time}:00Z") for i, time in enumerate(("01T00:10", "01T09:00", "02T09:00"))]
    midnight, noon = (dt.datetime(2026, 10, 3 - (hour > 0), hour, tzinfo=UTC) for hour in (0, 12))
    def completeness(**settings):
        return [bucket.is_complete for bucket in count(rows, every=parse_every("1d"), **settings).total.buckets]
    later = dt.datetime(2026, 10, 9, tzinfo=UTC)
    assert completeness(now=later) == [True, False]
    assert completeness(now=later, until=midnight) == [True, True]
    assert completeness(now=later, until=noon) == [True, False]
    assert completeness(now=noon, until=midnight) == [True, False]
    assert completeness(now=later, since=dt.datetime(2026, 10, 1, 6, tzinfo=UTC)) == [False, False]


def test_the_repeated_hour_is_two_buckets():
    rows = [row(0, time="2024-10-27T00:10:00Z"), row(1, time="2024-10-27T00:50:00Z"), row(2, time="2024-10-27T01:10:00Z")]
    for n, expected in ((2, [2]), (3, [2, 1])):
        buckets = count(rows[:n], zone=ZoneInfo("Europe/Berlin"), every=parse_every("1h")).total.buckets
        assert [bucket.n for bucket in buckets] == expected and buckets[0].start.hour == 2
        assert [bucket.is_complete for bucket in buckets] == [True] * (n - 2) + [False]


def test_counts_are_put_together_and_stay_right(monkeypatch):
    monkeypatch.setattr(counts, "COMPACT_ROWS", 20)
    rows = [row(i, time=f"2026-10-{1 + i % 9:02d}T09:00:00Z", by="ab"[i % 2]) for i in range(900)]
    figures = count(rows, by="source", size=7)
    assert [group.n for group in figures.groups] == [450, 450] and {bucket.n for bucket in figures.total.buckets if bucket.n} == {100}


def test_too_many_groups_is_a_clear_error(monkeypatch):
    monkeypatch.setattr(groups, "MOST_GROUPS", 50)
    with pytest.raises(UsageError, match="--by gives more than 50 groups"):
        count([row(i, by=f"g{i}") for i in range(60)], by="source")


def test_only_error_records():
    figures = count([{"error": "not_json"}, {"error": "not_json"}, {"error": "empty_text"}])
    assert figures.errors == {"not_json": 2, "empty_text": 1} and figures.total is None and figures.groups == []
