"""What a state knows, for people and for Prometheus."""

from typing import Any

from doxa.monitoring.alerts.calendar import Calendar
from doxa.monitoring.alerts.episodes import load_episodes
from doxa.monitoring.alerts.recall import first_judged
from doxa.monitoring.alerts.settings import MEASURES
from doxa.monitoring.alerts.silence import load_silences
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.alerts.told import iso


def describe_state(store: Store, calendar: Calendar) -> dict[str, Any]:
    """The last bucket that is over: texts and watched share of every series beside what was expected, of those that have told enough of themselves; what is
    under way."""
    run = store.database.execute
    watermark, first = store.get("watermark"), store.first_bucket()
    last = run("SELECT max(bucket) FROM scores").fetchone()[0]
    counts = {series: row for series, *row in run("SELECT series, n, judged, watched FROM counts WHERE bucket = ?", (last,))}
    means = {(series, measure): mean for series, measure, mean in run("SELECT series, measure, mean FROM scores WHERE bucket = ? AND z IS NOT NULL", (last,))}
    episodes, open_since = load_episodes(store, float("-inf")), {}
    for episode in episodes:
        if episode.is_open and episode.event:
            open_since.setdefault(episode.series, {})[MEASURES[episode.measure]] = iso(episode.since, calendar.zone)
    told = [silence for silence in load_silences(store) if silence.line]
    for silence in told:
        if silence.until is None:
            open_since.setdefault(silence.series, {})["silence"] = iso(silence.since, calendar.zone)
    rows = []
    for number, name in run("SELECT id, name FROM series ORDER BY id").fetchall():
        n, judged, watched = counts.get(number, (0, 0, 0))
        rows.append({"name": name, "n": n, "expected_n": means.get((number, "volume")), "share": watched / judged if judged else None,
                     "expected_share": means.get((number, "share")), "open": open_since.get(number, {})})
    return {
        "schema": store.schema(), "watch": store.get("watch"), "by": store.get("by"), "every": str(calendar.every), "time_zone": calendar.zone.key, "promise": store.get("promise"),
        "n_alerts": sum(episode.alert is not None for episode in episodes) + len(told), "watermark_s": watermark,
        "watermark": None if watermark is None else iso(watermark, calendar.zone), "first": None if first is None else iso(first, calendar.zone),
        "is_judging": first_judged(store) is not None, "bucket": None if last is None else iso(last, calendar.zone), "series": rows}
