"""What `prediction` holds of one head, as flat columns: from Python objects and from Arrow structs alike."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.records.number import read_number
from doxa.records.record import dump_exact

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"
_FLAT_TYPES = {"label": pa.string(), "labels": pa.list_(pa.string())}
# A key that marks a kind of head beside label, labels and number, to its name; of several that an entry has the first tells. They are asked for
# where an entry is none of a label: whoever knows them may have to load all kinds.
KindsByMark = Callable[[], Mapping[str, str]]
FLAT_KINDS = ("label", "labels", "number")


@dataclass
class HeadColumns:
    """The columns of a head: label:H and score:H of a head of one label, labels:H of one of many, score:H of a number.

    With `labels`, also scores:H, a list with the score of each label in their order, null where an entry has not a number for
    every one, and of a head of one label ruled:H, whether a rule decided (`by`). `with_model` adds model:H, what predict --stamp says of the model;
    without `with_score` there is no score of a label."""

    name: str
    kind: str
    labels: list[str] = field(default_factory=list)
    with_model: bool = False
    with_score: bool = True

    def fields(self) -> list[tuple[str, pa.DataType]]:
        found = [(f"{self.kind}:{self.name}", _FLAT_TYPES[self.kind])] if self.kind != "number" else []
        if self.kind == "number" or self._is_scored:
            found.append((f"score:{self.name}", pa.float64()))
        if self.labels:
            found.append((f"scores:{self.name}", pa.list_(pa.float64(), len(self.labels))))
        if self._is_ruled:
            found.append((f"ruled:{self.name}", pa.bool_()))
        return found + ([(f"model:{self.name}", pa.string())] if self.with_model else [])

    @property
    def _is_scored(self) -> bool:
        return self.with_score and self.kind == "label"

    @property
    def _is_ruled(self) -> bool:
        return bool(self.labels) and self.kind == "label"

    @property
    def main(self) -> str:
        """The column without which an entry says nothing."""
        return f"{'score' if self.kind == 'number' else self.kind}:{self.name}"

    def entry_type(self) -> pa.DataType:
        """The struct that a JSON parser reads an entry as."""
        members = {"label": [("label", pa.string())], "labels": [("labels", pa.list_(pa.string()))], "number": [("score", pa.float64())]}[self.kind]
        members = members + ([("score", pa.float64())] if self._is_scored else [])
        members = members + ([("scores", pa.struct([(label, pa.float64()) for label in self.labels]))] if self.labels else [])
        members = members + ([("by", pa.string())] if self._is_ruled else [])
        return pa.struct(members + ([("model", pa.string())] if self.with_model else []))

    def read(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The columns of one entry as JSON has it."""
        row: dict[str, Any] = {}
        if self.kind != "number":
            row[f"{self.kind}:{self.name}"] = as_text(entry.get(self.kind)) if self.kind == "label" else _as_texts(entry.get(self.kind))
        if self.kind == "number" or self._is_scored and row[self.main] is not None:
            row[f"score:{self.name}"] = _as_number(entry.get("score"))
        if self.labels:
            scores = entry.get("scores")
            values = [_as_number(scores.get(label)) for label in self.labels] if isinstance(scores, dict) else [None]
            row[f"scores:{self.name}"] = None if None in values else values
        if self._is_ruled:
            row[f"ruled:{self.name}"] = entry.get("by") is not None
        if self.with_model:
            row[f"model:{self.name}"] = as_text(entry.get("model"))
        return row

    def flatten(self, entry: pa.Array | None, n: int, is_stored: bool = False) -> dict[str, pa.Array]:
        """The columns of N entries; `entry` is their struct, None where there is none. `is_stored` leaves labels in a dictionary that came in one."""
        columns: dict[str, pa.Array] = {}
        if self.kind != "number":
            columns[self.main] = member(entry, self.kind, _FLAT_TYPES[self.kind], n, is_stored)
        if self._is_scored:
            score = member(entry, "score", pa.float64(), n)
            is_said = columns[self.main].null_count == 0  # a score without its label says nothing
            columns[f"score:{self.name}"] = score if is_said else pc.if_else(pc.is_valid(columns[self.main]), score, pa.scalar(None, pa.float64()))
        if self.kind == "number":
            columns[self.main] = member(entry, "score", pa.float64(), n)
        if self.labels:
            columns[f"scores:{self.name}"] = self._flatten_scores(member(entry, "scores", None, n), n)
        if self._is_ruled:
            by = member(entry, "by", None, n)
            columns[f"ruled:{self.name}"] = pa.array(np.zeros(n, bool)) if by is None else by.is_valid()
        if self.with_model:
            columns[f"model:{self.name}"] = member(entry, "model", pa.string(), n)
        return columns

    def _flatten_scores(self, scores: pa.Array | None, n: int) -> pa.Array:
        members = [member(scores, label, pa.float64(), n) for label in self.labels]
        is_whole = members[0].is_valid()
        for column in members[1:]:
            is_whole = pc.and_(is_whole, column.is_valid())
        in_rows = pa.concat_arrays(members).take(pa.array(np.arange(n * len(members)).reshape(len(members), n).T.ravel()))  # (K x N) -> (N x K)
        return pa.FixedSizeListArray.from_arrays(in_rows, len(members), mask=pc.invert(is_whole))


@dataclass
class EntryColumn:
    """The columns of a head of any other kind: entry:H, the whole entry as JSON text, without members that are null unless they are
    `marks`, by one of which its kind is known; model:H; and as JSON text gold:H, the value of the field `gold`, and beside:H, that of the field `beside` where there is one."""

    name: str
    kind: str
    marks: frozenset[str]
    gold: str
    beside: str = ""

    def fields(self) -> list[tuple[str, pa.DataType]]:
        return [(f"{part}:{self.name}", pa.string()) for part in ("entry", "model", "gold", "beside")]

    @property
    def main(self) -> str:
        return f"entry:{self.name}"

    def read(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The columns of one entry; an entry without a mark says nothing."""
        if self.marks.isdisjoint(entry):
            return {}
        held = {key: value for key, value in entry.items() if value is not None or key in self.marks}
        return {self.main: dump_exact(held).decode(), f"model:{self.name}": as_text(entry.get("model"))}

    def read_gold(self, read_field: Callable[[str], Any]) -> dict[str, Any]:
        """The columns of what a record holds beside the entry, by its fields' values."""
        held = {"gold": read_field(self.gold), "beside": read_field(self.beside) if self.beside else None}
        return {f"{part}:{self.name}": None if value is None else dump_exact(value).decode() for part, value in held.items()}


def find_kind(entry: Iterable[str], kinds: KindsByMark) -> str | None:
    """The kind of head whose entries have these keys."""
    for kind in ("labels", "label"):
        if kind in entry:
            return kind
    return next((kind for mark, kind in kinds().items() if mark in entry), "number" if "score" in entry else None)


def member(column: pa.Array | None, name: str, kind: pa.DataType | None, n: int, is_stored: bool = False) -> pa.Array | None:
    """A member of a struct column, null where the struct is; a column of nulls where there is none. Where `is_stored`, one may be a dictionary of the type."""
    if column is not None and pa.types.is_struct(column.type) and column.type.get_field_index(name) >= 0:
        found = pc.struct_field(column, name)
        if kind == pa.float64() and (pa.types.is_string(found.type) or pa.types.is_large_string(found.type)):
            return read_numbers(found)
        may_stay = kind is None or found.type == kind or is_stored and pa.types.is_dictionary(found.type) and found.type.value_type == kind
        return found if may_stay else found.cast(kind)
    return None if kind is None else pa.nulls(n, kind)


def read_numbers(texts: pa.Array) -> pa.Array:
    """Texts as doubles, null where one is no finite number."""
    return pc.if_else(pc.match_substring_regex(texts, _NUMBER), texts, None).cast(pa.float64())


def as_text(value: Any) -> str | None:
    """A value as the fast path reads it where a text is expected: scalars as JSON writes them, `1e-07` as Python does."""
    if value is None or isinstance(value, str):
        return value
    return repr(value) if isinstance(value, float) else dump_exact(value).decode()


def _as_texts(values: Any) -> list[str | None] | None:
    return [as_text(value) for value in values] if isinstance(values, list) else None


def _as_number(value: Any) -> float | None:
    try:
        return read_number(value)
    except (TypeError, ValueError):
        return None
