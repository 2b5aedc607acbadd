"""Records to predictions: read texts, lay them out in windows, compute, pool, put back in order."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from doxa.errors import RecordError, UsageError
from doxa.inference.engine import TorchEngine
from doxa.records.prefetch import gather
from doxa.model.heads import Head, read_logits
from doxa.records.outcome import Outcome, refuse_second_head
from doxa.records.record import MISSING, Record, refuse_own_key
from doxa.text.frame import Reading, Window
from doxa.text.tokenizer import TextTokenizer

WINDOW_RECORDS = 2048  # sorted by length together; enough that a batch holds texts of like length


class Predictor:
    """Everything that stays the same from record to record. Results do not depend on a record's neighbours."""

    def __init__(self, engine: TorchEngine, heads: list[Head], tokenizer: TextTokenizer, reading: Reading,
                 text_field: str = "text", text_pair_field: str | None = None, with_scores: bool = False):
        self.engine, self.heads, self.tokenizer, self.reading = engine, heads, tokenizer, reading
        self.text_field, self.text_pair_field = text_field, text_pair_field
        self.with_scores = with_scores
        self.head_names = [head.name for head in heads]

    def predict(self, records: Iterator[Record], window_records: int = WINDOW_RECORDS) -> Iterator[list[Outcome]]:
        """Yield lists of outcomes in the order of the records, while later records are being read.

        Raises UsageError when a record already holds a key that is about to be added, or tokens of another tokenizer."""
        for window in gather(records, window_records):
            yield self.predict_window(window)

    def predict_window(self, records: list[Record]) -> list[Outcome]:
        outcomes = [Outcome(record) for record in records]
        texts = self._token_ids(outcomes)
        windows: list[Window] = []
        spans: list[tuple[Outcome, int, int]] = []
        for outcome, (first, second) in texts:
            try:
                parts, is_cut = self.reading.read(first, second)
            except RecordError as error:
                outcome.error = error
                continue
            spans.append((outcome, len(windows), len(windows) + len(parts)))
            windows += parts
            n_tokens = len(first) + len(second or ()) + self.reading.n_special(second is not None)
            outcome.added = {"prediction": None, "n_tokens": n_tokens} | ({"truncated": True} if is_cut else {})
        if spans:
            pooled = pool(self.engine.compute(windows), windows, [(start, end) for _, start, end in spans])
            for (outcome, _, _), prediction in zip(spans, read_logits(pooled, self.heads, self.with_scores)):
                self._conclude(outcome, prediction)
        return outcomes

    def _conclude(self, outcome: Outcome, prediction: dict[str, Any] | None) -> None:
        if prediction is None:
            outcome.added = {}
            outcome.error = RecordError("non_finite", "the model gave a score that is no finite number")
            return
        outcome.added["prediction"] = prediction
        if outcome.record.get("n_tokens") not in (MISSING, None):  # an earlier predict said so already
            outcome.added.pop("n_tokens")
            outcome.added.pop("truncated", None)

    def _token_ids(self, outcomes: list[Outcome]) -> list[tuple[Outcome, tuple[list[int], list[int] | None]]]:
        """The own token ids of every readable record; what cannot be read gets its error."""
        found: dict[int, tuple[list[int], list[int] | None]] = {}
        to_encode: list[tuple[int, list[str]]] = []
        for position, outcome in enumerate(outcomes):
            record = outcome.record
            if record.error is not None or record.carries_error:
                continue
            self._refuse_clash(record)
            try:
                if record.get("input_ids") not in (MISSING, None):
                    found[position] = self._given_ids(record)
                else:
                    to_encode.append((position, self._texts(record)))
            except RecordError as error:
                outcome.error = error
        encoded = iter(self.tokenizer.encode([text for _, texts in to_encode for text in texts]))
        for position, texts in to_encode:
            ids = [next(encoded) for _ in texts]
            if not ids[0]:
                outcomes[position].error = RecordError("empty_text", "the text holds nothing that the tokenizer reads")
            else:
                found[position] = (ids[0], ids[1] if len(ids) > 1 else None)
        return [(outcomes[position], found[position]) for position in sorted(found)]

    def _texts(self, record: Record) -> list[str]:
        texts = [record.get_text(self.text_field)]
        if self.text_pair_field:
            texts.append(record.get_text(self.text_pair_field, "--text-pair-field"))
        return texts

    def _given_ids(self, record: Record) -> tuple[list[int], list[int] | None]:
        """The ids that `tokenize` left in a record, when they come from the model's own tokenizer."""
        if record.get("tokenizer") != self.tokenizer.fingerprint:
            raise UsageError(f"{record.place}: input_ids come from another tokenizer than the model's; "
                             "tokenize with --base MODEL_DIR, or drop input_ids")
        ids = record.get("input_ids")
        types = record.get("token_type_ids")
        vocabulary_size = self.tokenizer.rust.get_vocab_size()
        if not (isinstance(ids, list) and all(type(i) is int and 0 <= i < vocabulary_size for i in ids)):
            raise RecordError("bad_input_ids", "input_ids is no list of the tokenizer's token ids")
        try:
            if self.text_pair_field:
                first, second = self.tokenizer.frame.unframe_pair(ids, types if isinstance(types, list) else None)
            else:
                first, second = self.tokenizer.frame.unframe(ids), None
        except ValueError as error:
            raise RecordError("bad_input_ids", f"input_ids was not made by tokenize: {error}") from None
        if not first:
            raise RecordError("empty_text", "input_ids holds no token of a text")
        return first, second

    def _refuse_clash(self, record: Record) -> None:
        if record.get("prediction") in (MISSING, None):
            refuse_own_key(record, "n_tokens", "predict")
            refuse_own_key(record, "truncated", "predict")
        refuse_second_head(record, self.head_names)


def pool(logits: np.ndarray, windows: list[Window], spans: list[tuple[int, int]]) -> np.ndarray:
    """Pool the windows (N, C) of each text into one row: their mean, weighted by the text tokens inside."""
    pooled = np.empty((len(spans), logits.shape[1]), dtype=np.float64)
    for row, (start, end) in enumerate(spans):
        if end - start == 1:
            pooled[row] = logits[start]
        else:
            pooled[row] = np.average(logits[start:end], axis=0, weights=[window.weight for window in windows[start:end]])
    return pooled
