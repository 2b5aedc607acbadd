"""Time buckets by the local calendar of a time zone."""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from doxa.errors import UsageError

MOST_BUCKETS = 10_000
HOUR_S, DAY_S = 3600, 86_400
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks", "mo": "months"}
_CHOICES = ("1h", "3h", "6h", "12h", "1d", "1w", "1mo", "3mo", "12mo")


@dataclass(frozen=True)
class Every:
    """A length of time, as of a bucket: `n` units of m, h, d, w or mo."""

    n: int
    unit: str

    def __str__(self) -> str:
        return f"{self.n}{self.unit}"

    @property
    def usual_s(self) -> float:
        """Its usual length in seconds; that of a month is the mean one."""
        return self.n * {"m": 60, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S, "mo": 30.4375 * DAY_S}[self.unit]


def parse_every(text: str) -> Every:
    """Parse `1h`, `6h`, `1d`, `1w`, `1mo`. Raises UsageError."""
    match = re.fullmatch(r"(\d+)(m|h|d|w|mo)", text)
    if not match or int(match[1]) == 0:
        raise UsageError(f"--every {text}: give a number and a unit, such as 15m, 1h, 1d, 1w or 1mo")
    every = Every(int(match[1]), match[2])
    minutes = every.n * {"m": 1, "h": 60}.get(every.unit, 0)
    if minutes and 1440 % minutes:
        raise UsageError(f"--every {text}: hours and minutes must divide a day evenly")
    return every


def parse_last(text: str) -> Every:
    """Parse the length of `--last`: `12h`, `30d`, `4w`, `3mo`. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})(m|h|d|w|mo)", text)
    if not match or int(match[1]) == 0:
        raise UsageError(f"--last {text}: give a number and a unit, such as 12h, 30d, 4w or 3mo")
    return Every(int(match[1]), match[2])


def start_of_last(end: dt.datetime, length: Every, zone: ZoneInfo) -> dt.datetime:
    """The moment `length` before `end`: minutes and hours by elapsed time; days, weeks and months by the calendar of `zone`
    at the same time of day, and on the last day of a month that has no such day. The year 1 is the earliest."""
    try:
        if length.unit in "mh":
            return end - dt.timedelta(**{_UNITS[length.unit]: length.n})
        local = end.astimezone(zone)
        if length.unit in "dw":
            return (local - dt.timedelta(**{_UNITS[length.unit]: length.n})).astimezone(dt.UTC)
        months = local.year * 12 + local.month - 1 - length.n
        first = dt.date(months // 12, months % 12 + 1, 1)
        n_days = ((first + dt.timedelta(days=31)).replace(day=1) - first).days
        return local.replace(year=first.year, month=first.month, day=min(local.day, n_days)).astimezone(dt.UTC)
    except (OverflowError, ValueError):
        return dt.datetime.min.replace(tzinfo=dt.UTC)


def parse_length(text: str, flag: str) -> int:
    """Parse a stretch of time such as `90m`, `12h`, `7d` or `8w` to seconds. Raises UsageError."""
    match = re.fullmatch(r"(\d+)(m|h|d|w)?", text)
    if not match or (match[2] is None and int(match[1]) > 0):
        raise UsageError(f"{flag} {text}: give a number and a unit, such as 90m, 12h, 7d or 8w")
    return int(match[1]) * {"m": 60, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S, None: 0}[match[2]]


def load_zone(name: str, flag: str = "--time-zone") -> ZoneInfo:
    """Raises UsageError for a zone that the time-zone database does not hold."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(f"{flag} {name}: no such time zone; give a name such as Europe/Berlin or Asia/Shanghai") from None


def choose_every(first: dt.datetime, last: dt.datetime) -> Every:
    """The shortest usual length that cuts the span into at most 31 buckets."""
    hours = (last - first).total_seconds() / 3600
    for text in _CHOICES:
        every = parse_every(text)
        if hours <= 31 * every.n * {"h": 1, "d": 24, "w": 168, "mo": 730}[every.unit]:
            return every
    return parse_every("12mo")


def bucket_edges(first: dt.datetime, last: dt.datetime, every: Every, zone: ZoneInfo, most: int = MOST_BUCKETS) -> list[dt.datetime]:
    """The edges of all buckets from the one of `first` to the one of `last`, the end of the last included, in `zone`.

    Days begin at local midnight, so a day can have 23 or 25 hours; lengths above an hour begin where the clock on the wall says so, and
    are as much shorter or longer when it is changed; an hour and less count from local midnight by elapsed time; weeks begin on Monday, months
    on the first. Raises UsageError for more than `most`.
    """
    edges = [_floor(first.astimezone(zone), every, zone)]
    while edges[-1].astimezone(dt.UTC) <= last:
        edges.append(_next(edges[-1], every, zone))
        if len(edges) > most:
            raise UsageError(f"--every {every} cuts the time from {first:%Y-%m-%d} to {last:%Y-%m-%d} into more than "
                             f"{most} buckets; take a longer one, or --since and --until")
    return edges


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=zone)


def _floor(moment: dt.datetime, every: Every, zone: ZoneInfo) -> dt.datetime:
    day = moment.date()
    if every.unit == "mo":
        months = (day.year * 12 + day.month - 1) // every.n * every.n
        return _midnight(dt.date(months // 12, months % 12 + 1, 1), zone)
    if every.unit == "w":
        monday = day - dt.timedelta(days=day.weekday())
        weeks = (monday.toordinal() - 1) // 7  # ordinal 1 is a Monday
        return _midnight(dt.date.fromordinal(weeks // every.n * every.n * 7 + 1), zone)
    if every.unit == "d":
        return _midnight(dt.date.fromordinal((day.toordinal() - 1) // every.n * every.n + 1), zone)
    midnight = _midnight(day, zone)
    step_s = _seconds(every)
    if step_s > HOUR_S:
        return max(begin for begin in _begins(day, step_s, zone) if begin.astimezone(dt.UTC) <= moment.astimezone(dt.UTC))
    elapsed_s = (moment.astimezone(dt.UTC) - midnight.astimezone(dt.UTC)).total_seconds()
    return _after(midnight, elapsed_s // step_s * step_s, zone)


def _next(edge: dt.datetime, every: Every, zone: ZoneInfo) -> dt.datetime:
    day = edge.date()
    if every.unit == "mo":
        months = day.year * 12 + day.month - 1 + every.n
        return _midnight(dt.date(months // 12, months % 12 + 1, 1), zone)
    if every.unit in "dw":
        return _midnight(day + dt.timedelta(days=every.n * (7 if every.unit == "w" else 1)), zone)
    tomorrow = _midnight(day + dt.timedelta(days=1), zone)
    if _seconds(every) > HOUR_S:
        return next((begin for begin in _begins(day, _seconds(every), zone) if begin.astimezone(dt.UTC) > edge.astimezone(dt.UTC)), tomorrow)
    following = _after(edge, _seconds(every), zone)
    return min(following, tomorrow, key=lambda moment: moment.astimezone(dt.UTC))


def _seconds(every: Every) -> int:
    return every.n * {"m": 60, "h": HOUR_S}[every.unit]


def _begins(day: dt.date, step_s: int, zone: ZoneInfo) -> Iterator[dt.datetime]:
    """When a clock shows the times of a day at which a step begins, the first time where it does so twice; one that is left out is the moment of the change."""
    for seconds in range(0, DAY_S, step_s):
        shown = dt.datetime.combine(day, dt.time(seconds // HOUR_S, seconds % HOUR_S // 60), zone)
        yield shown.astimezone(dt.UTC).astimezone(zone)


def _after(moment: dt.datetime, seconds: float, zone: ZoneInfo) -> dt.datetime:
    return (moment.astimezone(dt.UTC) + dt.timedelta(seconds=seconds)).astimezone(zone)
