"""What `--head` asks for, the kind of each head, and label values as training targets."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from doxa.errors import DoxaError, RecordError, UsageError
from doxa.model.heads import KINDS, Head
from doxa.records.record import json_type


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
        elif kind not in KINDS:
            raise UsageError(f'--head {text}: "{kind}" is no kind of head; give label, multi or number')
        if not field:
            raise UsageError(f"--head {text}: name a field")
        requests.append(HeadRequest(field, KINDS.get(kind)))
    names = [request.field for request in requests]
    if len(set(names)) < len(names):
        raise UsageError(f"--head {max(names, key=names.count)} is given twice")
    return requests


def read_value(request: HeadRequest, value: Any) -> Any:
    """Return the gold value of one head: a text, a list of texts, a number, or None where there is none.

    Raises RecordError `bad_label`."""
    if value is None or value == "":
        return None
    kind = request.kind or _guess_kind(value)
    if kind == "number":
        return _read_number(request.field, value)
    if kind == "labels":
        if isinstance(value, str) and value.startswith("["):  # a cell of a CSV file
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError:
                pass
        if isinstance(value, list) and all(isinstance(label, str) and label for label in value):
            return list(dict.fromkeys(value))
    elif kind == "label":
        if isinstance(value, (bool, int)):
            return str(value).lower()
        if isinstance(value, str):
            return value
    raise RecordError("bad_label", f'field "{request.field}" is {json_type(value)}, which no head of kind {kind or "label"} can hold')


def _guess_kind(value: Any) -> str | None:
    if isinstance(value, bool) or isinstance(value, str):
        return "label"
    if isinstance(value, (int, float)):
        return "number"
    return "labels" if isinstance(value, list) else None


def _read_number(field: str, value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, (bool, list, dict)) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise RecordError("bad_label", f'field "{field}" is {value!r}, not a finite number')
    return number


def decide_heads(requests: list[HeadRequest], columns: list[list[Any]]) -> list[Head]:
    """Settle kind and labels of every head from its training values.

    Raises DoxaError where a head cannot be learnt: no value, one class only, values of several kinds."""
    heads = []
    for request, column in zip(requests, columns):
        values = [value for value in column if value is not None]
        if not values:
            raise DoxaError(f'no training record has a value in field "{request.field}"; check --head {request.field}')
        kinds = {"number" if isinstance(v, float) else "labels" if isinstance(v, list) else "label" for v in values}
        if len(kinds) > 1:
            raise DoxaError(f'field "{request.field}" holds {" and ".join(sorted(kinds))}; say which with --head {request.field}:KIND')
        kind = kinds.pop()
        counts = Counter(label for v in values for label in (v if kind == "labels" else [v]))
        if len(counts) < 2 and not (kind == "labels" and counts):
            raise DoxaError(f'field "{request.field}" has one value only ({next(iter(counts), "none")!r}); there is nothing to learn')
        heads.append(Head(request.field, kind, () if kind == "number" else tuple(sorted(counts))))
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
