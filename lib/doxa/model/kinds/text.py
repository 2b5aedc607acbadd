"""Writing: a text for a text, token by token. Summaries, translations, replies, free answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from doxa.errors import DoxaError, RecordError
from doxa.metrics.tallied import Tallied
from doxa.metrics.text_figures import text_figures
from doxa.model.heads import SCORE_DIGITS, Head
from doxa.model.kinds.kind import Kind, Lesson, Stock, Told
from doxa.records.record import Record, json_type
from doxa.records.text_fields import TextFields
from doxa.text.frame import Reading
from doxa.text.prompt import SLOT, Prompting
from doxa.text.question import Layout, Question
from doxa.text.segments import find_sentences
from doxa.text.tokenizer import TextTokenizer

ENCODER_DECODER = Stock("AutoModelForSeq2SeqLM", "ForConditionalGeneration", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES", "encoder-decoder that writes",
                        per_token=True)
DECODER = Stock("AutoModelForCausalLM", ("ForCausalLM", "LMHeadModel"), "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "decoder that writes", per_token=True,
                encoders="MODEL_FOR_MASKED_LM_MAPPING_NAMES")
MOST_NEW_TOKENS = 128  # of models that do not say


class Text(Kind):
    """What is asked of a text, and what is written, are sequences of tokens of one vocabulary; the base decides whether an encoder reads the
    first, or a decoder both (`stock_of`).

    The outputs of a window are rows (T, 2): the id of each token that was written, and its log-likelihood under the model (natural).
    The settings of a head: `prompt`, `max_new_tokens`, and what flags of predict say of how to write."""

    name = "text"
    stock = ENCODER_DECODER
    learns = "writing"
    starts_fresh = False
    writes = True
    learns_from = "a text and what is to be written for it"
    marks = ("text",)
    is_score_doubt = True
    is_explained = True
    settings = ("max_new_tokens", "beams", "sample", "temperature", "top_p", "seed", "stop")

    @property
    def stocks(self) -> tuple[Stock, ...]:
        return ENCODER_DECODER, DECODER

    def stock_of(self, head: Head, config: dict[str, Any]) -> Stock:
        return ENCODER_DECODER if config.get("is_encoder_decoder") else DECODER

    def fit_reading(self, reading: Reading, heads: list[Head], config: dict[str, Any]) -> Prompting:
        """Raises DoxaError where the model has no positions for so many tokens."""
        settings = heads[0].settings
        template, n_new = settings.get("prompt", SLOT), settings.get("max_new_tokens", MOST_NEW_TOKENS)
        is_continued = not config.get("is_encoder_decoder")
        most = reading.max_length - 1 if is_continued else config.get("max_position_embeddings")
        if isinstance(most, int) and n_new > most:
            raise DoxaError(f"--max-new-tokens {n_new}: the model has positions for {most}")
        return Prompting(reading.frame, reading.max_length, reading.policy, template, is_continued, n_new if is_continued else 0)

    # --- records in

    def fields_of(self, record: Record, fields: TextFields) -> TextFields:
        return fields

    def read_question(self, record: Record, fields: TextFields) -> Question:
        return Question((record.get_text(fields.text),))

    def read_gold(self, value: Any) -> str | list[str] | None:
        """A text, or several of which each is right."""
        if isinstance(value, str) and value.startswith("["):  # a cell of a CSV file, or a text that begins so
            try:
                listed = orjson.loads(value)
            except orjson.JSONDecodeError:
                listed = None
            value = listed if listed and all(isinstance(text, str) for text in listed) else value
        if isinstance(value, str):
            return value if value.strip() else None
        if isinstance(value, list) and all(isinstance(text, str) for text in value):
            return [text for text in value if text.strip()] or None
        if value is None:
            return None
        raise ValueError(f"is {json_type(value)}, neither a text nor a list of texts")

    def decide_head(self, name: str, gold: list[Any]) -> Head:
        return Head(name, self.name)

    # --- windows out

    def lay_out(self, questions: list[Question], tokenizer: TextTokenizer, reading: Reading) -> list[Layout | RecordError]:
        """`about` is the tokenizer, which reads what is written."""
        assert isinstance(reading, Prompting)
        put = reading.put([question.texts[0] for question in questions], tokenizer)
        return [found if isinstance(found, RecordError) else Layout([found[0]], found[1], found[1] > len(found[0].ids), tokenizer) for found in put]

    def teach(self, question: Question, layout: Layout, gold: Any, head: Head) -> list[Lesson]:
        raise NotImplementedError("what is to be written is taught by training/writing.py")

    def simple(self, train: list[tuple[Question, Any]], questions: list[Question]) -> dict[str, list[dict[str, Any]]]:
        """The first sentence of the text."""
        return {"lead": [{"text": text[slice(*next(iter(find_sentences(text)), (0, len(text))))]} for text in (question.texts[0] for question in questions)]}

    # --- predictions out

    def answer_one(self, layout: Layout, outputs: Sequence[np.ndarray], head: Head, with_scores: bool) -> dict[str, Any] | None:
        likelihoods, stops = outputs[0][:, 1].astype(np.float64), head.settings.get("stop", ())
        if not np.isfinite(likelihoods).all():
            return None
        text = cut_at(layout.about.decode(outputs[0][:, 0].astype(np.int64).tolist()), stops)
        return {"text": text, "score": round(float(np.exp(-likelihoods.mean())), SCORE_DIGITS)}

    def tell(self, claim: dict[str, Any]) -> Told:
        return Told("perplexity", claim["text"], is_sure=False)

    def weigh(self, claim: dict[str, Any], layout: Layout, outputs: Sequence[np.ndarray], head: Head) -> float:
        """The mean log-likelihood of the tokens that were written."""
        return float(outputs[0][:, 1].mean(dtype=np.float64))

    def arrow_type(self, head: Head, with_scores: bool) -> list[tuple[str, pa.DataType]]:
        return [("text", pa.string()), ("score", pa.float64())]

    def judge(self, gold: list[Any], *said: list[dict[str, Any]]) -> Tallied:
        return text_figures(gold)


def cut_at(text: str, stops: list[str] | tuple[str, ...]) -> str:
    """The text up to the first of the stops that it holds."""
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]
