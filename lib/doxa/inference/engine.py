"""An engine: windows of token ids to outputs."""

from abc import ABC, abstractmethod

import numpy as np

from doxa.inference.lanes import Lanes
from doxa.text.batching import padded_length
from doxa.text.frame import Window


class Engine(Lanes, ABC):
    """Runs one network of `n_outputs` outputs, for every token or for the window, and positions for `max_length` tokens.

    Where it `guesses`, the tokens are those that a window hides, and the outputs as `doxa.inference.guesses` has them."""

    n_outputs: int
    per_token: bool
    max_length: int
    guesses: bool = False

    def compute(self, windows: list[Window]) -> np.ndarray | list[np.ndarray]:
        """Return the outputs in fp32, in the order of `windows`: an array (len(windows), C), or (T, C) for each window where the network
        gives a row per token. Several threads may call it.

        Raises DoxaError when a single window does not fit into memory."""
        if self.guesses:
            return self._guess(windows)
        lengths = [padded_length(len(window.ids), self.max_length) for window in windows]

        def work(batch: list[int]) -> np.ndarray:
            return self._forward([windows[i] for i in batch])

        if self.per_token:
            return [rows[: len(window.ids)] for rows, window in zip(self.run_each(lengths, work), windows)]
        outputs = np.empty((len(windows), self.n_outputs), dtype=np.float32)
        for batch, result in self.run_batches(lengths, work):
            outputs[batch] = result
        return outputs

    def _guess(self, windows: list[Window]) -> list[np.ndarray]:
        """The outputs of the hidden tokens of each window, every one of which takes a pass of its own."""
        passes = [window for whole in windows for window in whole.one_by_one()]
        lengths = [padded_length(len(window.ids), self.max_length) for window in passes]
        rows = iter(self.run_each(lengths, lambda batch: self._forward([passes[i] for i in batch])))
        return [np.array([next(rows) for _ in whole.hidden.positions], np.float32).reshape(-1, self.n_outputs) for whole in windows]

    @abstractmethod
    def _forward(self, windows: list[Window]) -> np.ndarray:
        """Return the outputs of one batch, (B, C) or (B, T, C). Raises OutOfMemory."""


def pad(windows: list[Window], pad_id: int, max_length: int) -> dict[str, np.ndarray]:
    """Lay out windows as input_ids, attention_mask and token_type_ids, each (B, T) of int64, padded on the right; of windows that hide one token
    each also its `position` (B,)."""
    length = padded_length(max(len(window.ids) for window in windows), max_length)
    ids = np.full((len(windows), length), pad_id, dtype=np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for row, window in enumerate(windows):
        n = len(window.ids)
        ids[row, :n] = window.ids
        mask[row, :n] = 1
        if window.type_ids:
            types[row, :n] = window.type_ids
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    if windows[0].hidden:
        arrays["position"] = np.array([window.hidden.positions[0] for window in windows], dtype=np.int64)
        ids[np.arange(len(windows)), arrays["position"]] = [window.hidden.mask_id for window in windows]
    return arrays
