"""Answering from a text: the span of the context that answers the question, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from doxa.errors import DoxaError, RecordError
from doxa.metrics.answer_figures import answer_figures, exact_match
from doxa.metrics.tallied import Tallied
from doxa.model.heads import SCORE_DIGITS, Head
from doxa.model.kinds.kind import Kind, Lesson, Stock, Told, read_json
from doxa.model.kinds.tokenwise import Place
from doxa.records.record import Record, json_type
from doxa.records.text_fields import TextFields, find_pair
from doxa.text.frame import Reading, Window, take
from doxa.text.question import Layout, Question
from doxa.text.segments import find_sentences, find_words, strip_span, whole_characters
from doxa.text.tokenizer import TextTokenizer

MOST_ANSWER_TOKENS = 30  # as stock tools have it; more where training answers have more than half as many words


@dataclass(frozen=True, slots=True)
class ContextPlaces:
    """Where the tokens of a context are: `offsets` (T, 2) in its characters, and `places` in the windows."""

    question: Question
    offsets: np.ndarray
    places: list[Place]

    def is_shown(self) -> np.ndarray:
        """Whether a token stands for more than space (T,): not so the space that byte pairs and SentencePiece make a token of its own, whether it
        has the space's place in the text or none; line ends neither."""
        context = self.question.texts[1]
        return np.array([not context[start:end].isspace() and start < end for start, end in self.offsets.tolist()], bool)


class Span(Kind):
    """The start and end of the answer by softmax over the tokens of a window; the first token stands for none (Devlin et al. 2019). Where
    the tokenizer begins with no special token (GPT-2, Qwen, T5) that is the question's first, which is in no answer either.

    Of a long context, windows overlap, and the best span of all of them is said."""

    name = "span"
    stock = Stock("AutoModelForQuestionAnswering", "ForQuestionAnswering", "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES", "network that answers",
                  ("start_logits", "end_logits"), per_token=True, n_outputs=2)
    softmax_over = "tokens"
    learns_from = '"question", "context" and a list of answers {text, start}'
    marks = ("answer",)
    is_explained = True

    def fields_of(self, record: Record, fields: TextFields) -> TextFields:
        if fields.is_given or fields.text_pair:
            return fields
        if record.holds("question") and record.holds("context"):
            return TextFields("question", "context")
        return TextFields(*(find_pair(record) or ("question", "context")))

    def read_question(self, record: Record, fields: TextFields) -> Question:
        fields = self.fields_of(record, fields)
        return Question(tuple(record.get_texts(fields.text, fields.text_pair or "context")))

    def read_gold(self, value: Any) -> list[dict[str, Any]] | None:
        """Answers that are all right, as {text, start}; an empty list where there is none."""
        value = read_json(value)
        if value is None:
            return None
        if isinstance(value, dict) and isinstance(value.get("text"), list):  # as SQuAD's copies have it, by columns
            starts = value.get("answer_start", value.get("start"))
            if not isinstance(starts, list) or len(starts) != len(value["text"]):
                raise ValueError("does not have one answer_start for each text of an answer")
            value = [{"text": text, "start": start} for text, start in zip(value["text"], starts)]
        elif isinstance(value, dict):
            value = [value]
        if not isinstance(value, list):
            raise ValueError(f"is {json_type(value)}, not a list of answers with text and start")
        return [_read_answer(answer) for answer in value]

    def check(self, question: Question, gold: Any) -> None:
        for answer in gold:
            start, text = answer["start"], answer["text"]
            if question.texts[1][start : start + len(text)] != text:
                raise ValueError(f"says that {text[:40]!r} stands at character {start} of the context, where it does not")

    def decide_head(self, name: str, gold: list[Any]) -> Head:
        values = [value for value in gold if value is not None]
        if not any(values):
            raise DoxaError(f'field "{name}" holds no answer; there is nothing to learn')
        longest = max(len(find_words(answer["text"])) for answers in values for answer in answers)
        return Head(name, self.name, settings={"may_be_none": not all(values), "most_tokens": max(MOST_ANSWER_TOKENS, 2 * longest)})

    def lay_out(self, questions: list[Question], tokenizer: TextTokenizer, reading: Reading) -> list[Layout | RecordError]:
        encoded = iter(tokenizer.encode_with_offsets([text for question in questions for text in question.texts]))
        found: list[Layout | RecordError] = []
        for question in questions:
            (first, _), (second, offsets) = next(encoded), next(encoded)
            if not first or not second:
                found.append(RecordError("empty_text", "the question or the context holds nothing that the tokenizer reads"))
                continue
            try:
                room = reading.room(len(first) + len(second), is_pair=True)
            except RecordError as error:
                found.append(error)
                continue
            kept = first[: room // 2]
            cuts, is_cut = reading.cut(len(second), room - len(kept))
            at = len(reading.frame.pair_prefix) + len(kept) + len(reading.frame.pair_middle)
            windows = [_frame(kept, second, parts, reading) for parts in cuts]
            about = ContextPlaces(question, np.array(offsets).reshape(-1, 2), [Place(at, tuple(parts)) for parts in cuts])
            found.append(Layout(windows, len(first) + len(second) + reading.n_special(True), is_cut or len(kept) < len(first), about))
        return found

    def teach(self, question: Question, layout: Layout, gold: Any, head: Head) -> list[Lesson]:
        """A lesson for every window; in one that does not hold the whole answer, the first token is right."""
        where = _find_tokens(layout.about.offsets, gold[0]) if gold else None
        lessons = []
        for window, place in zip(layout.windows, layout.about.places):
            target = (0, 0)
            if where is not None:
                positions = place.positions()
                inside = [np.flatnonzero(positions == token) for token in where]
                if all(len(found) for found in inside):
                    target = tuple(place.at + int(found[0]) for found in inside)
            lessons.append(Lesson([window], np.array(target)))
        return lessons

    def answer_one(self, layout: Layout, outputs: Sequence[np.ndarray], head: Head, with_scores: bool) -> dict[str, Any] | None:
        return _answer(outputs, layout.about, head) if all(np.isfinite(output).all() for output in outputs) else None

    def tell(self, claim: dict[str, Any]) -> Told:
        answer = claim["answer"]
        return Told("answer", answer.get("text"), answer.get("start"), answer.get("end")) if isinstance(answer, dict) else Told("no answer")

    def bear_out(self, claim: dict[str, Any], gold: Any, record: Record | Mapping[str, Any]) -> tuple[bool, str] | None:
        said, texts = claim["answer"], list(dict.fromkeys(answer["text"] for answer in gold))
        if not texts:
            return said is None, "no answer"
        return said is not None and any(exact_match(text, said["text"]) for text in texts), " / ".join(texts)

    def weigh(self, claim: dict[str, Any], layout: Layout, outputs: Sequence[np.ndarray], head: Head) -> float:
        """The log-odds of the answer, in the window that gives it most, or of none, against all that may be said."""
        spans, said = _weigh_spans(outputs, layout.about, head), claim["answer"]
        if said is None:
            own = spans.nothing
        else:
            found = _find_tokens(layout.about.offsets, said)
            own = -np.inf if found is None else max(window.score_of(*found) for window in spans.windows)
        return own - spans.total - float(np.log1p(-np.exp(own - spans.total)))

    def arrow_type(self, head: Head, with_scores: bool) -> list[tuple[str, pa.DataType]]:
        answer = pa.struct([("text", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())])
        return [("answer", answer), ("score", pa.float64())]

    def judge(self, gold: list[Any], *said: list[dict[str, Any]]) -> Tallied:
        return answer_figures(gold)

    def simple(self, train: list[tuple[Question, Any]], questions: list[Question]) -> dict[str, list[dict[str, Any]]]:
        """The sentence of the context that shares most words with the question."""
        return {"likest sentence": [_likest_sentence(*question.texts) for question in questions]}


def _read_answer(answer: Any) -> dict[str, Any]:
    if isinstance(answer, dict):
        text, start = answer.get("text"), answer.get("start", answer.get("answer_start"))
        if isinstance(text, str) and text and type(start) is int and start >= 0:
            return {"text": text, "start": start}
    raise ValueError("holds an answer without text and start, the character of the context that it begins at")


def _frame(first: list[int], second: list[int], parts: list[slice], reading: Reading) -> Window:
    own = take(second, parts)
    ids, type_ids = reading.frame.pair(first, own)
    return Window(ids, type_ids, len(own))


def _find_tokens(offsets: np.ndarray, answer: dict[str, Any]) -> tuple[int, int] | None:
    """The first and the last token that an answer touches."""
    touched = np.flatnonzero((offsets[:, 0] < answer["start"] + len(answer["text"])) & (offsets[:, 1] > answer["start"]))
    return (int(touched[0]), int(touched[-1])) if len(touched) else None


@dataclass(frozen=True, slots=True)
class WindowSpans:
    """The scores (T, L) of spans of a context in one window, by where they start and by their length less 1; `positions` (T,) are those of the
    tokens in the context."""

    positions: np.ndarray
    scores: np.ndarray

    def score_of(self, first: int, last: int) -> float:
        """That of the span of these tokens of the context, -inf where the window does not hold it."""
        place = np.flatnonzero(self.positions == first)
        return float(self.scores[place[0], last - first]) if len(place) and last - first < self.scores.shape[1] else -np.inf

    def log_total(self) -> float:
        return float(np.logaddexp.reduce(self.scores, axis=None))


@dataclass(frozen=True, slots=True)
class Spans:
    """What all windows say of a context. `nothing` is the score of no answer, `total` the log of the sum of all scores' exponentials, with it where
    there may be none."""

    windows: list[WindowSpans]
    nothing: float
    total: float


def _weigh_spans(outputs: Sequence[np.ndarray], places: ContextPlaces, head: Head) -> Spans:
    """The scores of all spans that may be answers, by the outputs (B, 2) of the windows of one question."""
    most_tokens, may_be_none = head.settings.get("most_tokens", MOST_ANSWER_TOKENS), head.settings.get("may_be_none", False)
    is_shown, windows = places.is_shown(), []
    for output, place in zip(outputs, places.places):
        positions = place.positions()
        starts, ends = np.where(is_shown[positions], (output[place.at : place.at + len(positions)] / head.temperature).T, -np.inf)
        windows.append(WindowSpans(positions, _span_scores(starts, ends, positions, most_tokens)))
    nothing = min(float(output[0].sum() / head.temperature) for output in outputs)
    return Spans(windows, nothing, float(np.logaddexp.reduce([*(window.log_total() for window in windows), *([nothing] if may_be_none else [])])))


def _answer(outputs: Sequence[np.ndarray], places: ContextPlaces, head: Head) -> dict[str, Any]:
    """The entry of one question by the outputs (B, 2) of its windows.

    Scores are a softmax over all spans that may be answers, in all windows, and none where the model has learnt that there may be none."""
    spans = _weigh_spans(outputs, places, head)
    best, found = -np.inf, (0, 0)
    for window in spans.windows:
        start, length = np.unravel_index(window.scores.argmax(), window.scores.shape)
        if window.scores[start, length] > best:
            best, found = float(window.scores[start, length]), (window.positions[start], window.positions[start + length])
    if best == -np.inf:  # no window shows anything but space
        return {"answer": None, "score": 1.0}
    if head.settings.get("may_be_none", False) and spans.nothing > best:
        return {"answer": None, "score": round(float(np.exp(spans.nothing - spans.total)), SCORE_DIGITS)}
    context = places.question.texts[1]
    start, end = int(places.offsets[found[0], 0]), int(places.offsets[found[1], 1])
    start, end = whole_characters(context, *strip_span(context, start, end))
    score = round(float(np.exp(best - spans.total)), SCORE_DIGITS)
    return {"answer": {"text": context[start:end], "start": start, "end": end, "score": score}, "score": score}


def _span_scores(starts: np.ndarray, ends: np.ndarray, positions: np.ndarray, most_tokens: int) -> np.ndarray:
    """The sum of both logits for every start and every length up to `most_tokens` (T, most_tokens), in which column 0 is one token alone; -inf
    where a span passes the end of the window, or the gap between the head and the tail of a text. `positions` are the tokens' in the context."""
    scores = starts[:, None] + sliding_window_view(np.append(ends, np.full(most_tokens - 1, -np.inf)), most_tokens)
    for gap in np.flatnonzero(np.diff(positions) != 1) + 1:
        for start in range(max(0, gap - most_tokens + 1), gap):
            scores[start, gap - start :] = -np.inf
    return scores


def _likest_sentence(question: str, context: str) -> dict[str, Any]:
    asked = {question[start:end].lower() for start, end in find_words(question)}
    sentences = find_sentences(context)
    shared = [sum(context[a:b].lower() in asked for a, b in _words_in(context, start, end)) for start, end in sentences]
    start, end = sentences[int(np.argmax(shared))]
    return {"answer": {"text": context[start:end], "start": start, "end": end, "score": 0.0}}


def _words_in(context: str, start: int, end: int) -> list[tuple[int, int]]:
    return [(start + a, start + b) for a, b in find_words(context[start:end])]
