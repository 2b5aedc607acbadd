"""Many phrases looked for at once: one look-up a word of the text, however many phrases there are."""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import regex

from doxa.rules.words import UNSPACED, fold

_CUT = regex.compile(  # as `words.cut`, with * as a letter
    rf"\d+(?:[.,]\d+)+(?!\*)|(?:[^\W{UNSPACED}]|\*)+(?:'t\b)?|[{UNSPACED}]\p{{M}}*|(?![-\u2010\u2011])\S[\p{{M}}\u200d\U0001F3FB-\U0001F3FF]*\*?")
MOST_REMEMBERED = 1 << 17  # words whose candidates are kept


class Hit(NamedTuple):
    """A phrase found at the words `first` to `last` (both inside) of a text."""

    phrase: int
    first: int
    last: int


class PhraseIndex:
    """Phrases by number, found in cut texts. Words that follow each other in a phrase do so in the text, spaces and hyphens aside.

    `*` stands for any letters and digits (none, too) of one word. Accents made of one character or of two are the same.
    """

    def __init__(self, phrases: Iterable[str]):
        self._plain: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        self._starred: list[tuple[int, tuple[str, ...]]] = []
        for number, phrase in enumerate(phrases):
            for words in {cut_phrase(unicodedata.normalize(form, phrase)) for form in ("NFC", "NFD")}:
                if "*" in words[0]:
                    self._starred.append((number, words))
                else:
                    self._plain.setdefault(words[0], []).append((number, words))
        self._remembered: dict[str, list[tuple[int, tuple[str, ...]]]] = {}

    def find(self, words: list[str]) -> list[Hit]:
        """Every place of every phrase in a text's words, overlapping ones too, in the order of their first word."""
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.clear()
        remembered, hits = self._remembered, []
        for place, word in enumerate(words):
            candidates = remembered.get(word)
            if candidates is None:
                candidates = remembered[word] = self._starting(word)
            for number, phrase in candidates:
                if len(phrase) == 1 or _follow(words, place, phrase):
                    hits.append(Hit(number, place, place + len(phrase) - 1))
        return hits

    def _starting(self, word: str) -> list[tuple[int, tuple[str, ...]]]:
        return self._plain.get(word, []) + [candidate for candidate in self._starred if _fits(candidate[1][0], word)]


def cut_phrase(phrase: str) -> tuple[str, ...]:
    """The words of a phrase of a rule. Raises ValueError, saying why, for a phrase that finds nothing or everything."""
    words = tuple(_CUT.findall(fold(phrase)))
    if not words:
        raise ValueError("holds no word")
    if any(not word.strip("*") for word in words):
        raise ValueError("has a * of its own; it stands for letters inside or at the end of a word, and Chinese words are found anywhere without it")
    return words


def _follow(words: list[str], place: int, phrase: tuple[str, ...]) -> bool:
    if place + len(phrase) > len(words):
        return False
    return all(_fits(wanted, words[place + i]) for i, wanted in enumerate(phrase) if i)


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
