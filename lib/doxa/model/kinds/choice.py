"""Choosing: which of several texts goes best with a text."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from doxa.errors import RecordError
from doxa.metrics.choice_figures import choice_figures
from doxa.metrics.tallied import Tallied
from doxa.model.heads import SCORE_DIGITS, Head
from doxa.model.kinds.kind import Kind, Lesson, Stock, Told, read_json, read_list
from doxa.model.kinds.slices import pool
from doxa.model.kinds.tokenwise import log_odds, log_softmax
from doxa.records.record import Record, json_type
from doxa.records.text_fields import TextFields
from doxa.text.frame import Reading
from doxa.text.question import Layout, Question
from doxa.text.tokenizer import TextTokenizer


class Choice(Kind):
    """The text is read once beside each of its `choices`; the likeliest is said."""

    name = "choice"
    stock = Stock("AutoModelForMultipleChoice", "ForMultipleChoice", "MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES", "network that chooses",
                  has_choice_axis=True, n_outputs=1)
    softmax_over = "windows"
    learns_from = 'a text, "choices" and the right one, its place from 0 or its text,'
    checked_by = "choices"
    marks = ("index",)
    is_explained = True

    def fields_of(self, record: Record, fields: TextFields) -> TextFields:
        return fields

    def read_question(self, record: Record, fields: TextFields) -> Question:
        text = record.get_text(fields.text)
        if not record.holds("choices"):
            raise RecordError("missing_field", 'field "choices" is missing: the texts to choose from')
        choices = read_list(record, "choices")
        odd = next((choice for choice in choices if not isinstance(choice, str) or not choice.strip()), None)
        if odd is not None or None in choices:
            told = "an empty text" if isinstance(odd, str) else json_type(odd)
            raise RecordError("bad_choices", f'field "choices" holds {told}; each choice has to be a text that says something')
        if len(choices) < 2:
            raise RecordError("bad_choices", f'field "choices" holds {"one text" if choices else "no text"}; give two or more to choose from')
        return Question((text, *choices))

    def read_gold(self, value: Any) -> int | str:
        """The place of the right choice from 0, or its text."""
        if type(value) is int and value >= 0 or isinstance(value, str):
            return value
        raise ValueError(f"is {json_type(value)}, neither the place of a choice from 0 nor its text")

    def check(self, question: Question, gold: Any) -> None:
        if _place(question, gold) is None:
            raise ValueError(f"is {gold!r}, which is none of the {len(question.texts) - 1} choices")

    def check_by(self, value: Any, gold: Any) -> None:
        if isinstance(value, list) and value:
            self.check(Question(("", *value)), gold)

    def decide_head(self, name: str, gold: list[Any]) -> Head:
        return Head(name, self.name)

    def lay_out(self, questions: list[Question], tokenizer: TextTokenizer, reading: Reading) -> list[Layout | RecordError]:
        encoded = iter(tokenizer.encode([text for question in questions for text in question.texts]))
        found: list[Layout | RecordError] = []
        for question in questions:
            text, *choices = [next(encoded) for _ in question.texts]
            if not text or not all(choices):
                found.append(RecordError("empty_text", "the text or a choice holds nothing that the tokenizer reads"))
                continue
            try:
                read = [reading.read(text, choice) for choice in choices]
            except RecordError as error:
                found.append(error)
                continue
            n_tokens = len(text) + sum(map(len, choices)) + len(choices) * reading.n_special(True)
            sizes = [len(windows) for windows, _ in read]
            found.append(Layout([window for windows, _ in read for window in windows], n_tokens, any(is_cut for _, is_cut in read), (question, sizes)))
        return found

    def teach(self, question: Question, layout: Layout, gold: Any, head: Head) -> list[Lesson]:
        """The first window of each choice; the gold one is to have the highest output."""
        starts = np.cumsum([0, *layout.about[1]])[:-1]
        return [Lesson([layout.windows[start] for start in starts], _place(question, gold))]

    def answer_one(self, layout: Layout, outputs: Sequence[np.ndarray], head: Head, with_scores: bool) -> dict[str, Any] | None:
        logits = _logits(layout, outputs)
        return _choose(logits / head.temperature, layout.about[0], with_scores) if np.isfinite(logits).all() else None

    def tell(self, claim: dict[str, Any]) -> Told:
        text = claim.get("text")
        return Told("choice", text, 0, len(text) if isinstance(text, str) else None)

    def bear_out(self, claim: dict[str, Any], gold: Any, record: Record | Mapping[str, Any]) -> tuple[bool, str] | None:
        choices = read_json(record.get("choices"))
        place = _place(Question(("", *choices)), gold)
        return None if place is None else (claim["index"] == place, choices[place])

    def weigh(self, claim: dict[str, Any], layout: Layout, outputs: Sequence[np.ndarray], head: Head) -> float:
        """The log-odds of the choice against all others."""
        logits = _logits(layout, outputs) / head.temperature
        return float(log_odds(logits[None], np.arange(len(logits)) == claim["index"])[0])

    def place_of(self, number: int, fields: TextFields) -> dict[str, Any]:
        return {"field": "choices", "index": number - 1} if number else {}

    def arrow_type(self, head: Head, with_scores: bool) -> list[tuple[str, pa.DataType]]:
        scores = [("scores", pa.list_(pa.float64()))] if with_scores else []
        return [("index", pa.int64()), ("text", pa.string()), ("score", pa.float64()), *scores]

    def judge(self, gold: list[Any], *said: list[dict[str, Any]]) -> Tallied:
        return choice_figures(gold, *said)

    def simple(self, train: list[tuple[Question, Any]], questions: list[Question]) -> dict[str, list[dict[str, Any]]]:
        """The place that is right most often in training, the same for all."""
        places = [_place(question, gold) for question, gold in train]
        commonest = int(np.bincount(places).argmax())
        return {"majority": [{"index": (place := min(commonest, len(question.texts) - 2)), "text": question.texts[place + 1]} for question in questions]}


def _logits(layout: Layout, outputs: Sequence[np.ndarray]) -> np.ndarray:
    """The logits (K,) of the choices."""
    ends = np.cumsum(layout.about[1]).tolist()
    return pool(np.asarray(outputs), layout.windows, list(zip([0, *ends], ends)))[:, 0]


def _choose(logits: np.ndarray, question: Question, with_scores: bool) -> dict[str, Any]:
    scores = np.round(np.exp(log_softmax(logits[None])[0]), SCORE_DIGITS).tolist()
    best = int(logits.argmax())
    return {"index": best, "text": question.texts[best + 1], "score": scores[best]} | ({"scores": scores} if with_scores else {})


def _place(question: Question, gold: int | str) -> int | None:
    """The place of the right choice, None where it is none of them."""
    choices = question.texts[1:]
    if isinstance(gold, str) and gold in choices:
        return choices.index(gold)
    place = int(gold) if isinstance(gold, int) or gold.isascii() and gold.isdigit() else len(choices)  # a cell of a CSV file is a text
    return place if place < len(choices) else None
