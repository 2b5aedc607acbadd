"""How often a text or an id was seen, in bounded memory."""

import numpy as np

MOST_DISTINCT = 2_000_000
N_PENDING = 2_000_000


class HashCounts:
    """Counts of 64-bit hashes. Beyond `MOST_DISTINCT` different ones, those seen once are forgotten (lossy counting,
    Manku and Motwani 2002): every count is a lower bound then, and `is_lossy` says so. At most 80 MB."""

    def __init__(self):
        self.values = np.empty(0, np.uint64)  # sorted
        self.counts = np.empty(0, np.int64)
        self.is_lossy = False
        self._pending: list[np.ndarray] = []
        self._n_pending = self._n_repeats = 0

    def add(self, hashes: np.ndarray, counts: np.ndarray | None = None) -> None:
        """Count hashes, each once or as often as `counts` tells (at least 1)."""
        if counts is not None:
            fresh, place = np.unique(hashes, return_inverse=True)
            self._merge(fresh, np.bincount(place, counts, len(fresh)).astype(np.int64))
            return
        self._pending.append(hashes)
        self._n_pending += len(hashes)
        if self._n_pending >= N_PENDING:
            self._settle()

    @property
    def n_repeats(self) -> int:
        """How many hashes had been seen before."""
        self._settle()
        return self._n_repeats

    def count(self, hashes: np.ndarray) -> np.ndarray:
        """How often each was seen, at least 1."""
        self._settle()
        if not len(self.values):
            return np.ones(len(hashes), np.int64)
        places = np.minimum(np.searchsorted(self.values, hashes), len(self.values) - 1)
        return np.where(self.values[places] == hashes, self.counts[places], 1)

    def _settle(self) -> None:
        if self._n_pending:
            pending, self._pending, self._n_pending = np.concatenate(self._pending), [], 0
            self._merge(*np.unique(pending, return_counts=True))

    def _merge(self, fresh: np.ndarray, counts: np.ndarray) -> None:
        """Count different hashes, ascending."""
        self._n_repeats += int(counts.sum())
        if len(self.values):
            places = np.searchsorted(self.values, fresh)
            is_known = self.values[np.minimum(places, len(self.values) - 1)] == fresh
            self.counts[places[is_known]] += counts[is_known]
            self._n_repeats -= int((~is_known).sum())
            self.values = np.insert(self.values, places[~is_known], fresh[~is_known])
            self.counts = np.insert(self.counts, places[~is_known], counts[~is_known])
        else:
            self._n_repeats -= len(fresh)
            self.values, self.counts = fresh, counts
        if len(self.values) > MOST_DISTINCT:
            self._forget()

    def _forget(self) -> None:
        kept = self.counts > 1
        if kept.sum() > MOST_DISTINCT // 2:
            kept &= self.counts > np.partition(self.counts, -MOST_DISTINCT // 2)[-MOST_DISTINCT // 2]
        self.values, self.counts, self.is_lossy = self.values[kept], self.counts[kept], True
