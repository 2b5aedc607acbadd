"""Add keys to a JSON object without touching a byte of what is there."""

import re
from typing import Any

import orjson

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]')


def splice(raw: bytes, added: dict) -> bytes:
    """Return the JSON object `raw` with the pairs of `added` before its last brace.

    `raw` is one valid JSON object; every byte of it comes out, in place. Values must be finite.
    """
    if not added:
        return raw
    members = orjson.dumps(added)[1:-1]
    brace = raw.rindex(b"}")
    before = raw[:brace].rstrip(b" \t\r\n")
    separator = b"" if before.endswith(b"{") else b", " if b", " in raw else b","
    return raw[:brace] + separator + members + raw[brace:]


def splice_into(raw: bytes, key: str, added: dict) -> bytes:
    """As `splice`, but into the object that is the value of `key` at the top of `raw`.

    Where the key stands twice the last one counts, as it does for every JSON parser in use here.
    Raises KeyError when there is no such key.
    """
    start, end = find_value(raw, key)
    return raw[:start] + splice(raw[start:end], added) + raw[end:]


def fill_null(raw: bytes, key: str, value: Any) -> bytes:
    """Return the JSON object `raw` with this value in the place of the null that its top-level `key` has. Raises KeyError when there is no such key."""
    start, end = find_value(raw, key)
    return raw[:start] + orjson.dumps(value) + raw[end:]


def find_value(raw: bytes, key: str) -> tuple[int, int]:
    """Return where the value of the top-level `key` begins and ends in the valid JSON object `raw`."""
    depth, is_key, found, start = 0, False, None, None
    for token in _TOKEN.finditer(raw):
        first = raw[token.start()]
        if first in b"{[":
            depth += 1
            is_key = is_key or depth == 1
        elif first in b"}]":
            depth -= 1
            if depth == 0 and start is not None:
                found, start = (start, token.start()), None
        elif depth == 1 and first == ord(","):
            if start is not None:
                found, start = (start, token.start()), None
            is_key = True
        elif depth == 1 and first == ord('"') and is_key:
            is_key = False
            if orjson.loads(token[0]) == key:
                colon = raw.index(b":", token.end())
                start = colon + 1
    if found is None:
        raise KeyError(key)
    return _trim(raw, *found)


def nesting(raw: bytes) -> int:
    """How many brackets are open at the deepest point of the valid JSON text `raw`."""
    depth = deepest = 0
    for token in _TOKEN.finditer(raw):
        if raw[token.start()] in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif raw[token.start()] in b"}]":
            depth -= 1
    return deepest


def _trim(raw: bytes, start: int, end: int) -> tuple[int, int]:
    while raw[start] in b" \t\r\n":
        start += 1
    while raw[end - 1] in b" \t\r\n":
        end -= 1
    return start, end
