"""The pieces of a text that an explanation scores: its tokens, words or sentences, and which tokens make up each."""

from bisect import bisect_right
from dataclasses import dataclass

from doxa.explaining.chinese_words import CHINESE_WORD, find_chinese_words
from doxa.text.segments import Span, find_sentences, find_words

_SEGMENTERS = {"word": find_words, CHINESE_WORD: find_chinese_words, "sentence": find_sentences}
UNITS = ("token", *_SEGMENTERS)


@dataclass(frozen=True, slots=True)
class Unit:
    """`tokens` are positions among the text's token ids, none where the tokenizer dropped these characters."""

    start: int
    end: int
    tokens: tuple[int, ...]


def cut_units(text: str, offsets: list[Span], unit: str) -> list[Unit]:
    """Cut a text into units in order, each token in exactly one of them.

    `offsets` are the characters that each token stands for. A token that reaches into several words makes one unit of
    them (what a token says cannot be told apart below it); one that stands for no visible character goes to the word
    that follows it, at the end to the last one.
    """
    if unit == "token":
        return [Unit(*span, (position,)) for position, span in enumerate(offsets)]
    spans = _SEGMENTERS[unit](text) or [(0, len(text))]
    starts = [start for start, _ in spans]
    reach = [_reach(text, span, starts) for span in offsets]
    is_joined = [False] * len(spans)  # to the one before
    for first, last in reach:
        for inner in range(first + 1, last + 1):
            is_joined[inner] = True
    units: list[Unit] = []
    number = []  # of the unit of every span
    for (start, end), joins in zip(spans, is_joined):
        if joins:
            units[-1] = Unit(units[-1].start, end, ())
        else:
            units.append(Unit(start, end, ()))
        number.append(len(units) - 1)
    tokens: list[list[int]] = [[] for _ in units]
    for position, (first, _) in enumerate(reach):
        tokens[number[first]].append(position)
    return [Unit(unit.start, unit.end, tuple(own)) for unit, own in zip(units, tokens)]


def _reach(text: str, span: Span, starts: list[int]) -> Span:
    """The first and the last of the segments, given by where they start, that a token's visible characters lie in."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start == end:
        following = min(bisect_right(starts, start - 1), len(starts) - 1)
        return following, following
    first = max(0, bisect_right(starts, start) - 1)
    return first, max(first, bisect_right(starts, end - 1) - 1)
