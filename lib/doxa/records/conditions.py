"""Which records count: conditions as in `--where topic=credit`, parsed from the command line and evaluated on Arrow columns."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.records.listed import read_column
from doxa.records.names import Named
from doxa.records.stored import encode, is_encoded

EXAMPLE = "such as topic=credit, source!=bot, sentiment.score>=0.8 or text~dividend"
_PARTS = re.compile(r"(.*?)\s*(!=|>=|<=|=|>|<|~)\s*(.*)", re.DOTALL)
# A number as JSON writes it: 000001 is the text of a code, not the number 1.
_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_INTEGER = r"^-?(0|[1-9][0-9]*)$"
_ORDERS = {">": pc.greater, ">=": pc.greater_equal, "<": pc.less, "<=": pc.less_equal}


@dataclass(frozen=True)
class Condition:
    """NAME OPERATOR VALUE. `name` may carry head:, field: or .score; `number` is the value where it reads as one."""

    text: str
    name: str
    operator: str
    value: str
    number: float | None

    def __str__(self) -> str:
        return self.text

    def holds(self, column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Return booleans without nulls, one for each row of the column it names: string, also as a dictionary, list<string> or double.

        `=` and `!=` compare numbers by value where both sides are numbers as JSON writes them, all else as text; `~` looks
        for the value inside the text, whatever the case; the orders hold for numbers alone, as doubles. Of a list it holds
        where it does for any member, `!=` where `=` does for none. Where the value is missing no condition holds, `!=` neither.
        """
        if pa.types.is_list(column.type):
            return self._holds_for_any(column)
        if is_encoded(column.type):
            whole = encode(column)
            return pc.fill_null(self.holds(whole.dictionary).take(whole.indices), False)
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), None, column)  # what cannot be compared is missing
            return pc.fill_null(self._compare_numbers(column), False)
        return pc.fill_null(self._compare_texts(column), False)

    def _holds_for_any(self, column) -> pa.Array:
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        is_negated = self.operator == "!="
        positive = Condition(self.text, self.name, "=", self.value, self.number) if is_negated else self
        fitting = pc.list_parent_indices(column).filter(positive.holds(pc.list_flatten(column)))
        has_one = pc.is_in(pa.array(np.arange(len(column)), fitting.type), fitting)
        return pc.and_(column.is_valid(), pc.invert(has_one)) if is_negated else has_one

    def _compare_numbers(self, column):
        if self.operator in _ORDERS:
            return _ORDERS[self.operator](column, self.number)
        if self.operator == "~":
            return self._compare_texts(column.cast(pa.string()))
        same = pc.equal(column, math.nan if self.number is None else self.number)
        return pc.invert(same) if self.operator == "!=" else same

    def _compare_texts(self, column):
        if self.operator == "~":
            return pc.match_substring(column, self.value, ignore_case=True)
        if self.operator in _ORDERS:
            return _ORDERS[self.operator](_numbers(column), self.number)
        same = pc.equal(column, self.value)
        if self.number is not None:
            numbers = _numbers(column)
            if re.fullmatch(_INTEGER, self.value):  # whole numbers are compared as texts: a double holds 53 bits of an id
                numbers = pc.if_else(pc.match_substring_regex(column, _INTEGER), None, numbers)
            same = pc.or_(same, pc.fill_null(pc.equal(numbers, self.number), False))
        return pc.invert(same) if self.operator == "!=" else same


def parse_conditions(texts: list[str] | tuple[str, ...]) -> tuple[Condition, ...]:
    """Parse NAME, an operator (=, !=, ~, <, <=, >, >=) and a value; the first operator divides. Raises UsageError."""
    return tuple(map(_parse, texts))


def _parse(text: str) -> Condition:
    match = _PARTS.fullmatch(text.strip())
    if match is None or not match[1]:
        raise UsageError(f"--where {text}: give NAME, one of = != ~ < <= > >= and a value, {EXAMPLE}")
    name, operator, value = match.groups()
    if operator == "=" and value.startswith("="):
        raise UsageError(f"--where {text}: write one =, {EXAMPLE}")
    if not value:
        raise UsageError(f"--where {text}: the value is missing; give one, {EXAMPLE}")
    number = float(value) if re.fullmatch(_NUMBER, value) else None
    if operator in _ORDERS and number is None:
        raise UsageError(f"--where {text}: {operator} compares numbers and {value} is none; give one, such as retweets>10")
    return Condition(text.strip(), name, operator, value, number)


def good_rows(table: pa.Table) -> pa.Table:
    """Those of a reader's table that carry no error."""
    errors = table.column("error")
    return table if errors.null_count == len(errors) else table.filter(errors.is_null())


def select(table: pa.Table, conditions: tuple[Condition, ...], names: Mapping[str, Named]) -> tuple[pa.Array, list[int]]:
    """Return which rows meet all conditions (booleans without nulls, one a row) and how many rows meet each.

    `names` tells what the name of each condition means, as `ColumnReader.where` does."""
    kept, n_met = pa.array(np.ones(table.num_rows, bool)), []
    for condition in conditions:
        holds = condition.holds(read_column(table, names[condition.name].column))
        n_met.append(pc.sum(holds).as_py() or 0)
        kept = pc.and_(kept, holds)
    return kept.combine_chunks() if isinstance(kept, pa.ChunkedArray) else kept, n_met


def _numbers(column):
    """Texts as doubles, null where a text is no number as JSON writes it."""
    is_number = pc.match_substring_regex(column, _NUMBER)
    return pc.if_else(is_number, column, None).cast(pa.float64())
