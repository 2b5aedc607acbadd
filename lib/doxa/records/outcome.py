"""What a command has to say about one record, and how that becomes a line or a row."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from doxa.errors import RecordError, UsageError
from doxa.records.record import MISSING, Record, dump_exact, error_entry, load_exact, unreadable
from doxa.records.splice import fill_null, splice, splice_into
from doxa.records.tables import RowFields

MERGED = ("prediction", "explanation")


@dataclass(slots=True)
class Outcome:
    """A record with the keys that a command adds, or with what went wrong.

    An object under one of the keys MERGED is merged into the record's own one, member by member.
    """

    record: Record
    added: dict[str, Any] = field(default_factory=dict)
    error: RecordError | None = None


def to_line(outcome: Outcome) -> bytes:
    """The outcome as one line of JSON, without the newline. What came in comes out byte for byte."""
    record, error = outcome.record, outcome.error or outcome.record.error
    if record.fields is None:
        return orjson.dumps(unreadable(record))
    raw = record.raw if record.raw is not None else dump_exact(record.fields.to_dict())
    if error is not None:
        if _has_own_error(record):
            return orjson.dumps(_wrapped(record, raw, error))
        return _put(record, raw, {"error": error_entry(error)})
    return _put(record, raw, outcome.added)


def _put(record: Record, raw: bytes, added: dict[str, Any]) -> bytes:
    """The record's line with what is added: behind the rest, in the place of a null, or into the object that is there."""
    new = {}
    for key, value in added.items():
        old = record.get(key)
        if old is None:
            raw = fill_null(raw, key, value)
        elif key in MERGED and old is not MISSING:
            raw = splice_into(raw, key, value)
        else:
            new[key] = value
    return splice(raw, new)


def to_row(outcome: Outcome) -> dict[str, Any]:
    """The outcome as a row for a columnar format."""
    record, error = outcome.record, outcome.error or outcome.record.error
    if record.fields is None:
        return unreadable(record)
    row = _plain_fields(record)
    if error is not None:
        if _has_own_error(record):
            return _wrapped(record, dump_exact(row), error)
        return row | {"error": error_entry(error)}
    return row | outcome.added | {key: merged_member(outcome, key) for key in MERGED if key in outcome.added}


def to_record(outcome: Outcome) -> Record:
    """The outcome as a record that the next command would read."""
    if not outcome.added and outcome.error is None:
        return outcome.record
    row = to_row(outcome)
    return Record(outcome.record.source, outcome.record.number, None, row)


def merged_member(outcome: Outcome, key: str) -> Any:
    """What to write under a key of MERGED: what the record held, and the new heads behind it."""
    new, old = outcome.added.get(key), outcome.record.get(key)
    if new is None:
        return old if isinstance(old, (dict, list, str, int, float)) else None
    return old | new if isinstance(old, dict) else new


def refuse_second_head(record: Record, heads: list[str], key: str = "prediction") -> None:
    """Raise UsageError when a head would be written twice under `key`, or that holds something else."""
    old = record.get(key)
    if old is MISSING or old is None:
        return
    if not isinstance(old, dict):
        raise UsageError(f'{record.place}: the field "{key}" holds no object; rename it first')
    for head in heads:
        if head in old:
            raise UsageError(f'{record.place}: the record already has {_article(key)} {key} for head "{head}"; drop it, or use another model')


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _wrapped(record: Record, raw: bytes, error: RecordError) -> dict[str, Any]:
    """A record whose own field `error` holds something else: it travels whole inside the error record."""
    return unreadable(Record(record.source, record.number, raw, None, error))


def _has_own_error(record: Record) -> bool:
    return record.get("error") not in (MISSING, None)


def _plain_fields(record: Record) -> dict[str, Any]:
    if isinstance(record.fields, RowFields):
        return record.fields.to_dict()
    return load_exact(record.raw)
