"""The trend as CSV for spreadsheets: a row for each group and time bucket."""

import csv
import datetime as dt
import io
from typing import Any

from doxa.monitoring.counts import MOST_LABELS
from doxa.monitoring.figures import Bucket, Figures, Group
from doxa.reporting import wording
from doxa.terminal import visible

COLUMNS = ("group", "kind", "start", "end", "complete", "n", "judged", "watched", "share", "low", "high")
CORRECTED = ("corrected_share", "corrected_low", "corrected_high")
# A spreadsheet takes a cell that begins with one of these for a formula (OWASP, CSV injection); the wide forms too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def render_csv(figures: Figures) -> str:
    """A row for each group and bucket, or one for each group where no record has a time. After what is counted comes a column `label.NAME` for each frequent
    label of the watched head, with how many records have it; where several names are combined, a column `by.NAME` for each; with a promise a column `alerts`, the
    measures of which there was an alert at that time; last `signature`, which says in the first row how all figures were made."""
    by = [name for group in figures.groups[:1] for name in group.values] if figures.by else []
    by = by if len(by) > 1 else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    labels = list(figures.total.labels)[:MOST_LABELS] if figures.total and figures.watch else []
    writer.writerow([*COLUMNS, *(CORRECTED if figures.correction else ()), *(safe_cell(f"label.{label}") for label in labels), *(safe_cell(f"by.{name}") for name in by),
                     *(["alerts"] if figures.promise else []), "signature"])
    signature = safe_cell(wording.one_line(figures.signature))
    shown = [figures.total, *figures.groups] if figures.total and figures.by else figures.groups
    for group in shown:
        alerts = figures.alerts_of(group)
        for bucket in group.buckets or [None]:
            counts = (bucket or group).labels
            writer.writerow([*_cells(group, bucket, figures), *(counts.get(label, 0) for label in labels), *(safe_cell(group.values.get(name) or "") for name in by),
                             *([_measures(bucket, alerts)] if figures.promise else []), signature])
            signature = ""
    return out.getvalue()


def _measures(bucket: Bucket | None, alerts: list[dict[str, Any]]) -> str:
    """Of what there were alerts that touch a bucket."""
    if bucket is None:
        return ""
    return " ".join(sorted({told["measure"] for told in alerts if dt.datetime.fromisoformat(told["since"]) < bucket.end
                            and dt.datetime.fromisoformat(told["until"]) > bucket.start}))


def safe_cell(text: str) -> str:
    """The text behind an apostrophe where a spreadsheet would run it; what a terminal would obey is made visible."""
    return visible(f"'{text}" if text.startswith(_FORMULA) else text)


def _cells(group: Group, bucket: Bucket | None, figures: Figures) -> list:
    times = ["", "", ""] if bucket is None else [bucket.start.isoformat(), bucket.end.isoformat(), "true" if bucket.is_complete else "false"]
    n, watched = (group.n, group.watched) if bucket is None else (bucket.n, bucket.watched)
    shares = ["", "", "", "", ""]
    if figures.watch:
        shares = [watched.n, watched.hits, *(("", "", "") if watched.share is None else (watched.share, *watched.interval))]
    corrected = (group if bucket is None else bucket).corrected
    if figures.correction:
        shares += ["" if value is None else value for value in (corrected.share, *corrected.interval)] if corrected and corrected.n else [""] * 3
    return [safe_cell(wording.group_name(group)), group.kind, *times, n, *shares]
