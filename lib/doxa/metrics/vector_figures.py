"""Figures of vectors: whether the one of a text is nearest to that of its pair, and whether cosines follow how alike the two are."""

from typing import Any

import numpy as np

from doxa.errors import DoxaError
from doxa.metrics.number_figures import number_figures
from doxa.metrics.tallied import Tallied
from doxa.metrics.tied_ranks import expected_reciprocal, share_within

Gold = float | bool | None
AMONG = (1, 5, 10)
N_RANKED = len(AMONG) + 2  # counts of what is found
BLOCK_NUMBERS = 1 << 23  # cosines held at once


class VectorFigures(Tallied):
    """`recall_at_1`, `_5` and `_10`: how often the pair of a record is among the nearest of all pairs, by cosine; `mrr`, the mean of 1 / rank.

    Every record with a pair is a candidate; it is also a query where its gold is None or more than `least`: a pair that is not alike is
    not to be found. Equal vectors are one candidate, so that equal texts are equally right; others of one cosine are ranked by chance. Where
    all pairs have one vector nothing is found out, and figures are NaN.

    `spearman` and `pearson` of gold and cosine where `differs`: gold tells pairs apart, by degrees or as 0 and 1. Spearman's leads then, since of the
    pairs that are not alike the other figures say nothing (of 0 and 1 it rises with the area under the ROC curve); else MRR. A pair without gold is
    alike, unless there are degrees, of which it says none (`is_graded`)."""

    def __init__(self, least: float, differs: bool, is_graded: bool):
        self.least, self.differs, self.is_graded = least, differs, is_graded
        self.headline = "spearman" if differs else "mrr"
        self.small = ("spearman", "mrr") if differs else ("mrr", "recall_at_1")

    def count(self, gold: list[Gold], said: list[dict[str, Any]]) -> np.ndarray:
        """Chances to be among the first 1, 5 and 10, 1 / rank, and 1 of a query, zeros of another record: of those given, which must be
        the whole set. Then gold, cosine and 1 of a record that has both. Raises DoxaError where vectors differ in length."""
        counts = np.zeros((len(gold), N_RANKED + 3))
        for row, own, entry in zip(counts, gold, said):
            if entry.get("score") is not None and not (own is None and self.is_graded):
                row[N_RANKED:] = _alike(own), entry["score"], 1
        paired = [place for place, entry in enumerate(said) if entry.get("vector_pair") is not None]
        if not paired:
            return counts
        vectors, pairs = (_unit([said[place][key] for place in paired]) for key in ("vector", "vector_pair"))
        if vectors.shape[1] != pairs.shape[1]:
            raise DoxaError("the vectors of texts and of their pairs differ in length")
        candidates, own = np.unique(pairs, axis=0, return_inverse=True)
        queries = np.array([row for row, place in enumerate(paired) if self.is_query(gold[place])], int)
        if len(candidates) > 1 and len(queries):
            above, tied = rank_targets(vectors[queries], candidates, own.ravel()[queries])
            counts[np.array(paired)[queries], :N_RANKED] = count_ranks(above, tied)
        return counts

    def figures(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        names = [f"recall_at_{k}" for k in AMONG] + ["mrr"]
        n = sums[:, N_RANKED - 1]
        found = {name: np.divide(sums[:, place], n, out=np.full(len(n), np.nan), where=n > 0) for place, name in enumerate(names)}
        return {name: found[name] for name in ("mrr", *names[:-1])}

    def is_query(self, gold: Gold) -> bool:
        return gold is None or gold > self.least

    def is_right(self, gold: Gold, said: dict[str, Any]) -> bool:
        """Always: a record alone has no other pair to be mistaken for; see `right_of`."""
        return True

    def right_of(self, counts: np.ndarray) -> np.ndarray:
        """Which records (N) have their own pair nearest, from their counts; those that are no queries are right."""
        return (counts[:, 0] == 1) | (counts[:, N_RANKED - 1] == 0)

    def tell(self, said: dict[str, Any], counts: np.ndarray) -> dict[str, Any]:
        """`cosine` and, of a query, the `rank` of its own pair among all, 1 the nearest; not the vectors, which tell nobody anything."""
        told = {"cosine": said["score"]} if said.get("score") is not None else {}
        reciprocal = counts[N_RANKED - 2]
        return told | ({"rank": round(1 / reciprocal)} if reciprocal > 0 else {})

    def figures_of_rows(self, counts: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        """`spearman` and `pearson` where the gold of all records differs; NaN where that of these does not."""
        gold, score, is_there = counts[:, N_RANKED:].T
        rows = is_there == 1
        if not self.differs:
            return {}
        if not rows.any():
            return dict.fromkeys(("spearman", "pearson"), np.full(len(weights), np.nan))
        return alikeness_figures(gold[rows], score[rows], weights[:, rows])


def vector_figures(gold: list[Gold], *said: list[dict[str, Any]]) -> VectorFigures:
    """Alike is a pair with more than half of the greatest gold, which is at least 1: of 0 and 1 that is 1. Whether gold differs is seen
    by the records with a pair, all where nothing is said."""
    paired = [own for own, entry in zip(gold, said[0]) if entry.get("score") is not None] if said else gold
    known = [own for own in paired if own is not None]
    is_graded = not set(known) <= {0, 1}
    differs = len(set(known if is_graded else map(_alike, paired))) > 1
    return VectorFigures(max([1.0, *(own for own in gold if own is not None)]) / 2, differs, is_graded)


def _alike(gold: Gold) -> float:
    """How alike the texts of a pair are, where there are no degrees."""
    return 1.0 if gold is None else float(gold)


def count_ranks(above: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """Chances of each query (Q, S) to find its target among the first of AMONG, 1 / rank, and 1, by the candidates `above` and `tied` (Q)."""
    return np.stack([*(share_within(above, tied, k) for k in AMONG), expected_reciprocal(above, tied), np.ones(len(above))], axis=1)


def rank_targets(queries: np.ndarray, candidates: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of the candidates (C, d) have a greater dot product with each query (Q, d) than its target (Q), an index of them, and how
    many have the same, itself counted. Holds BLOCK_NUMBERS products at once."""
    above, tied = np.empty(len(queries)), np.empty(len(queries))
    step = max(1, BLOCK_NUMBERS // max(1, len(candidates)))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        products = queries[block] @ candidates.T  # (step, C)
        own = products[np.arange(len(products)), targets[block]][:, None]
        above[block], tied[block] = (products > own).sum(axis=1), (products == own).sum(axis=1)
    return above, tied


def alikeness_figures(gold: np.ndarray, score: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """`spearman` and `pearson` (R) of how alike pairs are (b), graded or 0 and 1, and their cosines (b), under weights (R, b); NaN where a
    side does not vary. Neither is made of sums over records, so they stand outside VectorFigures."""
    found = number_figures(gold, score, weights)
    return {name: found[name] for name in ("spearman", "pearson")}


def _unit(vectors: list[list[float]]) -> np.ndarray:
    """Rows (N, d) of length 1, zeros where they were."""
    if len({len(vector) for vector in vectors}) > 1:
        raise DoxaError("vectors differ in length; were they predicted by one model?")
    rows = np.array(vectors, float)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0).astype(np.float32)
