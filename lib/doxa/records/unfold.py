"""The objects that cells of a CSV file stand for, and explanations made of them."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from doxa.records.record import Record, dump_exact

_TEXTS = {"text", "label", "model", "method", "unit"}  # members of an entry that are texts, whatever they look like
_START = "explanation."
_MEMBERS = {"label", "labels", "score", "runner_up", "method", "unit", "tokens", "steps", "delta", "samples", "groups", "faithfulness", "rules",
            "entities", "answer", "index", "text", "threshold"}


def unfold_explanations(records: Iterator[Record]) -> Iterator[Record]:
    """Rows of a table with what their columns `explanation.HEAD. ...` hold as one object, as if lines had held them; others are as they were."""
    names: list[str] = []
    paths: dict[str, tuple[str, ...]] = {}
    for record in records:
        if record.row is not None and record.row[0].schema.names != names:
            names = record.row[0].schema.names
            paths = {name: _path(name) for name in names if name.startswith(_START)}
        if record.row is not None and paths:
            row, found = record.fields.to_dict(), {}
            for name, path in paths.items():
                put_cell(found, path, row.pop(name))
            row["explanation"] = whole(found)
            record = Record(record.source, record.number, dump_exact(row), row)
        yield record


def _path(name: str) -> tuple[str, ...]:
    """Head, and the keys beneath it: the head's name ends where a member of an explanation begins."""
    parts = name.removeprefix(_START).split(".")
    end = next((i for i in range(1, len(parts)) if parts[i] in _MEMBERS), len(parts) - 1)
    return ".".join(parts[:end]), *parts[end:]


def put_cell(entry: dict[str, Any], path: Sequence[str], cell: str | None) -> None:
    """Put what a cell holds where a path of keys leads, objects on the way made where there are none; an empty cell is null."""
    for key in path[:-1]:
        entry = entry.setdefault(key, {})
    entry[path[-1]] = (cell or None) if path[-1] in _TEXTS else read_cell(cell)


def whole(value: Any) -> Any:
    """A value without objects of which every member is null: those are null themselves."""
    if not isinstance(value, dict):
        return value
    held = {key: whole(inner) for key, inner in value.items()}
    return held if any(inner is not None for inner in held.values()) else None


def read_cell(cell: str | None) -> Any:
    """The list, object or number that a cell is as JSON, else its text."""
    try:
        return orjson.loads(cell) if cell else None
    except orjson.JSONDecodeError:
        return cell
