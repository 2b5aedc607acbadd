"""How many ids came before, in bounded memory."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_DISTINCT = 2_000_000
N_PENDING = 2_000_000


class IdRepeats:
    """Counts the ids that had come before, by 64-bit keys: whole numbers are their own as long as all ids are whole numbers, which rise in
    most archives and are then told to be new without a look; else the hashes of their texts are.

    Beyond `MOST_DISTINCT` different keys those known are forgotten, but for between which two they lay. One between them that comes
    later may have been known: from then on the count is a lower bound, and `is_lossy` says so. At most 100 MB."""

    def __init__(self, hash_texts: Callable[[pa.Array], np.ndarray]):
        self.is_lossy = False
        self._hash_texts = hash_texts
        self._are_numbers = True
        self._n = 0
        self._runs: list[np.ndarray] = []  # what is known, each once: every run ascends, and goes on beyond the one before
        self._n_known = 0
        self._forgotten: tuple[int, int] | None = None  # the least and the greatest
        self._pending: list[np.ndarray] = []
        self._n_pending = 0

    def add(self, ids: pa.ChunkedArray, hashes: Callable[[], np.ndarray]) -> None:
        """Count ids, nulls left out; `hashes` gives those of all their texts, any for null."""
        if ids.null_count == len(ids):
            return
        keys = self._numbers(ids)
        if keys is None:
            self._leave_numbers()
            keys = hashes()[ids.is_valid().to_numpy()] if ids.null_count else hashes()
        if not self._n_pending and self._go_on(keys):
            self._know([*self._runs, keys])
            return
        self._pending.append(keys)
        self._n_pending += len(keys)
        if self._n_pending >= N_PENDING:
            self._settle()

    @property
    def n(self) -> int:
        """How many ids had come before."""
        self._settle()
        return self._n

    def _numbers(self, ids: pa.ChunkedArray) -> np.ndarray | None:
        if not (self._are_numbers and pa.types.is_integer(ids.type)):
            return None
        try:
            return ids.drop_null().cast(pa.int64()).to_numpy().view(np.uint64)
        except pa.ArrowInvalid:  # beyond 63 bits
            return None

    def _leave_numbers(self) -> None:
        """Go on with hashes of texts, where there were numbers."""
        if not self._are_numbers:
            return
        self._settle()
        self._are_numbers = False
        if self._runs:
            numbers = np.concatenate(self._runs).view(np.int64)
            self._know([np.sort(self._hash_texts(pc.cast(pa.array(numbers), pa.string())))])
        if self._forgotten is not None:  # what their hashes lay between is not known
            self._forgotten = 0, np.iinfo(np.uint64).max

    def _go_on(self, keys: np.ndarray) -> bool:
        """Whether keys ascend from beyond all that came before."""
        last = [int(self._runs[-1][-1])] if self._runs else []
        if self._forgotten is not None:
            last.append(self._forgotten[1])
        return bool(int(keys[0]) > max(last, default=-1) and (keys[1:] > keys[:-1]).all())

    def _know(self, runs: list[np.ndarray]) -> None:
        self._runs, self._n_known = runs, sum(map(len, runs))
        if self._n_known > MOST_DISTINCT:
            least, most = self._forgotten or (int(runs[0][0]), 0)
            self._forgotten = min(least, int(runs[0][0])), max(most, int(runs[-1][-1]))
            self._runs, self._n_known = [], 0

    def _settle(self) -> None:
        if not self._n_pending:
            return
        if self._forgotten is not None:
            least, most = self._forgotten
            self.is_lossy = self.is_lossy or any(bool(((keys >= least) & (keys <= most)).any()) for keys in self._pending)
        n_before, n_fresh = self._n_known, self._n_pending
        keys = np.concatenate([*self._runs, *self._pending])
        self._pending, self._n_pending = [], 0
        keys.sort()
        keys = keys[np.append(True, keys[1:] != keys[:-1])]
        self._n += n_fresh - (len(keys) - n_before)
        self._know([keys])
