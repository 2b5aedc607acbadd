"""Texts to predictions: lay them out in windows, compute, pool, read the heads. Knows nothing of records."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from doxa.errors import RecordError
from doxa.inference.memory import Memory
from doxa.model.heads import Head, read_logits
from doxa.text.frame import Reading, Window
from doxa.text.tokenizer import TextTokenizer


@dataclass(frozen=True, slots=True)
class Question:
    """One or two texts, or their own token ids (without special tokens)."""

    texts: tuple[str, ...] = ()
    ids: tuple[list[int], list[int] | None] | None = None


@dataclass(slots=True)
class Answers:
    """One entry per question: the keys to add to its record, or what is wrong with it. `n_remembered` of `n_windows`
    windows had been computed before."""

    entries: list[dict[str, Any] | RecordError]
    n_windows: int = 0
    n_remembered: int = 0


class Labeller:
    """Answers do not depend on the other questions of a call, beyond rounding. Several threads may ask."""

    def __init__(self, memory: Memory, heads: list[Head], tokenizer: TextTokenizer, reading: Reading, with_scores: bool = False,
                 stamp: str | None = None):
        self.memory, self.heads, self.tokenizer, self.reading = memory, heads, tokenizer, reading
        self.with_scores, self.stamp = with_scores, stamp

    def label(self, questions: list[Question]) -> Answers:
        entries: list[Any] = [None] * len(questions)
        windows: list[Window] = []
        spans: list[tuple[int, int, int]] = []
        for position, (first, second) in enumerate(self._ids(questions)):
            if not first:
                entries[position] = RecordError("empty_text", "the text holds nothing that the tokenizer reads")
                continue
            try:
                parts, is_cut = self.reading.read(first, second)
            except RecordError as error:
                entries[position] = error
                continue
            spans.append((position, len(windows), len(windows) + len(parts)))
            windows += parts
            n_tokens = len(first) + len(second or ()) + self.reading.n_special(second is not None)
            entries[position] = {"prediction": None, "n_tokens": n_tokens} | ({"truncated": True} if is_cut else {})
        if not spans:
            return Answers(entries)
        logits, n_remembered = self.memory.compute(windows)
        pooled = pool(logits, windows, [(start, end) for _, start, end in spans])
        for (position, _, _), prediction in zip(spans, read_logits(pooled, self.heads, self.with_scores)):
            if prediction is None:
                entries[position] = RecordError("non_finite", "the model gave a score that is no finite number")
                continue
            entries[position]["prediction"] = prediction
            if self.stamp:
                for entry in prediction.values():
                    entry["model"] = self.stamp
        return Answers(entries, len(windows), n_remembered)

    def _ids(self, questions: list[Question]) -> list[tuple[list[int], list[int] | None]]:
        encoded = iter(self.tokenizer.encode([text for question in questions for text in question.texts]))
        found = []
        for question in questions:
            ids = question.ids or tuple(next(encoded) for _ in question.texts)
            found.append((ids[0], ids[1] if len(ids) > 1 else None))
        return found


def pool(logits: np.ndarray, windows: list[Window], spans: list[tuple[int, int]]) -> np.ndarray:
    """Pool the windows (N, C) of each text into one row: their mean, weighted by the text tokens inside."""
    pooled = np.empty((len(spans), logits.shape[1]), dtype=np.float64)
    for row, (start, end) in enumerate(spans):
        if end - start == 1:
            pooled[row] = logits[start]
        else:
            pooled[row] = np.average(logits[start:end], axis=0, weights=[window.weight for window in windows[start:end]])
    return pooled
