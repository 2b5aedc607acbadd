"""Many phrases looked for at once: one look-up a word of the text, however many phrases there are."""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import regex

from doxa.rules.words import UNSPACED, fold

_CUT = regex.compile(  # as `words.cut`, with * as a letter
    rf"\d+(?:[.,]\d+)+(?!\*)|(?:[^\W{UNSPACED}]|\*)+(?:'t\b)?|[{UNSPACED}]\p{{M}}*|(?![-\u2010\u2011])\S[\p{{M}}\u200d\U0001F3FB-\U0001F3FF]*\*?")
_UNKNOWN = object()
MOST_REMEMBERED = 1 << 17  # words whose candidates are kept


class Hit(NamedTuple):
    """A phrase found at the words `first` to `last` (both inside) of a text."""

    phrase: int
    first: int
    last: int


Phrase = tuple[int, tuple[str, ...]]  # its number, its words


class Beginning(NamedTuple):
    """The phrases that a word may begin: those that end with it, those that go on with a word, those that go on with a starred one."""

    alone: list[int]
    going: dict[str, list[Phrase]]
    starred: list[Phrase]


class PhraseIndex:
    """Phrases by number, found in cut texts. Words that follow each other in a phrase do so in the text, spaces and hyphens aside.

    `*` stands for any letters and digits (none, too) of one word. Accents made of one character or of two are the same.
    """

    def __init__(self, phrases: Iterable[str]):
        self._plain: dict[str, list[Phrase]] = {}
        self._starred: list[Phrase] = []
        for number, phrase in enumerate(phrases):
            for words in {cut_phrase(unicodedata.normalize(form, phrase)) for form in ("NFC", "NFD")}:
                place = self._starred if "*" in words[0] else self._plain.setdefault(words[0], [])
                place.append((number, words))
        self._remembered: dict[str, Beginning | None] = {}

    def find(self, words: list[str]) -> list[Hit]:
        """Every place of every phrase in a text's words, overlapping ones too, in the order of their first word."""
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.clear()
        remembered, hits = self._remembered, []
        for place, word in enumerate(words):
            beginning = remembered.get(word, _UNKNOWN)
            if beginning is _UNKNOWN:
                beginning = remembered[word] = self._begin(word)
            if beginning is None:
                continue
            hits += [Hit(number, place, place) for number in beginning.alone]
            following = words[place + 1] if place + 1 < len(words) else ""
            for number, phrase in beginning.going.get(following, ()):
                if len(phrase) == 2 or _follow(words, place, phrase, 2):
                    hits.append(Hit(number, place, place + len(phrase) - 1))
            for number, phrase in beginning.starred:
                if _follow(words, place, phrase, 1):
                    hits.append(Hit(number, place, place + len(phrase) - 1))
        return hits

    def _begin(self, word: str) -> Beginning | None:
        candidates = self._plain.get(word, []) + [candidate for candidate in self._starred if _fits(candidate[1][0], word)]
        if not candidates:
            return None
        beginning = Beginning([], {}, [])
        for number, phrase in candidates:
            if len(phrase) == 1:
                beginning.alone.append(number)
            elif "*" in phrase[1]:
                beginning.starred.append((number, phrase))
            else:
                beginning.going.setdefault(phrase[1], []).append((number, phrase))
        return beginning


def cut_phrase(phrase: str) -> tuple[str, ...]:
    """The words of a phrase of a rule. Raises ValueError, saying why, for a phrase that finds nothing or everything."""
    words = tuple(_CUT.findall(fold(phrase)))
    if not words:
        raise ValueError("holds no word")
    if any(not word.strip("*") for word in words):
        raise ValueError("has a * of its own; it stands for letters inside or at the end of a word, and Chinese words are found anywhere without it")
    return words


def _follow(words: list[str], place: int, phrase: tuple[str, ...], known: int) -> bool:
    """Whether a phrase, of which `known` words are, goes on as the words from `place` on do."""
    if place + len(phrase) > len(words):
        return False
    return all(_fits(phrase[i], words[place + i]) for i in range(known, len(phrase)))


def _fits(wanted: str, word: str) -> bool:
    if "*" not in wanted:
        return wanted == word
    begin, *middle, end = wanted.split("*")
    if len(word) < len(begin) + len(end) or not (word.startswith(begin) and word.endswith(end)):
        return False
    place, stop = len(begin), len(word) - len(end)
    for part in middle:
        place = word.find(part, place, stop)
        if place < 0:
            return False
        place += len(part)
    return True
