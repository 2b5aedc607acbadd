"""Figures of kinds.py, written apart from those of doxa: what people, taggers and readers are judged by elsewhere."""

import re
import string
from collections import Counter

import numpy as np
from sklearn.metrics import accuracy_score, f1_score


def measure(kind: str, gold: list, said: list) -> dict[str, float]:
    """Figures, 0..1. `said` is what is said of each record: a label, labels, a tag for every token, an answer's text (None: there is
    none), the index of a choice, or a text."""
    if len(gold) != len(said):
        raise ValueError(f"{len(gold)} gold values, {len(said)} predictions")
    return {"label": _measure_label, "labels": _measure_labels, "tags": _measure_tags, "span": _measure_answers,
            "choice": lambda gold, said: {"accuracy": accuracy_score(gold, said)}, "text": _measure_texts}[kind](gold, said)


def _measure_label(gold: list[str], said: list[str]) -> dict[str, float]:
    return {"accuracy": accuracy_score(gold, said), "macro_f1": f1_score(gold, said, labels=sorted(set(gold)), average="macro", zero_division=0)}


def _measure_labels(gold: list[list[str]], said: list[list[str]]) -> dict[str, float]:
    labels = sorted({label for row in gold for label in row} | {label for row in said for label in row})
    gold, said = (np.array([[label in row for label in labels] for row in rows], dtype=int) for rows in (gold, said))
    return {f"{average}_f1": float(f1_score(gold, said, average=average, zero_division=0)) for average in ("micro", "macro")}


def _measure_tags(gold: list[list[str]], said: list[list[str]]) -> dict[str, float]:
    """Micro-averaged F1 of whole entities: seqeval's strict IOB2, where an entity starts at its B tag alone, and its lenient default
    (that of conlleval), where an I tag without one starts one too."""
    return {name: _entity_f1(gold, said, is_strict) for name, is_strict in (("entity_f1", True), ("lenient_f1", False))}


def _entity_f1(gold: list[list[str]], said: list[list[str]], is_strict: bool) -> float:
    n_right = n_gold = n_said = 0
    for gold_tags, said_tags in zip(gold, said, strict=True):
        if len(gold_tags) != len(said_tags):
            raise ValueError(f"{len(gold_tags)} tokens, {len(said_tags)} tags")
        is_there, is_claimed = (entities_of(tags, is_strict) for tags in (gold_tags, said_tags))
        n_right, n_gold, n_said = n_right + len(is_there & is_claimed), n_gold + len(is_there), n_said + len(is_claimed)
    return 2 * n_right / (n_gold + n_said) if n_gold + n_said else 0.0


def entities_of(tags: list[str], is_strict: bool = True) -> set[tuple[int, int, str]]:
    """(start, end, label) of the entities of BIO tags, counted in tokens, end exclusive."""
    found, start, label = set(), None, None
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if prefix == "I" and start is not None and name == label:
            continue
        if start is not None:
            found.add((start, i, label))
        start, label = (i, name) if prefix == "B" or prefix == "I" and not is_strict else (None, None)
    return found


def _measure_answers(gold: list[list[dict]], said: list[str | None]) -> dict[str, float]:
    """Exact match and F1 of words by the rules of SQuAD's evaluation (Rajpurkar et al. 2016), the best over the gold answers."""
    exact = [max(float(normal(text) == normal(said_text or "")) for text in _texts(answers)) for answers, said_text in zip(gold, said)]
    f1 = [max(_word_f1(normal(text).split(), normal(said_text or "").split()) for text in _texts(answers)) for answers, said_text in zip(gold, said)]
    return {"exact": float(np.mean(exact)), "f1": float(np.mean(f1))}


def _texts(answers: list[dict]) -> list[str]:
    return [answer["text"] for answer in answers] or [""]


def normal(text: str) -> str:
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _word_f1(gold: list[str], said: list[str]) -> float:
    if not gold or not said:
        return float(gold == said)
    n_same = sum((Counter(gold) & Counter(said)).values())
    return 2 * n_same / (len(gold) + len(said))


def _measure_texts(gold: list[str], said: list[str]) -> dict[str, float]:
    """Spaces beside Chinese characters do not count: tokenizers that read each as a token of its own put them there."""
    pairs = [[re.sub(r"\s*([\u4e00-\u9fff])\s*", r" \1 ", text).split() for text in texts] for texts in zip(gold, said, strict=True)]
    return {"exact": float(np.mean([a == b for a, b in pairs])), "f1": float(np.mean([_word_f1(a, b) for a, b in pairs]))}
