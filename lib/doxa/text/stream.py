"""Records to records with token ids."""

from collections.abc import Iterator

import pyarrow as pa

from doxa.errors import RecordError
from doxa.records.outcome import Outcome
from doxa.records.prefetch import gather
from doxa.records.record import Clashes, Record, refuse_own_key
from doxa.text.tokenizer import TextTokenizer

ADDED_TYPES = {"input_ids": pa.list_(pa.int32()), "token_type_ids": pa.list_(pa.int32()), "tokenizer": pa.string()}
WINDOW_RECORDS = 1024


class TokenizedStream:
    """Adds `input_ids`, `token_type_ids` (pairs only) and `tokenizer`; counts tokens and unknown ones."""

    def __init__(self, tokenizer: TextTokenizer, text_field: str = "text", text_pair_field: str | None = None):
        self.tokenizer, self.text_field, self.text_pair_field = tokenizer, text_field, text_pair_field
        self.n_tokens = self.n_unknown = 0

    def tokenize(self, records: Iterator[Record]) -> Iterator[list[Outcome]]:
        """Yield lists of outcomes in order. Raises UsageError when the first record already holds one of the keys."""
        self._clashes = Clashes(self._refuse)
        for window in gather(records, WINDOW_RECORDS):
            yield self._tokenize_window(window)

    def _tokenize_window(self, records: list[Record]) -> list[Outcome]:
        outcomes = [Outcome(record) for record in records]
        readable: list[Outcome] = []
        texts: list[str] = []
        for outcome in outcomes:
            record = outcome.record
            if record.is_error:
                continue
            try:
                self._clashes.check(record)
                fresh = record.get_texts(self.text_field, self.text_pair_field)
            except RecordError as error:
                outcome.error = error
                continue
            readable.append(outcome)
            texts += fresh
        encoded = self.tokenizer.encode(texts)
        n_texts = 2 if self.text_pair_field else 1
        for index, outcome in enumerate(readable):
            outcome.added = self._added(*encoded[index * n_texts : (index + 1) * n_texts])
        return outcomes

    @staticmethod
    def _refuse(record: Record) -> None:
        for key in ADDED_TYPES:
            refuse_own_key(record, key, "tokenize")

    def _added(self, first: list[int], second: list[int] | None = None) -> dict:
        self.n_tokens += len(first) + len(second or ())
        self.n_unknown += self.tokenizer.count_unknown(first) + self.tokenizer.count_unknown(second or [])
        if second is None:
            return {"input_ids": self.tokenizer.frame.single(first), "tokenizer": self.tokenizer.fingerprint}
        ids, types = self.tokenizer.frame.pair(first, second)
        added = {"input_ids": ids, "tokenizer": self.tokenizer.fingerprint}
        return added | ({"token_type_ids": types} if types else {})
