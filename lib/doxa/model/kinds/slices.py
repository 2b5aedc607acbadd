"""Heads of one label, of many, or of a number: slices of the one linear layer of a sequence classifier."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from doxa.errors import DoxaError, RecordError
from doxa.model.heads import Head, read_logits
from doxa.model.kinds.kind import Kind, Lesson, Stock
from doxa.records.number import read_number
from doxa.records.record import Record, json_type
from doxa.records.text_fields import TextFields
from doxa.text.frame import Reading, Window
from doxa.text.question import Layout, Question
from doxa.text.tokenizer import TextTokenizer

CLASSIFIER = Stock("AutoModelForSequenceClassification", "ForSequenceClassification", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
                   "sequence classifier", reads_first_token=True)


class Slices(Kind):
    """All heads of these kinds are computed by one network at once. Their loss and their figures are older than the table: `training/loss.py`
    and `evaluation/` know them by name."""

    stock = CLASSIFIER
    learns = "slices"
    shares = True
    takes_ids = True

    def __init__(self, name: str):
        self.name = name

    def read_question(self, record: Record, fields: TextFields) -> Question:
        fields = self.fields_of(record, fields)
        return Question(tuple(record.get_texts(fields.text, fields.text_pair)))

    def read_gold(self, value: Any) -> Any:
        """A text, a list of texts, or a number; None where there is none."""
        if value is None or value == "":
            return None
        if self.name == "number":
            return _read_number(value)
        if self.name == "labels":
            if isinstance(value, str) and value.startswith("["):  # a cell of a CSV file
                try:
                    value = orjson.loads(value)
                except orjson.JSONDecodeError:
                    pass
            if isinstance(value, list) and all(isinstance(label, str) and label for label in value):
                return list(dict.fromkeys(value))
        elif isinstance(value, (bool, int)):
            return str(value).lower()
        elif isinstance(value, str):
            return value
        raise ValueError(f"is {json_type(value)}, which no head of kind {self.name} can hold")

    def decide_head(self, name: str, gold: list[Any]) -> Head:
        values = [value for value in gold if value is not None]
        counts = Counter(label for value in values for label in (value if self.name == "labels" else [value]))
        if len(counts) < 2 and not (self.name == "labels" and counts):
            raise DoxaError(f'field "{name}" has one value only ({next(iter(counts), "none")!r}, in all {len(values)} records that have it); '
                            "there is nothing to learn")
        return Head(name, self.name, () if self.name == "number" else tuple(sorted(counts)))

    def lay_out(self, questions: list[Question], tokenizer: TextTokenizer, reading: Reading) -> list[Layout | RecordError]:
        encoded = iter(tokenizer.encode([text for question in questions for text in question.texts]))
        found: list[Layout | RecordError] = []
        for question in questions:
            ids = question.ids or tuple(next(encoded) for _ in question.texts)
            first, second = ids[0], ids[1] if len(ids) > 1 else None
            if not first:
                found.append(RecordError("empty_text", "the text holds nothing that the tokenizer reads"))
                continue
            try:
                windows, is_cut = reading.read(first, second)
            except RecordError as error:
                found.append(error)
                continue
            found.append(Layout(windows, len(first) + len(second or ()) + reading.n_special(second is not None), is_cut))
        return found

    def teach(self, question: Question, layout: Layout, gold: Any, head: Head) -> list[Lesson]:
        raise NotImplementedError("slices are taught together, by training/classifying.py")

    def answer(self, layouts: list[Layout], outputs: Sequence[np.ndarray], heads: list[Head], with_scores: bool) -> list[dict[str, Any] | None]:
        return read_logits(pool_texts(outputs, [layout.windows for layout in layouts]), heads, with_scores)

    def arrow_type(self, head: Head, with_scores: bool) -> list[tuple[str, pa.DataType]]:
        scores = pa.struct([(label, pa.float64()) for label in head.labels])
        if self.name == "number":
            return [("score", pa.float64())]
        if self.name == "labels":
            return [("labels", pa.list_(pa.string())), ("scores", scores)]
        return [("label", pa.string()), ("score", pa.float64())] + ([("scores", scores)] if with_scores else [])

    def judge(self, gold: list[Any], *said: list[dict[str, Any]]):
        raise NotImplementedError("slices are judged as columns, by evaluation/")


def pool(logits: np.ndarray, windows: list[Window], spans: list[tuple[int, int]]) -> np.ndarray:
    """Pool the windows (N, C) of each text into one row: their mean, weighted by the text tokens inside."""
    pooled = np.empty((len(spans), logits.shape[1]), dtype=np.float64)
    for row, (start, end) in enumerate(spans):
        if end - start == 1:
            pooled[row] = logits[start]
        else:
            pooled[row] = np.average(logits[start:end], axis=0, weights=[window.weight for window in windows[start:end]])
    return pooled


def pool_texts(outputs: Sequence[np.ndarray], texts: list[list[Window]]) -> np.ndarray:
    """`pool` for texts, given as their windows, whose outputs (N, C) follow each other."""
    ends = np.cumsum([len(windows) for windows in texts]).tolist()
    return pool(np.asarray(outputs), [window for windows in texts for window in windows], list(zip([0, *ends], ends)))


def guess_slice(value: Any) -> str:
    """The kind of head that a value is for where the user did not say. Raises ValueError."""
    if isinstance(value, (bool, str)):
        return "label"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "labels"
    raise ValueError(f"is {json_type(value)}, which no head of kind label can hold")


def _read_number(value: Any) -> float:
    try:
        number = read_number(value) if not isinstance(value, (bool, list, dict)) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"is {value!r}, not a finite number")
    return number
