"""ROUGE (Lin 2004): how much of its n-grams, and of its longest common subsequence, a text shares with another.

As the package rouge-score has it without its stemmer, where texts are ASCII. Beyond, where that package drops every other character, a
word is a run of letters and digits of any script, and each ideograph and kana is one."""

import re
from collections import Counter

from doxa.metrics.ideographs import IDEOGRAPHS, KANA

_TOKEN = re.compile(rf"[{IDEOGRAPHS}{KANA}]|(?:(?![{IDEOGRAPHS}{KANA}])[^\W_])+")


def tokenize(text: str) -> list[str]:
    return _TOKEN.findall(text.lower())


def rouge_n(gold: list[str], said: list[str], n: int) -> float:
    """F1 of the n-grams that two lists of tokens share; 0 where one has none."""
    held, given = _ngrams(gold, n), _ngrams(said, n)
    return _f1((held & given).total(), held.total(), given.total())


def rouge_l(gold: list[str], said: list[str]) -> float:
    """F1 of the longest sequence of tokens that stands in both in order, with gaps; 0 where there is none."""
    return _f1(common_subsequence(gold, said), len(gold), len(said))


def common_subsequence(first: list[str], second: list[str]) -> int:
    """Length of the longest common subsequence, with the bits of one integer for the places of `first` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    everywhere = (1 << len(first)) - 1
    unmatched = everywhere
    for token in second:
        hits = unmatched & places.get(token, 0)
        unmatched = ((unmatched + hits) | (unmatched - hits)) & everywhere
    return len(first) - unmatched.bit_count()


def _ngrams(tokens: list[str], n: int) -> Counter:
    return Counter(zip(*(tokens[start:] for start in range(n))))


def _f1(n_shared: int, n_held: int, n_said: int) -> float:
    return 2 * n_shared / (n_held + n_said) if n_shared else 0.0
