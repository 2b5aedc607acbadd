"""What every kind of head can do. A kind is one file beside this one, one file in `metrics/`, and one line in `table.py`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from doxa.errors import RecordError
from doxa.metrics.tallied import Tallied
from doxa.model.heads import Head
from doxa.records.record import Record, json_type
from doxa.records.text_fields import TextFields
from doxa.text.frame import Reading, Window
from doxa.text.question import Layout, Question
from doxa.text.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Stock:
    """The stock network of a kind, by the names that transformers has for it: `mapping` is the table of architectures that have one,
    `words` what people call it, `n_outputs` their number where it is fixed and has no labels.

    `outputs` are the tensors of its output that are read, side by side along the last axis; `per_token` where there is a row of them
    for every token, not one for the window. `has_choice_axis` where the network wants windows as (B, 1, T). `pooling` makes one row
    of a row per token, of length 1: of their `mean`, or of the first one (`cls`). `reads_first_token` where the outputs depend on the last
    layer's first token alone. `guesses` where the network reads windows of one hidden token each, and gives a score for every token of the
    vocabulary to stand there. `unlike` are endings of other networks' names that end alike.
    `encoders` is the table of architectures that have one only where their config says `is_decoder`: else they read to both sides.
    """

    auto_class: str
    ending: str | tuple[str, ...]  # of the architecture's name in config.json
    mapping: str
    words: str
    outputs: tuple[str, ...] = ("logits",)
    per_token: bool = False
    has_choice_axis: bool = False
    pooling: str | None = None
    reads_first_token: bool = False
    guesses: bool = False
    n_outputs: int | None = None
    encoders: str = ""
    unlike: tuple[str, ...] = ()

    def is_named(self, architecture: str) -> bool:
        """Whether an architecture of this name, as config.json has it, is this network."""
        return architecture.endswith(self.ending) and not architecture.endswith(self.unlike)


@dataclass(slots=True)
class Lesson:
    """One row of training: windows, and what their outputs should be (see `Kind.learns`). `place` names the record it is of."""

    windows: list[Window]
    target: Any
    place: str = ""


@dataclass(frozen=True)
class Told:
    """What a claim says, for people: `name` what it is called, by which such claims stand together, `text` what it says, and `start` and `end` where
    that stands in a text of its record. All are what the claim holds, which may have been altered. `is_sure` where its score is a probability."""

    name: Any
    text: Any = None
    start: Any = None
    end: Any = None
    is_sure: bool = True


class Kind(ABC):
    """`name` is what `--head FIELD:KIND` and doxa.json call it.

    `learns` is what its loss is: `softmax` over `softmax_over` (labels of each token, tokens of a window, windows of a lesson), or a
    task of its own in `training/prepare.py`. `starts_fresh` where its outputs are no base's. `shares` where several heads of this family fit side by side into one network.
    `writes` where its answers are written token by token, by the generator in place of an engine; `settings` are those of the head that flags
    of predict may change. `learns_from` says, for people, what a record has to hold, its gold last. `checked_by` is the field of a record
    by which gold is known to be impossible where no question is read, as in evaluate; see `check_by`."""

    name: str
    stock: Stock
    learns: str = "softmax"
    softmax_over: str = ""
    starts_fresh: bool = True
    shares: bool = False
    has_labels: bool = False  # its outputs have names
    needs_gold: bool = True
    takes_ids: bool = False  # also token ids in place of texts, as `tokenize` leaves them
    writes: bool = False
    settings: tuple[str, ...] = ()
    learns_from: str = "a text and a label"
    checked_by: str = ""
    marks: tuple[str, ...] = ()  # keys by which an entry of `prediction` is known to be of this kind
    is_score_doubt: bool = False  # whether a higher score is less sure, as a perplexity is
    is_explained: bool = False  # `weigh` says what there is to explain
    claims_key: str | None = None  # of an entry that makes several claims, the key of their list

    @property
    def stocks(self) -> tuple[Stock, ...]:
        """All that `stock_of` may give, but for how they are pooled."""
        return (self.stock,)

    def fit_reading(self, reading: Reading, heads: list[Head], config: dict[str, Any]) -> Reading:
        """How texts are read for these heads of a model, whose config.json this is. Raises DoxaError."""
        return reading

    # --- records in

    def fields_of(self, record: Record, fields: TextFields) -> TextFields:
        """The fields that hold the texts of this record."""
        return fields.of(record)

    @abstractmethod
    def read_question(self, record: Record, fields: TextFields) -> Question:
        """Raises RecordError."""

    @abstractmethod
    def read_gold(self, value: Any) -> Any:
        """The gold value that a field of a record holds, None where there is none. Raises ValueError, in words, for what is none of this kind."""

    def check(self, question: Question, gold: Any) -> None:
        """Raises ValueError, in words, where gold is none for this question."""

    def check_by(self, value: Any, gold: Any) -> None:
        """As `check`, by what the field `checked_by` holds, None where it is missing."""

    def find_odd(self, gold: list[Any]) -> list[int]:
        """The places of values, each of which might be gold of this kind by itself, that are none among the others."""
        return []

    @abstractmethod
    def decide_head(self, name: str, gold: list[Any]) -> Head:
        """The head that learns these (None where a record has none). Raises DoxaError where there is nothing to learn."""

    def adopt(self, head: Head, directory: str) -> Head:
        """The head with what the directory of a base, or of a model that doxa did not write, says of how its network is read.

        Raises DoxaError where this kind cannot read it so."""
        return head

    def stock_of(self, head: Head, config: dict[str, Any]) -> Stock:
        """The stock network that computes this head for a base, or a model, whose config.json this is."""
        return self.stock

    # --- windows out

    @abstractmethod
    def lay_out(self, questions: list[Question], tokenizer: TextTokenizer, reading: Reading) -> list[Layout | Exception]:
        """The windows of each question, or the RecordError that it gets."""

    @abstractmethod
    def teach(self, question: Question, layout: Layout, gold: Any, head: Head) -> list[Lesson]:
        """What is to be learnt from a record that has gold."""

    def simple(self, train: list[tuple[Question, Any]], questions: list[Question]) -> dict[str, list[dict[str, Any]]]:
        """What simple methods, by their names, learn from labelled records and say of others: entries of `prediction`."""
        return {}

    # --- predictions out

    def answer(self, layouts: list[Layout], outputs: Sequence[np.ndarray], heads: list[Head], with_scores: bool) -> list[dict[str, Any] | None]:
        """A `prediction` for each layout, None where an output is not finite. `outputs` has one array for each window, in order: (T, C)
        where the network gives a row per token, else (C,)."""
        found, at = [], 0
        for layout in layouts:
            end = at + len(layout.windows)
            entry = self.answer_one(layout, outputs[at:end], heads[0], with_scores)
            found.append(None if entry is None else {heads[0].name: entry})
            at = end
        return found

    def answer_one(self, layout: Layout, outputs: Sequence[np.ndarray], head: Head, with_scores: bool) -> dict[str, Any] | None:
        """The entry of one layout by the outputs of its windows, None where one is not finite; of a kind that does not `answer` for all at once."""
        raise NotImplementedError

    @abstractmethod
    def arrow_type(self, head: Head, with_scores: bool) -> list[tuple[str, pa.DataType]]:
        """The members of an entry of `prediction`, in Arrow."""

    # --- what is explained

    def claims(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        """What an entry of `prediction` says, each of which can be explained. Raises RecordError where that is nothing."""
        return [entry]

    def labels_of(self, head: Head) -> list[str]:
        """The labels that claims have."""
        return list(head.labels)

    def claim_type(self, head: Head) -> list[tuple[str, pa.DataType]]:
        """The members of a claim, in Arrow."""
        return self.arrow_type(head, False)

    def tell(self, claim: dict[str, Any]) -> Told:
        """What a claim says."""
        return Told(self.name, is_sure=False)

    def bear_out(self, claim: dict[str, Any], gold: Any, record: Record | Mapping[str, Any]) -> tuple[bool, str] | None:
        """Whether gold bears a claim out, and what gold says, in words; None where that cannot be told. Of a claim that was altered any exception of
        Python's own may be raised."""
        return None

    def weigh(self, claim: dict[str, Any], layout: Layout, outputs: Sequence[np.ndarray], head: Head) -> float:
        """How much the outputs of a layout's windows speak for a claim, in nats of log-odds unless the kind says otherwise."""
        raise NotImplementedError

    def weigher(self, claim: dict[str, Any], layout: Layout, head: Head) -> tuple[list[int], Callable[[Sequence[np.ndarray]], float]]:
        """What weighs a claim many times over: the windows that tell of it, and what makes the number that `weigh` gives of their outputs alone."""
        return list(range(len(layout.windows))), lambda outputs: self.weigh(claim, layout, outputs, head)

    def place_of(self, number: int, fields: TextFields) -> dict[str, Any]:
        """What names the text of a question, counted from 0, beside the words of it: nothing for the first."""
        return {"field": fields.text_pair} if number else {}

    @abstractmethod
    def judge(self, gold: list[Any], *said: list[dict[str, Any]]) -> Tallied:
        """What makes figures of gold and what was said beside it; of several models, by the same counts."""


def read_list(record: Record, name: str) -> list[Any]:
    """The list that a field holds, in CSV as JSON. Raises RecordError `bad_NAME`."""
    try:
        value = read_json(record.get(name))
    except ValueError as error:
        raise RecordError(f"bad_{name}", f'field "{name}" {error}') from None
    if not isinstance(value, list):
        raise RecordError(f"bad_{name}", f'field "{name}" is {json_type(value)}, not a list of texts')
    return value


def read_json(value: Any) -> Any:
    """A value as it is, and of a cell of a CSV file (a text that holds a list or an object) what it holds; None where it is empty.

    Raises ValueError where such a text is no JSON."""
    if value == "":
        return None
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise ValueError("holds a text that is no JSON") from None
