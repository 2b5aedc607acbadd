"""How often a text was seen, in bounded memory."""

from collections.abc import Callable

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.records.database import hash_of
from doxa.records.stored import encode, is_encoded

MOST_DISTINCT = 2_000_000
N_PENDING = 2_000_000


def text_hasher(database: duckdb.DuckDBPyConnection) -> Callable[[pa.Array | pa.ChunkedArray], np.ndarray]:
    """What gives the 64-bit hashes (uint64) of texts, also where they are kept as whole numbers."""

    def hash_texts(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
        database.register("hashed", pa.table({"text": texts}))
        hashes = database.sql(f"SELECT {hash_of('text')} AS hash FROM hashed").to_arrow_table().column("hash").to_numpy()
        database.unregister("hashed")
        return hashes

    return hash_texts


def hash_column(table: pa.Table, name: str, hash_texts: Callable[[pa.Array | pa.ChunkedArray], np.ndarray]) -> np.ndarray:
    """The hashes of the texts of a column, any for null; those that parsing gave are taken."""
    column, known = table.column(name), f"hash:{name}"
    if column.null_count == len(column):
        return np.zeros(len(column), np.uint64)
    if known in table.schema.names:
        return table.column(known).to_numpy()
    if not is_encoded(column.type):
        return hash_texts(column)
    encoded = encode(column)
    return np.append(hash_texts(encoded.dictionary), np.uint64(0))[pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy()]


class HashCounts:
    """Counts of 64-bit hashes. Beyond `MOST_DISTINCT` different ones, those seen once are forgotten (lossy counting,
    Manku and Motwani 2002): every count is a lower bound then, and `is_lossy` says so. At most 80 MB."""

    def __init__(self):
        self.values = np.empty(0, np.uint64)  # sorted
        self.counts = np.empty(0, np.int64)
        self.is_lossy = False
        self._pending: list[np.ndarray] = []
        self._n_pending = 0

    def add(self, hashes: np.ndarray) -> None:
        """Count hashes."""
        self._pending.append(hashes)
        self._n_pending += len(hashes)
        if self._n_pending >= N_PENDING:
            self._settle()

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
        if len(self.values):
            places = np.searchsorted(self.values, fresh)
            is_known = self.values[np.minimum(places, len(self.values) - 1)] == fresh
            self.counts[places[is_known]] += counts[is_known]
            if not is_known.all():
                self.values = np.insert(self.values, places[~is_known], fresh[~is_known])
                self.counts = np.insert(self.counts, places[~is_known], counts[~is_known])
        else:
            self.values, self.counts = fresh, counts
        if len(self.values) > MOST_DISTINCT:
            self._forget()

    def _forget(self) -> None:
        kept = self.counts > 1
        if kept.sum() > MOST_DISTINCT // 2:
            kept &= self.counts > np.partition(self.counts, -MOST_DISTINCT // 2)[-MOST_DISTINCT // 2]
        self.values, self.counts, self.is_lossy = self.values[kept], self.counts[kept], True
