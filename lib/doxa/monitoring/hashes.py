"""Counting duplicates by 64-bit hashes, up to a bound."""

import numpy as np

MOST_HASHES = 5_000_000


class Hashes:
    """Hashes of ids or texts, up to a bound, for counting duplicates: 8 bytes each."""

    def __init__(self):
        self.parts: list[np.ndarray] = []
        self.n = 0
        self.values: np.ndarray | None = None

    @property
    def is_full(self) -> bool:
        return self.n >= MOST_HASHES

    def add(self, hashes: np.ndarray) -> None:
        if not self.is_full:
            self.parts.append(np.asarray(hashes, dtype=np.uint64))
            self.n += len(hashes)

    def _settle(self) -> None:
        if self.values is None:
            joined = np.concatenate(self.parts) if self.parts else np.empty(0, np.uint64)
            self.values, self.counts = np.unique(joined, return_counts=True)

    def n_duplicates(self) -> int:
        """How many records repeat an earlier one's id."""
        self._settle()
        return int(self.counts.sum() - len(self.values))

    def count(self, value: int) -> int:
        """How often a hash was seen, at least 1."""
        self._settle()
        place = np.searchsorted(self.values, np.uint64(value))
        is_there = place < len(self.values) and self.values[place] == np.uint64(value)
        return int(self.counts[place]) if is_there else 1
