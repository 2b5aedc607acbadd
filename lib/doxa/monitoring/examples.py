"""The most telling texts of a group, near-duplicates shown once."""

import re

import numpy as np

from doxa.monitoring.candidates import Candidates
from doxa.monitoring.figures import Example
from doxa.monitoring.hashes import HashCounts
from doxa.monitoring.portion import NO_TIME, text_keys

NEAR = 0.6
MOST_COMPARED = 40  # of the newest texts of a group, by which it is told whether one story is told over and over
LEAST_REPEATED, LARGE_PART = 5, 0.1
_NOISE = re.compile(r"(?:https?://\S+|@\w+|[\W\d_])+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")


class ExamplePicker:
    """Picks from the candidates of a finished stream. `counts` tells how often each text was seen in its group, by `text_keys`."""

    def __init__(self, candidates: Candidates, counts: HashCounts, n_examples: int):
        candidates.settle()
        self.candidates, self.n_examples = candidates, n_examples
        self.n_seen = counts.count(text_keys(candidates.keys["hashes"], candidates.keys["codes"]))

    def pick(self, code: int | None, is_watching: bool) -> list[Example]:
        """Watched texts by score, then one that is told over and over, the newest text last (the newest alone where nothing is watched).

        A text's count holds the same text anywhere in the group, and near-duplicates among the group's candidates."""
        keys = self.candidates.keys
        rows = np.arange(len(keys["codes"])) if code is None else np.flatnonzero(keys["codes"] == code)
        if not len(rows):
            return []
        table = self.candidates.texts.take(rows).to_pylist()
        order = sorted(range(len(rows)), key=lambda i: (-keys["us"][rows[i]], table[i]["text"], table[i]["id"] or ""))
        newest = list({keys["hashes"][rows[i]]: i for i in reversed(order)}.values())[::-1]
        best = sorted((i for i in newest if keys["is_watched"][rows[i]]), key=lambda i: -keys["scores"][rows[i]]) if is_watching else []
        sets = {}
        repeated = _most_repeated(newest[:MOST_COMPARED], self.n_seen[rows], table, sets) if self.n_examples > 2 else []
        picked = _pick_different(best, table, max(1, self.n_examples - 1 - len(repeated)), sets, [])
        whys = ["highest score"] * len(picked)
        picked = _pick_different(repeated, table, len(picked) + 1, sets, picked)
        whys += ["told most often"] * (len(picked) - len(whys))
        picked = _pick_different(best, table, max(1, self.n_examples - 1), sets, picked)
        whys += ["highest score"] * (len(picked) - len(whys))
        picked = _pick_different(newest, table, self.n_examples, sets, picked)
        whys += ["newest" if keys["us"][rows[i]] != NO_TIME else "without a usable time" for i in picked[len(whys) :]]
        counts = self._fold(newest, picked, rows, table, sets)
        return [_example(table[i], float(keys["scores"][rows[i]]), count, why) for i, count, why in zip(picked, counts, whys)]

    def _fold(self, indices: list[int], picked: list[int], rows: np.ndarray, table: list[dict], sets: dict) -> list[int]:
        counts = [int(self.n_seen[rows[i]]) for i in picked]
        for i in indices:
            near = next((place for place, chosen in enumerate(picked) if i not in picked and _are_near(i, chosen, table, sets)), None)
            if near is not None:
                counts[near] += int(self.n_seen[rows[i]])
        return counts


def _most_repeated(indices: list[int], n_seen: np.ndarray, table: list[dict], sets: dict) -> list[int]:
    """The newest text of the story that most of some texts tell nearly alike, if it is a large part of them; else none."""
    left, stories = list(indices), []
    while left:
        own = [i for i in left if i == left[0] or _are_near(i, left[0], table, sets)]
        stories.append((int(n_seen[own].sum()), -len(stories), own[0]))
        left = [i for i in left if i not in set(own)]
    n, _, first = max(stories, default=(0, 0, 0))
    return [first] if n >= LEAST_REPEATED and n >= LARGE_PART * n_seen[indices].sum() else []


def _pick_different(indices: list[int], table: list[dict], most: int, sets: dict, picked: list[int]) -> list[int]:
    """Extend `picked` to at most `most`, in order, with texts that are no near-duplicates of those before."""
    picked = list(picked)
    for i in indices:
        if len(picked) >= most:
            break
        if i not in picked and not any(_are_near(i, chosen, table, sets) for chosen in picked):
            picked.append(i)
    return picked


def _are_near(first: int, second: int, table: list[dict], sets: dict) -> bool:
    """Whether two texts share at least 60 % of their shingles (Jaccard): a changed word in a sentence is near, another
    sentence of the same pattern is not."""
    for i in (first, second):
        if i not in sets:
            sets[i] = shingles(table[i]["text"])
    return are_alike(sets[first], sets[second])


def are_alike(one: frozenset[str], two: frozenset[str]) -> bool:
    """Whether two sets of shingles share at least NEAR of what they hold together."""
    if min(len(one), len(two)) < NEAR * max(len(one), len(two)):
        return False
    n_common = len(one & two)
    return n_common >= NEAR * (len(one) + len(two) - n_common)


def shingles(text: str) -> frozenset[str]:
    """Character 5-grams (3-grams in Chinese and Japanese) of the text without links, handles, digits, punctuation, case."""
    plain = _NOISE.sub(" ", text.casefold()).strip() or text
    size = 3 if len(_UNSPACED.findall(plain)) * 2 > len(plain) else 5
    return frozenset(plain[i : i + size] for i in range(max(1, len(plain) - size + 1)))


def _example(row: dict, score: float, count: int, why: str) -> Example:
    return Example(row["text"], row["time"], row["id"], row["label"], score if score >= 0 else None, count, why)
