"""Where words and sentences begin and end in a text, English and Chinese, by its characters alone.

Words follow the spirit of Unicode's annex 29 (UAX #29): letters and digits with what joins them, one ideograph each, since Chinese
writes no spaces; marks and joiners stay with the character before them. All spans are character offsets, end exclusive.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Span = tuple[int, int]
T = TypeVar("T")

_JOINER = "\u200d"  # between emoji that make one
_SCRIPTS_WITHOUT_SPACES = ("CJK ", "HIRAGANA", "KATAKANA", "HANGZHOU", "IDEOGRAPHIC", "BOPOMOFO", "THAI ", "LAO ", "KHMER", "MYANMAR")
# Letters of the class string: h an ideograph or its like, d a digit, w another letter, m what stays with the character before it,
# z what glues emoji, r half a flag, s a space, @ # . ' - _ , : / % themselves, o anything else.
_JOINING = {"@": "@", "#": "#", ".": ".", "'": "'", "’": "'", "-": "-", "‐": "-", "_": "w", ",": ",", ":": ",", "/": "/", "&": "-", "%": "%"}
_WORD = re.compile(
    r"[@#]?[wd][wdm]*(?:(?:['.\-/]|(?<=d),(?=d))[wd][wdm]*)*%?"  # a handle, U.S, state-of-the-art, 1,000.5%, 10:30
    r"|rr"
    r"|hm*"
    r"|[^s][mz]*(?:(?<=z)[^s][mz]*)*")  # a sign, or emoji that are glued together
_PIECE = re.compile(r"[wd][wdm]*|rr|hm*|[^s][mz]*(?:(?<=z)[^s][mz]*)*")  # a run of letters and digits, an ideograph, or a sign
_TITLES = r"(?:Mr|Mrs|Ms|Dr|Prof|Sen|Rep|Gov|Gen|St|No|vs|Inc|Ltd|Corp|Co|Bros|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|approx|e\.g|i\.e|[A-Z])"
_CLOSING = "\"'”’」』）)》〉】］]"
# A Chinese stop ends a sentence anywhere; a Western one where a space follows and no lower-case letter after that.
_SENTENCE_END = re.compile(
    rf"[。！？；…]+[{re.escape(_CLOSING)}]*"
    rf"|(?:[.!?]+[{re.escape(_CLOSING)}]*)(?=\s+[^\sa-z])"
    rf"|\n[ \t\r]*\n|\r?\n")
_TITLE_BEFORE = re.compile(rf"(?:^|[\s(\"“.])(?:{_TITLES})\.$")


class _Classes(dict):
    """Character -> its letter in the class string, found once."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _classify(chr(code))
        return found


def _classify(character: str) -> str:
    if character in _JOINING:
        return _JOINING[character]
    category = unicodedata.category(character)
    if character == _JOINER:
        return "z"
    if category in ("Mn", "Mc", "Me", "Cf") or "\U0001f3fb" <= character <= "\U0001f3ff":
        return "m"
    if "\U0001f1e6" <= character <= "\U0001f1ff":
        return "r"
    if character.isspace():
        return "s"
    if category[0] == "L" and unicodedata.name(character, "").startswith(_SCRIPTS_WITHOUT_SPACES):
        return "h"
    return "d" if category[0] == "N" else "w" if category[0] == "L" else "o"


_CLASSES = _Classes()


def join_runs(items: Iterable[T], goes_on: Callable[[T, T], bool]) -> Iterator[list[T]]:
    """Items in order, in lists of those that go on: of the one before and one, `goes_on` says whether it does."""
    run: list[T] = []
    for item in items:
        if run and not goes_on(run[-1], item):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def find_words(text: str) -> list[Span]:
    """The words of a text and its signs, each ideograph a word; a run of one sign (`!!!`) is one. Together they hold every character but spaces."""
    spans: list[Span] = []
    for found in _WORD.finditer(text.translate(_CLASSES)):
        start, end = found.span()
        if spans and spans[-1][1] == start and end == start + 1 and text[start] == text[start - 1] and not text[start].isalnum():
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def find_pieces(text: str) -> list[Span]:
    """The finest parts of a text that a label may be for: runs of letters and digits, ideographs and signs, one each."""
    return [found.span() for found in _PIECE.finditer(text.translate(_CLASSES))]


def join_tokens(tokens: list[str]) -> tuple[str, list[Span]]:
    """The text of tokens and the span of each: a space between two, but none beside an ideograph or its like."""
    parts, spans, at, before = [], [], 0, ""
    for token in tokens:
        if before and token and "h" not in (_CLASSES[ord(before)], _CLASSES[ord(token[0])]):
            parts.append(" ")
            at += 1
        parts.append(token)
        spans.append((at, at + len(token)))
        at += len(token)
        before = token[-1:] or before
    return "".join(parts), spans


def strip_span(text: str, start: int, end: int) -> Span:
    """A span without the spaces at its ends; of spaces alone one that is empty or ends before it starts."""
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), end - (len(inside) - len(inside.rstrip()))


def whole_characters(text: str, start: int, end: int) -> Span:
    """The span that holds the first and the last character of this one with all their marks, and emoji that are glued to them: tokenizers drop
    accents or read them as tokens of their own."""
    while start > 0 and _is_bound(text[start], text[start - 1]):
        start -= 1
    while end < len(text) and _is_bound(text[end], text[end - 1]):
        end += 1
    return start, end


def _is_bound(character: str, before: str) -> bool:
    return unicodedata.category(character)[0] == "M" or _JOINER in (character, before) or "\U0001f3fb" <= character <= "\U0001f3ff"


def find_sentences(text: str) -> list[Span]:
    """The sentences of a text without the spaces around them: up to a Chinese stop, a Western one before a space and no lower-case
    letter (`Mr.` and its like end none), or the end of a line. Together they hold every character but spaces."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text) if not _TITLE_BEFORE.search(text, max(0, found.start() - 12), found.end())]
    spans = []
    for start, end in zip([0, *ends], [*ends, len(text)]):
        start, end = strip_span(text, start, end)
        if start < end:
            spans.append((start, end))
    return spans
