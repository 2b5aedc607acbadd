"""An engine: windows of token ids to logits, a batch per lane, halving a batch that does not fit into memory."""

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from doxa.errors import DoxaError
from doxa.text.batching import padded_length, plan_batches
from doxa.text.frame import Window


class OutOfMemory(Exception):
    """A batch did not fit. Raised when its tensors are free again."""


class Engine(ABC):
    """Runs one classifier of `n_outputs` outputs and positions for `max_length` tokens. `batch_tokens` bounds the tokens of a batch, padding included.

    `lanes` run batches side by side. On a CPU there is one for each core, with one thread each: as fast as all cores
    on one batch, and where another process wants the cores too, five times faster, since no core waits for the
    others at every layer.
    """

    n_outputs: int
    max_length: int
    batch_tokens: int
    lanes: ThreadPoolExecutor

    def compute(self, windows: list[Window]) -> np.ndarray:
        """Return the logits (len(windows), C) in fp32, in the order of `windows`. Several threads may call it.

        Raises DoxaError when a single window does not fit into memory."""
        logits = np.empty((len(windows), self.n_outputs), dtype=np.float32)
        left = list(range(len(windows)))
        while left:
            lengths = [padded_length(len(windows[i].ids), self.max_length) for i in left]
            plan = [[left[i] for i in batch] for batch in plan_batches(lengths, self.batch_tokens)]
            results = list(self.lanes.map(lambda batch: self._attempt([windows[i] for i in batch]), plan))
            for batch, result in zip(plan, results):
                if result is not None:
                    logits[batch] = result
            failed = [batch for batch, result in zip(plan, results) if result is None]
            if failed:
                self._lower_ceiling([windows[i] for i in min(failed, key=len)])
            left = [i for batch in failed for i in batch]
        return logits

    def _attempt(self, windows: list[Window]) -> np.ndarray | None:
        try:
            return self._forward(windows)
        except OutOfMemory:
            return None

    def _lower_ceiling(self, windows: list[Window]) -> None:
        """What did not fit once fits never: the lower budget holds for the rest of the run."""
        n_tokens = len(windows) * max(len(window.ids) for window in windows)
        if len(windows) == 1:
            raise DoxaError(f"out of memory on a single window of {n_tokens} tokens; try --device cpu")
        self.batch_tokens = min(self.batch_tokens, n_tokens) // 2

    @abstractmethod
    def _forward(self, windows: list[Window]) -> np.ndarray:
        """Return the logits (len(windows), C) of one batch. Raises OutOfMemory."""


def pad(windows: list[Window], pad_id: int, max_length: int) -> dict[str, np.ndarray]:
    """Lay out windows as input_ids, attention_mask and token_type_ids, each (B, T) of int64, padded on the right."""
    length = padded_length(max(len(window.ids) for window in windows), max_length)
    ids = np.full((len(windows), length), pad_id, dtype=np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for row, window in enumerate(windows):
        n = len(window.ids)
        ids[row, :n] = window.ids
        mask[row, :n] = 1
        if window.type_ids:
            types[row, :n] = window.type_ids
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
