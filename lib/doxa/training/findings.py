"""What is wrong with labelled data, before anything is learnt from it."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np

from doxa.model.heads import Head
from doxa.model.kinds.table import KINDS
from doxa.training.examples import Example, LabelledSet, show_examples

FEW_EXAMPLES = 5
MOST_SHARE = 0.9
FAR = 100


def find_problems(heads: list[Head], train: LabelledSet, dev: LabelledSet) -> list[str]:
    """One line per problem, with its number of records and two examples, and what to do about it."""
    found = []
    for index, head in enumerate(heads):
        if head.kind in ("label", "labels"):
            found += _label_problems(head, index, train, dev)
        if head.kind == "number":
            found += _far_values(head, index, train)
        if KINDS[head.kind].shares:
            found += _contradictions(head, index, train)
    if leaks := find_leaks(train, dev):
        shown = show_examples([train.examples[i] for i in leaks])
        n_dev = len(find_leaks(dev, train))
        found.append(f"{n_dev} dev texts are in the training set too, and the dev figures flatter; --drop-leaks leaves them out of training: {shown}")
    return found


def find_leaks(train: LabelledSet, dev: LabelledSet) -> list[int]:
    """Positions of the training examples whose text is in dev."""
    known = {_key(example) for example in dev.examples}
    return [i for i, example in enumerate(train.examples) if _key(example) in known]


def drop_leaks(train: LabelledSet, dev: LabelledSet) -> tuple[LabelledSet, list[Example]]:
    """The training set without the examples whose text is in dev, and those."""
    leaks = set(find_leaks(train, dev))
    return replace(train, examples=[example for i, example in enumerate(train.examples) if i not in leaks]), [train.examples[i] for i in sorted(leaks)]


def _label_problems(head: Head, index: int, train: LabelledSet, dev: LabelledSet) -> list[str]:
    values = train.column(index)
    name, counts, unseen = f'head "{head.name}"', count_labels(values), count_labels(dev.column(index))
    n_labelled = sum(value is not None for value in values)
    found = []
    if lost := {label: n for label, n in unseen.items() if label not in counts}:
        held = _with(lost, index, dev)
        found.append(f"{name}: {len(held)} dev records hold labels that training lacks, "
                     f"{'counted as errors' if head.kind == 'label' else 'which its figures leave out'}: {_list(lost)}; {show_examples(held)}")
    if rare := {label: n for label, n in sorted(counts.items()) if n < FEW_EXAMPLES}:
        held = _with(rare, index, train)
        found.append(f"{name}: {len(rare)} labels have fewer than {FEW_EXAMPLES} examples, {len(held)} records; add some, or merge labels: {_list(rare)}; "
                     f"{show_examples(held)}")
    label, most = max(counts.items(), key=lambda item: item[1], default=("", 0))
    if head.kind == "label" and most > MOST_SHARE * n_labelled:
        found.append(f"{name}: {label!r} holds {most / n_labelled:.0%} of {n_labelled} records; look at macro-F1, not accuracy, "
                     "or try --class-weights balanced")
    alike = defaultdict(list)
    for label in counts:
        alike["".join(_normal(label).split())].append(label)
    for labels in alike.values():
        if len(labels) > 1:
            shown = ", ".join(f"{label!r} ({counts[label]})" for label in sorted(labels))
            found.append(f"{name}: labels that differ by case or space alone, {sum(map(counts.get, labels))} records; make them one: {shown}; "
                         f"{show_examples([_with([label], index, train)[0] for label in sorted(labels)])}")
    return found


def _far_values(head: Head, index: int, train: LabelledSet) -> list[str]:
    labelled = [example for example in train.examples if example.values[index] is not None]
    values = np.array([example.values[index] for example in labelled], float)
    if not len(values):
        return []
    middle = float(np.median(values))
    distances = np.abs(values - middle)
    spread = float(np.median(distances))
    far = [labelled[i] for i in np.flatnonzero(distances > FAR * spread)] if spread else []
    shown = ", ".join(f"{example.values[index]:g}" for example in far[:2])
    return [f'head "{head.name}": {len(far)} records are more than {FAR} times as far from the median, {middle:g}, as half of all are, and the head learns '
            f"little but them: {shown}; {show_examples(far)}"] if far else []


def _with(labels: Collection[str], index: int, data: LabelledSet) -> list[Example]:
    """The examples to which a head's gold gives one of these labels."""
    return [example for example in data.examples if any(label in labels for label in _labels(example.values[index]))]


def _contradictions(head: Head, index: int, train: LabelledSet) -> list[str]:
    values: dict[bytes, Any] = {}
    torn: set[bytes] = set()
    for example in train.examples:
        if (value := _comparable(example.values[index])) is not None and values.setdefault(key := _key(example), value) != value:
            torn.add(key)
    if not torn:
        return []
    examples = [example for example in train.examples if example.values[index] is not None and _key(example) in torn]
    examples.sort(key=_key)  # so that the two that are shown contradict each other
    return [f'head "{head.name}": {len(examples)} records hold a text that others label otherwise; settle them: {show_examples(examples)}']


def _comparable(value: Any) -> Any:
    return frozenset(value) if isinstance(value, list) else value


def count_labels(values: list[Any]) -> Counter:
    """How many of a head's gold values hold each label."""
    return Counter(label for value in values for label in _labels(value))


def _labels(value: Any) -> list[str]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{label} ({n})" for label, n in list(counts.items())[:5])


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _key(example: Example) -> bytes:
    return blake2b("\0".join(map(_normal, example.texts)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
