"""The history of a state: what it keeps of its series, bucket by bucket."""

import numpy as np

from doxa.monitoring.alerts.episodes import OPEN, RESOLVED, Episode
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.settings import MEASURES, SHARE, VOLUME, AlertSettings
from doxa.monitoring.alerts.store import Store


def first_judged(store: Store) -> int | None:
    """The begin of the first bucket of which anything could be told."""
    return store.database.execute("SELECT min(bucket) FROM scores WHERE z IS NOT NULL").fetchone()[0]


def read_series(store: Store) -> list[tuple]:
    """(id, name, first bucket, whether it was told of, from when on its volume and its share tell what is usual) of every series; ids are 0, 1, ..."""
    return store.database.execute("SELECT id, name, first_bucket, is_told, volume_from, share_from FROM series ORDER BY id").fetchall()


def recall(store: Store, edges: np.ndarray, settings: AlertSettings, series: list[tuple], episodes: list[Episode], watermark_s: float) -> History:
    """What a state knows of the buckets between edges (T + 1), up to the watermark; what belongs to an episode is not usual."""
    history, starts = History.empty(edges, settings.zone, len(series), len(settings.paces)), edges[:-1]
    place = {int(start): i for i, start in enumerate(starts)}
    run, since_s = store.database.execute, int(edges[0])
    for number, bucket, *counted in run("SELECT * FROM counts WHERE bucket >= ?", (since_s,)):
        if bucket in place:  # a rule of the time zone may have changed since
            history.n[place[bucket], number], history.judged[place[bucket], number], history.watched[place[bucket], number] = counted
    # A bucket that is under way is judged by what is stamped up to the watermark.
    for number, time_s, *counted in run("SELECT * FROM ahead WHERE time > ?", (watermark_s,)):
        index = int(np.searchsorted(edges, time_s, side="right")) - 1
        if index < len(starts):
            for values, n in zip((history.n, history.judged, history.watched), counted):
                values[index, number] -= n
    for number, bucket, measure, z, mean, scatter in run("SELECT * FROM scores WHERE bucket >= ?", (since_s,)):
        if bucket in place:
            at = place[bucket], number, MEASURES.index(measure)
            history.z[at], history.mean[at], history.scatter[at] = np.nan if z is None else z, mean, scatter
    for number, measure, pace, total, since in run("SELECT * FROM drifts"):
        at = number, MEASURES.index(measure), pace
        history.drift[at], history.since[at] = total, place.get(since, 0) if total > 0 else -1
    for number, _, first, is_told, *froms in series:
        for measure in (VOLUME, SHARE):
            # A series' first bucket began before it; one that nobody was told of has no usual yet.
            history.is_usual[:, number, measure] = (starts > first) & (starts >= froms[measure]) & bool(is_told or number == ALL)
    for episode in episodes:
        if episode.status in (OPEN, RESOLVED):
            ended = episode.ended if episode.ended is not None else np.inf
            history.is_usual[(starts >= episode.since) & (starts < ended), episode.series, episode.measure] = False
    history.leave_out_outages()
    return history
