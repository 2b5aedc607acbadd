"""Timestamps: fast ways and the careful one agree, and say what is wrong."""

import datetime as dt
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doxa.monitoring.times import read_instant, read_instants

SPELLINGS = {
    "2024-01-01T00:00:00Z": 1704067200_000000, "2024-01-01T05:45:00+0545": 1704067200_000000, "2024-01-01 00:00:00.000+00": 1704067200_000000,
    "2023-12-31T14:00-10:00": 1704067200_000000, "1704067200": 1704067200_000000, "1704067200.5": 1704067200_500000,
    "1704067200000": 1704067200_000000, "20240101T000000Z": 1704067200_000000, "2016-12-31T23:59:60Z": 1483228800_000000,
    "2024-01-01T00:00:00.123456789Z": 1704067200_123456, "2024-01-01T00:00:00": "naive_time", "2024-01-01": "naive_time",
    "yesterday": "bad_time", "": "bad_time", "2024-13-01T00:00:00Z": "bad_time", "0001-01-01T00:00:00+14:00": "bad_time",
    "infinityZ": "bad_time", "17": "bad_time", "2300-01-01T00:00:00Z": "bad_time",
}


@pytest.mark.parametrize("text, expected", SPELLINGS.items())
def test_spellings(text, expected):
    assert read_instant(text, None) == expected


def both_ways(texts, zone):
    """Each text read alone, so that a fast way may take it, and all among unreadable ones, so that none can."""
    alone = [read_instants(pa.chunked_array([[text]], pa.string()), zone) for text in texts]
    mixed, _ = read_instants(pa.chunked_array([texts, ["yesterday"]], pa.string()), zone)
    return [instants[0].as_py() for instants, _ in alone], mixed.to_pylist()[:-1]


@pytest.mark.parametrize("zone", [None, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu")])
def test_fast_and_careful_agree_on_spellings(zone):
    alone, mixed = both_ways([*SPELLINGS, None, "2024-03-31T02:30:00", "2024-10-27T02:30:00", "2024-10-27 02:30"], zone)
    assert alone == mixed


@given(st.datetimes(dt.datetime(1850, 1, 1), dt.datetime(2250, 1, 1)), st.sampled_from(["Z", "+00:00", "-0930", "+05:45", ""]),
       st.sampled_from([None, ZoneInfo("Europe/Berlin"), ZoneInfo("America/Sao_Paulo")]))
@example(dt.datetime(2038, 4, 1), "", ZoneInfo("Europe/Berlin"))  # pyarrow alone is an hour off
def test_fast_and_careful_agree(moment, offset, zone):
    alone, mixed = both_ways([moment.isoformat() + offset], zone)
    assert alone == mixed


def test_problems_are_counted():
    times = pa.chunked_array([["2024-01-01", None, "x"], ["2024-01-01", "2024-01-01T00:00:00Z"]], pa.string())
    assert read_instants(times, None)[1] == {"no_time": 1, "naive_time": 2, "bad_time": 1}
    assert read_instants(times, ZoneInfo("UTC"))[1] == {"no_time": 1, "bad_time": 1}
    assert read_instants(pa.chunked_array([["2024-01-01", None]], pa.string()), None)[1] == {"no_time": 1, "naive_time": 1}
