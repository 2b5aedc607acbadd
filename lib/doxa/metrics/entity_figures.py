"""Figures of spans with labels: one is found where start, end and label are those of gold (Tjong Kim Sang & De Meulder 2003)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from doxa.errors import DoxaError
from doxa.metrics.bio import IOB2, find_scheme, spans_to_tags, tags_to_spans
from doxa.metrics.label_figures import averages
from doxa.metrics.label_tallied import LabelTallied

Gold = list[str] | list[dict[str, Any]]


class EntityFigures(LabelTallied):
    """`f1`, `precision` and `recall` of all spans together, `macro_f1` over labels, all as seqeval's strict mode has them; and
    `token_accuracy`, the share of tokens with the right tag, where `has_tags`.

    Gold that is tags is compared with the tags that were said, either in the scheme of its corpus, `gold_scheme` for gold; gold that is entities with the
    entities that were said. NaN where spans are neither held nor said."""

    headline = "f1"
    small = ("f1", "precision", "recall")

    def __init__(self, labels: tuple[str, ...], has_tags: bool, gold_scheme: str):
        super().__init__(labels)
        self.has_tags, self.gold_scheme = has_tags, gold_scheme

    def count(self, gold: list[Gold], said: list[dict[str, Any]]) -> np.ndarray:
        """Of each label the spans found, held and said (3K), then tokens with the right tag, and tokens with one. Raises DoxaError where
        gold is tags and as many were not said, or a tag is none of a span."""
        k = len(self.labels)
        width = 3 * k + 2
        scheme = said_scheme(gold, said)
        found, tokens = [], np.zeros((len(gold), 2))
        for i, (own, entry) in enumerate(zip(gold, said)):
            held, given = held_spans(own, self.gold_scheme), said_spans(own, entry, scheme)
            for first, spans in ((0, held & given), (k, held), (2 * k, given)):
                found += [i * width + first + self._places[label] for *_, label in spans]
            if is_tags(own):
                pair = _as_iob2(own, held, self.gold_scheme), _as_iob2(said_tags(own, entry), given, scheme)
                tokens[i] = sum(map(str.__eq__, *pair)), len(own)
        counts = np.bincount(np.array(found, int), minlength=len(gold) * width).reshape(len(gold), width).astype(float)
        counts[:, -2:] = tokens
        return counts

    def figures(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        tally = self._tally(sums)
        found = averages(tally)
        is_defined = (tally.held + tally.said).any(axis=1)
        figures = {name: np.where(is_defined, found[source], np.nan)
                   for name, source in (("f1", "micro_f1"), ("precision", "micro_precision"), ("recall", "micro_recall"), ("macro_f1", "macro_f1"))}
        if self.has_tags:
            figures["token_accuracy"] = np.divide(sums[:, -2], sums[:, -1], out=np.full(len(sums), np.nan), where=sums[:, -1] > 0)
        return figures

    def is_right(self, gold: Gold, said: dict[str, Any]) -> bool:
        return bool(self.right_of(self.count([gold], [said]))[0])

    def right_of(self, counts: np.ndarray) -> np.ndarray:
        found, held, given = counts[:, :-2].reshape(len(counts), 3, -1).sum(axis=2).T
        return (found == held) & (found == given)


def entity_figures(gold: list[Gold], *said: list[dict[str, Any]]) -> EntityFigures:
    """What makes figures of these; several `said` of the same gold share its labels."""
    with _as_failure():
        gold_scheme = find_scheme(own for own in gold if is_tags(own))
    spans = [held_spans(own, gold_scheme) for own in gold]
    for entries in said:
        scheme = said_scheme(gold, entries)
        spans += [said_spans(own, entry, scheme) for own, entry in zip(gold, entries)]
    return EntityFigures(tuple(sorted({label for found in spans for *_, label in found})), any(map(is_tags, gold)), gold_scheme)


def is_tags(gold: list[Any]) -> bool:
    """Whether gold is tags. An empty list is no entities."""
    return bool(gold) and isinstance(gold[0], str)


def held_spans(gold: Gold, scheme: str) -> set[tuple[int, int, str]]:
    """In tokens where gold is tags, else in characters."""
    return _tagged(gold, scheme) if is_tags(gold) else _entities(gold)


def said_scheme(gold: list[Gold], said: list[dict[str, Any]]) -> str:
    """The scheme of the tags that were said beside gold tags."""
    with _as_failure():
        return find_scheme(said_tags(own, entry) for own, entry in zip(gold, said) if is_tags(own))


def said_spans(gold: Gold, said: dict[str, Any], scheme: str) -> set[tuple[int, int, str]]:
    """What was said, in the form of gold."""
    return _tagged(said_tags(gold, said), scheme) if is_tags(gold) else _entities(said["entities"])


def said_tags(gold: list[str], said: dict[str, Any]) -> list[str]:
    """The tags that were said beside gold tags. Raises DoxaError where they are not as many."""
    tags = said.get("tags")
    if tags is None:
        raise DoxaError("gold is tags, but the prediction has none; predict on records with `tokens`, or give gold as entities: start, end, label")
    if len(tags) != len(gold):
        raise DoxaError(f"gold has {len(gold)} tags, and the prediction {len(tags)}; both must have one for each token")
    return tags


@contextmanager
def _as_failure() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise DoxaError(str(error)) from None


def _tagged(tags: list[str], scheme: str) -> set[tuple[int, int, str]]:
    with _as_failure():
        return set(tags_to_spans(tags, scheme))


def _entities(entities: list[dict[str, Any]]) -> set[tuple[int, int, str]]:
    return {(entity["start"], entity["end"], entity["label"]) for entity in entities}


def _as_iob2(tags: list[str], spans: set[tuple[int, int, str]], scheme: str) -> list[str]:
    """Tags of these spans for a comparison token by token; those of IOB2 as they are, with what is no span in them."""
    return tags if scheme == IOB2 else spans_to_tags(spans, len(tags))
