"""What changed between two windows of explained texts: the share of a label, and the words that account for it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from doxa.errors import UsageError
from doxa.explaining.corpus_words import Way, WordSums, WordTable, mean_words, name_record, read_entries, read_way, sum_words, tell_pairs
from doxa.explaining.summary import name_label
from doxa.metrics.false_discoveries import FALSE_SHARE, benjamini_hochberg, selected_error
from doxa.metrics.intervals import wilson
from doxa.records.figures import finite
from doxa.records.quantity import quantity
from doxa.records.record import Record

LEAST_TEXTS = 10  # of both windows together, of a word that is tested


@dataclass(frozen=True)
class Change:
    """A difference, after less before, with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class WordChange:
    """A word that moved the label: its change in evidence per text (nats), which is `by_frequency` + `by_evidence`.

    `shares` are the shares of texts that hold it before and after, `means` the mean evidence in those; `p_value` that of a change of 0;
    `examples` ids of the texts where it said most."""

    word: str
    change: Change
    by_frequency: Change
    by_evidence: Change
    shares: tuple[float, float]
    means: tuple[float | None, float | None]
    p_value: float
    examples: list[str]


@dataclass
class Contrast:
    """`share`: (hits, n) of the label before and after and their difference; `evidence`: all words together, per text.

    `words`: those told, of the `n_tested`; the largest change first."""

    head: str
    label: str | None
    before: tuple[int, int]
    after: tuple[int, int]
    share: Change
    evidence: Change
    n_tested: int
    words: list[WordChange]
    method: str
    notes: list[str] = field(default_factory=list)


class Window:
    """The explained texts of one window, for one label of one head."""

    def __init__(self, name: str, head: str, label: str | None, id_field: str = "id"):
        self.name, self.head, self.label, self.id_field = name, head, label, id_field
        self.table, self.totals = WordTable(), WordSums()
        self.ways: set[Way] = set()
        self.n_hits = self.n_other = self.n_errors = 0

    def add(self, record: Record) -> None:
        """Count a record; one that carries an error is left out. Raises RecordError for an `explanation` that explain did not write."""
        if record.is_error:
            self.n_errors += 1
            return
        own = [entry for head, label, entry in read_entries(record) if head == self.head and label == self.label]
        is_claimed = _may_claim(record, self.head)
        if not own and not is_claimed:
            self.n_other += 1
            return
        self.ways |= set(map(read_way, own))
        evidence = mean_words([sum_words(entry) for entry in own])
        self.table.add(evidence, name_record(record, self.id_field))
        total = sum(evidence.values())
        self.totals.n, self.totals.total, self.totals.squares = self.totals.n + 1, self.totals.total + total, self.totals.squares + total * total
        self.n_hits += bool(own) and (is_claimed or _is_label(record, self.head, self.label, own[0]))

    def check(self) -> None:
        """Raise UsageError where texts are missing, or have no evidence for the label."""
        what = name_label(self.head, self.label)
        if self.n_other:
            n = self.n_other + self.table.n_texts
            raise UsageError(f"{self.name}: {self.n_other} of {n} records hold no explanation of {what}; run both windows through: explain "
                             f"--head {self.head}" + (f" --label {self.label}" if self.label is not None else ""))
        if self.table.n_texts < 2:
            raise UsageError(f"{self.name} holds {self.table.n_texts} explained records; a contrast needs at least 2 in each window")


def contrast(before: Iterable[Record], after: Iterable[Record], head: str, label: str | None, id_field: str = "id", top: int = 20,
             names: tuple[str, str] = ("before", "after")) -> Contrast:
    """Say what changed from `before` to `after`. `names` stand in messages.

    A word's evidence per text is the share p of texts that hold it times its mean evidence e in those. Its change is split in two as by
    Oaxaca (1973) and Blinder (1973), both windows weighing the same: (p2 - p1)(e1 + e2)/2 by frequency, (p1 + p2)/2 (e2 - e1) by evidence;
    a word that a window lacks takes e from the other. Over all words the changes sum up to that of the evidence of whole texts. Raises
    UsageError where a window has texts without an explanation of the label, or fewer than two, and where texts were explained in different ways."""
    windows = [Window(name, head, label, id_field) for name in names]
    for window, records in zip(windows, (before, after)):
        for record in records:
            window.add(record)
        window.check()
    return conclude(*windows, top)


def conclude(before: Window, after: Window, top: int = 20) -> Contrast:
    """The figures of two windows that have seen all their texts. Raises UsageError where they were not explained in one way."""
    ways = sorted(before.ways | after.ways)
    if len(ways) > 1:
        raise UsageError(f'the texts were explained in different ways, whose evidence does not compare: {", ".join(map(str, ways))}; explain both windows in one')
    pairs, is_rare = _words_of_both(before.table, after.table)
    moved = [_Moved(word, *sums, before.table.n_texts, after.table.n_texts) for word, sums in pairs.items()]
    p_values = np.array([one.p_value for one in moved])
    is_told = benjamini_hochberg(p_values)
    told = sorted((one for one, is_one in zip(moved, is_told) if is_one), key=lambda one: (-abs(one.change), one.word))
    z = float(norm.isf(selected_error(len(told), len(moved)) / 2))
    hits = (before.n_hits, before.table.n_texts), (after.n_hits, after.table.n_texts)
    notes = []
    if is_rare:
        notes.append(f"words that were rare for long are left out: there were more than {before.table.most_words:,}")
    if len(told) > top:
        notes.append(f"{quantity(len(told) - top, 'more word')} {'was' if len(told) - top == 1 else 'were'} found to have moved; the largest changes are shown")
    return Contrast(before.head, before.label, *hits, _difference_of_shares(*hits), _difference_of_means(before.totals, after.totals), len(moved),
                    [one.figures(z) for one in told[:top]], _METHOD + tell_pairs((before.table, after.table), before.ways | after.ways), notes)


_METHOD = (f"change in evidence per text of every word in at least {LEAST_TEXTS} texts, split by Oaxaca and Blinder into frequency and evidence; variances by the "
           f"delta method, texts taken as independent; told by Benjamini-Hochberg: on average at most {FALSE_SHARE:.0%} of the words told did not move; intervals "
           "hold for 95 % of those told (Benjamini-Yekutieli); the share by Newcombe")


class _Moved:
    """The change of one word. Variances by the delta method; share and mean evidence of a window do not correlate."""

    def __init__(self, word: str, first: WordSums, second: WordSums, n_before: int, n_after: int):
        self.word, self._sums = word, (first, second)
        counts = (n_before, n_after)
        self.p = tuple(sums.n / n for sums, n in zip(self._sums, counts))
        self.e = (first.mean if first.n else second.mean, second.mean if second.n else first.mean)
        variance_p = sum(p * (1 - p) / n for p, n in zip(self.p, counts))
        # One text tells nothing of how evidence scatters: the scatter of both windows together stands in.
        together = WordSums(first.n + second.n, first.total + second.total, first.squares + second.squares).variance
        variance_e = sum((sums.variance if sums.n > 4 else together) / sums.n for sums in self._sums if sums.n) if first.n and second.n else 0.0
        mean_e, mean_p, more_p, more_e = sum(self.e) / 2, sum(self.p) / 2, self.p[1] - self.p[0], self.e[1] - self.e[0]
        self.by_frequency, self.by_evidence = more_p * mean_e, mean_p * more_e
        self.change = self.by_frequency + self.by_evidence
        scatter_of_mean = variance_e / 4 if first.n and second.n else together / max(first.n, second.n)
        self._deviations = (math.sqrt(sum(_variance_per_text(sums, n) for sums, n in zip(self._sums, counts))),
                            math.sqrt(mean_e**2 * variance_p + more_p**2 * scatter_of_mean),
                            math.sqrt(mean_p**2 * variance_e + more_e**2 * variance_p / 4))
        deviation = self._deviations[0]
        self.p_value = float(2 * norm.sf(abs(self.change) / deviation)) if deviation else 1.0

    def figures(self, z: float) -> WordChange:
        changes = [Change(value, value - z * deviation, value + z * deviation)
                   for value, deviation in zip((self.change, self.by_frequency, self.by_evidence), self._deviations)]
        means = tuple(sums.mean if sums.n else None for sums in self._sums)
        return WordChange(self.word, *changes, self.p, means, self.p_value, self._examples())

    def _examples(self) -> list[str]:
        """Texts of the window in which the word said more, in its direction there."""
        sums = max(self._sums, key=lambda sums: abs(sums.total))
        return [name for _, name in sorted(sums.most if sums.total > 0 else sums.least, reverse=True)]


def _variance_per_text(sums: WordSums, n: int) -> float:
    """Of the mean over n texts of a word's evidence, 0 where the text lacks it."""
    return max(0.0, sums.squares / n - (sums.total / n) ** 2) / (n - 1)


def _words_of_both(before: WordTable, after: WordTable) -> tuple[dict[str, tuple[WordSums, WordSums]], bool]:
    """The words to test with their sums in both windows; and whether some were too rare to be kept."""
    pairs = {}
    for word in sorted(before.words.keys() | after.words.keys()):
        sums = before.words.get(word) or WordSums(missed=before.floor), after.words.get(word) or WordSums(missed=after.floor)
        n = sums[0].n + sums[1].n
        if n >= LEAST_TEXTS and 19 * (sums[0].missed + sums[1].missed) <= n:
            pairs[word] = sums
    return pairs, bool(before.floor or after.floor)


def _may_claim(record: Record, head: str) -> bool:
    """Whether a head makes several claims of a text, or none: a text of which it does not say the label has no evidence for it."""
    explanation = record.get("explanation")
    content = explanation.get(head) if isinstance(explanation, dict) else None
    return isinstance(content, dict) and isinstance(content.get("entities"), list)


def _is_label(record: Record, head: str, label: str | None, entry: dict) -> bool:
    """Whether the model gives the label to a text: by its prediction, else by the explanation's own scores."""
    if label is None:
        return False
    prediction = record.get("prediction")
    own = prediction.get(head) if isinstance(prediction, dict) else None
    if isinstance(own, dict) and isinstance(own.get("labels"), list):
        return label in own["labels"]
    if isinstance(own, dict) and "label" in own:
        return own["label"] == label
    other = entry.get("runner_up")
    return entry["score"] >= (other["score"] if other else finite(entry.get("threshold")) or 0.5)


def _difference_of_shares(before: tuple[int, int], after: tuple[int, int]) -> Change:
    """With the hybrid score interval of Newcombe (1998, Statistics in Medicine 17:873), his method 10."""
    (low1, high1), (low2, high2) = wilson(*before), wilson(*after)
    p1, p2 = before[0] / before[1], after[0] / after[1]
    return Change(p2 - p1, p2 - p1 - math.hypot(p2 - low2, high1 - p1), p2 - p1 + math.hypot(high2 - p2, p1 - low1))


def _difference_of_means(before: WordSums, after: WordSums) -> Change:
    half = float(norm.ppf(0.975)) * math.sqrt(before.variance / before.n + after.variance / after.n)
    change = after.mean - before.mean
    return Change(change, change - half, change + half)
