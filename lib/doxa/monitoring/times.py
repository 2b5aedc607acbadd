"""Timestamps of records as instants."""

import datetime as dt
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError

# A text time with a zone: Z, +08:00, +0800 or +08 at its end. Seconds or milliseconds since 1970 stand as digits.
MICROSECONDS_SQL = """
    CASE WHEN time IS NULL THEN NULL
         WHEN ends_with(time, 'Z') OR (length(time) > 15 AND (substr(time, -6, 1) IN ('+', '-')
              OR substr(time, -5, 1) IN ('+', '-') OR substr(time, -3, 1) IN ('+', '-')))
         THEN epoch_us(TRY_CAST(time AS TIMESTAMPTZ))
         WHEN regexp_full_match(time, '[0-9]{9,10}([.][0-9]+)?') THEN CAST(TRY_CAST(time AS DOUBLE) * 1000000 AS BIGINT)
         WHEN regexp_full_match(time, '[0-9]{12,13}') THEN TRY_CAST(time AS BIGINT) * 1000 END
"""
_NAIVE = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?)?$"


def microseconds_at_once(times: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Microseconds since 1970 of times that all are ISO 8601 with a zone, else None: the fast way of MICROSECONDS_SQL."""
    try:
        return times.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    except pa.ArrowInvalid:
        return None


def is_naive(times: pa.Array) -> pa.Array:
    """Whether each text is an ISO 8601 time without a zone."""
    return pc.match_substring_regex(times, _NAIVE)


def assume_zone(times: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Give naive times a zone; the earlier one where a clock change makes two."""
    naive = pc.fill_null(is_naive(times), False)
    if not pc.any(naive).as_py():
        return times
    unique = pc.unique(times.filter(naive)).to_pylist()
    known = {text: _with_zone(text, zone) for text in unique}
    return pa.array([known.get(text, text) for text in times.to_pylist()], pa.string())


def _with_zone(text: str, zone: ZoneInfo) -> str:
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(dt.UTC).isoformat()
    except ValueError:
        return text


def parse_bound(text: str | None, flag: str, zone: ZoneInfo) -> dt.datetime | None:
    """Parse --since or --until; without a zone of its own it is local to --time-zone. Raises UsageError."""
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{flag} {text}: give a date or time such as 2026-10-01 or 2026-10-01T09:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(dt.UTC)


def instant(microseconds: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)


def microseconds(moment: dt.datetime) -> int:
    """Microseconds since 1970 of an instant."""
    return (moment.astimezone(dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
