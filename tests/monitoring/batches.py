"""Hand-made column batches in place of a file."""

from types import SimpleNamespace

import pyarrow as pa

from doxa.monitoring.aggregate import aggregate
from doxa.monitoring.settings import Settings
from doxa.records.names import resolve_name

_TYPES = {"label": pa.string(), "labels": pa.list_(pa.string())}


class Batches:
    """What ColumnReader gives, from rows as dicts, `size` rows a batch."""

    def __init__(self, rows, heads=None, by=None, size=1000):
        self.rows, self.size, heads = rows, size, heads or {"sentiment": "label"}
        self.schema = SimpleNamespace(assumed=None, heads=heads, by=(resolve_name(by, "--by", heads, [by]),) if by else (), where={})
        fields = [(name, pa.string()) for name in ("error", "id", "time", "text")]
        fields += [(named.column, pa.string()) for named in self.schema.by if named.scope == "field"]
        for head, kind in heads.items():
            fields += [(f"{kind}:{head}", _TYPES[kind])] if kind != "number" else []
            fields += [(f"score:{head}", pa.float64())] if kind != "labels" else []
        self.columns = pa.schema(fields)

    def __iter__(self):
        for start in range(0, len(self.rows), self.size):
            rows = self.rows[start : start + self.size]
            rows = [{**{named.column: row.get("by") for named in self.schema.by}, **row} for row in rows]
            yield pa.Table.from_pylist(rows, schema=self.columns)


def row(i, time="2026-10-01T09:00:00Z", label="negative", score=0.9, text=None, **more):
    text = f"{words(i)} about things" if text is None else text
    return {"id": str(i), "time": time, "text": text, "label:sentiment": label, "score:sentiment": score, **more}


def words(i):
    """Five made-up words, different for every number."""
    letters = [chr(97 + (i * 2654435761 >> shift) % 26) for shift in range(0, 25)]
    return " ".join("".join(letters[k : k + 5]) for k in range(0, 25, 5))


def count(rows, heads=None, by=None, size=1000, **settings):
    return aggregate(Batches(rows, heads, by, size), Settings(**settings))
