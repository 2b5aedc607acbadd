"""What every kind of head can do. A kind is one file beside this one, one file in `metrics/`, and one line in `table.py`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from doxa.metrics.tallied import Tallied
from doxa.model.heads import Head
from doxa.records.record import Record
from doxa.text.frame import Reading, Window
from doxa.text.question import Layout, Question
from doxa.text.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Stock:
    """The stock network of a kind, by the names that transformers has for it.

    `outputs` are the tensors of its output that are read, side by side along the last axis; `per_token` where there is a row of them
    for every token, not one for the window. `has_choice_axis` where the network wants windows as (B, 1, T). `pooling` makes one row
    of a row per token: their mean, of length 1. `reads_first_token` where the outputs depend on the last layer's first token alone.
    """

    auto_class: str
    ending: str  # of the architecture's name in config.json
    outputs: tuple[str, ...] = ("logits",)
    per_token: bool = False
    has_choice_axis: bool = False
    pooling: str | None = None
    reads_first_token: bool = False


@dataclass(slots=True)
class Lesson:
    """One row of training: windows, and what their outputs should be (see `Kind.learns`)."""

    windows: list[Window]
    target: Any
    place: str = ""


@dataclass(frozen=True)
class TextFields:
    """The fields that hold the texts. `is_given` where the user named them."""

    text: str = "text"
    text_pair: str | None = None
    is_given: bool = False


class Kind(ABC):
    """`name` is what `--head FIELD:KIND` and doxa.json call it.

    `learns` is what its loss is: `softmax` over `softmax_over` (labels of each token, tokens of a window, windows of a lesson), or a
    task of its own in `training/`. `shares` where several heads of this family fit side by side into one network."""

    name: str
    reads: str  # what it reads in a record, for people
    says: str  # what it adds, for people
    stock: Stock
    learns: str = "softmax"
    softmax_over: str = ""
    shares: bool = False
    needs_gold: bool = True

    # --- records in

    @abstractmethod
    def read_question(self, record: Record, fields: TextFields) -> Question:
        """Raises RecordError."""

    @abstractmethod
    def read_gold(self, value: Any) -> Any:
        """The gold value that a field of a record holds, None where there is none. Raises ValueError, in words, for what is none of this kind."""

    @abstractmethod
    def decide_head(self, name: str, gold: list[Any]) -> Head:
        """The head that learns these (None where a record has none). Raises DoxaError where there is nothing to learn."""

    # --- windows out

    @abstractmethod
    def lay_out(self, questions: list[Question], tokenizer: TextTokenizer, reading: Reading) -> list[Layout | Exception]:
        """The windows of each question, or the RecordError that it gets."""

    @abstractmethod
    def teach(self, question: Question, layout: Layout, gold: Any, head: Head) -> list[Lesson]:
        """What is to be learnt from a record that has gold."""

    # --- predictions out

    @abstractmethod
    def answer(self, layouts: list[Layout], outputs: list[np.ndarray], heads: list[Head], with_scores: bool) -> list[dict[str, Any] | None]:
        """A `prediction` for each layout, None where an output is not finite. `outputs` has one array for each window, in order: (T, C)
        where the network gives a row per token, else (C,)."""

    @abstractmethod
    def arrow_type(self, head: Head, with_scores: bool) -> list[tuple[str, pa.DataType]]:
        """The members of an entry of `prediction`, in Arrow."""

    @abstractmethod
    def judge(self, gold: list[Any], said: list[dict[str, Any]]) -> Tallied:
        """What makes figures of these."""

    marks: tuple[str, ...] = ()  # keys by which an entry of `prediction` is known to be of this kind
