"""Outcomes as Arrow batches of one fixed schema, and nothing lost that does not fit it."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from doxa.records.outcome import MERGED, Outcome, merged_member, to_row
from doxa.records.record import error_entry
from doxa.records.single import plain_values
from doxa.records.tables import MARK, OVERFLOW

MOST_NESTED = 32  # Arrow's own limit for a stream is 64
ERROR_TYPE = pa.struct([("code", pa.string()), ("message", pa.string()), ("line", pa.int64())])


class Tabulator:
    """Turns lists of outcomes into batches. The first list decides the columns.

    Fields that come later, or whose values fit no column, go as JSON text into the column `_more`, which doxa's
    readers unfold again. `added_types` gives the Arrow types of the keys that the command adds.
    """

    def __init__(self, added_types: dict[str, pa.DataType]):
        self.added_types = dict(added_types)
        self.schema: pa.Schema | None = None

    def to_batch(self, outcomes: list[Outcome]) -> pa.RecordBatch:
        batches = {id(o.record.row[0]) for o in outcomes if o.record.row is not None}
        if len(batches) == 1 and all(o.record.row is not None for o in outcomes):
            source = outcomes[0].record.row[0]
            if self.schema is None:
                self._fix_schema({f.name: f.type for f in source.schema}, outcomes)
            if self._takes_whole(source.schema):
                return self._extend(source, outcomes)
        rows = [to_row(outcome) for outcome in outcomes]
        if self.schema is None:
            self._fix_schema(_infer_types(rows), outcomes)
        return self._tabulate(rows)

    def empty_schema(self) -> pa.Schema:
        """The schema of an output without records."""
        if self.schema is None:
            self._fix_schema({}, [])
        return self.schema

    def _fix_schema(self, types: dict[str, pa.DataType], outcomes: list[Outcome]) -> None:
        types = dict(types)
        for name, kind in self.added_types.items():
            if name in MERGED and name in types and pa.types.is_struct(types[name]):
                old = {f.name: f.type for f in types[name]}
                kind = pa.struct(list((old | {f.name: f.type for f in kind}).items()))
            types[name] = kind
        types["error"] = ERROR_TYPE
        types[OVERFLOW] = pa.string()
        self.schema = pa.schema(list(types.items()), metadata={MARK: b"1"})

    def _takes_whole(self, source: pa.Schema) -> bool:
        """Whether every column of the source batch goes out with the type it has."""
        for f in source:
            index = self.schema.get_field_index(f.name)
            if f.name not in self.added_types and f.name != "error":
                if index < 0 or self.schema.field(index).type != f.type:
                    return False
        return not (set(source.names) & {"error"} and source.field("error").type != ERROR_TYPE)

    def _extend(self, source: pa.RecordBatch, outcomes: list[Outcome]) -> pa.RecordBatch:
        """Keep the source's columns as they are and put the added ones beside them."""
        taken = source.take(pa.array([o.record.row[1] for o in outcomes], pa.int64()))
        arrays = []
        for f in self.schema:
            index = source.schema.get_field_index(f.name)
            if f.name == "error":
                old = taken.column(index).to_pylist() if index >= 0 else [None] * len(outcomes)
                values = [error_entry(o.error) if o.error else was for o, was in zip(outcomes, old)]
                arrays.append(pa.array(values, f.type))
            elif f.name in MERGED and f.name in self.added_types:
                values = [merged_member(o, f.name) for o in outcomes]
                arrays.append(pa.array(values, f.type))
            elif f.name in self.added_types:
                values = [o.added[f.name] if f.name in o.added else _known(o.record.get(f.name)) for o in outcomes]
                arrays.append(pa.array(values, f.type))
            elif index >= 0:
                arrays.append(taken.column(index))
            else:
                arrays.append(pa.nulls(len(outcomes), f.type))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _tabulate(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        overflow: list[dict] = [{} for _ in rows]
        names = [name for name in self.schema.names if name != OVERFLOW]
        known = set(names)
        for row, rest in zip(rows, overflow):
            rest.update((name, value) for name, value in row.items() if name not in known)
        arrays = [self._column(name, rows, overflow) for name in names]
        more = [json.dumps(rest, ensure_ascii=False) if rest else None for rest in overflow]
        return pa.RecordBatch.from_arrays(arrays + [pa.array(more, pa.string())], schema=self.schema)

    def _column(self, name: str, rows: list[dict], overflow: list[dict]) -> pa.Array:
        kind = self.schema.field(name).type
        values = [row.get(name) for row in rows]
        is_ours = name in self.added_types
        array = _exact_array(values, kind, is_ours)
        if array is not None:
            return array
        for index, value in enumerate(values):
            if _exact_array([value], kind, is_ours) is None:
                overflow[index][name] = value
                values[index] = None
        return pa.array(values, kind)


def _known(value: Any) -> Any:
    return value if isinstance(value, (dict, list, str, int, float)) else None


def _exact_array(values: list, kind: pa.DataType, takes_single: bool = False) -> pa.Array | None:
    """The values as an Arrow array, or None where that would change one of them; with `takes_single`, beyond single precision where the type has no more."""
    try:
        array = pa.array(values, kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError, RecursionError):
        return None
    if pa.types.is_string(kind) or pa.types.is_integer(kind):
        is_exact = all(value is None or type(value) in (str, int) for value in values)
    elif pa.types.is_nested(kind) or pa.types.is_floating(kind):
        is_exact = all(_same(old, new, takes_single) for old, new in zip(values, plain_values(array)))
    else:
        is_exact = array.to_pylist() == values
    return array if is_exact else None


def _same(old: Any, new: Any, takes_single: bool = False) -> bool:
    """Equal, with struct members that are null standing for absent ones."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new for key in old) and all(_same(old.get(key), value, takes_single) for key, value in new.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_same(one, other, takes_single) for one, other in zip(old, new))
    if takes_single and type(old) is float and np.float32(old) == np.float32(new):
        return True
    return old == new and (type(old) is type(new) or not isinstance(old, bool))


def _infer_types(rows: list[dict]) -> dict[str, pa.DataType]:
    """The type of every field of these rows; what is of another type goes to the overflow column."""
    types: dict[str, pa.DataType] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if row.get(name) is not None]
        kind = _type_of(values) or _commonest_type(values)
        if kind is not None and not _holds_null(kind, MOST_NESTED):
            types[name] = kind
    return types


def _type_of(values: list) -> pa.DataType | None:
    try:
        return pa.array(values).type if values else None
    except (pa.ArrowException, OverflowError, TypeError, ValueError, RecursionError):
        return None


def _commonest_type(values: list) -> pa.DataType | None:
    """The type that most values have, where they do not agree."""
    kinds = Counter(kind for kind in (_type_of([value]) for value in values) if kind is not None)
    return max(kinds, key=kinds.__getitem__) if kinds else None


def _holds_null(kind: pa.DataType, levels_left: int) -> bool:
    """Whether the type can make no column: part of it is unknown (an empty list or object), or it is nested too deeply."""
    if levels_left == 0:
        return True
    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_holds_null(f.type, levels_left - 1) for f in kind)
    if pa.types.is_list(kind):
        return _holds_null(kind.value_type, levels_left - 1)
    return pa.types.is_null(kind)
