"""The torch engine: windows of token ids to logits, halving a batch that does not fit into memory."""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.device.cpu import usable_cores
from doxa.errors import DoxaError
from doxa.text.batching import plan_batches
from doxa.text.frame import Window

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 1024, 32768


class TorchEngine:
    """Runs one classifier. `batch_tokens` bounds tokens in a batch, padding included; `mixed` computes in another
    precision than that of the weights.

    On a CPU every core works on a batch of its own with one thread: as fast as all cores on one batch, and where
    another process wants the cores too, five times faster, since no core waits for the others at every layer.
    """

    def __init__(self, model: PreTrainedModel, device: torch.device, batch_tokens: int | None = None,
                 mixed: torch.dtype | None = None):
        self.model = model.to(device)
        self.device, self.mixed = device, mixed
        self.with_types = takes_token_types(model)
        self.batch_tokens = batch_tokens or (CPU_BATCH_TOKENS if device.type == "cpu" else GPU_BATCH_TOKENS)
        self.pad_id = getattr(model.config, "pad_token_id", None) or 0
        self.n_outputs = model.config.num_labels
        if device.type == "cpu":
            self.workers = ThreadPoolExecutor(usable_cores(), "engine", torch.set_num_threads, (1,))
        else:
            self.workers = ThreadPoolExecutor(1, "engine")

    def compute(self, windows: list[Window]) -> np.ndarray:
        """Return the logits (len(windows), C) in fp32, in the order of `windows`.

        Raises DoxaError when a single window does not fit into memory."""
        self.model.eval()
        logits = np.empty((len(windows), self.n_outputs), dtype=np.float32)
        left = list(range(len(windows)))
        while left:
            plan = [[left[i] for i in batch] for batch in plan_batches([len(windows[i].ids) for i in left], self.batch_tokens)]
            results = list(self.workers.map(lambda batch: attempt(self._forward, [windows[i] for i in batch]), plan))
            failed = [batch for batch, result in zip(plan, results) if result is None]
            for batch, result in zip(plan, results):
                if result is not None:
                    logits[batch] = result
            if failed:
                self._lower_ceiling([windows[i] for i in min(failed, key=len)])
            left = [i for batch in failed for i in batch]
        return logits

    def _lower_ceiling(self, windows: list[Window]) -> None:
        """What did not fit once fits never: the lower budget holds for the rest of the run."""
        n_tokens = len(windows) * max(len(window.ids) for window in windows)
        if len(windows) == 1:
            raise DoxaError(f"out of memory on a single window of {n_tokens} tokens; try --device cpu")
        self.batch_tokens = min(self.batch_tokens, n_tokens) // 2

    @torch.inference_mode()
    def _forward(self, windows: list[Window]) -> np.ndarray:
        inputs = collate(windows, self.pad_id, self.device, self.with_types)
        with torch.autocast(self.device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
            return self.model(**inputs).logits.float().cpu().numpy()  # (B, C)


def attempt(function: Callable, *arguments):
    """Call `function`; None when memory ran out. The failed call's tensors are free again on return."""
    try:
        return function(*arguments)
    except torch.OutOfMemoryError:
        pass
    except RuntimeError as error:
        if "allocate memory" not in str(error):  # what a CPU allocator says
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def takes_token_types(model: PreTrainedModel) -> bool:
    """Whether the model reads token type ids; DistilBERT, for one, does not though its tokenizer gives them."""
    return "token_type_ids" in inspect.signature(model.forward).parameters


def collate(windows: list[Window], pad_id: int, device: torch.device, with_types: bool = True) -> dict[str, torch.Tensor]:
    """Pad windows to the longest: input_ids, attention_mask and, for pairs, token_type_ids, each (B, T)."""
    longest = max(len(window.ids) for window in windows)
    ids = np.full((len(windows), longest), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    types = np.zeros_like(ids)
    for row, window in enumerate(windows):
        n = len(window.ids)
        ids[row, :n] = window.ids
        mask[row, :n] = 1
        if window.type_ids:
            types[row, :n] = window.type_ids
    arrays = {"input_ids": ids, "attention_mask": mask}
    if with_types and any(window.type_ids for window in windows):
        arrays["token_type_ids"] = types
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
