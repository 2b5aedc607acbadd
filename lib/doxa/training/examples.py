"""Labelled records as examples."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from doxa.errors import DoxaError, RecordError
from doxa.model.kinds.kind import Kind
from doxa.records.outcome import Outcome
from doxa.records.record import MISSING, Record
from doxa.records.text_fields import TextFields
from doxa.text.question import Question
from doxa.training.labels import HeadRequest, asked_kind, read_value

SHOWN_CHARACTERS = 60


@dataclass(slots=True)
class Example:
    """A validated labelled text. `values` holds one gold value per head, None where there is none."""

    place: str
    question: Question
    values: tuple[Any, ...]
    given_ids: tuple[list[int], list[int] | None, str] | None = None  # input_ids, token_type_ids, tokenizer

    @property
    def texts(self) -> tuple[str, ...]:
        return self.question.texts


@dataclass
class LabelledSet:
    """Examples and what was left out of them. `fields` are those that hold the first one's texts."""

    examples: list[Example] = field(default_factory=list)
    n_unlabelled: int = 0
    fields: TextFields = TextFields()

    def column(self, index: int) -> list[Any]:
        """The gold values of one head."""
        return [example.values[index] for example in self.examples]

    def texts(self) -> list[str]:
        return [" ".join(example.texts) for example in self.examples]


def read_examples(records: Iterable[Record], requests: list[HeadRequest], fields: TextFields, admit) -> LabelledSet:
    """Read every record; `admit` is told of each one (a list with its Outcome) and counts those that fail.

    A record without any label is left out and counted. Raises what `admit` raises.
    """
    found, kind = LabelledSet(), asked_kind(requests)
    for record in records:
        outcome = Outcome(record)
        if not record.is_error:
            try:
                example = _read_example(record, requests, kind, fields)
                if example is None:
                    found.n_unlabelled += 1
                else:
                    if not found.examples:
                        found.fields = kind.fields_of(record, fields)
                    found.examples.append(example)
            except RecordError as error:
                outcome.error = error
        admit([outcome])
    return found


def _read_example(record: Record, requests: list[HeadRequest], kind: Kind, fields: TextFields) -> Example | None:
    values = []
    for request in requests:
        value = record.get(request.field)
        values.append(None if value is MISSING else read_value(request, value))
    ids = record.get("input_ids") if kind.takes_ids else MISSING
    given = None
    if ids not in (MISSING, None):
        types = record.get("token_type_ids")
        given = (ids, None if types is MISSING else types, record.get("tokenizer"))
    question = kind.read_question(record, fields)
    if kind.needs_gold and all(value is None for value in values):
        return None
    for request, value in zip(requests, values):
        if value is not None:
            try:
                kind.check(question, value)
            except ValueError as error:
                raise RecordError("bad_label", f'field "{request.field}" {error}') from None
    return Example(record.place, question, tuple(values), given)


def read_unlabelled(records: Iterable[Record], requests: list[HeadRequest], fields: TextFields, admit) -> LabelledSet:
    """Read the texts alone, each once; labels that are there are not looked at."""
    found: dict[tuple[str, ...], Example] = {}
    kind = asked_kind(requests)
    for record in records:
        outcome = Outcome(record)
        if not record.is_error:
            try:
                question = kind.read_question(record, fields)
                found.setdefault(question.texts, Example(record.place, question, (None,) * len(requests)))
            except RecordError as error:
                outcome.error = error
        admit([outcome])
    return LabelledSet(list(found.values()))


def leave_out(found: LabelledSet, others: LabelledSet) -> LabelledSet:
    """Without the texts that another set holds."""
    held = {example.texts for example in others.examples}
    return replace(found, examples=[example for example in found.examples if example.texts not in held])


def split_dev(found: LabelledSet, share: float, seed: int) -> tuple[LabelledSet, LabelledSet]:
    """Split a share off as dev set, stratified by the labels, the same text never on both sides.

    Texts are sorted by label, in random order within each, and every (1/share)-th goes to dev, from a random
    start (systematic sampling): every label is split in proportion. Raises DoxaError when too few are left.
    """
    generator = np.random.default_rng(seed)
    by_text: dict[tuple[str, ...], list[Example]] = {}
    for example in found.examples:
        by_text.setdefault(example.texts, []).append(example)
    groups = list(by_text.values())
    order = generator.permutation(len(groups)).tolist()
    order.sort(key=lambda i: [repr(value) if not isinstance(value, float) else "" for value in groups[i][0].values])
    position = float(generator.random())
    train, dev = LabelledSet(fields=found.fields), LabelledSet(fields=found.fields)
    for index in order:
        position += share
        side = dev if position >= 1 else train
        position -= position >= 1
        side.examples += groups[index]
    if not dev.examples or not train.examples:
        raise DoxaError(f"{len(groups)} different texts are too few to split {share:.0%} off; give a dev set with --dev")
    generator.shuffle(train.examples)
    return train, dev


def show_examples(examples: list[Example]) -> str:
    """The first two: where they stand, and how their texts begin."""
    return ", ".join(f'{example.place} "{_short(" | ".join(example.texts))}"' for example in examples[:2])


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
