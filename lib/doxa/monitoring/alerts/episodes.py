"""Episodes: a series is out of the usual from its first surprise to the first usual stretch. One or several are an event, told by one line."""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from doxa.monitoring.alerts.settings import MEASURES
from doxa.monitoring.alerts.store import Store

OPEN, RESOLVED, NEW_LEVEL, UNDECIDED, WITHDRAWN = "open", "resolved", "new level", "undecided", "withdrawn"


@dataclass(frozen=True)
class Episode:
    """`since` and `bucket` (in which it was found) are starts of buckets. `level` is what was last told of it (see `levels`); `relief` and `calm` how far,
    and for how many buckets, it speaks for the usual again. `event` is the id of the line that told of it, None where nothing was told; `alert` that
    line where it is its own."""

    id: int
    series: int
    measure: int
    since: int
    bucket: int
    ended: int | None
    calm: int
    relief: float
    level: float
    status: str
    event: str | None
    alert: str | None

    @property
    def surprise(self) -> tuple[int, int]:
        return self.series, self.measure

    @property
    def is_open(self) -> bool:
        return self.status == OPEN

    @cached_property
    def told(self) -> dict[str, Any]:
        return json.loads(self.alert)


_COLUMNS = "id, series, measure, since, bucket, ended, calm, relief, level, status, event, alert"


def load_episodes(store: Store, since_s: float) -> list[Episode]:
    """Those that are under way with all of their events, and those that ended after a moment."""
    rows = store.database.execute(f"SELECT {_COLUMNS} FROM episodes WHERE status = 'open' OR ended >= ? OR bucket >= ? "
                                  "OR event IN (SELECT event FROM episodes WHERE status = 'open') ORDER BY id", (since_s, since_s))
    return [Episode(number, series, MEASURES.index(measure), *rest) for number, series, measure, *rest in rows]


def add_episode(store: Store, series: int, measure: int, since: int, bucket: int, level: float, event: str | None, alert: str | None) -> Episode:
    cursor = store.database.execute("INSERT INTO episodes (series, measure, since, bucket, level, status, event, alert) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                                    (series, MEASURES[measure], since, bucket, level, OPEN, event, alert))
    return Episode(cursor.lastrowid, series, measure, since, bucket, None, 0, 0.0, level, OPEN, event, alert)


def change_episode(store: Store, episode: Episode, **changes) -> Episode:
    """Keep a changed episode; `changes` are fields."""
    columns = ", ".join(f"{name} = ?" for name in changes)
    store.database.execute(f"UPDATE episodes SET {columns} WHERE id = ?", (*changes.values(), episode.id))
    return replace(episode, **changes)
