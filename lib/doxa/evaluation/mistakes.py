"""The most confident mistakes, in bounded memory."""

import heapq
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Mistake:
    """A record that is wrong. `weight` orders them: the score of a wrong label, the number of labels wrongly said or left out, the
    distance of a number. `place` counts the records from 1; `score` is None where there is none."""

    weight: float
    place: int
    id: str | None
    text: str | None
    gold: str | float | list[str]
    said: str | float | list[str]
    score: float | None


class MistakeKeeper:
    """Keeps the `most` gravest."""

    def __init__(self, most: int):
        self.most = most
        self._heap: list[tuple[float, int, Mistake]] = []

    def add(self, kind: str, table: pa.Table, gold: pa.Array, said: pa.Array, score: np.ndarray, places: np.ndarray) -> None:
        """Look at rows that hold gold and prediction."""
        if not self.most:
            return
        weights = _weigh(kind, gold, said, score)
        for row in np.argsort(-weights, kind="stable")[: self.most].tolist():
            if weights[row] <= 0 or len(self._heap) == self.most and weights[row] <= self._heap[0][0]:
                break
            found = Mistake(float(weights[row]), int(places[row]) + 1, table.column("id")[row].as_py(), table.column("text")[row].as_py(),
                            gold[row].as_py(), said[row].as_py(), None if np.isnan(score[row]) else float(score[row]))
            (heapq.heappushpop if len(self._heap) == self.most else heapq.heappush)(self._heap, (found.weight, -found.place, found))

    def gravest(self) -> list[Mistake]:
        return [found for *_, found in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


def _weigh(kind: str, gold: pa.Array, said: pa.Array, score: np.ndarray) -> np.ndarray:
    """How grave each row is (N,); 0 for what is right. A wrong label without a score comes after all that have one."""
    if kind == "number":
        return np.abs(gold.to_numpy(zero_copy_only=False) - said.to_numpy(zero_copy_only=False))
    if kind == "labels":
        return np.array([len(set(a) ^ set(b)) for a, b in zip(gold.to_pylist(), said.to_pylist())], float)
    is_wrong = np.array(pc.not_equal(gold, said).to_numpy(zero_copy_only=False), bool)
    return np.where(is_wrong, np.nan_to_num(score, nan=1e-9) + 1e-9, 0.0)
