"""Labelled records as examples."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from doxa.errors import DoxaError, RecordError
from doxa.records.outcome import Outcome
from doxa.records.record import MISSING, Record
from doxa.training.labels import HeadRequest, read_value


@dataclass(slots=True)
class Example:
    """A validated labelled text. `values` holds one gold value per head, None where there is none."""

    place: str
    texts: tuple[str, ...]
    values: tuple[Any, ...]
    given_ids: tuple[list[int], list[int] | None, str] | None = None  # input_ids, token_type_ids, tokenizer


@dataclass
class LabelledSet:
    """Examples and what was left out of them."""

    examples: list[Example] = field(default_factory=list)
    n_unlabelled: int = 0

    def column(self, index: int) -> list[Any]:
        """The gold values of one head."""
        return [example.values[index] for example in self.examples]

    def texts(self) -> list[str]:
        return [" ".join(example.texts) for example in self.examples]


def read_examples(records: Iterable[Record], requests: list[HeadRequest], text_fields: tuple[str, ...], admit) -> LabelledSet:
    """Read every record; `admit` is told of each one (a list with its Outcome) and counts those that fail.

    A record without any label is left out and counted. Raises what `admit` raises.
    """
    found = LabelledSet()
    for record in records:
        outcome = Outcome(record)
        if not record.is_error:
            try:
                example = _read_example(record, requests, text_fields)
                if example is None:
                    found.n_unlabelled += 1
                else:
                    found.examples.append(example)
            except RecordError as error:
                outcome.error = error
        admit([outcome])
    return found


def _read_example(record: Record, requests: list[HeadRequest], text_fields: tuple[str, ...]) -> Example | None:
    values = []
    for request in requests:
        value = record.get(request.field)
        values.append(None if value is MISSING else read_value(request, value))
    flags = ("--text-field", "--text-pair-field")
    ids = record.get("input_ids")
    given = None
    if ids not in (MISSING, None):
        types = record.get("token_type_ids")
        given = (ids, None if types is MISSING else types, record.get("tokenizer"))
    texts = tuple(record.get_text(name, flag) for name, flag in zip(text_fields, flags))
    return None if all(value is None for value in values) else Example(record.place, texts, tuple(values), given)


def read_unlabelled(records: Iterable[Record], text_fields: tuple[str, ...], n_heads: int, admit) -> LabelledSet:
    """Read the texts alone, each once; labels that are there are not looked at."""
    found: dict[tuple[str, ...], Example] = {}
    flags = ("--text-field", "--text-pair-field")
    for record in records:
        outcome = Outcome(record)
        if not record.is_error:
            try:
                texts = tuple(record.get_text(name, flag) for name, flag in zip(text_fields, flags))
                found.setdefault(texts, Example(record.place, texts, (None,) * n_heads))
            except RecordError as error:
                outcome.error = error
        admit([outcome])
    return LabelledSet(list(found.values()))


def leave_out(found: LabelledSet, others: LabelledSet) -> LabelledSet:
    """Without the texts that another set holds."""
    held = {example.texts for example in others.examples}
    return LabelledSet([example for example in found.examples if example.texts not in held], found.n_unlabelled)


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
    train, dev = LabelledSet(), LabelledSet()
    for index in order:
        position += share
        side = dev if position >= 1 else train
        position -= position >= 1
        side.examples += groups[index]
    if not dev.examples or not train.examples:
        raise DoxaError(f"{len(groups)} different texts are too few to split {share:.0%} off; give a dev set with --dev")
    generator.shuffle(train.examples)
    return train, dev
