"""Local calendar buckets against a naive walk through time."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from doxa.errors import UsageError
from doxa.monitoring.buckets import bucket_edges, choose_every, load_zone, parse_every

UTC = dt.UTC


def hours(edges):
    instants = [edge.astimezone(UTC) for edge in edges]
    return [(b - a).total_seconds() / 3600 for a, b in zip(instants, instants[1:])]


@pytest.mark.parametrize("day, length", [("2024-03-31", 23), ("2024-10-27", 25), ("2024-06-01", 24)])
def test_days_of_clock_changes(day, length):
    noon = dt.datetime.fromisoformat(day + "T12:00").replace(tzinfo=UTC)
    edges = bucket_edges(noon, noon, parse_every("1d"), ZoneInfo("Europe/Berlin"))
    assert hours(edges) == [length]
    assert edges[0].isoformat()[:19] == day + "T00:00:00"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Asia/Shanghai"])
@pytest.mark.parametrize("every", ["15m", "1h", "6h", "1d", "1w", "1mo", "3mo"])
def test_edges_tile_time_and_agree_with_a_walk(zone, every):
    """Every instant falls into the bucket whose local label a naive walk gives it."""
    zone = ZoneInfo(zone)
    first = dt.datetime(2024, 3, 29, 5, 10, tzinfo=UTC)
    last = first + dt.timedelta(days=4 if every in ("15m", "1h", "6h") else 220)
    edges = bucket_edges(first, last, parse_every(every), zone)
    instants = [edge.astimezone(UTC) for edge in edges]
    assert instants == sorted(set(instants)) and instants[0] <= first and instants[-2] <= last < instants[-1]
    moment, bucket = first, 0
    while moment < last:
        while moment >= instants[bucket + 1]:
            bucket += 1
        local, start = moment.astimezone(zone), edges[bucket]
        if every == "1d":
            assert start.date() == local.date() and (start.hour, start.minute) == (0, 0)
        elif every == "1w":
            assert start.date() == local.date() - dt.timedelta(days=local.weekday())
        elif every.endswith("mo"):
            assert start.day == 1 and 0 <= (local.year - start.year) * 12 + local.month - start.month < int(every[:-2])
        else:
            assert start.date() == local.date()
            assert every != "6h" or start.hour == local.hour // 6 * 6 and start.minute == 0
        moment += dt.timedelta(minutes=97)
    assert all(edge.timestamp() % 900 == 0 for edge in edges)  # counting relies on quarters of an hour


@pytest.mark.parametrize("zone, first, lengths", [
    ("Europe/Berlin", "2024-10-26T22:00", [7, 6, 6, 6]), ("Europe/Berlin", "2024-03-30T23:00", [5, 6, 6, 6]), ("Australia/Lord_Howe", "2024-04-06T13:00", [6.5, 6, 6, 6])])
def test_lengths_above_an_hour_begin_by_the_clock_on_the_wall(zone, first, lengths):
    first = dt.datetime.fromisoformat(first).replace(tzinfo=UTC)  # local midnight of the day of a change
    edges = bucket_edges(first, first + dt.timedelta(hours=21), parse_every("6h"), ZoneInfo(zone))
    assert hours(edges) == lengths
    assert [edge.astimezone(ZoneInfo(zone)).strftime("%H:%M") for edge in edges] == ["00:00", "06:00", "12:00", "18:00", "00:00"]


def test_an_hour_and_less_count_by_elapsed_time():
    first = dt.datetime(2024, 10, 26, 22, tzinfo=UTC)
    edges = bucket_edges(first, first + dt.timedelta(hours=24), parse_every("1h"), ZoneInfo("Europe/Berlin"))
    assert hours(edges) == [1] * 25 and [edge.hour for edge in edges[:5]] == [0, 1, 2, 2, 3]


@pytest.mark.parametrize("text", ["", "d", "0d", "1y", "5h", "7m", "-1d", "1.5h"])
def test_nonsense_is_refused(text):
    with pytest.raises(UsageError):
        parse_every(text)


def test_too_many_buckets_are_refused_by_name():
    first = dt.datetime(2000, 1, 1, tzinfo=UTC)
    with pytest.raises(UsageError, match="--every 15m"):
        bucket_edges(first, first + dt.timedelta(days=3000), parse_every("15m"), UTC_ZONE)


UTC_ZONE = ZoneInfo("UTC")


@pytest.mark.parametrize("days, expected", [(0.5, "1h"), (20, "1d"), (150, "1w"), (700, "1mo")])
def test_length_chosen_by_the_span(days, expected):
    first = dt.datetime(2024, 1, 1, tzinfo=UTC)
    assert str(choose_every(first, first + dt.timedelta(days=days))) == expected


def test_unknown_zone():
    with pytest.raises(UsageError, match="no such time zone"):
        load_zone("Mars/Base")
