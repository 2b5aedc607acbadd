"""The most telling texts of a group, near-duplicates shown once."""

import numpy as np

from doxa.monitoring.candidates import Candidates
from doxa.monitoring.figures import Example
from doxa.monitoring.hashes import HashCounts
from doxa.monitoring.likeness import Likeness
from doxa.monitoring.portion import NO_TIME, text_keys

MOST_COMPARED = 40  # of the newest texts of a group, by which it is told whether one story is told over and over
LEAST_REPEATED, LARGE_PART = 5, 0.1


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
        likeness = Likeness([row["text"] for row in table])
        repeated = _most_repeated(newest[:MOST_COMPARED], self.n_seen[rows], likeness) if self.n_examples > 2 else []
        picked = _pick_different(best, max(1, self.n_examples - 1 - len(repeated)), likeness, [])
        whys = [_why(keys["scores"][rows[i]]) for i in picked]
        picked = _pick_different(repeated, len(picked) + 1, likeness, picked)
        whys += ["told most often"] * (len(picked) - len(whys))
        picked = _pick_different(best, max(1, self.n_examples - 1), likeness, picked)
        whys += [_why(keys["scores"][rows[i]]) for i in picked[len(whys) :]]
        picked = _pick_different(newest, self.n_examples, likeness, picked)
        whys += ["newest" if keys["us"][rows[i]] != NO_TIME else "without a usable time" for i in picked[len(whys) :]]
        counts = _fold(newest, picked, self.n_seen[rows], likeness)
        return [_example(table[i], float(keys["scores"][rows[i]]), count, why) for i, count, why in zip(picked, counts, whys)]


def _why(score: float) -> str:
    return "highest score" if score >= 0 else "of the watched label"


def _fold(indices: list[int], picked: list[int], n_seen: np.ndarray, likeness: Likeness) -> list[int]:
    """How often each of the picked was seen, with its near-duplicates; one that is near to several counts with the first."""
    left = np.setdiff1d(indices, picked)
    counts = []
    for chosen in picked:
        is_near = likeness.near(chosen)[left]
        counts.append(int(n_seen[chosen] + n_seen[left[is_near]].sum()))
        left = left[~is_near]
    return counts


def _most_repeated(indices: list[int], n_seen: np.ndarray, likeness: Likeness) -> list[int]:
    """The newest text of the story that most of some texts tell nearly alike, if it is a large part of them; else none."""
    left, stories = np.array(indices, int), []
    while len(left):
        is_own = likeness.near(left[0])[left]
        stories.append((int(n_seen[left[is_own]].sum()), -len(stories), int(left[0])))
        left = left[~is_own]
    n, _, first = max(stories, default=(0, 0, 0))
    return [first] if n >= LEAST_REPEATED and n >= LARGE_PART * n_seen[indices].sum() else []


def _pick_different(indices: list[int], most: int, likeness: Likeness, picked: list[int]) -> list[int]:
    """Extend `picked` to at most `most`, in order, with texts that are no near-duplicates of those before."""
    picked = list(picked)
    is_told = np.any([likeness.near(chosen) for chosen in picked], axis=0) if picked else np.zeros(likeness.n_texts, bool)
    for i in indices:
        if len(picked) >= most:
            break
        if not is_told[i]:
            picked.append(i)
            is_told |= likeness.near(i)
    return picked


def _example(row: dict, score: float, count: int, why: str) -> Example:
    return Example(row["text"], row["time"], row["id"], row["label"], score if score >= 0 else None, count, why)
