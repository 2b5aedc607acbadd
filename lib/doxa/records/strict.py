"""What DuckDB's JSON parser takes though the careful reader does not, found by looking at the bytes."""

import numpy as np

from doxa.errors import RecordError
from doxa.records.pieces import PIECE_BYTES, cut_pieces
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
    spare, flags = np.empty(PIECE_BYTES + 1, np.uint8), np.empty((3, PIECE_BYTES + 1), bool)
    pairs = np.concatenate([np.flatnonzero(_is_rare(piece, spare, flags)) + start for start, piece in cut_pieces(characters, 1)])
    return np.concatenate([pairs[_is_suspect(characters, pairs)], _long_numbers(characters)])


def _is_rare(characters: np.ndarray, spare: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """Whether with each byte but the last a pair begins that what is suspect holds. Memory that is new for every piece would cost more than the comparisons."""
    spare = spare[: len(characters)]
    found, first, second = flags[:, : len(characters)]
    large = np.bitwise_and(characters, 0xDF, out=spare)  # letters
    np.logical_or(np.equal(large, ord("A"), out=first), np.equal(large, ord("F"), out=second), out=second)
    found = np.logical_and(np.equal(large, ord("N"), out=first)[:-1], second[1:], out=found[:-1])
    np.equal(large, ord("E"), out=second)
    np.less(np.subtract(characters, ord("0"), out=spare), 10, out=first)
    found |= np.logical_and(first[:-1], second[1:], out=first[:-1])
    np.equal(np.bitwise_and(characters, 0xF3, out=spare), ord(" "), out=first)  # a comma or a space; also `$` or `(`
    np.equal(np.bitwise_or(characters, 0x20, out=spare), ord("}"), out=second)  # either bracket
    found |= np.logical_and(first[:-1], second[1:], out=first[:-1])
    return found


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
    """Where a run of more than 308 digits may be, too large for a double: two of its bytes are 128 apart at least, and every 16th between them is a digit."""
    is_digit = characters[::_STRIDE] - ord("0") < 10
    places = np.flatnonzero(is_digit[:-1] & is_digit[1:]) * _STRIDE
    return places[(characters[places[:, None] + np.arange(0, _STRIDE, 16)] - ord("0") < 10).all(axis=1)]


def _among(characters: bytes) -> np.ndarray:
    """A table that says of each byte whether it is one of `characters`."""
    return np.isin(np.arange(256), list(characters))


_STRIDE = 128
_BEFORE_VALUE, _AFTER_LITERAL, _SIGN, _AFTER_COMMA = _among(b":,[ -"), _among(b",]} iI\n"), _among(b"+-"), _among(b", ")


def _deep_lines(characters: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Lines with so many brackets that they may be nested too deeply."""
    starts = np.append(0, ends[:-1] + 1)
    long = np.flatnonzero(ends - starts > 2 * MOST_NESTED)
    is_deep = [np.count_nonzero((characters[start:end] | 0x20) == ord("{")) > MOST_NESTED  # `[` as well
               for start, end in zip(starts[long].tolist(), ends[long].tolist())]
    return long[np.array(is_deep, bool)]
