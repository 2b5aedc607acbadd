"""One record on its way through a command."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import orjson

from doxa.errors import RecordError, UsageError
from doxa.records.splice import nesting

MISSING = object()
MOST_NESTED = 512  # the standard library's JSON, which exact integers need, gives up between 900 and 1,000
_LONG_INTEGER = re.compile(rb"\d{19}")


class Record:
    """A record as it came: where from, its fields, what is wrong with it.

    `fields` is a dict or a lazy mapping of the same reading methods; `raw` the line it was read from, None for
    a row of a columnar format. `error` is set when the reader could not make a record of the line;
    `is_error` also when an earlier command has marked it.
    """

    __slots__ = ("source", "number", "raw", "fields", "error", "row")

    def __init__(self, source: str, number: int, raw: bytes | None, fields, error: RecordError | None = None, row=None):
        self.source, self.number, self.raw = source, number, raw
        self.fields, self.error, self.row = fields, error, row

    @property
    def place(self) -> str:
        return f"{self.source}:{self.number}"

    @property
    def carries_error(self) -> bool:
        """Whether an earlier command has marked this record as failed."""
        error = self.fields.get("error") if self.fields is not None else None
        return isinstance(error, dict) and isinstance(error.get("code"), str) and "message" in error

    @property
    def is_error(self) -> bool:
        """Whether no record could be made of the line, or an earlier command has marked it as failed."""
        return self.error is not None or self.carries_error

    def get(self, name: str) -> Any:
        """Return the value of a field, or MISSING."""
        return self.fields.get(name, MISSING)

    def holds(self, name: str) -> bool:
        """Whether there is such a field, with a value or null."""
        return self.fields.get(name, MISSING) is not MISSING

    def get_text(self, name: str, flag: str = "--text-field") -> str:
        """Return a non-empty text. Raises RecordError: missing_field, not_text or empty_text."""
        value = self.fields.get(name, MISSING)
        if isinstance(value, str):
            if value and not value.isspace():
                return value
            raise RecordError("empty_text", f'field "{name}" is empty')
        if value is MISSING:
            raise RecordError("missing_field", f'field "{name}" is missing; name the field with {flag}')
        raise RecordError("not_text", f'field "{name}" is {json_type(value)}, not a text; name the field with {flag}')

    def get_texts(self, name: str, pair_name: str | None = None) -> list[str]:
        """Return the text of one field, or the texts of two. Raises RecordError as get_text does."""
        return [self.get_text(name)] + ([self.get_text(pair_name, "--text-pair-field")] if pair_name else [])


def json_type(value: Any) -> str:
    """Name the JSON type of a value, for messages."""
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a text",
             list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def parse_object(line: bytes) -> dict:
    """Parse one line. Raises RecordError: not_utf8, not_json, not_an_object."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _parse_error(line, error) from None
    if type(fields) is not dict:
        hint = "; of a list of records make lines with: jq -c '.[]'" if type(fields) is list and fields and type(fields[0]) is dict else ""
        raise RecordError("not_an_object", f"the line holds {json_type(fields)}, not a JSON object{hint}")
    if line.count(b"[") + line.count(b"{") > MOST_NESTED and nesting(line) > MOST_NESTED:
        raise RecordError("not_json", f"the line is nested deeper than {MOST_NESTED} levels")
    return fields if not has_long_integer(line) else load_exact(line)


def _parse_error(line: bytes, error: orjson.JSONDecodeError) -> RecordError:
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in line[:4]:
        return RecordError("not_utf8", "the input is UTF-16, not UTF-8; convert it with: iconv -f UTF-16 -t UTF-8")
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as bad:
        hint = ""
        try:
            line.decode("gb18030")
            hint = "; if it is GB18030 (Chinese), convert it with: iconv -f GB18030 -t UTF-8"
        except UnicodeDecodeError:
            pass
        return RecordError("not_utf8", f"byte {bad.start + 1} of the line is not UTF-8{hint}")
    return RecordError("not_json", f"the line is not JSON: {str(error).split(': line ')[0]}")


def has_long_integer(raw: bytes) -> bool:
    """Whether some number may exceed 64 bits, which orjson would read as a float."""
    return _LONG_INTEGER.search(raw) is not None


def load_exact(raw: bytes) -> dict:
    """Parse a valid JSON object with every integer as it is; orjson would read those past 64 bits as floats."""
    if has_long_integer(raw):
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):  # a number of thousands of digits, or deeper than the stack
            pass
    return orjson.loads(raw)


def dump_exact(fields: dict) -> bytes:
    """The fields as one JSON object, integers past 64 bits included, which orjson refuses."""
    try:
        return orjson.dumps(fields)
    except TypeError:
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def error_entry(error: RecordError, number: int | None = None) -> dict:
    entry: dict[str, Any] = {"code": error.code, "message": error.message}
    if number is not None:
        entry["line"] = number
    return entry


def unreadable(record: Record) -> dict:
    """The record that stands for a line that is no JSON object: its error, its line number, its bytes.

    Bytes that are not UTF-8 go out as base64 under `raw_base64`, so that nothing is lost or replaced.
    """
    entry = {"error": error_entry(record.error, record.number)}
    raw = record.raw or b""
    try:
        entry["raw"] = raw.decode("utf-8")
    except UnicodeDecodeError:
        entry["raw_base64"] = base64.b64encode(raw).decode("ascii")
    return entry


class Clashes:
    """Finds records that hold what a command adds, by `refuse`, which raises UsageError. The first of a stream ends the command: it is used on what it made
    already. A later one is an error of its own, raised as RecordError."""

    def __init__(self, refuse: Callable[[Record], None]):
        self.refuse, self._is_first = refuse, True

    def check(self, record: Record) -> None:
        try:
            self.refuse(record)
        except UsageError as error:
            if self._is_first:
                raise
            raise RecordError("already_there", str(error).removeprefix(f"{record.place}: ")) from None
        self._is_first = False


def refuse_own_key(record: Record, key: str, command: str) -> None:
    """Raise UsageError when the record already holds the key that a command is about to add."""
    if record.get(key) is not MISSING:
        raise UsageError(
            f'{record.place}: the record already has a field "{key}", which {command} adds; rename or drop it first')
