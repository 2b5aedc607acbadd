"""What explanations of a whole corpus say: which words push which label, and how far they can be trusted."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import t as student

from doxa.errors import UsageError
from doxa.explaining.corpus_words import MOST_NATS, Way, WordSums, WordTable, mean_words, name_record, read_entries, read_way, sum_words, tell_pairs
from doxa.metrics.false_discoveries import FALSE_SHARE, benjamini_hochberg, selected_error
from doxa.records.figures import finite
from doxa.records.record import Record

LEAST_TEXTS = 5  # of a word that is ranked
PRIOR_TEXTS = 4  # what the scatter of all words weighs beside that of one
CONFIDENCE = 0.95
FAITHFULNESS = ("comprehensiveness", "sufficiency", "random_comprehensiveness", "random_sufficiency")


@dataclass(frozen=True)
class WordFigures:
    """A word in `n` texts: the mean of its evidence in a text (nats) with its interval, and the share of texts in which it speaks
    for the label. `examples` are ids of the texts where it said most in the direction of the mean."""

    word: str
    n: int
    mean: float
    low: float
    high: float
    share_for: float
    examples: list[str]


@dataclass(frozen=True)
class LabelFigures:
    """`speaking_for` and `speaking_against` hold the words that are clear of 0, the clearest first; `n_ranked` is how many words
    were looked at."""

    head: str
    label: str | None
    n: int
    n_ranked: int
    speaking_for: list[WordFigures]
    speaking_against: list[WordFigures]


@dataclass(frozen=True)
class Mean:
    """A mean over `n` texts with its 95 % interval, None where there is but one text."""

    n: int
    mean: float
    low: float | None
    high: float | None


@dataclass
class Summary:
    """What a page shows. `faithfulness`: head -> measure -> Mean. `how` says how the explanations were made."""

    n_records: int
    n_errors: int
    n_unexplained: int
    labels: list[LabelFigures]
    faithfulness: dict[str, dict[str, Mean]]
    how: list[str]
    method: str
    notes: list[str] = field(default_factory=list)


class Summarizer:
    """Takes records one by one, and sums up at the end. `most_words` bounds the memory for each label of each head."""

    def __init__(self, id_field: str = "id", most_words: int | None = None):
        self.id_field, self.bounds = id_field, {} if most_words is None else {"most_words": most_words}
        self.tables: dict[tuple[str, str | None], WordTable] = {}
        self.faithfulness: dict[tuple[str, str], WordSums] = {}
        self.how: dict[Way, None] = {}
        self.n_records = self.n_errors = self.n_unexplained = 0
        self.n_unsaid: Counter[tuple[str, str | None]] = Counter()  # explained though the score is below the label's threshold

    def add(self, record: Record) -> None:
        """Count a record. Raises RecordError for an `explanation` that explain did not write."""
        self.n_records += 1
        if record.is_error:
            self.n_errors += 1
            return
        entries = list(read_entries(record))
        self.n_unexplained += not entries
        name = name_record(record, self.id_field)
        of_label: dict[tuple[str, str | None], list[dict[str, float]]] = {}
        judged: dict[tuple[str, str], list[float]] = {}
        for head, label, entry in entries:
            self.how.setdefault(read_way(entry))
            of_label.setdefault((head, label), []).append(sum_words(entry))
            self.n_unsaid[head, label] += _is_unsaid(entry)
            for measure, value in _judged(entry):
                judged.setdefault((head, measure), []).append(value)
        # Several claims of one text are no texts of their own: they count by their mean.
        for key, words in of_label.items():
            self.tables.setdefault(key, WordTable(**self.bounds)).add(mean_words(words), name)
        for key, values in judged.items():
            sums, value = self.faithfulness.setdefault(key, WordSums()), sum(values) / len(values)
            sums.n, sums.total, sums.squares = sums.n + 1, sums.total + value, sums.squares + value * value

    def conclude(self, top: int = 20) -> Summary:
        """The figures, with at most `top` words for each label and direction. Raises UsageError where nothing was explained."""
        if not self.tables and self.n_records > self.n_errors:
            raise UsageError("the records hold no explanation; run them through explain first")
        labels = [_label_figures(head, label, table, top) for (head, label), table in sorted(self.tables.items(), key=_by_head_and_size)]
        faithfulness: dict[str, dict[str, Mean]] = {}
        for (head, measure), sums in self.faithfulness.items():
            faithfulness.setdefault(head, {})[measure] = _mean(sums)
        notes = [f"words of {name_label(head, label)} that were rare for long are left out: they were more than {table.most_words:,}"
                 for (head, label), table in self.tables.items() if table.floor]
        notes += [f"{name_label(head, label)}: the model says it of {table.n_texts - self.n_unsaid[head, label]:,} of these {table.n_texts:,} texts; of the others its score "
                  "is below the label's threshold" for (head, label), table in self.tables.items() if self.n_unsaid[head, label]]
        if len(self.how) > 1:
            notes.append("the explanations were made in different ways, whose evidence does not compare")
        return Summary(self.n_records, self.n_errors, self.n_unexplained, labels, faithfulness, list(map(str, self.how)), _METHOD + tell_pairs(self.tables.values(), self.how), notes)


_METHOD = (f"mean evidence of a word in the texts that hold it (at least {LEAST_TEXTS}), its places in a text together; moderated t, texts taken as independent; "
           f"told by Benjamini-Hochberg: on average at most {FALSE_SHARE:.0%} of the words told say nothing; intervals hold for 95 % of those told "
           "(Benjamini-Yekutieli); sorted by the end of the interval that is nearer to 0")


def summarize(records: Iterable[Record], id_field: str = "id", top: int = 20) -> Summary:
    """Sum up a stream of explained records. Raises UsageError where none is explained."""
    summarizer = Summarizer(id_field)
    for record in records:
        summarizer.add(record)
    return summarizer.conclude(top)


def name_label(head: str, label: str | None) -> str:
    return head if label is None else f"{head}={label}"


def _judged(entry: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The measures of faithfulness that an entry has."""
    found = entry.get("faithfulness")
    for measure in FAITHFULNESS if isinstance(found, dict) else ():
        value = finite(found.get(measure))
        if value is not None and abs(value) <= MOST_NATS:
            yield measure, value


def _by_head_and_size(item: tuple) -> tuple:
    (head, label), table = item
    return head, -table.n_texts, label or ""


def _is_unsaid(entry: dict[str, Any]) -> bool:
    score, threshold = finite(entry.get("score")), finite(entry.get("threshold"))
    return score is not None and threshold is not None and score < threshold


def _label_figures(head: str, label: str | None, table: WordTable, top: int) -> LabelFigures:
    ranked = table.known(LEAST_TEXTS)
    found = []
    for (word, sums), (low, high) in zip(ranked.items(), _told_intervals(list(ranked.values()))):
        if low > 0 or high < 0:
            best = sums.most if low > 0 else sums.least
            found.append(WordFigures(word, sums.n, sums.mean, low, high, sums.n_for / sums.n, [name for _, name in sorted(best, reverse=True)]))
    speaking_for = sorted((word for word in found if word.low > 0), key=lambda word: (-word.low, word.word))
    speaking_against = sorted((word for word in found if word.high < 0), key=lambda word: (word.high, word.word))
    return LabelFigures(head, label, table.n_texts, len(ranked), speaking_for[:top], speaking_against[:top])


def _told_intervals(sums: list[WordSums]) -> list[tuple[float, float]]:
    """Intervals of the words' means, of which those clear of 0 are believed.

    The few texts of a word tell too little of how its evidence scatters: where they happen to agree, the plain t-interval of skewed
    evidence misses far too often. So each variance is drawn to that of all words (a moderated t, after Smyth 2004, Statistical
    Applications in Genetics and Molecular Biology 3:3, with PRIOR_TEXTS fixed)."""
    if not sums:
        return []
    n = np.array([one.n for one in sums], np.float64)
    means, variances = np.array([one.mean for one in sums]), np.array([one.variance for one in sums])
    pooled = np.average(variances, weights=n - 1)
    freedom = n - 1 + PRIOR_TEXTS
    deviations = np.sqrt((PRIOR_TEXTS * pooled + (n - 1) * variances) / freedom / n)
    p_values = 2 * student.sf(np.abs(means) / np.maximum(deviations, 1e-300), freedom)
    error = selected_error(int(benjamini_hochberg(p_values).sum()), len(sums))
    halves = student.isf(error / 2, freedom) * deviations
    return list(zip((means - halves).tolist(), (means + halves).tolist()))


def _mean(sums: WordSums) -> Mean:
    """With the t-interval over texts, unknown for a single one."""
    if sums.n < 2:
        return Mean(sums.n, sums.mean, None, None)
    half = float(student.ppf((1 + CONFIDENCE) / 2, sums.n - 1)) * math.sqrt(sums.variance / sums.n)
    return Mean(sums.n, sums.mean, sums.mean - half, sums.mean + half)
