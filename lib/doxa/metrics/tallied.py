"""Figures of a corpus that follow from sums over its records, so that resampling records is a product of matrices."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np


class Tallied(ABC):
    """What is said of N records beside their gold, as counts per record, and figures from sums of those.

    `headline` is the figure by which models are chosen, `small` are those shown for a slice; of the figures in `lower_is_better`
    less is better. `labels` (K) are those that `figures_by_label` tells apart; most kinds have none.
    """

    headline: str
    small: tuple[str, ...]
    lower_is_better: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()

    @abstractmethod
    def count(self, gold: list[Any], said: list[dict[str, Any]]) -> np.ndarray:
        """One row of counts (N, S) for each record: its gold, as its kind reads it, and its entry of `prediction`."""

    @abstractmethod
    def figures(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Figures (R each) from sums of counts under R weightings of the records (R, S); NaN where one is not defined."""

    def figures_by_label(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """precision, recall and f1 (R, K) of each label."""
        return {}

    def support_by_label(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How often each label (R, K) is held by gold, and how often it is said."""
        none = np.zeros((len(sums), 0))
        return none, none

    @abstractmethod
    def is_right(self, gold: Any, said: dict[str, Any]) -> bool:
        """Whether a record is wholly right."""

    def right_of(self, counts: np.ndarray) -> np.ndarray | None:
        """Which records (N,) are right by counts (N, S) of them all; None where `is_right` tells of each."""
        return None

    def tell(self, said: dict[str, Any], counts: np.ndarray) -> dict[str, Any]:
        """What was said of a record, with these counts (S,), for people and as JSON."""
        return said

    def figures_of_rows(self, counts: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Figures (R each) that do not follow from sums: of records with these counts (b, S), under weights (R, b)."""
        return {}

    def signatures(self, gold: list[Any]) -> dict[str, str]:
        """How some figures of this gold were made, in short, by their name."""
        return {}

    def total(self, gold: list[Any], said: list[dict[str, Any]]) -> dict[str, float]:
        """The figures of all records, each counted once."""
        return {name: float(values[0]) for name, values in self.figures(self.count(gold, said).sum(axis=0, keepdims=True)).items()}
