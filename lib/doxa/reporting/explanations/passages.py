"""A text as coloured pieces, by character offsets: every character once, in its place, whatever the offsets say."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from doxa.records.figures import finite
from doxa.reporting.template import Passage

LONGEST = 1500  # characters; a longer text is shortened to about as many
_BEGINNING, _AROUND, _OF_A_UNIT, _SNAP = 150, 90, 400, 30  # characters shown of the begin, beside a strong unit, of it; how far a cut moves
_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")
_BREAKS = re.compile("\r\n?|[\u2028\u2029]")
Piece = tuple[Passage, str]
CUT = (Passage(" … "), "cut")


@dataclass
class Run:
    """Pieces one after the other, within the frame or outside of it."""

    pieces: list[Piece]
    is_framed: bool = False


@dataclass(frozen=True)
class Unit:
    """A stretch of a text (characters `start` to `end`, exclusive) that got a score."""

    start: int
    end: int
    score: float
    text: str


def place_units(text: str, tokens: list) -> tuple[list[Unit], int]:
    """The units in order, none over another, and how many tokens have no place: what they hold does not stand there in the text.

    Units are without the spaces around them; the parts of a character (byte-level tokens) make one unit, their scores together."""
    units: list[Unit] = []
    read = [_read_unit(token) for token in tokens]
    n_misplaced = read.count(None)
    for unit in sorted(filter(None, read), key=lambda unit: (unit.start, unit.end)):
        if not 0 <= unit.start <= unit.end <= len(text) or text[unit.start : unit.end] != unit.text:
            n_misplaced += 1
            continue
        unit = _without_spaces(unit)
        if units and (unit.start, unit.end) == (units[-1].start, units[-1].end):
            units[-1] = replace(unit, score=units[-1].score + unit.score)
        elif unit.text and (not units or unit.start >= units[-1].end):
            units.append(unit)
        elif unit.text:
            n_misplaced += 1
    return units, n_misplaced


def _read_unit(token: Any) -> Unit | None:
    if not isinstance(token, dict):
        return None
    start, end, text, score = (token.get(name) for name in ("start", "end", "text", "score"))
    is_sound = type(start) is int and type(end) is int and isinstance(text, str) and finite(score) is not None
    return Unit(start, end, finite(score), text) if is_sound else None


def _without_spaces(unit: Unit) -> Unit:
    start = unit.start + len(unit.text) - len(unit.text.lstrip())
    return replace(unit, start=start, end=start + len(unit.text.strip()), text=unit.text.strip())


def lay_out(text: str, units: list[Unit], colour: Callable[[float], str], frame: tuple[int, int] | None = None) -> tuple[list[Run], int]:
    """The text as runs of (piece, colour) and how many of its characters are shown: a long one is cut to what stands around its strongest units.

    `colour` gives the name of a style for a score, "" for none. The characters of `frame` are runs of their own, and shown first of all."""
    windows = _choose_windows(text, units, [unit for unit in units if colour(unit.score)], frame)
    runs: list[Run] = []

    def put(pieces: Iterable[Piece], is_framed: bool) -> None:
        if runs and runs[-1].is_framed == is_framed:
            runs[-1].pieces.extend(pieces)
        elif held := list(pieces):
            runs.append(Run(held, is_framed))

    for first, last in windows:
        put([CUT] if first else [], False)
        edges = [first, *(edge for edge in frame or () if first < edge < last), last]
        for start, end in zip(edges, edges[1:]):
            put(_colour_window(text, units, start, end, colour), frame is not None and frame[0] <= start and end <= frame[1])
    put([CUT] if windows and windows[-1][1] < len(text) else [], False)
    return runs, sum(last - first for first, last in windows)


def _colour_window(text: str, units: list[Unit], first: int, last: int, colour: Callable[[float], str]) -> Iterator[Piece]:
    plain = first  # from here on, nothing is written yet
    for unit in units[bisect_right(units, first, key=lambda unit: unit.end):]:
        if unit.start >= last:
            break
        style = colour(unit.score)
        if style:
            start = max(unit.start, first)
            if plain < start:
                yield _tidy(text[plain:start]), ""
            plain = min(unit.end, last)
            yield _tidy(text[start:plain]), style
    if plain < last:
        yield _tidy(text[plain:last]), ""


def _tidy(text: str) -> Passage:
    """Line breaks of any kind as newlines, and no more than one blank line after another."""
    return Passage(_BLANK_LINES.sub("\n\n", _BREAKS.sub("\n", text)))


def _choose_windows(text: str, units: list[Unit], coloured: list[Unit], frame: tuple[int, int] | None) -> list[tuple[int, int]]:
    """The stretches to show, in order: the whole text, or its beginning and what stands around the frame and the strongest of the coloured units."""
    if len(text) <= LONGEST:
        return [(0, len(text))] if text else []
    windows = [(0, _BEGINNING)]
    if frame:
        windows = _merge([*windows, (max(0, frame[0] - _AROUND), min(len(text), min(frame[1], frame[0] + _OF_A_UNIT) + _AROUND))])
    for unit in sorted(coloured, key=lambda unit: -abs(unit.score)):
        if sum(last - first for first, last in windows) >= LONGEST:
            break
        end = min(unit.end, unit.start + _OF_A_UNIT)
        if not any(first <= unit.start and end <= last for first, last in windows):
            windows = _merge([*windows, (max(0, unit.start - _AROUND), min(len(text), end + _AROUND))])
    return _merge([_snap(units, *window) for window in windows])


def _merge(windows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(windows):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def _snap(units: list[Unit], first: int, last: int) -> tuple[int, int]:
    """The window with the units at its ends whole, unless they are long."""
    start, end = _unit_at(units, first), _unit_at(units, last)
    if start and first - start.start <= _SNAP:
        first = start.start
    if end and end.end - last <= _SNAP:
        last = end.end
    return first, last


def _unit_at(units: list[Unit], place: int) -> Unit | None:
    """The unit that would be cut at `place`."""
    index = bisect_right(units, place, key=lambda unit: unit.end)
    return units[index] if index < len(units) and units[index].start < place else None
