"""Figures of tags that are labels of single tokens, such as parts of speech."""

from collections import Counter
from typing import Any

import numpy as np

from doxa.errors import DoxaError
from doxa.metrics.bio import find_odd, is_span_tag
from doxa.metrics.entity_figures import EntityFigures, entity_figures, is_tags, said_tags
from doxa.metrics.label_figures import averages
from doxa.metrics.label_tallied import LabelTallied


class TokenFigures(LabelTallied):
    """`accuracy` over tokens, and `macro_f1` over tags."""

    headline = "accuracy"
    small = ("accuracy", "macro_f1")

    def count(self, gold: list[list[str]], said: list[dict[str, Any]]) -> np.ndarray:
        """Of each tag the tokens right, held and said (3K), then all tokens. Raises DoxaError where not as many were said."""
        k = len(self.labels)
        counts = np.zeros((len(gold), 3 * k + 1))
        for row, held, entry in zip(counts, gold, said):
            given = said_tags(held, entry)
            for first, tags in ((0, [tag for tag, other in zip(held, given) if tag == other]), (k, held), (2 * k, given)):
                for tag, n in Counter(tags).items():
                    row[first + self._places[tag]] = n
            row[-1] = len(held)
        return counts

    def figures(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        tally = self._tally(sums)
        accuracy = np.divide(tally.hits.sum(axis=1), tally.n, out=np.full(len(sums), np.nan), where=tally.n > 0)
        return {"accuracy": accuracy, "macro_f1": np.where(tally.n > 0, averages(tally)["macro_f1"], np.nan)}

    def is_right(self, gold: list[str], said: dict[str, Any]) -> bool:
        return gold == said_tags(gold, said)


def tag_figures(gold: list[list[Any]], *said: list[dict[str, Any]]) -> EntityFigures | TokenFigures:
    """What makes figures of these: of tokens where all gold is tags that are labels of single tokens, else of spans. Raises DoxaError for gold tags that are
    neither, and where tags that were said do not fit."""
    sequences = [own for own in gold if is_tags(own)]
    odd = find_odd(sequences)
    if odd:
        raise DoxaError(f"gold is tags of spans, such as B-PER, and has the tag {odd!r}, which is none; mend it or leave such records out")
    if sequences and len(sequences) == sum(map(bool, gold)) and is_plain(sequences):
        tags = {tag for own in gold for tag in own}
        tags.update(tag for entries in said for own, entry in zip(gold, entries) for tag in said_tags(own, entry))
        return TokenFigures(tuple(sorted(tags)))
    return entity_figures(gold, *said)


def is_plain(sequences: list[list[str]]) -> bool:
    """Whether tags of a corpus without an odd one are labels of single tokens: some say so, and then `O` is a label like others."""
    return any(not is_span_tag(tag) for tags in sequences for tag in tags)
