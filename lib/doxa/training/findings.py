"""What is wrong with labelled data, before anything is learnt from it."""

import unicodedata
from collections import Counter, defaultdict
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from doxa.model.heads import Head
from doxa.model.kinds.table import KINDS
from doxa.training.examples import Example, LabelledSet

FEW_EXAMPLES = 5
MOST_SHARE = 0.9
SHOWN_CHARACTERS = 60


def find_problems(heads: list[Head], train: LabelledSet, dev: LabelledSet) -> list[str]:
    """One line per problem, with its number of records and two examples, and what to do about it."""
    found = []
    for index, head in enumerate(heads):
        if head.kind in ("label", "labels"):
            found += _label_problems(head, train.column(index), dev.column(index))
        if KINDS[head.kind].shares:
            found += _contradictions(head, index, train)
    if leaks := find_leaks(train, dev):
        shown = _show([train.examples[i] for i in leaks])
        n_dev = len(find_leaks(dev, train))
        found.append(f"{n_dev} dev texts are in the training set too, and the dev figures flatter; --drop-leaks leaves them out of training: {shown}")
    return found


def find_leaks(train: LabelledSet, dev: LabelledSet) -> list[int]:
    """Positions of the training examples whose text is in dev."""
    known = {_key(example) for example in dev.examples}
    return [i for i, example in enumerate(train.examples) if _key(example) in known]


def drop_leaks(train: LabelledSet, dev: LabelledSet) -> tuple[LabelledSet, int]:
    """The training set without the examples whose text is in dev, and how many they were."""
    leaks = set(find_leaks(train, dev))
    return replace(train, examples=[example for i, example in enumerate(train.examples) if i not in leaks]), len(leaks)


def _label_problems(head: Head, train: list[Any], dev: list[Any]) -> list[str]:
    name, counts, unseen = f'head "{head.name}"', _count(train), _count(dev)
    n_labelled = sum(value is not None for value in train)
    found = []
    if lost := {label: n for label, n in unseen.items() if label not in counts}:
        found.append(f"{name}: dev holds labels that training lacks, counted as errors: {_list(lost)}")
    if rare := {label: n for label, n in sorted(counts.items()) if n < FEW_EXAMPLES}:
        found.append(f"{name}: {len(rare)} labels have fewer than {FEW_EXAMPLES} examples; add some, or merge labels: {_list(rare)}")
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
            found.append(f"{name}: labels that differ by case or space alone, {sum(map(counts.get, labels))} records; make them one: {shown}")
    return found


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
    return [f'head "{head.name}": {len(examples)} records hold a text that others label otherwise; settle them: {_show(examples)}']


def _comparable(value: Any) -> Any:
    return frozenset(value) if isinstance(value, list) else value


def _count(values: list[Any]) -> Counter:
    return Counter(label for value in values if value is not None for label in (value if isinstance(value, list) else [value]))


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{label} ({n})" for label, n in list(counts.items())[:5])


def _show(examples: list[Example]) -> str:
    return ", ".join(f'{example.place} "{_short(" | ".join(example.texts))}"' for example in examples[:2])


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _key(example: Example) -> bytes:
    return blake2b("\0".join(map(_normal, example.texts)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
