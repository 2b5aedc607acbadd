"""An engine: windows of token ids to outputs."""

from abc import ABC, abstractmethod

import numpy as np

from doxa.inference.lanes import Lanes
from doxa.text.batching import padded_length
from doxa.text.frame import Window


class Engine(Lanes, ABC):
    """Runs one network of `n_outputs` outputs, for every token or for the window, and positions for `max_length` tokens."""

    n_outputs: int
    per_token: bool
    max_length: int

    def compute(self, windows: list[Window]) -> np.ndarray | list[np.ndarray]:
        """Return the outputs in fp32, in the order of `windows`: an array (len(windows), C), or (T, C) for each window where the network
        gives a row per token. Several threads may call it.

        Raises DoxaError when a single window does not fit into memory."""
        lengths = [padded_length(len(window.ids), self.max_length) for window in windows]
        batches = self.run_batches(lengths, lambda batch: self._forward([windows[i] for i in batch]))
        if self.per_token:
            rows: list[np.ndarray] = [np.empty(0)] * len(windows)
            for batch, result in batches:
                for i, row in zip(batch, result):
                    rows[i] = row[: len(windows[i].ids)]
            return rows
        outputs = np.empty((len(windows), self.n_outputs), dtype=np.float32)
        for batch, result in batches:
            outputs[batch] = result
        return outputs

    @abstractmethod
    def _forward(self, windows: list[Window]) -> np.ndarray:
        """Return the outputs of one batch, (B, C) or (B, T, C). Raises OutOfMemory."""


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
