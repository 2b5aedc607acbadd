"""Texts whose tokens each get a row of outputs: where they stand in the text and in its windows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from doxa.errors import RecordError
from doxa.text.frame import Reading, Window, take
from doxa.text.question import Layout, Question
from doxa.text.tokenizer import TextTokenizer

IGNORED = -100  # a target that does not count, as torch has it


@dataclass(frozen=True, slots=True)
class Place:
    """The tokens `parts` of a text stand in a window from position `at` on, one after the other."""

    at: int
    parts: tuple[slice, ...]

    def positions(self) -> np.ndarray:
        """The places in the text of the tokens that the window holds."""
        return np.concatenate([np.arange(part.start, part.stop) for part in self.parts])

    def spread(self, values: np.ndarray, length: int, rest: int) -> np.ndarray:
        """Values of the text's tokens (T,) at their positions in a window (length,), `rest` elsewhere."""
        found, positions = np.full(length, rest), self.positions()
        found[self.at : self.at + len(positions)] = values[positions]
        return found


@dataclass
class TokenPlaces:
    """Where the T tokens of a text are: `offsets` (T, 2) in its characters, and `places` in its windows."""

    question: Question
    offsets: np.ndarray
    places: list[Place]
    is_read: np.ndarray = field(init=False)  # (T,): whether some window holds the token

    def __post_init__(self) -> None:
        self.is_read = np.zeros(self.n_tokens, bool)
        for place in self.places:
            self.is_read[place.positions()] = True

    @property
    def n_tokens(self) -> int:
        return len(self.offsets)

    def first_tokens(self, spans: list[tuple[int, int]]) -> np.ndarray:
        """The first token of each span of characters (N,), -1 where none stands for any of it."""
        starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        reach = np.maximum.accumulate(self.offsets[:, 1]) if self.n_tokens else self.offsets[:, 1]
        found = np.searchsorted(reach, starts, side="right")
        is_there = found < self.n_tokens
        is_there[is_there] = self.offsets[found[is_there], 0] < ends[is_there]
        return np.where(is_there, found, -1)

    @cached_property
    def owners(self) -> tuple[np.ndarray, np.ndarray]:
        """The window (T,) that counts for each token of a text, -1 where it is in none, and its position (T,) there.

        Of several windows that hold a token, it is the one in which it stands farthest from an end: there it has most context (Devlin et al. 2019)."""
        owner, position, margin = (np.full(self.n_tokens, -1) for _ in range(3))
        for i, place in enumerate(self.places):
            held = place.positions()
            own = np.minimum(np.arange(len(held)), np.arange(len(held))[::-1])
            is_better = own > margin[held]
            chosen = held[is_better]
            owner[chosen], position[chosen], margin[chosen] = i, place.at + np.flatnonzero(is_better), own[is_better]
        return owner, position


def lay_out_text(questions: list[Question], tokenizer: TextTokenizer, reading: Reading) -> list[Layout | RecordError]:
    """Windows over the first text of each question; `about` are its TokenPlaces."""
    found: list[Layout | RecordError] = []
    for question, (ids, offsets) in zip(questions, tokenizer.encode_with_offsets([question.texts[0] for question in questions])):
        if not ids:
            found.append(RecordError("empty_text", "the text holds nothing that the tokenizer reads"))
            continue
        try:
            cuts, is_cut = reading.cut(len(ids), reading.room(len(ids), is_pair=False))
        except RecordError as error:
            found.append(error)
            continue
        windows = [_frame(ids, parts, reading) for parts in cuts]
        places = [Place(len(reading.frame.prefix), tuple(parts)) for parts in cuts]
        found.append(Layout(windows, len(ids) + reading.n_special(False), is_cut, TokenPlaces(question, np.array(offsets).reshape(-1, 2), places)))
    return found


def _frame(ids: list[int], parts: list[slice], reading: Reading) -> Window:
    own = take(ids, parts)
    return Window(reading.frame.single(own), None, len(own))


def gather_tokens(outputs: Sequence[np.ndarray], places: TokenPlaces) -> np.ndarray:
    """The outputs (T, C) of a text's tokens, from those (B, C) of its windows; zeros for a token that is in none."""
    gathered = np.zeros((places.n_tokens, outputs[0].shape[1]))
    owner, position = places.owners
    for i, output in enumerate(outputs):
        gathered[owner == i] = output[position[owner == i]]
    return gathered


def log_odds(logits: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The log-odds (N,) of those of the columns that are chosen (C,), against the others, by logits (N, C)."""
    return np.logaddexp.reduce(logits[:, chosen], axis=1) - np.logaddexp.reduce(logits[:, ~chosen], axis=1)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities (N, C)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
