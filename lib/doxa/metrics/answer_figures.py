"""Figures of answers that are parts of a text, as the scripts of SQuAD (Rajpurkar et al. 2016, 2018) and CMRC 2018 (Cui et al. 2019) define them."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from doxa.metrics.ideographs import IDEOGRAPHS, holds_ideographs
from doxa.metrics.tallied import Tallied

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SIGNS = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』"  # those that CMRC's script removes
_WITHOUT_SIGNS = str.maketrans("", "", _SIGNS)
_SEGMENT = re.compile(rf"[{IDEOGRAPHS}]|\d+(?:[.,]\d+)*|(?:(?![{IDEOGRAPHS}])\w)+|\S")


class AnswerFigures(Tallied):
    """`exact_match` and `f1` (0..1), of several gold answers the best; where `has_unanswerable` also both over the records that have an
    answer, and `no_answer_accuracy`, the share of the others for which none was said.

    A record without an answer counts 1 where none was said, and 0 otherwise, as one with an answer where none was said. A pair of texts
    of which one holds ideographs is compared as CMRC 2018 does, another as SQuAD does."""

    headline = "f1"
    small = ("exact_match", "f1")

    def __init__(self, has_unanswerable: bool):
        self.has_unanswerable = has_unanswerable

    def count(self, gold: list[list[dict[str, Any]]], said: list[dict[str, Any]]) -> np.ndarray:
        """Exact match, F1 and 1 of records with an answer; none said and 1 of those without."""
        counts = np.zeros((len(gold), 5))
        for row, answers, entry in zip(counts, gold, said):
            answer = entry["answer"]
            if not answers:
                row[3:] = answer is None, 1
            else:
                row[:3] = 0, 0, 1
                if answer is not None:
                    row[:2] = np.max([(exact_match(own["text"], answer["text"]), overlap(own["text"], answer["text"])) for own in answers], axis=0)
        return counts

    def figures(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        exact, f1, n, none_right, n_none = sums.T
        found = {"exact_match": _share(exact + none_right, n + n_none), "f1": _share(f1 + none_right, n + n_none)}
        if self.has_unanswerable:
            found |= {"answer_exact_match": _share(exact, n), "answer_f1": _share(f1, n), "no_answer_accuracy": _share(none_right, n_none)}
        return found

    def is_right(self, gold: list[dict[str, Any]], said: dict[str, Any]) -> bool:
        answer = said["answer"]
        return (not gold) if answer is None else any(exact_match(own["text"], answer["text"]) for own in gold)


def answer_figures(gold: list[list[dict[str, Any]]]) -> AnswerFigures:
    return AnswerFigures(not all(gold))


def exact_match(gold: str, said: str) -> bool:
    """Whether two answers are one: small letters, without punctuation, and in English without articles and spare spaces."""
    if holds_ideographs(gold + said):
        return _without_signs(gold) == _without_signs(said)
    return _words(gold) == _words(said)


def overlap(gold: str, said: str) -> float:
    """F1 of what two answers share: the words, whatever their order; in Chinese the longest run of segments that is in both."""
    if holds_ideographs(gold + said):
        held, given = _segments(gold), _segments(said)
        return _f1(longest_common_run(held, given), len(held), len(given))
    held, given = _words(gold), _words(said)
    if not held or not given:
        return float(held == given)
    return _f1((Counter(held) & Counter(given)).total(), len(held), len(given))


def longest_common_run(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest sequence of neighbours that stands in both."""
    longest, lengths = 0, [0] * (len(second) + 1)  # of the runs that end at each place of second
    for one in first:
        lengths = [0, *(before + 1 if one == other else 0 for before, other in zip(lengths, second))]
        longest = max(longest, *lengths)
    return longest


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split()


def _without_signs(text: str) -> str:
    return text.lower().strip().translate(_WITHOUT_SIGNS)


def _segments(text: str) -> list[str]:
    """CMRC's mixed segmentation: each ideograph, and what lies between in words; for those its script asks nltk, which needs data of its
    own. Here they are numbers, runs of letters and digits, and single signs."""
    return _SEGMENT.findall(_without_signs(text))


def _f1(n_shared: int, n_held: int, n_said: int) -> float:
    return 2 * n_shared / (n_held + n_said) if n_shared else 0.0


def _share(part: np.ndarray, n: np.ndarray) -> np.ndarray:
    return np.divide(part, n, out=np.full(len(n), np.nan), where=n > 0)
