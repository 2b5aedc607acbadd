"""A run of alert: settings that a state keeps, records into it, judgement."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from doxa.errors import DoxaError, UsageError
from doxa.monitoring.alerts.calendar import Calendar
from doxa.monitoring.alerts.intake import Intake, Taken
from doxa.monitoring.alerts.monitor import Monitor
from doxa.monitoring.alerts.promise import parse_promise
from doxa.monitoring.alerts.settings import AlertSettings
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.alerts.told import Told, iso
from doxa.monitoring.buckets import load_zone, parse_every
from doxa.monitoring.settings import choose_watch
from doxa.records.columns import ColumnReader

# What a state is about: other values would make nonsense of its counts.
FIXED = {"by": "--by", "watch": "--watch", "every": "--every", "time_zone": "--time-zone"}


@dataclass(frozen=True)
class Asked:
    """What the flags say; None leaves it to the state, and where that is new, to its default."""

    by: str | None = None
    watch: str | None = None
    every: str | None = None
    time_zone: str | None = None
    promise: str | None = None
    baseline_s: int | None = None
    lateness_s: int | None = None
    remember_s: int | None = None
    cooldown: int | None = None
    assumed_zone: ZoneInfo | None = None
    model: str | None = None  # fingerprint


DEFAULTS = {"every": "1h", "time_zone": "UTC", "promise": "1/week"}


def settle(store: Store, asked: Asked) -> tuple[AlertSettings, dict[str, Any]]:
    """Settings of a run, and those of the state that they are made of. Raises UsageError where they are not those of the state."""
    known = {name: store.get(name) for name in (*FIXED, "promise", "baseline_s", "lateness_s", "remember_s", "cooldown")}
    for name, flag in FIXED.items():
        given = getattr(asked, name)
        if given is not None and store.get("subject") is not None and given != known[name]:
            raise UsageError(f"{flag} {given}: the state was made with {flag} {known[name] or '(nothing)'}; leave the flag out, or name another --state")
    values = {name: getattr(asked, name) if getattr(asked, name) is not None else value if value is not None else DEFAULTS.get(name)
              for name, value in known.items()}
    zone, given = load_zone(values["time_zone"]), {name: values[name] for name in ("baseline_s", "lateness_s", "remember_s", "cooldown") if values[name] is not None}
    settings = replace(AlertSettings(parse_every(values["every"]), zone, parse_promise(values["promise"])), **given)
    return settings, values


@dataclass(frozen=True)
class Summary:
    """What a run did. `is_learning`: these were the state's first records, and are only learnt from."""

    taken: Taken
    n_series: int
    is_learning: bool
    settings: AlertSettings
    calendar: Calendar


def take_records(store: Store, reader: ColumnReader, asked: Asked, tells_at_once: bool, now: dt.datetime) -> Summary:
    """Bring records into the state, judge, fill the outbox. Nothing is committed.

    What the first records bring is only learnt from, unless `tells_at_once`. Raises UsageError for settings that do not fit the state or the records."""
    settings, values = settle(store, asked)
    is_learning = store.get("watermark") is None and not tells_at_once
    calendar = Calendar(settings.every, settings.zone)
    intake, watch = Intake(store, settings, calendar, now.timestamp()), None
    for table in reader:
        if watch is None and reader.heads:
            watch = choose_watch(values["watch"], reader.heads)
            _keep_subject(store, values, reader, str(watch) if watch else None)
        intake.add(table, watch, reader.heads.get(watch.head) if watch else None, asked.assumed_zone,
                   [named.column for named in reader.by])
    taken = intake.finish()
    for name, value in values.items():
        if name not in ("by", "watch"):
            store.set(name, value)
    if taken.n_records and not taken.n_counted and not taken.n_known and not taken.n_old and taken.problems:
        problem = max(taken.problems, key=taken.problems.get)
        raise DoxaError(_TIMELESS[problem])
    monitor = Monitor(store, settings, calendar, store.get("by"), store.get("watch"), not is_learning)
    _note_model(store, monitor, asked.model, any(named.scope == "head" for named in reader.by))
    monitor.run(taken.late)
    n_series = store.database.execute("SELECT count(*) FROM series").fetchone()[0]
    return Summary(taken, n_series, is_learning, settings, calendar)


_TIMELESS = {"no_time": "no record has a time; name its field with --time-field",
             "naive_time": "the times have no zone; name it with --assume-time-zone",
             "bad_time": "no time can be read; ISO 8601 with a zone is wanted, such as 2026-10-01T09:00:00Z",
             "future_time": "all times lie more than a day in the future"}


def _keep_subject(store: Store, values: dict[str, Any], reader: ColumnReader, watch: str | None) -> None:
    """What is grouped by and watched, as it turned out for the first records."""
    by = next((f"{named.scope}:{named.name}" for named in reader.by), None)
    if store.get("subject") is None:
        store.set("by", values["by"] if values["by"] is not None else next((named.name for named in reader.by), None))
        store.set("watch", watch)
        store.set("subject", {"by": by, "watch": watch})
    elif store.get("subject") != {"by": by, "watch": watch}:
        before = store.get("subject")
        raise UsageError(f"the state counts {before['watch']} by {before['by']}, these records give {watch} by {by}; name another --state, "
                         "or --by and --watch as they were")


def _note_model(store: Store, monitor: Monitor, model: str | None, is_by_head: bool) -> None:
    """Another model than before says other things of the same texts: what is usual for it is learnt anew."""
    if model is None:
        return
    before = store.get("model")
    store.set("model", model)
    if before is None or before == model or monitor.next_bucket is None:
        return
    columns = ("share_from", "volume_from") if is_by_head else ("share_from",)
    for column in columns:
        store.database.execute(f"UPDATE series SET {column} = ? WHERE id > 0 OR ? = 'share_from'", (monitor.next_bucket, column))
    since = iso(monitor.next_bucket, monitor.calendar.zone)
    monitor.tell(Told(f"model|{model[:12]}", "new_model", None, since=since, reason=f"{before[:12]} before, {model[:12]} now"))
    monitor.load()


def read_outbox(store: Store) -> Iterator[tuple[int, dict[str, Any]]]:
    """What is to be told, oldest first."""
    for number, line in store.database.execute("SELECT id, told FROM outbox ORDER BY id").fetchall():
        yield number, json.loads(line)


def deliver(store: Store, tell: Callable[[dict[str, Any]], bool]) -> tuple[int, int]:
    """Hand over every line; one that `tell` refuses stays for the next run. Returns (alerts told, lines that stay).

    Each line is taken off once it is told: a run that is killed in between tells it again, under the same id."""
    n_alerts = n_kept = 0
    for number, told in read_outbox(store):
        if tell(told):
            n_alerts += told["kind"] == "alert"
            store.database.execute("DELETE FROM outbox WHERE id = ?", (number,))
            store.commit()
        else:
            n_kept += 1
    return n_alerts, n_kept
