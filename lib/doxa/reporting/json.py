"""The page as JSON, for machines: numbers unrounded, times in ISO 8601, keys that stay."""

import orjson

from doxa.monitoring.figures import Bucket, Example, Figures, Group, HeadCounts, Share


def render_json(figures: Figures) -> str:
    content = {
        "title": figures.title,
        "signature": figures.signature,
        "records": figures.n_records,
        "errors": figures.errors,
        "untimed": figures.n_untimed,
        "duplicate_ids": figures.n_duplicate_ids,
        "first": figures.first.isoformat() if figures.first else None,
        "last": figures.last.isoformat() if figures.last else None,
        "settings": {"by": figures.by, "watch": figures.watch, "every": figures.every, "time_zone": figures.time_zone},
        "heads": {head.name: _head(head) for head in figures.heads},
        "groups": [_group(group) for group in figures.groups],
        "notes": figures.notes,
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n"


def _share(share: Share) -> dict:
    low, high = share.interval
    return {"hits": share.hits, "n": share.n, "share": share.share, "low": low, "high": high}


def _head(head: HeadCounts) -> dict:
    if head.kind == "number":
        return {"kind": head.kind, "n": head.n, "mean": head.mean, "sd": head.sd}
    return {"kind": head.kind, "n": head.n, "labels": {label: _share(share) for label, share in head.labels.items()}}


def _group(group: Group) -> dict:
    return {
        "name": group.name if group.kind == "value" else None, "kind": group.kind, "n": group.n, "share_of_all": _share(group.share),
        "labels": group.labels, "watched": _share(group.watched), "trend": [_bucket(bucket) for bucket in group.buckets],
        "examples": [_example(example) for example in group.examples],
    }


def _bucket(bucket: Bucket) -> dict:
    return {"start": bucket.start.isoformat(), "end": bucket.end.isoformat(), "n": bucket.n, "complete": bucket.is_complete,
            "watched": _share(bucket.watched)}


def _example(example: Example) -> dict:
    return {"text": example.text, "timestamp": example.time, "id": example.id, "label": example.label, "score": example.score,
            "count": example.count, "why": example.why}
