"""The page as JSON, for machines: numbers unrounded, times in ISO 8601, keys that stay."""

import json
import math
import re

from doxa.monitoring.figures import Bucket, Corrected, Example, Figures, Group, HeadCounts, Share

# What a terminal would obey, or what cannot be encoded. JSON's own escapes keep the value and do no harm.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def render_json(figures: Figures) -> str:
    content = {
        "title": figures.title,
        "signature": figures.signature,
        "version": figures.version,
        "records": figures.n_records,
        "counted": figures.n_good,
        "errors": figures.errors,
        "untimed": figures.n_untimed,
        "outside": figures.n_outside,
        "unmet": figures.n_unmet,
        "duplicate_ids": figures.n_duplicate_ids,
        "first": figures.first.isoformat() if figures.first else None,
        "last": figures.last.isoformat() if figures.last else None,
        "settings": {"by": figures.by, "watch": figures.watch, "every": figures.every, "time_zone": figures.time_zone,
                     "where": figures.conditions, "last": figures.last_length,
                     "since": figures.since.isoformat() if figures.since else None,
                     "until": figures.until.isoformat() if figures.until else None}
                    | ({"corrected": figures.correction} if figures.correction else {})
                    | ({"false_alarms": figures.promise, "judged_from": figures.judged_from and figures.judged_from.isoformat()} if figures.promise else {}),
        "heads": {head.name: _head(head) for head in figures.heads},
        "total": _group(figures.total, figures) if figures.total else None,
        "groups": [_group(group, figures) for group in figures.groups],
        "alerts": figures.alerts,
        "notes": figures.notes,
    }
    return dump(content, indent=2)


def dump(content: dict, indent: int | None = None) -> str:
    """JSON with an end of line, in which nothing disturbs a terminal."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=indent)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


def finite(value: float) -> float | None:
    """None for what JSON has no number for."""
    return value if math.isfinite(value) else None


def _share(share: Share) -> dict:
    low, high = share.interval
    return {"hits": share.hits, "n": share.n, "share": share.share, "low": low, "high": high}


def _corrected(corrected: Corrected | None) -> dict:
    return {"corrected": dict(zip(("share", "low", "high"), (corrected.share, *corrected.interval)))} if corrected else {}


def _head(head: HeadCounts) -> dict:
    if head.kind == "number":
        return {"kind": head.kind, "n": head.n, "mean": head.mean, "sd": head.sd}
    return {"kind": head.kind, "n": head.n, "labels": {
        label: _share(share) | _corrected(head.corrected.get(label)) for label, share in head.labels.items()}}


def _group(group: Group, figures: Figures) -> dict:
    return {
        "name": group.name if group.kind == "value" else None, "kind": group.kind, "values": group.values, "n": group.n,
        "share_of_all": _share(group.share), "labels": group.labels,
        "watched": _share(group.watched) if figures.watch else None,
        "trend": [_bucket(bucket, figures) for bucket in group.buckets], "examples": [_example(example) for example in group.examples],
    } | _corrected(group.corrected)


def _bucket(bucket: Bucket, figures: Figures) -> dict:
    return {"start": bucket.start.isoformat(), "end": bucket.end.isoformat(), "n": bucket.n, "complete": bucket.is_complete, "labels": bucket.labels,
            "watched": _share(bucket.watched) if figures.watch else None} | _corrected(bucket.corrected)


def _example(example: Example) -> dict:
    return {"text": example.text, "timestamp": example.time, "id": example.id, "label": example.label, "score": example.score,
            "count": example.count, "why": example.why}
