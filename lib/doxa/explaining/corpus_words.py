"""The words of many explained texts: what each of them said for a label, in bounded memory."""

import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from doxa.errors import RecordError
from doxa.explaining.chinese_words import CHINESE_WORD
from doxa.records.figures import finite
from doxa.records.record import MISSING, Record
from doxa.text.segments import join_runs

MOST_WORDS = 100_000
N_EXAMPLES = 2
MOST_NATS = 1e100  # beyond it squares have no sum
_IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
_IN_PAIRS = "characters of scripts without spaces stand in pairs that overlap, and each shares its score equally between its pairs"


def read_entries(record: Record) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """The explained labels of a record: (head, label, entry), the label None where the head is a number.

    Raises RecordError `bad_explanation` for an `explanation` that is no such object."""
    explanation = record.get("explanation")
    if explanation is MISSING or explanation is None:
        return
    for head, entry in explanation.items() if isinstance(explanation, dict) else [("", explanation)]:
        several = next((entry[key] for key in ("labels", "entities") if isinstance(entry, dict) and entry.get(key) is not None), None)
        parts = [] if entry is None else [entry] if several is None else several
        for one in parts if isinstance(parts, list) else [parts]:
            if not _is_sound(one):
                raise RecordError("bad_explanation", 'the field "explanation" is not what explain writes')
            yield head, one.get("label"), one


def _is_sound(entry: Any) -> bool:
    """Whether an entry holds what is read of it here: other tools write explanations too, and records get altered."""
    if not isinstance(entry, dict) or finite(entry.get("score")) is None or not isinstance(entry.get("tokens"), list):
        return False
    other = entry.get("runner_up")
    return (isinstance(entry.get("label"), str | None) and (other is None or isinstance(other, dict) and finite(other.get("score")) is not None)
            and all(map(_is_sound_token, entry["tokens"])))


def _is_sound_token(token: Any) -> bool:
    if not isinstance(token, dict) or not isinstance(token.get("text"), str) or not isinstance(token.get("field"), str | None):
        return False
    score = finite(token.get("score"))
    return score is not None and abs(score) <= MOST_NATS and type(token.get("start")) is int and type(token.get("end")) is int


class Way(NamedTuple):
    """How an explanation was made."""

    method: str
    unit: str

    def __str__(self) -> str:
        return f"{self.method} by {self.unit}"


def read_way(entry: dict[str, Any]) -> Way:
    """How an entry says it was made."""
    return Way(str(entry.get("method", "unknown method")), str(entry.get("unit", "word")))


def name_record(record: Record, id_field: str) -> str:
    """The id of a record, or its place in the input."""
    found = record.get(id_field)
    return record.place if found is MISSING or found is None else str(found)


def sum_words(entry: dict[str, Any]) -> dict[str, float]:
    """Word, folded in case -> its evidence in one text, all its places together. They sum up to what the tokens do.

    Characters of scripts without spaces are put in pairs, which are nearer to words: each shares its score equally between the pairs
    that it is part of. Not so where they were cut into words."""
    sums: dict[str, float] = {}
    for run in [[token] for token in entry["tokens"]] if entry.get("unit") == CHINESE_WORD else join_runs(entry["tokens"], _are_neighbours):
        if len(run) == 1:
            pieces = [(run[0]["text"].casefold(), run[0]["score"])]
        else:
            shares = [token["score"] / (1 if i in (0, len(run) - 1) else 2) for i, token in enumerate(run)]
            pieces = [(one["text"] + two["text"], share + other) for one, two, share, other in zip(run, run[1:], shares, shares[1:])]
        for word, score in pieces:
            if word and not word.isspace():
                sums[word] = sums.get(word, 0.0) + score
    return sums


def mean_words(found: list[dict[str, float]]) -> dict[str, float]:
    """The mean evidence of each word over what was found of several claims of one text; one that a claim does not hold has none there."""
    return {word: sum(words.get(word, 0.0) for words in found) / len(found) for word in dict.fromkeys(word for words in found for word in words)}


def _are_neighbours(before: dict[str, Any], token: dict[str, Any]) -> bool:
    """Whether both are single ideographs, side by side in one field."""
    return (before["end"] == token["start"] and before.get("field") == token.get("field")
            and all(len(one["text"]) == 1 and _IDEOGRAPH.match(one["text"]) for one in (before, token)))


@dataclass(slots=True)
class WordSums:
    """A word over N texts that hold it: sums of its evidence in a text. `missed` bounds how many texts before were not counted.

    `most` and `least` are (evidence, id) of the texts in which it said most for and most against the label."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    n_for: int = 0
    missed: int = 0
    most: list[tuple[float, str]] = field(default_factory=list)
    least: list[tuple[float, str]] = field(default_factory=list)

    @property
    def mean(self) -> float:
        return self.total / self.n

    @property
    def variance(self) -> float:
        """Of the evidence among texts that hold the word, unbiased; 0 for a single one."""
        return max(0.0, self.squares - self.total**2 / self.n) / (self.n - 1) if self.n > 1 else 0.0


class WordTable:
    """Sums for each word over texts that come one by one.

    Memory is bounded as in lossy counting (Manku & Motwani 2002): where there are more than `most_words` the rarest half goes, and a
    word that comes later carries in `missed` how many texts it may have had before."""

    def __init__(self, most_words: int = MOST_WORDS):
        self.words: dict[str, WordSums] = {}
        self.most_words, self.n_texts, self.floor = most_words, 0, 0

    def add(self, evidence: dict[str, float], name: str) -> None:
        """Count a text by the evidence of its words."""
        self.n_texts += 1
        for word, score in evidence.items():
            sums = self.words.get(word)
            if sums is None:
                sums = self.words[word] = WordSums(missed=self.floor)
            sums.n += 1
            sums.total += score
            sums.squares += score * score
            sums.n_for += score > 0
            _keep(sums.most, score, name)
            _keep(sums.least, -score, name)
        if len(self.words) > self.most_words:
            self._prune()

    def known(self, least_texts: int) -> dict[str, WordSums]:
        """The words of at least so many texts of which nearly all (19 of 20) were counted."""
        return {word: sums for word, sums in self.words.items() if sums.n >= least_texts and 19 * sums.missed <= sums.n}

    def _prune(self) -> None:
        counts = sorted(sums.n + sums.missed for sums in self.words.values())
        self.floor = max(self.floor, counts[len(counts) // 2])
        self.words = {word: sums for word, sums in self.words.items() if sums.n + sums.missed > self.floor}


def tell_pairs(tables: Iterable[WordTable], ways: Iterable[Way]) -> str:
    """What a line on the method says of words that are pairs of characters; nothing where there are none."""
    may_have = any(way.unit != CHINESE_WORD for way in ways)
    has_pairs = may_have and any(len(word) == 2 and all(map(_IDEOGRAPH.match, word)) for table in tables for word in table.words)
    return f"; {_IN_PAIRS}" if has_pairs else ""


def _keep(best: list[tuple[float, str]], score: float, name: str) -> None:
    """Keep the N_EXAMPLES best texts in a heap, the first of them where scores are equal."""
    if len(best) < N_EXAMPLES:
        heapq.heappush(best, (score, name))
    elif score > best[0][0]:
        heapq.heapreplace(best, (score, name))
