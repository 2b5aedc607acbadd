"""Masked language: how likely a text is, token by token, and what may stand where it holds a mask."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from doxa.errors import DoxaError, RecordError
from doxa.metrics.likelihood_figures import LikelihoodFigures
from doxa.metrics.tallied import Tallied
from doxa.model.heads import SCORE_DIGITS, Head
from doxa.model.kinds.kind import Kind, Lesson, Stock
from doxa.model.kinds.tokenwise import TokenPlaces, lay_out_text
from doxa.records.record import Record
from doxa.records.text_fields import TextFields
from doxa.text.frame import Hidden, Reading, Window
from doxa.text.question import Layout, Question
from doxa.text.tokenizer import TextTokenizer

MASKED = Stock("AutoModelForMaskedLM", "ForMaskedLM", "MODEL_FOR_MASKED_LM_MAPPING_NAMES", "masked-language model", guesses=True)
CANDIDATES = 5  # as many as transformers' pipeline `fill-mask` gives
GUESS_SIZE = 1 + 2 * CANDIDATES
MOST_NATS = 700.0  # exp of more is no double
WRITTEN = "[MASK]"  # how a blank may be written whatever the tokenizer's own mask is


@dataclass(slots=True)
class Guesses:
    """What a text's windows guess: `tokens` (n,) are the places in the text of the hidden ones, in the order of the windows, and `is_blank` (n,) where one
    is a mask that the text itself holds. `blanks` are those masks as spans of characters, with the place of each."""

    tokenizer: TextTokenizer
    tokens: np.ndarray
    is_blank: np.ndarray
    blanks: list[tuple[tuple[int, int], int]]


class Mask(Kind):
    """Pseudo-log-likelihood: each token is hidden in turn, all others shown, and the log probabilities of the right ones are summed; exp of minus their
    mean is the pseudo-perplexity (Salazar et al. 2020). It takes one pass of the network for every token."""

    name = "mask"
    stock = MASKED
    learns = "mask"
    starts_fresh = False
    needs_gold = False
    marks = ("perplexity",)

    def read_question(self, record: Record, fields: TextFields) -> Question:
        return Question((record.get_text(fields.text),))

    def read_gold(self, value: Any) -> None:
        """Always None: a text is its own gold."""
        return None

    def decide_head(self, name: str, gold: list[Any]) -> Head:
        return Head(name, self.name)

    def lay_out(self, questions: list[Question], tokenizer: TextTokenizer, reading: Reading) -> list[Layout | RecordError]:
        """Windows over each text, every token hidden in the one window in which it stands farthest from an end. Raises DoxaError for a tokenizer
        without a mask token."""
        mask_id = tokenizer.mask_id()
        if mask_id is None:
            raise DoxaError("the model's tokenizer has no mask token, so that it cannot guess what is hidden")
        mask = tokenizer.rust.id_to_token(mask_id)
        shown = [Question((question.texts[0].replace(WRITTEN, mask),)) for question in questions]  # of equal length: see `mask_id`
        layouts = lay_out_text(shown, tokenizer, reading)
        for layout in layouts:
            if not isinstance(layout, RecordError):
                _hide(layout, mask_id, mask, tokenizer)
        return layouts

    def teach(self, question: Question, layout: Layout, gold: Any, head: Head) -> list[Lesson]:
        raise NotImplementedError("texts are learnt from as they are, by training/masking.py")

    def answer_one(self, layout: Layout, outputs: Sequence[np.ndarray], head: Head, with_scores: bool) -> dict[str, Any] | None:
        rows = np.concatenate(outputs).astype(np.float64)
        return _read(rows, layout.about) if np.isfinite(rows).all() else None

    def arrow_type(self, head: Head, with_scores: bool) -> list[tuple[str, pa.DataType]]:
        candidate = pa.struct([("text", pa.string()), ("score", pa.float64())])
        fill = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("candidates", pa.list_(candidate))])
        return [("perplexity", pa.float64()), ("log_likelihood", pa.float64()), ("n_tokens", pa.int64()), ("fills", pa.list_(fill))]

    def judge(self, gold: list[Any], *said: list[dict[str, Any]]) -> Tallied:
        return LikelihoodFigures()


def _hide(layout: Layout, mask_id: int, mask: str, tokenizer: TextTokenizer) -> None:
    """Share a text's tokens out among its windows; a window without any falls away. `about` becomes Guesses."""
    places: TokenPlaces = layout.about
    owner, position = places.owners
    windows, tokens, is_blank = [], [], []
    for i, window in enumerate(layout.windows):
        own = np.flatnonzero(owner == i)
        if len(own):
            hidden = position[own].tolist()
            windows.append(Window(window.ids, window.type_ids, window.weight, Hidden(mask_id, tuple(hidden))))
            tokens.append(own)
            is_blank += [window.ids[at] == mask_id for at in hidden]
    spans = [found.span() for found in re.finditer(re.escape(mask), places.question.texts[0])]
    layout.windows = windows
    layout.about = Guesses(tokenizer, np.concatenate(tokens), np.array(is_blank), list(zip(spans, places.first_tokens(spans).tolist())))


def _read(rows: np.ndarray, guesses: Guesses) -> dict[str, Any]:
    """The entry of one text by the rows (n, GUESS_SIZE) of its hidden tokens."""
    is_text = ~guesses.is_blank
    n_tokens, likelihood = int(is_text.sum()), float(rows[is_text, 0].sum())
    entry: dict[str, Any] = {"perplexity": round(math.exp(min(-likelihood / n_tokens, MOST_NATS)), SCORE_DIGITS) if n_tokens else None,
                             "log_likelihood": round(likelihood, SCORE_DIGITS), "n_tokens": n_tokens}
    if guesses.blanks:
        row_of = dict(zip(guesses.tokens[guesses.is_blank].tolist(), rows[guesses.is_blank]))
        entry["fills"] = [{"start": start, "end": end, "candidates": _candidates(row_of[token], guesses.tokenizer)}
                          for (start, end), token in guesses.blanks if token in row_of]
    return entry


def _candidates(row: np.ndarray, tokenizer: TextTokenizer) -> list[dict[str, Any]]:
    scores, ids = np.exp(row[1 : 1 + CANDIDATES]), row[1 + CANDIDATES :].astype(int).tolist()
    return [{"text": tokenizer.rust.decode([id_], skip_special_tokens=False), "score": round(score, SCORE_DIGITS)}
            for id_, score in zip(ids, scores.tolist())]
