"""--last counts back from the latest time of the input, whatever the order, the clock or the way in."""

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from batches import count, row

from doxa.errors import DoxaError, UsageError
from doxa.monitoring.buckets import parse_every, parse_last, start_of_last

UTC, BERLIN = dt.UTC, ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2026, 11, 1, tzinfo=UTC)


def hourly(n, **more):
    start = dt.datetime(2026, 10, 1, tzinfo=UTC)
    return [row(i, time=(start + dt.timedelta(hours=i)).isoformat(), **more) for i in range(n)]


def last(rows, length, **settings):
    return count(rows, last=parse_last(length), **{"now": NOW} | settings)


@pytest.mark.parametrize("length, n", [("1h", 1), ("24h", 24), ("90m", 2), ("1d", 24), ("2w", 336), ("99d", 400)])
def test_the_window_has_its_length_and_ends_with_the_latest(length, n):
    figures = last(hourly(400), length)
    assert figures.n_good == figures.total.n == n and figures.n_outside == 400 - n
    assert figures.last == dt.datetime(2026, 10, 17, 15, tzinfo=UTC) and figures.first == figures.last - dt.timedelta(hours=n - 1)


def test_it_is_what_since_and_until_give():
    rows = hourly(300) + [row(300, time=None), row(301, time="2026-10-03"), {"error": "not_json"}]
    figures = last(rows[::-1], "5d", every=parse_every("6h"))
    bounded = count(rows, since=figures.since, until=figures.until, every=parse_every("6h"), now=NOW)
    assert figures.last_length == "5d" and figures.n_outside == 182
    assert replace(figures, last_length=None, notes=[]) == replace(bounded, notes=[])


def test_the_wall_clock_changes_nothing():
    figures = last(hourly(300), "5d", by="source")
    assert figures == last(hourly(300), "5d", by="source", now=NOW + dt.timedelta(days=4000))


def test_a_few_times_in_the_future_do_not_move_the_window():
    rows = [*hourly(300), row(300, time="2126-01-01T00:00:00Z")]
    figures = last(rows, "1d")
    assert figures.n_good == 24 and figures.last.year == 2026 and figures.n_outside == 277
    many = last(hourly(300), "1d", now=dt.datetime(2020, 1, 1, tzinfo=UTC))  # then our clock is the wrong one
    assert many.n_good == 24 and many.last.year == 2026


def test_repeats_and_examples_are_those_of_the_window():
    old = [row(i, text="an old story about a lender that is told again", score=0.99) for i in range(500)]
    rows = [dict(r, time="2026-09-01T09:00:00Z") for r in old] + hourly(48) + [dict(old[0], time="2026-10-02T12:00:00Z")]
    figures = last(rows, "1d", n_examples=40)
    told = [example for example in figures.total.examples if "old story" in example.text]
    assert [example.count for example in told] == [1] and figures.n_duplicate_ids == 0  # every id is there twice, within the window once
    assert all(example.time >= "2026-10-01T23" for example in figures.total.examples)


def test_tallies_and_conditions_respect_it():
    heads = {"sentiment": "label", "rating": "number"}
    rows = [dict(r, **{"score:rating": float(i)}) for i, r in enumerate(hourly(100))]
    figures = last(rows, "4h", heads=heads)
    assert [(head.n, head.mean) for head in figures.heads] == [(4, None), (4, 97.5)]


def test_without_any_time_there_is_no_last():
    with pytest.raises(DoxaError, match="no time can be read"):
        last([row(0, time=None), row(1, time="soon"), row(2, time="later")], "1d")
    assert last([], "1d").n_records == 0 and last([{"error": "not_json"}], "1d").errors == {"not_json": 1}


@pytest.mark.parametrize("end, length, start", [
    ("2024-04-10T12:00+02:00", "30d", "2024-03-11T12:00+01:00"),  # across the clock change the time of day stays
    ("2024-04-01T12:00+02:00", "24h", "2024-03-31T12:00+02:00"), ("2024-03-31T12:00+02:00", "24h", "2024-03-30T11:00+01:00"),
    ("2024-03-31T12:00+02:00", "1mo", "2024-02-29T12:00+01:00"), ("2023-03-31T12:00+02:00", "1mo", "2023-02-28T12:00+01:00"),
    ("2024-01-15T08:00+01:00", "3mo", "2023-10-15T08:00+02:00"), ("2024-12-31T08:00+01:00", "12mo", "2023-12-31T08:00+01:00"),
    ("2024-03-20T08:00+01:00", "4w", "2024-02-21T08:00+01:00"), ("2024-03-20T08:00+01:00", "999999mo", "0001-01-01T00:00+00:00"),
    ("2024-03-20T08:00+01:00", "999999d", "0001-01-01T00:00+00:00")])
def test_the_calendar_is_the_local_one(end, length, start):
    assert start_of_last(dt.datetime.fromisoformat(end), parse_last(length), BERLIN) == dt.datetime.fromisoformat(start)


@pytest.mark.parametrize("text", ["", "7", "0d", "-1d", "1y", "1.5h", "d", "9999999d", "1 d"])
def test_a_length_that_is_none(text):
    with pytest.raises(UsageError, match="such as 12h, 30d, 4w or 3mo"):
        parse_last(text)
