"""What `--head` asks for, the kind of each head, and label values as training targets."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from doxa.errors import DoxaError, RecordError, UsageError
from doxa.model.heads import Head
from doxa.model.kinds.kind import Kind
from doxa.model.kinds.slices import guess_slice
from doxa.model.kinds.table import ALIASES, KINDS

MOST_NUMBER = 1e30  # well within what fp32 holds


@dataclass(frozen=True)
class HeadRequest:
    """A field that becomes a head, and its kind where the user gave it."""

    field: str
    kind: str | None


def parse_heads(texts: tuple[str, ...]) -> list[HeadRequest]:
    """Parse `FIELD[:KIND]`. Raises UsageError."""
    requests = []
    for text in texts:
        field, separator, kind = text.rpartition(":")
        if not separator:
            field, kind = text, ""
        elif kind not in KINDS and kind not in ALIASES:
            raise UsageError(f'--head {text}: "{kind}" is no kind of head; there are: {", ".join(KINDS)}')
        if not field:
            raise UsageError(f"--head {text}: name a field")
        requests.append(HeadRequest(field, ALIASES.get(kind, kind) or None))
    names = [request.field for request in requests]
    if len(set(names)) < len(names):
        raise UsageError(f"--head {max(names, key=names.count)} is given twice")
    return requests


def asked_kind(requests: list[HeadRequest]) -> Kind:
    """The kind that reads the records for all heads that are asked for. Raises UsageError where two do not go together."""
    kinds = [KINDS[request.kind or "label"] for request in requests]
    for request, kind in zip(requests, kinds):
        if len(requests) > 1 and not kind.shares:
            raise UsageError(f"--head {request.field}:{kind.name} shares its model with no other head; train one for each")
    return kinds[0]


def read_value(request: HeadRequest, value: Any) -> Any:
    """Return the gold value of one head as its kind has it, or None where there is none.

    Raises RecordError `bad_label`."""
    if value is None or value == "":
        return None
    try:
        gold = KINDS[request.kind or guess_slice(value)].read_gold(value)
    except ValueError as error:
        raise RecordError("bad_label", f'field "{request.field}" {error}') from None
    if isinstance(gold, float) and abs(gold) > MOST_NUMBER:
        raise RecordError("bad_label", f'field "{request.field}" is {gold:g}; networks compute with numbers up to {MOST_NUMBER:g}')
    return gold


def decide_heads(requests: list[HeadRequest], columns: list[list[Any]]) -> list[Head]:
    """Settle kind and labels of every head from its training values.

    Raises DoxaError where a head cannot be learnt: no value, one class only, values of several kinds."""
    heads = []
    for request, column in zip(requests, columns):
        values = [value for value in column if value is not None]
        if not values and KINDS[request.kind or "label"].needs_gold:
            raise DoxaError(f'no training record has a value in field "{request.field}"; check --head {request.field}')
        kind = request.kind
        if kind is None:
            guessed = {guess_slice(value) for value in values}
            if len(guessed) > 1:
                raise DoxaError(f'field "{request.field}" holds {" and ".join(sorted(guessed))}; say which with --head {request.field}:KIND')
            kind = guessed.pop()
        heads.append(KINDS[kind].decide_head(request.field, column))
    return heads


def encode_targets(head: Head, values: list[Any]) -> np.ndarray:
    """Gold values as numbers, NaN where there is none: label ids (N,), 0/1 (N, labels) or numbers (N,).

    A label that training never saw gets the id len(head.labels): no prediction can match it."""
    if head.kind == "number":
        return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    ids = {label: i for i, label in enumerate(head.labels)}
    if head.kind == "label":
        return np.array([math.nan if value is None else ids.get(value, len(ids)) for value in values], dtype=np.float64)
    targets = np.full((len(values), len(ids)), math.nan)
    for row, value in enumerate(values):
        if value is not None:
            targets[row] = 0.0
            targets[row, [ids[label] for label in value if label in ids]] = 1.0
    return targets
