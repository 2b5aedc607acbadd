"""What alert would have told of an archive: records in any order, judged once all are there."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from doxa.monitoring.alerts.recall import first_judged
from doxa.monitoring.alerts.settings import tell_wait
from doxa.monitoring.alerts.store import open_store
from doxa.monitoring.alerts.watching import Asked, Feed, read_outbox
from doxa.monitoring.figures import Figures
from doxa.monitoring.settings import Settings
from doxa.records.columns import ColumnReader

WHOLE_ARCHIVE = {"remember_s": 10**10, "sampled_buckets": 10**6}  # nothing is too old, and causes are told of any time


class Replay:
    """Takes the tables of a reader; `finish` tells what there was to tell, as `monitoring.alerts.told.Told` has it."""

    def __init__(self, store, asked: Asked, now: dt.datetime):
        self.store, self.feed, self.every = store, Feed(store, asked, True, now), asked.every

    def add(self, table: pa.Table, reader: ColumnReader) -> None:
        self.feed.add(table, reader)

    @property
    def judged_from(self) -> dt.datetime | None:
        """The begin of the first bucket of which anything could be told; None where there was too little to know what is usual."""
        first = first_judged(self.store)
        return None if first is None else dt.datetime.fromtimestamp(first, self.feed.settings.zone)

    def finish(self, since: dt.datetime | None, until: dt.datetime | None) -> list[dict[str, Any]]:
        """Alerts, what grew worse, new series and new models that touch a stretch of time, oldest first, of one time the rarest last. An alert has its `end`, the line of it, or None
        while it goes on."""
        self.feed.finish()
        lines = [line for _, line in read_outbox(self.store)]
        ends = {line["alert"]: line for line in reversed(lines) if line["kind"] in ("eased", "resolved", "withdrawn")}
        told = [line | ({"end": ends.get(line["id"])} if line["kind"] == "alert" else {}) for line in lines
                if line["kind"] in ("alert", "worse", "new_series", "new_model")]
        told.sort(key=lambda line: (dt.datetime.fromisoformat(line["until"]), line.get("recurrence_s") or 0.0))
        return [line for line in told if (since is None or _last(line) is None or dt.datetime.fromisoformat(_last(line)) > since)
                and (until is None or dt.datetime.fromisoformat(line["since"]) < until)]


def tell_what_moved(figures: Figures, replay: Replay, promise: str) -> None:
    """Put into the figures of a page what alert would have told in their time, and from when on it could."""
    figures.promise, figures.judged_every, figures.alerts = promise, replay.every, replay.finish(figures.since, figures.until)
    figures.judged_from = replay.judged_from
    if figures.judged_from is None and figures.total is not None:
        figures.notes.append(f"nothing could be judged for --false-alarms: {tell_wait(replay.every)}; "
                             "give it more time, or a shorter --every")


def _last(line: dict[str, Any]) -> str | None:
    """The end of what a line tells of; None while it goes on."""
    end = line.get("end", line)
    return end and max(line["until"], end["until"], key=dt.datetime.fromisoformat)


@contextmanager
def open_replay(settings: Settings, promise: str) -> Iterator[Replay]:
    """A replay by the settings of a page, its state in a nameless file. Raises UsageError when `promise` is none."""
    where = [str(condition) for condition in settings.conditions]
    asked = Asked(where=where or None, watch=settings.watch, every=str(settings.every or "1d"), time_zone=settings.zone.key, promise=promise,
                  assumed_zone=settings.assumed_zone, **WHOLE_ARCHIVE)
    with open_store(None) as store:
        yield Replay(store, asked, settings.now)
