"""Episodes: from the first surprise to the first usual stretch, told once at either end, or covered by another that is."""

from dataclasses import dataclass, replace

from doxa.monitoring.alerts.settings import MEASURES
from doxa.monitoring.alerts.store import Store

OPEN, COVERED, RESOLVED, NEW_LEVEL, WITHDRAWN = "open", "covered", "resolved", "new level", "withdrawn"
UNDER_WAY = (OPEN, COVERED)


@dataclass(frozen=True)
class Episode:
    """`since` and `bucket` (of the alert) are starts of buckets; `calm` counts usual buckets in a row; `alert` is the line that was told
    of it, empty where nothing was."""

    id: int
    series: int
    measure: int
    since: int
    bucket: int
    ended: int | None
    calm: int
    status: str
    alert: str | None


def load_episodes(store: Store, since_s: float) -> list[Episode]:
    """Those that are under way, and those that ended after a moment."""
    rows = store.database.execute("SELECT id, series, measure, since, bucket, ended, calm, status, alert FROM episodes "
                                  "WHERE status IN ('open', 'covered') OR ended >= ? OR bucket >= ? ORDER BY id", (since_s, since_s))
    return [Episode(number, series, MEASURES.index(measure), *rest) for number, series, measure, *rest in rows]


def add_episode(store: Store, series: int, measure: int, since: int, bucket: int, alert: str | None, status: str = OPEN) -> Episode:
    cursor = store.database.execute("INSERT INTO episodes (series, measure, since, bucket, status, alert) VALUES (?, ?, ?, ?, ?, ?)",
                                    (series, MEASURES[measure], since, bucket, status, alert))
    return Episode(cursor.lastrowid, series, measure, since, bucket, None, 0, status, alert)


def change_episode(store: Store, episode: Episode, **changes) -> Episode:
    """Keep a changed episode; `changes` are fields."""
    columns = ", ".join(f"{name} = ?" for name in changes)
    store.database.execute(f"UPDATE episodes SET {columns} WHERE id = ?", (*changes.values(), episode.id))
    return replace(episode, **changes)
