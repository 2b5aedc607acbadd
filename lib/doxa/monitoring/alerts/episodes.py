"""Episodes: from the first surprise to the first usual stretch, told once at either end, or by the line of another."""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from doxa.monitoring.alerts.settings import MEASURES
from doxa.monitoring.alerts.store import Store

OPEN, RESOLVED, NEW_LEVEL, WITHDRAWN = "open", "resolved", "new level", "withdrawn"


@dataclass(frozen=True)
class Episode:
    """`since` and `bucket` (of the alert) are starts of buckets; `calm` counts usual buckets in a row; `alert` is the line that was told
    of it, or what it would have been where it is part of the event of another, whose id it holds as `alert`; empty where nothing was told."""

    id: int
    series: int
    measure: int
    since: int
    bucket: int
    ended: int | None
    calm: int
    status: str
    alert: str | None

    @cached_property
    def told(self) -> dict[str, Any]:
        return json.loads(self.alert) if self.alert else {}

    @property
    def event(self) -> str | None:
        """The id of the alert that told of it, its own or another's; None where nothing was."""
        return self.told.get("alert", self.told.get("id"))

    @property
    def has_line(self) -> bool:
        return bool(self.alert) and "alert" not in self.told


def load_episodes(store: Store, since_s: float) -> list[Episode]:
    """Those that are under way, and those that ended after a moment."""
    rows = store.database.execute("SELECT id, series, measure, since, bucket, ended, calm, status, alert FROM episodes "
                                  "WHERE status = 'open' OR ended >= ? OR bucket >= ? ORDER BY id", (since_s, since_s))
    return [Episode(number, series, MEASURES.index(measure), *rest) for number, series, measure, *rest in rows]


def add_episode(store: Store, series: int, measure: int, since: int, bucket: int, alert: str | None) -> Episode:
    cursor = store.database.execute("INSERT INTO episodes (series, measure, since, bucket, status, alert) VALUES (?, ?, ?, ?, ?, ?)",
                                    (series, MEASURES[measure], since, bucket, OPEN, alert))
    return Episode(cursor.lastrowid, series, measure, since, bucket, None, 0, OPEN, alert)


def change_episode(store: Store, episode: Episode, **changes) -> Episode:
    """Keep a changed episode; `changes` are fields."""
    columns = ", ".join(f"{name} = ?" for name in changes)
    store.database.execute(f"UPDATE episodes SET {columns} WHERE id = ?", (*changes.values(), episode.id))
    return replace(episode, **changes)
