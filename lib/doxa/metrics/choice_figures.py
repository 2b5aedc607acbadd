"""Figures of one choice among several."""

from typing import Any

import numpy as np

from doxa.errors import DoxaError
from doxa.metrics.tallied import Tallied
from doxa.metrics.tied_ranks import expected_reciprocal

Gold = int | str


class ChoiceFigures(Tallied):
    """`accuracy`; where `has_ranks` also `mrr`, the mean of 1 / rank of the right choice by its score."""

    headline = "accuracy"
    small = ("accuracy",)

    def __init__(self, has_ranks: bool):
        self.has_ranks = has_ranks

    def count(self, gold: list[Gold], said: list[dict[str, Any]]) -> np.ndarray:
        """Right, 1 / rank, 1. Raises DoxaError where gold is the index of no choice."""
        ranks = [_reciprocal(own, entry["scores"]) for own, entry in zip(gold, said)] if self.has_ranks else np.zeros(len(gold))
        return np.array([[self.is_right(own, entry), rank, 1] for own, entry, rank in zip(gold, said, ranks)], float).reshape(-1, 3)

    def figures(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        right, ranks, n = sums.T
        shares = {"accuracy": right} | ({"mrr": ranks} if self.has_ranks else {})
        return {name: np.divide(part, n, out=np.full(len(sums), np.nan), where=n > 0) for name, part in shares.items()}

    def is_right(self, gold: Gold, said: dict[str, Any]) -> bool:
        return said["text" if isinstance(gold, str) else "index"] == gold


def choice_figures(gold: list[Gold], *said: list[dict[str, Any]]) -> ChoiceFigures:
    """Ranks need the scores of all choices, and gold that is an index: a prediction names the text of the chosen one only."""
    has_scores = all(entry.get("scores") is not None for entries in said for entry in entries)
    return ChoiceFigures(bool(said) and has_scores and all(isinstance(own, int) for own in gold))


def _reciprocal(gold: int, scores: list[float]) -> float:
    if not 0 <= gold < len(scores):
        raise DoxaError(f"gold is choice {gold}, but there are {len(scores)} (counted from 0)")
    values = np.asarray(scores, float)
    return float(expected_reciprocal((values > values[gold]).sum(), (values == values[gold]).sum()))
