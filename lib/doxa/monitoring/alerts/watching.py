"""A run of alert: settings that a state keeps, records into it, judgement."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from doxa.errors import DoxaError, UsageError
from doxa.monitoring.alerts.calendar import Calendar
from doxa.monitoring.alerts.intake import Intake, Taken
from doxa.monitoring.alerts.models import Changes, Models
from doxa.monitoring.alerts.monitor import Monitor
from doxa.monitoring.alerts.promise import parse_promise
from doxa.monitoring.alerts.recall import first_judged
from doxa.monitoring.alerts.settings import SHARE, VOLUME, AlertSettings
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.buckets import load_zone, parse_every
from doxa.monitoring.settings import Watch, choose_watch, unknown_watch
from doxa.monitoring.times import why_timeless
from doxa.records.columns import ColumnReader
from doxa.records.conditions import parse_conditions
from doxa.records.groups import group_names

# What a state is about: other values would make nonsense of its counts.
FIXED = {"by": "--by", "where": "--where", "watch": "--watch", "every": "--every", "time_zone": "--time-zone"}

CHANGEABLE = ("baseline_s", "lateness_s", "remember_s", "cooldown", "silent_s", "sampled", "sampled_buckets")


@dataclass(frozen=True)
class Asked:
    """What the flags say; None leaves it to the state, and where that is new, to its default."""

    by: list[str] | None = None
    where: list[str] | None = None
    watch: str | None = None
    every: str | None = None
    time_zone: str | None = None
    promise: str | None = None
    baseline_s: int | None = None
    lateness_s: int | None = None
    remember_s: int | None = None
    cooldown: int | None = None
    silent_s: int | None = None
    sampled: int | None = None
    sampled_buckets: int | None = None
    assumed_zone: ZoneInfo | None = None
    model: str | None = None  # fingerprint


DEFAULTS = {"every": "1h", "time_zone": "UTC", "promise": "1/week"}


def settle(store: Store, asked: Asked) -> tuple[AlertSettings, dict[str, Any]]:
    """Settings of a run, and those of the state that they are made of. Raises UsageError where they are not those of the state."""
    known = {name: store.get(name) for name in (*FIXED, "promise", *CHANGEABLE)}
    for name, flag in FIXED.items():
        given = getattr(asked, name)
        if given is not None and store.get("subject") is not None and given != known[name]:
            raise UsageError(f"{flag} {_flat(given)}: the state was made with {flag} {_flat(known[name])}; leave the flag out, or name "
                             "another --state")
    values = {name: getattr(asked, name) if getattr(asked, name) is not None else value if value is not None else DEFAULTS.get(name)
              for name, value in known.items()}
    zone, given = load_zone(values["time_zone"]), {name: values[name] for name in CHANGEABLE if values[name] is not None}
    settings = replace(AlertSettings(parse_every(values["every"]), zone, parse_promise(values["promise"])), **given)
    if settings.lateness_s > settings.remember_s and (asked.lateness_s, asked.remember_s) != (None, None):
        raise UsageError("--lateness is longer than --remember (7d unless given), beyond which no record is counted; give a longer --remember as well")
    if settings.silent_s >= settings.baseline_s:
        raise UsageError("--silent is not shorter than --baseline (8w unless given), by which is known how much should have come; give a longer --baseline as well")
    return settings, values


def _flat(value: str | list[str] | None) -> str:
    return value if isinstance(value, str) else ", ".join(value or ()) or "nothing"


@dataclass(frozen=True)
class Summary:
    """What a run did. `n_watched` records that the state counts hold the watched label. `is_first`: its records were the state's first; `is_learning`: and were only
    learnt from. `judged_from` is the begin of the first bucket of which anything could be told, None where there is none."""

    taken: Taken
    n_series: int
    n_watched: int | None
    is_first: bool
    is_learning: bool
    judged_from: int | None
    watch: str | None
    settings: AlertSettings
    calendar: Calendar


class Feed:
    """Brings records into a state, table by table, then judges and fills the outbox. Nothing is committed.

    What the first records bring is only learnt from, unless `tells_at_once`. `subject` is what the state is about, None where it is new. Raises UsageError for
    settings that do not fit the state or the records."""

    def __init__(self, store: Store, asked: Asked, tells_at_once: bool, now: dt.datetime):
        self.store, self.asked = store, asked
        self.settings, self.values = settle(store, asked)
        self.is_first, self.subject = store.get("watermark") is None, store.get("subject")
        self.is_learning = self.is_first and not tells_at_once
        self.calendar = Calendar(self.settings.every, self.settings.zone)
        self.intake = Intake(store, self.settings, self.calendar, parse_conditions(self.values["where"] or ()), now.timestamp())
        self.watch: Watch | None = None
        self.models = Models()
        self.reader: ColumnReader | None = None

    def add(self, table: pa.Table, reader: ColumnReader) -> None:
        self.reader = reader
        if self.watch is None and reader.schema.heads:
            watches_nothing = self.subject is not None and self.subject["watch"] is None
            self.watch = None if watches_nothing else choose_watch(self.values["watch"], reader.schema.heads)
            _keep_subject(self.store, self.values, reader, str(self.watch) if self.watch else None)
        if self.asked.model is None and self.watch is not None:
            self.models.add(table, self.watch.head, self.asked.assumed_zone)
        self.intake.add(table, reader, self.watch, self.asked.assumed_zone)

    def finish(self, count: Callable[[int], None] = lambda n_left: None) -> Summary:
        """`count` is told of every bucket that was judged how many are left. Raises DoxaError when no record has a usable time, UsageError when none of the first ones has the watched head."""
        store, taken = self.store, self.intake.finish()
        schema = self.reader.schema if self.reader else None
        if self.is_first and schema and schema.assumed and taken.n_counted and not store.database.execute("SELECT sum(judged) FROM counts").fetchone()[0]:
            raise unknown_watch(self.values["watch"], schema.met_heads)
        for name, value in self.values.items():
            if name not in ("by", "watch"):
                store.set(name, value)
        if taken.n_records and not taken.n_counted + taken.n_known + taken.n_old + taken.n_unmet and taken.problems:
            raise DoxaError(why_timeless(taken.problems))
        subject = store.get("subject") or {"names": [], "by": []}
        monitor = Monitor(store, self.settings, self.calendar, ", ".join(subject["names"]) or None, store.get("watch"), not self.is_learning)
        is_by_head = any(by.startswith("head:") for by in subject["by"])
        last = self.asked.model or self.models.last
        spans = {last: (-np.inf, -np.inf)} if self.asked.model else self.models.spans_s
        before = store.get("models", {})
        changes = Changes.of(store.get("model"), set(store.get("mixed", [])), spans, before, last, monitor.next_bucket, self.settings,
                             (VOLUME, SHARE) if is_by_head else (SHARE,))
        monitor.run(taken.late, changes, count)
        if last is not None:
            store.set("model", changes.current)  # one that is stamped ahead of the clock is yet to come
            store.set("mixed", sorted(changes.mixed))
            seen = before | {model: max(end, before.get(model, end)) for model, (_, end) in self.models.spans_s.items()}
            store.set("models", {model: end for model, end in seen.items() if end >= (self.intake.watermark_s or 0) - self.settings.remember_s})
        n_series, n_watched = (store.database.execute(query).fetchone()[0] for query in (
            "SELECT count(*) FROM series", "SELECT sum(watched) FROM counts WHERE series = 0"))
        return Summary(taken, n_series, n_watched, self.is_first, self.is_learning, first_judged(store), store.get("watch"), self.settings, self.calendar)


def _keep_subject(store: Store, values: dict[str, Any], reader: ColumnReader, watch: str | None) -> None:
    """What is grouped by and watched, as it turned out for the first records."""
    subject = {"by": [f"{named.scope}:{named.name}" for named in reader.schema.by], "names": group_names(reader.schema.by), "watch": watch}
    before = store.get("subject")
    if before is None:
        store.set("by", values["by"] if values["by"] is not None else subject["names"])
        store.set("watch", watch)
        store.set("subject", subject)
    elif before != subject:
        raise UsageError(f"the state counts {before['watch']} by {_flat(before['by'])}, these records give {watch} by {_flat(subject['by'])}; name another "
                         "--state, or --by and --watch as they were")


def read_outbox(store: Store) -> Iterator[tuple[int, dict[str, Any]]]:
    """What is to be told, oldest first."""
    for number, line in store.database.execute("SELECT id, told FROM outbox ORDER BY id").fetchall():
        yield number, json.loads(line)


IS_ALERT = frozenset({"alert", "worse", "silent"})


def count_alerts(store: Store, after: int) -> int:
    """How many of the lines to be told, behind that number, are alerts."""
    return sum(told["kind"] in IS_ALERT for number, told in read_outbox(store) if number > after)


def deliver(store: Store, hand: Callable[[dict[str, Any]], bool] | None, say: Callable[[dict[str, Any]], None], number: int = 0) -> tuple[int, int, int]:
    """Hand over every line behind a number, also those that come meanwhile, then say it; one that `hand` refuses stays for the next run.

    Returns how many alerts were told, how many lines stay, and the number of the last.

    What is done with a line is kept at once, by a store that changes at once: a run that is killed in between does that alone again, under the same id."""
    n_alerts = n_kept = 0
    while line := store.next_line(number):
        number, text, is_handed = line
        told = json.loads(text)
        if hand is not None and not is_handed:
            if not hand(told):
                n_kept += 1
                continue
            store.database.execute("UPDATE outbox SET is_handed = 1 WHERE id = ?", (number,))
        say(told)
        n_alerts += told["kind"] in IS_ALERT
        store.database.execute("DELETE FROM outbox WHERE id = ?", (number,))
    return n_alerts, n_kept, number
