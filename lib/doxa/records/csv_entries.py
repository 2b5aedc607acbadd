"""The flat column names of our CSV (`prediction.topic.label`), undone; an empty cell is null."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from doxa.records.entries import FLAT_KINDS, KindsByMark, as_text, find_kind, read_numbers
from doxa.records.record import Record
from doxa.records.tables import OVERFLOW, read_overflow
from doxa.records.unfold import put_cell, whole

_START = "prediction."


def marked_heads(names: Collection[str], kinds: KindsByMark) -> dict[str, str]:
    """The heads among column names whose entries carry the mark of a kind (see `find_kind`), and that kind."""
    members: dict[str, set[str]] = {}
    for name in names:
        parts = name.removeprefix(_START).split(".") if name.startswith(_START) else []
        for i in range(1, len(parts)):  # a head's name may itself hold a dot, and so may the path beneath it
            members.setdefault(".".join(parts[:i]), set()).add(parts[i])
    found = {head: find_kind(keys, kinds) for head, keys in members.items()}
    known = {head for head, kind in found.items() if kind is not None}
    return {head: found[head] for head in known if found[head] not in FLAT_KINDS and not any(head.startswith(f"{other}.") for other in known)}


def nest_prediction(batch: pa.RecordBatch, passed: Collection[str] = ()) -> pa.RecordBatch:
    """The columns with those of `prediction` as a struct, without the heads that are passed by."""
    members: dict[str, dict[str, pa.Array]] = {}
    scores: dict[str, dict[str, pa.Array]] = {}
    columns: dict[str, pa.Array] = {}
    codes = None
    for name, column in zip(batch.schema.names, batch.columns):
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        if any(name.startswith(f"{_START}{head}.") for head in passed):
            continue
        if name.startswith(_START) and name.count(".") >= 2:
            head, _, key = name.removeprefix(_START).rpartition(".")
            if ".scores." in name:
                head, _, label = name.removeprefix(_START).partition(".scores.")
                scores.setdefault(head, {})[label] = read_numbers(column)
            elif key in ("label", "model", "by"):
                members.setdefault(head, {})[key] = column
            elif key == "score":
                members.setdefault(head, {})[key] = read_numbers(column)
            elif key == "labels":
                members.setdefault(head, {})[key] = pa.array(map(_read_labels, column.to_pylist()), pa.list_(pa.string()))
        elif name == "error.code":
            codes = column
        else:
            columns[name] = column
    if codes is not None:
        columns["error"] = pa.StructArray.from_arrays([codes], ["code"])
    for head, own in scores.items():
        members.setdefault(head, {})["scores"] = pa.StructArray.from_arrays(list(own.values()), list(own))
    entries = {head: pa.StructArray.from_arrays(list(m.values()), list(m)) for head, m in members.items()}
    if entries:
        columns["prediction"] = pa.StructArray.from_arrays(list(entries.values()), list(entries))
    return pa.RecordBatch.from_pydict(columns)


def csv_records(batch: pa.RecordBatch, source: str, kinds: KindsByMark) -> Iterator[Record]:
    """The rows as records whose `prediction` is nested; cells beside it are texts."""
    names = batch.schema.names
    paths = {name: _path(name, marked_heads(names, kinds)) for name in names if name.startswith(_START)}
    for number, row in enumerate(batch.to_pylist(), 1):
        fields: dict[str, Any] = {name: value or None for name, value in row.items() if name not in paths}
        overflow = read_overflow(fields.get(OVERFLOW)) or {}
        entries: dict[str, Any] = {}
        for name, (head, *path) in paths.items():
            put_cell(entries.setdefault(head, {}), path, row[name])
        found = {head: whole(entry) for head, entry in entries.items()}
        fields["prediction"] = {head: entry for head, entry in found.items() if entry is not None}
        fields |= overflow
        if fields.get("error.code") is not None:
            fields["error"] = {"code": fields["error.code"], "message": fields.get("error.message")}
        yield Record(source, number, None, fields)


def _path(name: str, marked: Mapping[str, str]) -> tuple[str, ...]:
    """Head, and the keys beneath it."""
    rest = name.removeprefix(_START)
    for head in marked:
        if rest.startswith(f"{head}."):
            return head, *rest.removeprefix(f"{head}.").split(".")
    head, dot, label = rest.partition(".scores.")
    if dot:
        return head, "scores", label
    head, _, key = rest.rpartition(".")
    return head, key


def _read_labels(cell: str | None) -> list[str | None] | None:
    """The labels that a cell of CSV holds as a JSON list; None where it holds no list."""
    try:
        values = orjson.loads(cell or "null")
    except orjson.JSONDecodeError:
        return None
    return [as_text(value) for value in values] if isinstance(values, list) else None
