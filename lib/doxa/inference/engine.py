"""An engine: windows of token ids to logits."""

from abc import ABC, abstractmethod

import numpy as np

from doxa.inference.lanes import Lanes
from doxa.text.batching import padded_length
from doxa.text.frame import Window


class Engine(Lanes, ABC):
    """Runs one classifier of `n_outputs` outputs and positions for `max_length` tokens."""

    n_outputs: int
    max_length: int

    def compute(self, windows: list[Window]) -> np.ndarray:
        """Return the logits (len(windows), C) in fp32, in the order of `windows`. Several threads may call it.

        Raises DoxaError when a single window does not fit into memory."""
        logits = np.empty((len(windows), self.n_outputs), dtype=np.float32)
        lengths = [padded_length(len(window.ids), self.max_length) for window in windows]
        for batch, result in self.run_batches(lengths, lambda batch: self._forward([windows[i] for i in batch])):
            logits[batch] = result
        return logits

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
