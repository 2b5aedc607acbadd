"""Windows that were computed before: syndicated news comes many times."""

import threading
from array import array
from collections import OrderedDict
from concurrent.futures import Future

import numpy as np

from doxa.inference.engine import Engine
from doxa.text.frame import Window

MOST_BYTES = 32 << 20
ENTRY_BYTES = 300  # what Python needs for an entry beside its key, about


class Memory:
    """Computes each distinct window once, as long as it is remembered: the least recently met are forgotten.

    The key is the window's token ids themselves, so an answer is never that of another text.
    """

    def __init__(self, engine: Engine, most_bytes: int = MOST_BYTES):
        self.engine, self.most_bytes = engine, most_bytes
        self._rows: OrderedDict[bytes, bytes] = OrderedDict()
        self._pending: dict[bytes, Future] = {}
        self._n_bytes = 0
        self._lock = threading.Lock()

    def compute(self, windows: list[Window]) -> tuple[np.ndarray | list[np.ndarray], int]:
        """Return the outputs, as the engine does, and for how many of the windows they did not have to be computed."""
        keys = [_key(window) for window in windows]
        known: dict[bytes, bytes] = {}
        fresh: dict[bytes, Window] = {}
        elsewhere: dict[bytes, Future] = {}  # another thread is computing them
        mine: Future = Future()
        with self._lock:
            for key, window in zip(keys, windows):
                if key in self._rows:
                    known[key] = self._rows[key]
                    self._rows.move_to_end(key)
                elif self._pending.setdefault(key, mine) is mine:
                    fresh[key] = window
                else:
                    elsewhere[key] = self._pending[key]
        try:
            computed = self.engine.compute(list(fresh.values())) if fresh else ()
            new = dict(zip(fresh, map(np.ndarray.tobytes, computed)))
            self._keep(new)
            mine.set_result(new)
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                for key in fresh:
                    del self._pending[key]
        known |= new
        for key, future in elsewhere.items():
            known[key] = future.result()[key]
        n_remembered = len(windows) - len(fresh)
        if self.engine.per_token:
            return [np.frombuffer(known[key], np.float32).reshape(-1, self.engine.n_outputs) for key in keys], n_remembered
        return np.frombuffer(b"".join([known[key] for key in keys]), np.float32).reshape(len(windows), -1), n_remembered

    def _keep(self, new: dict[bytes, bytes]) -> None:
        with self._lock:
            for key, row in new.items():
                if key not in self._rows:
                    self._rows[key] = row
                    self._n_bytes += len(key) + len(row) + ENTRY_BYTES
            while self._n_bytes > self.most_bytes:
                key, row = self._rows.popitem(last=False)
                self._n_bytes -= len(key) + len(row) + ENTRY_BYTES


def _key(window: Window) -> bytes:
    ids = array("i", window.ids)
    if window.type_ids:
        ids.append(-1)
        ids.extend(window.type_ids)
    return ids.tobytes()
