"""Vectors of texts: near each other where the texts are alike."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from doxa.errors import DoxaError, RecordError
from doxa.metrics.tallied import Tallied
from doxa.metrics.vector_figures import vector_figures
from doxa.model.heads import SCORE_DIGITS, Head
from doxa.model.kinds.kind import Kind, Lesson, Stock
from doxa.model.safety import read_config
from doxa.model.sentence_modules import read_pooling
from doxa.records.number import read_number
from doxa.records.record import MISSING, Record
from doxa.records.text_fields import TextFields, find_pair
from doxa.text.frame import Reading
from doxa.text.question import Layout, Question
from doxa.text.tokenizer import TextTokenizer

ENCODER = Stock("AutoModel", "Model", "MODEL_MAPPING_NAMES", "encoder", outputs=("last_hidden_state",), pooling="mean",
                unlike=("HeadModel", "HeadsModel", "EncoderModel", "DecoderModel", "MTModel"))
_WORDS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}  # as cells of a CSV file have them


class Vector(Kind):
    """One vector of length 1 for each of one or two texts: the mean of the encoder's tokens, or its first one where the base was trained so (Reimers & Gurevych
    2019). Of a long text it is the mean of its windows' vectors, weighted by their tokens, made of length 1 again."""

    name = "vector"
    stock = ENCODER
    learns = "contrastive"
    starts_fresh = False
    needs_gold = False
    marks = ("vector",)
    is_explained = True

    def fields_of(self, record: Record, fields: TextFields) -> TextFields:
        """A record of one text has no second one; without the text that a model of pairs was taught with, `text` is read."""
        if not fields.is_given:
            if fields.text_pair is None or not record.holds(fields.text):
                names = find_pair(record)
                fields = TextFields(*names) if names and (names[0] == fields.text or not record.holds(fields.text)) else fields
            if not record.holds(fields.text) and record.holds(TextFields.text):
                fields = TextFields()
        return replace(fields, text_pair=None) if fields.text_pair and record.get(fields.text_pair) in (MISSING, None) else fields

    def read_question(self, record: Record, fields: TextFields) -> Question:
        fields = self.fields_of(record, fields)
        return Question(tuple(record.get_texts(fields.text, fields.text_pair)))

    def read_gold(self, value: Any) -> float | None:
        """How alike the two texts are: 0, 1, false, true or any number; None where nothing is said."""
        if value is None or value == "":
            return None
        if isinstance(value, str):
            value = _WORDS.get(value.strip().lower(), value)
        try:
            number = read_number(value)
        except (TypeError, ValueError, OverflowError):
            number = np.nan
        if not np.isfinite(number):
            raise ValueError("does not say how alike two texts are: give 0, 1, false, true or a number, or leave it out where they are alike")
        return number

    def check(self, question: Question, gold: Any) -> None:
        if len(question.texts) < 2:
            raise ValueError("says how alike two texts are, but the record has one; name the other with --text-pair-field")

    def decide_head(self, name: str, gold: list[Any]) -> Head:
        values = set(gold)
        if not values <= {None, 1.0} and len(values) < 2:
            raise DoxaError(f'field "{name}" is {values.pop():g} everywhere; some pairs have to be more alike than others')
        return Head(name, self.name)

    def adopt(self, head: Head, directory: str) -> Head:
        if read_config(directory).get("is_encoder_decoder"):
            raise DoxaError(f"{directory} has an encoder and a decoder; a vector is made by an encoder alone")
        pooling = read_pooling(directory)
        return head if pooling == self.stock.pooling else replace(head, settings=head.settings | {"pooling": pooling})

    def stock_of(self, head: Head, config: dict[str, Any]) -> Stock:
        return replace(self.stock, pooling=head.settings.get("pooling", self.stock.pooling))

    def lay_out(self, questions: list[Question], tokenizer: TextTokenizer, reading: Reading) -> list[Layout | RecordError]:
        """Windows over the first text, then over the second; `about` counts those of the first."""
        encoded = iter(tokenizer.encode([text for question in questions for text in question.texts]))
        return [_lay_out([next(encoded) for _ in question.texts], reading) for question in questions]

    def teach(self, question: Question, layout: Layout, gold: float | None, head: Head) -> list[Lesson]:
        """The beginnings of both texts, and how alike they are: None where nothing is said, which means that they are."""
        return [Lesson([layout.windows[0], layout.windows[layout.about]], gold)] if len(question.texts) == 2 else []

    def answer_one(self, layout: Layout, outputs: Sequence[np.ndarray], head: Head, with_scores: bool) -> dict[str, Any] | None:
        (first, second), = pool_windows([layout], outputs)
        if not (np.isfinite(first).all() and (second is None or np.isfinite(second).all())):
            return None
        entry: dict[str, Any] = {"vector": np.round(first, SCORE_DIGITS).tolist()}
        if second is not None:
            entry |= {"vector_pair": np.round(second, SCORE_DIGITS).tolist(), "score": round(float(first @ second), SCORE_DIGITS)}
        return entry

    def claims(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        if "score" not in entry:
            raise RecordError("nothing_to_explain", "the vector of one text claims nothing; give a second text, to explain how alike both are")
        return [{"score": entry["score"]}]

    def claim_type(self, head: Head) -> list[tuple[str, pa.DataType]]:
        return [("score", pa.float64())]

    def weigh(self, claim: dict[str, Any], layout: Layout, outputs: Sequence[np.ndarray], head: Head) -> float:
        """The cosine of both vectors."""
        (first, second), = pool_windows([layout], outputs)
        assert second is not None
        return float(first @ second)

    def arrow_type(self, head: Head, with_scores: bool) -> list[tuple[str, pa.DataType]]:
        vector = pa.list_(pa.float32())
        return [("vector", vector), ("vector_pair", vector), ("score", pa.float64())]

    def judge(self, gold: list[Any], *said: list[dict[str, Any]]) -> Tallied:
        return vector_figures(gold, *said)


def _lay_out(texts: list[list[int]], reading: Reading) -> Layout | RecordError:
    windows, starts, n_tokens, is_cut = [], [], 0, False
    for ids in texts:
        if not ids:
            return RecordError("empty_text", "the text holds nothing that the tokenizer reads")
        try:
            own, is_own_cut = reading.read(ids)
        except RecordError as error:
            return error
        starts.append(len(windows))
        windows += own
        n_tokens += len(ids) + reading.n_special(False)
        is_cut |= is_own_cut
    return Layout(windows, n_tokens, is_cut, starts[-1] or len(windows))


def pool_windows(layouts: list[Layout], outputs: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """The vectors (D,) of both texts of each layout, None where there is but one, from those (N, D) of their windows."""
    found, at = [], 0
    for layout in layouts:
        n_first, end = layout.about, at + len(layout.windows)
        weights = np.array([window.weight for window in layout.windows], float)
        vectors = np.asarray(outputs[at:end], np.float64)
        found.append((_mean(vectors[:n_first], weights[:n_first]), _mean(vectors[n_first:], weights[n_first:]) if n_first < len(weights) else None))
        at = end
    return found


def _mean(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean of vectors (n, D), of length 1; of one it is itself."""
    mean = weights @ vectors / weights.sum()
    return mean / max(float(np.linalg.norm(mean)), 1e-12)
