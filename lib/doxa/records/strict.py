"""What DuckDB's JSON parser takes though the careful reader does not, found by looking at the bytes."""

import numpy as np

from doxa.errors import RecordError
from doxa.records.pieces import cut_pieces
from doxa.records.record import MOST_NESTED, parse_object


def is_strict(characters: np.ndarray, ends: np.ndarray) -> bool:
    """Whether the careful reader takes every line that DuckDB takes; `ends` are the places of the newlines, the only control characters, and
    that of the end.

    DuckDB also takes NaN and infinities, a comma before a closing bracket, numbers beyond doubles and any depth. A line
    that may hold one of these, mostly inside of a text ("so he said: nan, ..."), is given to the careful reader to see.
    """
    lines = np.union1d(np.searchsorted(ends, _suspects(characters)), _deep_lines(characters, ends))
    try:
        for line in lines.tolist():
            parse_object(characters[ends[line - 1] + 1 if line else 0 : ends[line]].tobytes())
    except (RecordError, RecursionError):
        return False
    return True


def _suspects(characters: np.ndarray) -> np.ndarray:
    """Places where something may be that is no JSON to the careful reader."""
    pairs = np.concatenate([2 * np.flatnonzero(_is_rare(piece[first:])) + start + first for start, piece in cut_pieces(characters, 1) for first in (0, 1)])
    return np.concatenate([pairs[_is_suspect(characters, pairs)], _long_numbers(characters)])


def _is_rare(characters: np.ndarray) -> np.ndarray:
    """Whether what is suspect may hold the first pair of bytes, the second and so on. Taken as one number, a pair is compared at once."""
    folded = characters[: len(characters) // 2 * 2].copy().view("<u2") & 0xDFDF  # letters are large, `}` is `]`, a space is 0, `0` is 0x10
    found = folded == _pair(b"NA")
    found |= folded == _pair(b"NF")
    found |= (folded & 0xFFF3) == _pair(b"\x00]")  # a comma or a space before a bracket; also `$` or `(`
    found |= (folded & 0xFFF0) == _pair(b"\x10E")  # a digit before an exponent
    return found


def _pair(characters: bytes) -> int:
    return int.from_bytes(characters, "little")


def _is_suspect(characters: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Which of the places of rare pairs hold a comma, and perhaps spaces, before a bracket; NaN, Inf or Infinity in any case, where a value may
    stand; a digit before an exponent of three digits or more."""
    def at(offset: int) -> np.ndarray:
        return characters[np.clip(places + offset, 0, len(characters) - 1)]

    def digit(offset: int) -> np.ndarray:
        return at(offset) - ord("0") < 10

    first, second = at(0), at(1) | 0x20
    is_comma = (second == ord("}")) & ((first == ord(",")) | (first == ord(" ")) & _AFTER_COMMA[at(-1)])
    is_nan = (second == ord("a")) & (at(2) | 0x20 == ord("n")) & _BEFORE_VALUE[at(-1)] & _AFTER_LITERAL[at(3)]
    is_infinity = (second == ord("f")) & (at(-1) | 0x20 == ord("i")) & _BEFORE_VALUE[at(-2)] & _AFTER_LITERAL[at(2)]
    is_power = (second == ord("e")) & digit(3) & digit(4) & (digit(2) | _SIGN[at(2)] & digit(5))
    return is_comma | is_nan | is_infinity | is_power


def _long_numbers(characters: np.ndarray) -> np.ndarray:
    """Runs of more than 308 digits, too large for a double: every 16th byte is one, 16 times at least."""
    runs = characters[::16] - ord("0") < 10
    for n in (1, 2, 4, 8):
        runs = runs[:-n] & runs[n:]
    return np.flatnonzero(runs) * 16


def _among(characters: bytes) -> np.ndarray:
    """A table that says of each byte whether it is one of `characters`."""
    return np.isin(np.arange(256), list(characters))


_BEFORE_VALUE, _AFTER_LITERAL, _SIGN, _AFTER_COMMA = _among(b":,[ -"), _among(b",]} iI\n"), _among(b"+-"), _among(b", ")


def _deep_lines(characters: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Lines with so many brackets that they may be nested too deeply."""
    starts = np.append(0, ends[:-1] + 1)
    long = np.flatnonzero(ends - starts > 2 * MOST_NESTED)
    is_deep = [np.count_nonzero((characters[start:end] | 0x20) == ord("{")) > MOST_NESTED  # `[` as well
               for start, end in zip(starts[long].tolist(), ends[long].tolist())]
    return long[np.array(is_deep, bool)]
