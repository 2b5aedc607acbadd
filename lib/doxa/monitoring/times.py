"""Timestamps of records as instants: microseconds since 1970 in UTC."""

import datetime as dt
import re
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.records.stored import encode, is_encoded, tell

PROBLEMS = ("no_time", "naive_time", "bad_time")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# Outside of these years a time is taken for a slip, so that one broken clock does not stretch the trend of all.
FIRST_YEAR, LAST_YEAR = 1900, 2199
FUTURE = dt.timedelta(days=1)  # further from now, a time lies in the future
FEW = 0.01  # up to this share of times in the future, they are broken clocks and left out of the trend
_TIMELESS = {"no_time": "no record has a time in the field that is read; name another with --time-field",
             "naive_time": "the times have no zone; name it with --assume-time-zone",
             "bad_time": "no time can be read; ISO 8601 with a zone is wanted, such as 2026-10-01T09:00:00Z",
             "future_time": "all times lie more than a day in the future"}
_EPOCH = re.compile(r"(?P<seconds>\d{9,10}(?:\.\d+)?)|(?P<milliseconds>\d{12,13})|(?P<microseconds>\d{16})|(?P<nanoseconds>\d{19})")
_FROM_EPOCH = {"seconds": lambda text: round(float(text) * 1e6), "milliseconds": lambda text: int(text) * 1000, "microseconds": int,
               "nanoseconds": lambda text: int(text) // 1000}
_UTC = re.compile(r"(?<=\d) ?(?:utc|gmt|z)$", re.IGNORECASE)
_LEAP_SECOND = re.compile(r"(?<=:[0-5]\d:)60")


def read_instants(times: pa.ChunkedArray, assumed_zone: ZoneInfo | None) -> tuple[pa.Array, dict[str, int]]:
    """Return microseconds since 1970 (int64, null where there is no usable time) and how many times had which problem.

    `times` are texts, also in a dictionary, or instants.

    Understood are ISO 8601 with a zone, also with `UTC` or `GMT` for one, and since 1970 seconds as 9 or 10 digits (a fraction may follow),
    milliseconds as 12 or 13, microseconds as 16 and nanoseconds as 19. A time without a zone is local to `assumed_zone` (the earlier one where a clock change makes two), or the
    problem `naive_time`. A leap second counts as the first moment after it.
    """
    n_missing = {"no_time": times.null_count} if times.null_count else {}
    places, texts = None, times
    if is_encoded(times.type):
        encoded = encode(times)
        places, texts = encoded.indices, pa.chunked_array([encoded.dictionary])
    instants = _at_once(texts)
    if instants is not None:
        return _at(instants, places), n_missing
    if pa.types.is_timestamp(times.type):
        return read_instants(tell(times), assumed_zone)
    naive = _naive_at_once(texts, assumed_zone)
    if naive is not None:
        n_naive = 0 if assumed_zone else len(times) - times.null_count
        return _at(naive, places), n_missing | ({"naive_time": n_naive} if n_naive else {})
    encoded = encode(times)
    known = [read_instant(text, assumed_zone) for text in encoded.dictionary.to_pylist()]
    problems = n_missing
    for item in pc.value_counts(encoded.indices.drop_null()).to_pylist():
        if isinstance(known[item["values"]], str):
            problem = known[item["values"]]
            problems[problem] = problems.get(problem, 0) + item["counts"]
    values = pa.array([None if isinstance(value, str) else value for value in known], pa.int64())
    return values.take(encoded.indices), problems


def _at(values: pa.Array, places: pa.Array | None) -> pa.Array:
    return values if places is None else values.take(places)


def _at_once(times: pa.ChunkedArray) -> pa.Array | None:
    """The fast way where all times are instants or plain ISO 8601 with a zone, else None."""
    try:
        return _plausible(times.cast(pa.timestamp("us", "UTC"), safe=False))  # finer than a microsecond is cut off
    except pa.ArrowInvalid:
        return None


def _naive_at_once(times: pa.ChunkedArray, assumed_zone: ZoneInfo | None) -> pa.Array | None:
    """The fast way where no time has a zone, else None; also None where one falls into the gap of a clock change."""
    try:
        naive = times.cast(pa.timestamp("us"))
        if assumed_zone is None:
            return pa.nulls(len(times), pa.int64())
        microseconds = _plausible(pc.assume_timezone(naive, assumed_zone.key, ambiguous="earliest", nonexistent="raise"))
    except (pa.ArrowInvalid, ValueError):
        return None
    span = pc.min_max(microseconds).as_py() if microseconds is not None else {"min": None}
    # pyarrow (26) knows no summer time after 2037, zoneinfo does.
    is_known = span["min"] is None or (span["min"] >= 0 and span["max"] < _END_OF_2036_US)
    return microseconds if is_known else None


def _plausible(instants: pa.ChunkedArray) -> pa.Array | None:
    microseconds = instants.combine_chunks().cast(pa.int64())
    span = pc.min_max(microseconds).as_py()
    is_good = span["min"] is None or (is_plausible(span["min"]) and is_plausible(span["max"]))
    return microseconds if is_good else None


def read_instant(text: str, assumed_zone: ZoneInfo | None) -> int | str:
    """Microseconds since 1970, or the problem."""
    if epoch := _EPOCH.fullmatch(text):
        microseconds = _FROM_EPOCH[epoch.lastgroup](text)
        return microseconds if is_plausible(microseconds) else "bad_time"
    plain, n_leap = _LEAP_SECOND.subn("59", _UTC.sub("Z", text))
    try:
        moment = dt.datetime.fromisoformat(plain)
        if moment.tzinfo is None:
            if assumed_zone is None:
                return "naive_time"
            moment = moment.replace(tzinfo=assumed_zone)
        microseconds = to_microseconds(moment + dt.timedelta(seconds=n_leap))
    except (ValueError, OverflowError):
        return "bad_time"
    return microseconds if is_plausible(microseconds) else "bad_time"


def is_plausible(microseconds: int) -> bool:
    return _LEAST_US <= microseconds < _MOST_US


def parse_bound(text: str | None, flag: str, zone: ZoneInfo) -> dt.datetime | None:
    """Parse --since or --until; without a zone of its own it is local to --time-zone. Raises UsageError."""
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{flag} {text}: give a date or time such as 2026-10-01 or 2026-10-01T09:00") from None
    return moment


def to_microseconds(moment: dt.datetime) -> int:
    return (moment.astimezone(dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)


def instant(microseconds: int) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=microseconds)


_LEAST_US = to_microseconds(dt.datetime(FIRST_YEAR, 1, 1, tzinfo=dt.UTC))
_END_OF_2036_US = to_microseconds(dt.datetime(2037, 1, 1, tzinfo=dt.UTC))
_MOST_US = to_microseconds(dt.datetime(LAST_YEAR + 1, 1, 1, tzinfo=dt.UTC))


def why_timeless(problems: dict[str, int]) -> str:
    """What keeps records from having a usable time, in words: the problem of most of them."""
    return _TIMELESS[max(problems, key=problems.get)]
