"""Texts as rules see them: folded character by character, so that offsets stay, and cut into words."""

import unicodedata
from bisect import bisect_left
from itertools import accumulate

import regex

# Scripts that write without spaces: every character stands for itself, and two count as one word of other scripts.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_JOINED = r"(?:[\p{M}\u200d\U0001F3FB-\U0001F3FF]|(?<=\u200d)\S)*"  # marks, skin tones and what a joiner holds on to an emoji
_CUT = regex.compile(rf"\d+(?:[.,]\d+)+|[^\W{UNSPACED}]+(?:'t\b)?|[{UNSPACED}]\p{{M}}*|(?![-\u2010\u2011])\S{_JOINED}")
_UNSPACED = regex.compile(f"[{UNSPACED}]")
_SAME_AS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "−": "-"})
_SENTENCE_ENDS, _CLAUSE_ENDS = frozenset("!?。…"), frozenset(",;:、—")
_BLANK_LINE = regex.compile(r"\n[^\S\n]*\n|\u2029")
PARTS_A_WORD = 2


class _Folded(dict):
    """Character -> the one character that it is compared as."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        folded = unicodedata.normalize("NFKC", character).casefold().translate(_SAME_AS)
        if len(folded) != 1 or folded.isspace() != character.isspace():
            folded = character.lower() if len(character.lower()) == 1 else character
        self[code] = folded
        return folded


_FOLDED = _Folded()


def fold(text: str) -> str:
    """The text without difference of case, width (`5％` is `5%`) and shape of quotes; as long as it was, character for character."""
    return text.lower() if text.isascii() else text.translate(_FOLDED)


def cut(folded: str) -> list[str]:
    """The words of a folded text in order: runs of letters and digits, numbers such as `1,234.5`, every character of a script
    without spaces, every other mark. Spaces and hyphens are none, so that `non-performing` is `non performing`."""
    return _CUT.findall(folded)


def is_unspaced(word: str) -> bool:
    """Whether a word of `cut` is a character of a script without spaces."""
    return _UNSPACED.match(word) is not None


class Layout:
    """Where the words of a folded text stand, and how far they are from each other.

    `starts` and `ends` are character offsets, one per word of `cut`, which are `words`.
    """

    def __init__(self, folded: str):
        spans = [match.span() for match in _CUT.finditer(folded)]
        self.starts, self.ends = [start for start, _ in spans], [end for _, end in spans]
        self.words = words = [folded[start:end] for start, end in spans]
        self._reach = [0, *accumulate(map(_parts, words))]
        sentences = [_ends_sentence(word, before, folded, end) for word, before, end in zip(words, ["", *words], self.ends)]
        blank = [bisect_left(self.starts, match.end()) - 1 for match in _BLANK_LINE.finditer(folded)]
        for index in blank:
            if 0 <= index < len(sentences):
                sentences[index] = True
        self._sentences = [0, *accumulate(sentences)]
        self._clauses = [0, *accumulate(is_end or word in _CLAUSE_ENDS for is_end, word in zip(sentences, words))]

    def parts_between(self, first: int, second: int) -> int:
        """How far it is from the end of word `first` to the begin of word `second`, in half words; marks take no room."""
        return self._reach[second] - self._reach[first + 1]

    def share_sentence(self, first: int, second: int) -> bool:
        return self._sentences[first] == self._sentences[second]

    def share_clause(self, first: int, second: int) -> bool:
        return self._clauses[first] == self._clauses[second]


def _parts(word: str) -> int:
    if is_unspaced(word):
        return 1
    return PARTS_A_WORD if word[0].isalnum() else 0


def _ends_sentence(word: str, before: str, folded: str, end: int) -> bool:
    """A full stop after a single letter belongs to initials, as in U.S. and J. Doe."""
    if word == ".":
        return end == len(folded) or folded[end].isspace() and not (len(before) == 1 and before.isalpha() and before.isascii())
    return word in _SENTENCE_ENDS
