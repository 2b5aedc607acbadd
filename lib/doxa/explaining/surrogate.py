"""Rules learnt from a model: a short list of words and phrases that says what the model says, and how often it does so."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
import regex
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer

from doxa.errors import DoxaError, RecordError, UsageError
from doxa.metrics.intervals import wilson
from doxa.records.record import Record
from doxa.rules.format import Rule
from doxa.rules.match import RuleBook
from doxa.rules.words import cut, fold, is_unspaced
from doxa.rules.writing import write_rules

MOST_TEXTS = 20_000  # that are learnt from and tested on; of more a random sample
HELD_OUT = 0.3
LEAST_TEXTS = 50
LEAST_RULES, RULES_OF_LABEL, MOST_PHRASES = 20, 2, 30  # a list is as long as 20 rules, or two for each label
MOST_DEFAULTS = 10  # labels of which one may be said where no rule fires
LONGEST_PHRASE, LONGEST_UNSPACED = 3, 4
# Levels of precision, of which a phrase in few texts must show more: the lower end of its interval counts. Chosen with the pruning below on
# models of three sets, English and Chinese: half the phrases for about a point less of agreement on held-out texts.
PRECISIONS = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
PRECISION_Z = 0.7
GROWN = 2 / 3  # of the texts that are learnt from; the others prune
PRUNING, LEAST_GAIN = 0.5, 2  # standard errors and texts that a phrase must gain
LEAST_HOLDING = 3  # training texts that hold a phrase


# Links, addresses and handles of a folded text: their parts are no words that somebody wrote, and name a sender, not a reason.
_NAME = r"a-z0-9._+\-"
_LINK = regex.compile(rf"(?:https?://|www\.)[!-~]+|(?<![{_NAME}])[a-z0-9\-]++(?:\.[a-z0-9\-]++)++(?<=\.[a-z]{{2,24}})/[!-~]*|(?<![{_NAME}])[{_NAME}]*+@[\w.\-]{{1,64}}")


class Step(NamedTuple):
    """A phrase (a column of the matrix) that decides for a label."""

    label: str
    phrase: int


@dataclass(frozen=True)
class Share:
    """A share of `n` held-out texts with its 95 % Wilson interval."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        return self.hits / self.n if self.n else 0.0

    def __str__(self) -> str:
        low, high = wilson(self.hits, self.n)
        return f"{self.value:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True)
class Surrogate:
    """An ordered list of rules: the first that fires says the label, `otherwise` where none does.

    `fidelity` is how often that is the model's label on held-out texts, `majority` how often `commonest` alone is, `coverage` for how
    many of them a rule fires, and `fidelity_where_fired` and `fidelity_elsewhere` how often what is said then, and where none fires, is what the model says."""

    head: str
    rules: tuple[Rule, ...]
    otherwise: str
    commonest: str
    n_learnt: int
    fidelity: Share
    majority: Share
    coverage: Share
    fidelity_where_fired: Share
    fidelity_elsewhere: Share

    def to_toml(self) -> str:
        """The rules as a file, its figures in comments."""
        return write_rules(self.rules, (
            f'Learnt from a model\'s predictions of head "{self.head}" on {self.n_learnt:,} texts; tested on {self.fidelity.n:,} others.',
            f'Read in order: the first rule that fires says the label, and where none fires it is "{self.otherwise}".',
            f"That is the model's label in {self.fidelity} of the held-out texts; always \"{self.commonest}\" would be in {self.majority}.",
            f"A rule fires in {self.coverage} of them" + (f", and then it says what the model says in {self.fidelity_where_fired}" if self.coverage.hits else "")
            + (f'; where none does, "{self.otherwise}" is what it says in {self.fidelity_elsewhere}.' if self.fidelity_elsewhere.n else ".")))


class Sample:
    """Different texts with a model's label of one head: of a stream those at most MOST_TEXTS whose hash, salted by the seed, is smallest.

    That is a uniform sample of the different texts in bounded memory, whatever their order (bottom-k, Cohen & Kaplan 2007)."""

    def __init__(self, head: str, text_field: str = "text", seed: int = 0):
        self.head, self.text_field, self._salt = head, text_field, seed.to_bytes(16, "little", signed=True)
        self._texts: dict[int, tuple[str, str]] = {}
        self._largest: list[int] = []  # a heap of the negative keys

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Texts and labels, in random order."""
        return [self._texts[key] for key in sorted(self._texts)]

    def add(self, record: Record) -> None:
        """Take a record in; one without a text or a label is left out. Raises UsageError for a head that does not give one label."""
        prediction = record.get("prediction") if not record.is_error else None
        entry = prediction.get(self.head) if isinstance(prediction, dict) else None
        if not isinstance(entry, dict):
            return
        if not isinstance(entry.get("label"), str):
            raise UsageError(f'{record.place}: head "{self.head}" does not give one label a text; rules are learnt from heads that do')
        try:
            text = record.get_text(self.text_field)
        except RecordError:
            return
        key = int.from_bytes(hashlib.blake2b(fold(text).encode("utf-8", "surrogatepass"), digest_size=8, salt=self._salt).digest())
        if key in self._texts or len(self._texts) == MOST_TEXTS and -key < self._largest[0]:
            return
        if len(self._texts) == MOST_TEXTS:
            del self._texts[-heapq.heappushpop(self._largest, -key)]
        else:
            heapq.heappush(self._largest, -key)
        self._texts[key] = text, entry["label"]


def learn_rules(records: Iterable[Record], head: str, text_field: str = "text", seed: int = 0) -> Surrogate:
    """Learn rules from records that hold a `prediction`.

    A decision list (Rivest 1987), built from the most precise phrases to the least: at each level of precision, for each label, the
    phrases that speak for it in as large a share of the texts not yet decided, those that decide most texts first; then pruned on
    other texts. 30 % of the texts are held out to test it. Phrases are up to 3 words or 4 characters long. Raises DoxaError for fewer than 50
    different texts."""
    sample = Sample(head, text_field, seed)
    for record in records:
        sample.add(record)
    order = sample.texts
    if len(order) < LEAST_TEXTS:
        raise DoxaError(f'{len(order)} different texts hold a prediction of head "{head}"; rules are learnt from at least {LEAST_TEXTS}')
    n_held_out = round(HELD_OUT * len(order))
    held_out, learnt = order[:n_held_out], order[n_held_out:]
    commonest = [label for label, _ in Counter(label for _, label in learnt).most_common(MOST_DEFAULTS)]
    most_rules = max(LEAST_RULES, RULES_OF_LABEL * len({label for _, label in learnt}))
    rules, otherwise = _learn(learnt, head, commonest, most_rules)
    return _test(rules, otherwise, commonest[0], held_out, head, len(learnt))


def _learn(learnt: list[tuple[str, str]], head: str, defaults: list[str], most_rules: int) -> tuple[tuple[Rule, ...], str]:
    """Grow a list on two thirds of the texts, and keep of it what earns its place on the others: beside each of `defaults` as the label where no rule
    fires, of which the one with the best list is taken."""
    vectorizer = CountVectorizer(analyzer=phrases_of, binary=True, min_df=LEAST_HOLDING, dtype=np.int32)
    try:
        matrix = vectorizer.fit_transform([text for text, _ in learnt]).tocsr()
    except ValueError:  # no phrase is in three texts
        return (), defaults[0]
    labels, n_grown = np.array([label for _, label in learnt]), round(GROWN * len(learnt))
    steps = _grow(matrix[:n_grown], labels[:n_grown])
    holds = np.asarray(matrix[n_grown:][:, [step.phrase for step in steps]].todense()).astype(bool) if steps else np.zeros((len(labels) - n_grown, 0), bool)
    pruned = [(*_prune(steps, holds, labels[n_grown:], default), default) for default in defaults]
    steps, _, otherwise = max(pruned, key=lambda found: found[1])  # the commonest of equals
    return _gather(steps, vectorizer.get_feature_names_out().tolist(), head, otherwise, most_rules), otherwise


def _grow(matrix: csr_matrix, labels: np.ndarray) -> list[Step]:
    names = [label for label, _ in Counter(labels.tolist()).most_common()]
    is_open = np.ones(len(labels), bool)
    return [Step(label, phrase) for precision in PRECISIONS for label in names
            for phrase in _choose_phrases(matrix, labels == label, is_open, precision)]


def _prune(steps: list[Step], holds: np.ndarray, labels: np.ndarray, otherwise: str) -> tuple[list[Step], int]:
    """Drop, from the last step on, what is not clearly right more often than what follows it (reduced error pruning, Quinlan 1987): on
    noise, what is kept at one text more costs readers most of the phrases and agreement with the model too. `holds` (N, steps) says which texts hold
    which phrases. Returns what is left, and for how many texts it says their label."""
    is_before = np.cumsum(holds, axis=1) - holds > 0  # (N, steps): some earlier step decides the text
    fallback, kept = np.full(len(labels), otherwise, object), []
    for place in reversed(range(len(steps))):
        rows = np.flatnonzero(holds[:, place] & ~is_before[:, place])
        is_right, was_right = labels[rows] == steps[place].label, fallback[rows] == labels[rows]
        n_better, n_worse = int((is_right & ~was_right).sum()), int((was_right & ~is_right).sum())
        if n_better - n_worse >= max(LEAST_GAIN, PRUNING * np.sqrt(n_better + n_worse)):
            kept.append(steps[place])
            fallback[holds[:, place]] = steps[place].label
    return kept[::-1], int((fallback == labels).sum())


def _gather(steps: list[Step], phrases: list[str], head: str, otherwise: str, most_rules: int) -> tuple[Rule, ...]:
    """Neighbouring steps of one label as one rule."""
    rules: list[Rule] = []
    for label, group in groupby(steps, key=lambda step: step.label):
        number = sum(rule.label == label for rule in rules) + 1
        rules.append(Rule(f"{label}-{number}", head, label, any=tuple(phrases[step.phrase] for step in group), is_final=True))
    rules = rules[:most_rules]
    while rules and rules[-1].label == otherwise:  # it says what is said anyway
        rules.pop()
    return tuple(rules)


def _choose_phrases(matrix: csr_matrix, is_label: np.ndarray, is_open: np.ndarray, precision: float) -> list[int]:
    """Columns of phrases (N texts, F phrases) that speak for a label precisely; the texts that hold them are marked as decided."""
    n_holding = np.asarray(matrix[is_open].sum(axis=0)).ravel()
    n_right = np.asarray(matrix[is_open & is_label].sum(axis=0)).ravel()
    columns, chosen = matrix.tocsc(), []
    while len(chosen) < MOST_PHRASES:
        candidates = np.flatnonzero((n_right >= LEAST_HOLDING) & (_lower_ends(n_right, n_holding) >= precision))
        if not len(candidates):
            break
        best = int(candidates[np.argmax(n_right[candidates])])
        chosen.append(best)
        rows = columns.indices[columns.indptr[best] : columns.indptr[best + 1]]
        rows = rows[is_open[rows]]
        is_open[rows] = False
        n_holding = n_holding - np.asarray(matrix[rows].sum(axis=0)).ravel()
        n_right = n_right - np.asarray(matrix[rows[is_label[rows]]].sum(axis=0)).ravel()
    return chosen


def _lower_ends(hits: np.ndarray, n: np.ndarray, z: float = PRECISION_Z) -> np.ndarray:
    """The lower ends of Wilson intervals of z standard errors."""
    n = np.maximum(n, 1)
    share = hits / n
    return (share + z * z / (2 * n) - z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / (1 + z * z / n)


def _test(rules: tuple[Rule, ...], otherwise: str, commonest: str, held_out: list[tuple[str, str]], head: str, n_learnt: int) -> Surrogate:
    book = RuleBook(rules)
    said = [next((firing.rule.label for firing in book.find(text)), None) for text, _ in held_out]
    n, n_fired = len(held_out), sum(one is not None for one in said)
    n_right = sum((one or otherwise) == label for one, (_, label) in zip(said, held_out))
    n_fired_right = sum(one == label for one, (_, label) in zip(said, held_out))
    n_commonest = sum(label == commonest for _, label in held_out)
    return Surrogate(head, rules, otherwise, commonest, n_learnt, Share(n_right, n), Share(n_commonest, n), Share(n_fired, n), Share(n_fired_right, n_fired),
                     Share(n_right - n_fired_right, n - n_fired))


def phrases_of(text: str) -> Iterator[str]:
    """Every phrase of a text as a rule would name it: up to 3 neighbouring words, or 4 characters of scripts without spaces. What is part of
    a link or of an @handle is none, and parts the words beside it."""
    words = cut(_LINK.sub(" @ ", fold(text)))
    kinds = ["unspaced" if is_unspaced(word) else "spaced" if word[0].isalnum() else "mark" for word in words]
    for start, kind in enumerate(kinds):
        longest, joint = (LONGEST_UNSPACED, "") if kind == "unspaced" else (LONGEST_PHRASE, " ")
        for end in range(start + 1, start + 1 + (0 if kind == "mark" else longest)):
            if end > len(words) or kinds[end - 1] != kind:
                break
            yield joint.join(words[start:end])
