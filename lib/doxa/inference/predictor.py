"""Records to records with predictions: read the texts, ask, put the answers back in order."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any

from doxa.errors import RecordError, UsageError
from doxa.inference.labeller import Answers
from doxa.model.kinds.kind import Kind
from doxa.records.outcome import Outcome, refuse_second_head
from doxa.records.prefetch import LONGEST_SLEEP_S, gather
from doxa.records.record import MISSING, Clashes, Record, refuse_own_key
from doxa.records.signals import check_signals
from doxa.records.text_fields import TextFields
from doxa.text.question import Question
from doxa.text.tokenizer import TextTokenizer

# Records sorted by length together: enough that batches of one length are full.
WINDOW_RECORDS, GPU_WINDOW_RECORDS = 2048, 32768


class Predictor:
    """Sends windows of records to `submit` (questions -> future Answers), at most `most_waiting` ahead of the reader."""

    def __init__(self, submit: Callable[[list[Question]], Future], kind: Kind, head_names: list[str], tokenizer: TextTokenizer,
                 fields: TextFields = TextFields(), most_waiting: int = 1, window_records: int = WINDOW_RECORDS):
        self.submit, self.kind, self.head_names, self.tokenizer, self.most_waiting = submit, kind, head_names, tokenizer, most_waiting
        self.fields = fields
        self.window_records = window_records
        self.n_windows = self.n_remembered = 0
        self._clashes = Clashes(self._refuse_clash)

    def predict(self, records: Iterator[Record]) -> Iterator[list[Outcome]]:
        """Yield lists of outcomes in the order of the records, while later ones are being read and computed.

        Raises UsageError when the first record already holds a key that is about to be added, or tokens of another tokenizer."""
        self._clashes = Clashes(self._refuse_clash)
        asked = map(self._ask, gather(records, self.window_records))
        for waiting in gather(asked, self.most_waiting, patience_s=0.0):
            for outcomes, positions, future in waiting:
                yield self._conclude(outcomes, positions, wait_for(future))

    def predict_window(self, records: list[Record]) -> list[Outcome]:
        outcomes, positions, future = self._ask(records)
        return self._conclude(outcomes, positions, future.result())

    def _ask(self, records: list[Record]) -> tuple[list[Outcome], list[int], Future]:
        """Submit every readable record; what cannot be read gets its error. `positions` are those of the questions."""
        outcomes = [Outcome(record) for record in records]
        positions: list[int] = []
        questions: list[Question] = []
        for position, outcome in enumerate(outcomes):
            record = outcome.record
            if record.is_error:
                continue
            try:
                self._clashes.check(record)
                questions.append(self._question(record))
                positions.append(position)
            except RecordError as error:
                outcome.error = error
        return outcomes, positions, self.submit(questions)

    def _conclude(self, outcomes: list[Outcome], positions: list[int], answers: Answers) -> list[Outcome]:
        self.n_windows += answers.n_windows
        self.n_remembered += answers.n_remembered
        for position, entry in zip(positions, answers.entries):
            outcome = outcomes[position]
            if isinstance(entry, RecordError):
                outcome.error = entry
                continue
            if outcome.record.get("n_tokens") not in (MISSING, None):  # an earlier predict said so already
                entry.pop("n_tokens")
                entry.pop("truncated", None)
            outcome.added = entry
        return outcomes

    def _question(self, record: Record) -> Question:
        if self._has_ids(record):
            return Question(ids=self._given_ids(record))
        return self.kind.read_question(record, self.fields)

    def _has_ids(self, record: Record) -> bool:
        return self.kind.takes_ids and record.get("input_ids") not in (MISSING, None)

    def _given_ids(self, record: Record) -> tuple[list[int], list[int] | None]:
        """The ids that `tokenize` left in a record."""
        ids = record.get("input_ids")
        types = record.get("token_type_ids")
        vocabulary_size = self.tokenizer.rust.get_vocab_size()
        if not (isinstance(ids, list) and all(type(i) is int and 0 <= i < vocabulary_size for i in ids)):
            raise RecordError("bad_input_ids", "input_ids is no list of the tokenizer's token ids")
        try:
            if self.fields.text_pair:
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
        if self._has_ids(record) and record.get("tokenizer") != self.tokenizer.fingerprint:
            raise UsageError(f"{record.place}: input_ids come from another tokenizer than the model's; "
                             "tokenize with --base MODEL_DIR, or drop input_ids")


def wait_for(future: Future) -> Any:
    """The future's result, looking for signals while it waits."""
    while True:
        try:
            return future.result(LONGEST_SLEEP_S)
        except NotYet:
            if future.done():  # a TimeoutError of its own
                raise
            check_signals()
