"""What DuckDB's JSON parser takes though the careful reader does not, found by looking at the bytes."""

from collections.abc import Iterator

import numpy as np

from doxa.errors import RecordError
from doxa.records.record import MOST_NESTED, parse_object

CHUNK_BYTES = 1 << 18  # what stays in the cache while it is looked at
FURTHEST_BYTES = 320  # from the begin of a pattern to its end, at most


def is_strict(characters: np.ndarray, ends: np.ndarray) -> bool:
    """Whether the careful reader takes every line that DuckDB takes; `ends` are the places of the newlines, the only control characters, and
    that of the end.

    DuckDB also takes NaN and infinities, a comma before a closing bracket, numbers beyond doubles and any depth. A line
    that may hold one of these, mostly inside of a text ("so he said: nan, ..."), is given to the careful reader to see.
    """
    places = np.fromiter(_suspects(characters), np.int64)
    lines = np.union1d(np.searchsorted(ends, places), _deep_lines(characters, ends))
    try:
        for line in lines.tolist():
            parse_object(characters[ends[line - 1] + 1 if line else 0 : ends[line]].tobytes())
    except (RecordError, RecursionError):
        return False
    return True


def _suspects(characters: np.ndarray) -> Iterator[int]:
    """Places where something may be that is no JSON to the careful reader."""
    for start in range(0, len(characters), CHUNK_BYTES):
        begin = max(0, start - 1)
        chunk = characters[begin : start + CHUNK_BYTES + FURTHEST_BYTES]
        low = chunk | 0x20
        is_n, is_digit = low == ord("n"), chunk - ord("0") < 10
        for places in (_literals(chunk, low, is_n), _commas(chunk, low), _powers(chunk, low, is_digit), _long_numbers(is_digit)):
            yield from (places + begin).tolist()


def _literals(chunk: np.ndarray, low: np.ndarray, is_n: np.ndarray) -> np.ndarray:
    """NaN, Inf and Infinity in any case, where a value may stand."""
    places = is_n[:-2] & is_n[2:] & (low[1:-1] == ord("a"))
    places |= is_n[1:-1] & (low[2:] == ord("f")) & (low[:-2] == ord("i"))
    places = np.flatnonzero(places)
    return places[_BEFORE_VALUE[chunk[places - 1]] & _AFTER_LITERAL[chunk[np.minimum(places + 3, len(chunk) - 1)]]]


def _commas(chunk: np.ndarray, low: np.ndarray) -> np.ndarray:
    """A comma or a space before `}` or `]`; with the bits 0xF3 it is also `$` or `(`, which are rare there."""
    return np.flatnonzero(((chunk[:-1] & 0xF3) == 0x20) & (low[1:] == ord("}")))


def _powers(chunk: np.ndarray, low: np.ndarray, is_digit: np.ndarray) -> np.ndarray:
    """Exponents of three digits or more."""
    places = np.flatnonzero((low[:-4] == ord("e")) & is_digit[2:-2] & is_digit[3:-1])
    return places[is_digit[places + 1] | (_SIGN[chunk[places + 1]] & is_digit[places + 4])]


def _long_numbers(is_digit: np.ndarray) -> np.ndarray:
    """Runs of more than 308 digits, too large for a double: 64 times four digits at least."""
    runs = is_digit[: len(is_digit) // 4 * 4].view(np.uint32) == 0x01010101
    for n in (1, 2, 4, 8, 16, 32):
        runs = runs[:-n] & runs[n:]
    return np.flatnonzero(runs) * 4


def _among(characters: bytes) -> np.ndarray:
    """A table that says of each byte whether it is one of `characters`."""
    return np.isin(np.arange(256), list(characters))


_BEFORE_VALUE, _AFTER_LITERAL, _SIGN = _among(b":,[ -"), _among(b",]} iI\n"), _among(b"+-")


def _deep_lines(characters: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Lines with so many brackets that they may be nested too deeply."""
    starts = np.append(0, ends[:-1] + 1)
    long = np.flatnonzero(ends - starts > 2 * MOST_NESTED)
    is_deep = [np.count_nonzero((characters[start:end] | 0x20) == ord("{")) > MOST_NESTED  # `[` as well
               for start, end in zip(starts[long].tolist(), ends[long].tolist())]
    return long[np.array(is_deep, bool)]
