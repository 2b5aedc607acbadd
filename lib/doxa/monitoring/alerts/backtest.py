"""What alert would have told of an archive, summed up."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from doxa.errors import UsageError
from doxa.monitoring.alerts.promise import SPANS_S
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.alerts.told import iso
from doxa.monitoring.alerts.watching import Summary, read_outbox


@dataclass(frozen=True)
class Spike:
    """Something that is known to have begun; `series` None means any."""

    series: str | None
    moment: dt.datetime


def parse_spikes(texts: tuple[str, ...], zone: ZoneInfo) -> list[Spike]:
    """Parse `NAME@TIME` or `TIME`; without a zone of its own a time is local. Raises UsageError."""
    spikes = []
    for text in texts:
        name, separator, time = text.rpartition("@")
        try:
            moment = dt.datetime.fromisoformat(time)
        except ValueError:
            raise UsageError(f"--spike {text}: give [NAME@]TIME, such as Southwest@2026-02-21T08:00") from None
        spikes.append(Spike(name if separator else None, moment if moment.tzinfo else moment.replace(tzinfo=zone)))
    return spikes


def sum_up(store: Store, summary: Summary, spikes: list[Spike]) -> dict[str, Any]:
    """How many alerts in how much time, and how soon each spike was told. A spike counts as told by the first alert of its series whose last
    bucket ends after the spike began; `delay_s` runs from the spike to that end. One that was not told says `because`: quiet, unknown (there is
    no such series), later than the archive, earlier than anything that could be judged, or new (a series of which nothing usual is known yet)."""
    lines = [told for _, told in read_outbox(store)]
    alerts, new = [told for told in lines if told["kind"] == "alert"], {told["series"] for told in lines if told["kind"] == "new_series"}
    first, zone = store.first_bucket(), summary.settings.zone
    ready = summary.judged_from
    seconds = max(0.0, store.get("next_bucket", 0) - ready) if ready is not None else 0.0
    promise = summary.settings.promise
    found = []
    for spike in spikes:
        ends = [dt.datetime.fromisoformat(told["until"]) for told in alerts if spike.series is None or spike.series in _named(told)]
        end = min((end for end in ends if end > spike.moment), default=None)
        found.append({"series": spike.series, "spike": spike.moment.isoformat(), "told": end.isoformat() if end else None,
                      "delay_s": (end - spike.moment).total_seconds() if end else None} | ({} if end else {"because": _why_not(store, spike, new, (ready, store.get("watermark", 0)))}))
    return {"kind": "backtest", "records": summary.taken.n_counted, "series": summary.n_series, "alerts": len(alerts), "promise": str(promise),
            "first": None if first is None else iso(first, zone), "judged_from": None if ready is None else iso(ready, zone), "judged_s": seconds,
            "alerts_per_span": len(alerts) / (seconds / SPANS_S[promise.span]) if seconds else None, "span": promise.span, "spikes": found}


def _named(told: dict[str, Any]) -> set[str | None]:
    """The series that an alert names: its own, those that it covers, and those that hold what is too much of all texts."""
    return {told.get("series"), *(covered["series"] for covered in told.get("covers", ())),
            *(cause["name"] for cause in told.get("causes", ()) if cause["kind"] == "group")}


def _why_not(store: Store, spike: Spike, new: set[str], judged_s: tuple[float | None, float]) -> str:
    if spike.series is not None and store.database.execute("SELECT count(*) FROM series WHERE name = ?", (spike.series,)).fetchone()[0] == 0:
        return "unknown"
    first_s, last_s = judged_s
    if spike.moment.timestamp() > last_s:
        return "later"
    if first_s is None or spike.moment.timestamp() < first_s:
        return "earlier"
    return "new" if spike.series in new else "quiet"
