"""The torch engine: any device, any architecture."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.device.cpu import usable_cores
from doxa.inference.engine import Engine, pad
from doxa.inference.guesses import hidden_tokens
from doxa.inference.lanes import OutOfMemory
from doxa.model.first_token import shorten_last_layer
from doxa.model.kinds.kind import Stock
from doxa.model.kinds.mask import CANDIDATES, GUESS_SIZE
from doxa.model.kinds.slices import CLASSIFIER
from doxa.model.network import count_outputs, forward, load_network
from doxa.model.suit import takes_token_types
from doxa.text.frame import Window

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 1024, 131072
TORCH_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine(Engine):
    """`mixed` computes in another precision than that of the weights."""

    def __init__(self, model: PreTrainedModel, device: torch.device, max_length: int, batch_tokens: int | None = None,
                 mixed: torch.dtype | None = None, n_cores: int | None = None, stock: Stock = CLASSIFIER):
        self.model, self.stock = model.to(device), stock
        self.per_token, self.guesses = stock.per_token or stock.guesses, stock.guesses
        self.device, self.mixed = device, mixed
        self.with_types = takes_token_types(model)
        self.batch_tokens = batch_tokens or (CPU_BATCH_TOKENS if device.type == "cpu" else GPU_BATCH_TOKENS)
        self.pad_id = getattr(model.config, "pad_token_id", None) or 0
        self.n_outputs = count_outputs(model, stock)
        self.max_length = max_length
        self.lanes = open_lanes(device, n_cores)

    def compute(self, windows: list[Window]) -> np.ndarray:
        self.model.eval()
        return super().compute(windows)

    @torch.inference_mode()
    def _forward(self, windows: list[Window]) -> np.ndarray:
        with told_of_memory(self.device), torch.autocast(self.device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
            inputs = collate(windows, self.pad_id, self.device, self.with_types, self.max_length)
            outputs = forward(self.model, self.stock, inputs).float()  # (B, C), (B, T, C), or (B, V) where it guesses
            return (_read_guesses(outputs, windows) if self.guesses else outputs).cpu().numpy()


def _read_guesses(logits: torch.Tensor, windows: list[Window]) -> torch.Tensor:
    """As `doxa.inference.guesses.read_guesses`, on the device."""
    tokens, is_blank = (torch.from_numpy(part).to(logits.device) for part in hidden_tokens(windows))
    scores = logits.log_softmax(dim=1)  # (B, V)
    best = scores[is_blank].topk(CANDIDATES, dim=1)
    found = scores.new_zeros(len(windows), GUESS_SIZE)
    found[:, 0] = scores.gather(1, tokens[:, None])[:, 0]
    found[is_blank, 1:] = torch.cat([best.values, best.indices.to(scores.dtype)], dim=1)
    return found


def open_lanes(device: torch.device, n_cores: int | None = None) -> ThreadPoolExecutor:
    """A lane for each core of a CPU, with one thread each; one lane for any other device."""
    if device.type == "cpu":
        return ThreadPoolExecutor(n_cores or usable_cores(), "engine", torch.set_num_threads, (1,))
    return ThreadPoolExecutor(1, "engine")


def load_torch_engine(directory: str, device: str, precision: str, max_length: int, batch_tokens: int | None, n_cores: int,
                      stock: Stock = CLASSIFIER) -> TorchEngine:
    """Load the weights of a model directory for prediction. Raises DoxaError when they are damaged or do not fill the model."""
    model = load_network(directory, TORCH_TYPES[precision], stock)
    if stock.reads_first_token:
        shorten_last_layer(model)
    return TorchEngine(model, torch.device(device), max_length, batch_tokens, n_cores=n_cores, stock=stock)


@contextmanager
def told_of_memory(device: torch.device) -> Iterator[None]:
    """Raise OutOfMemory for whatever a device says when something does not fit, when the failed call's tensors are free again."""
    try:
        yield
        return
    except torch.OutOfMemoryError:
        pass
    except RuntimeError as error:
        if "allocate memory" not in str(error) and str(error) != "could not create a primitive":  # what a CPU allocator says, and oneDNN
            raise
    if device.type == "cuda":
        torch.cuda.empty_cache()
    raise OutOfMemory


def collate(windows: list[Window], pad_id: int, device: torch.device, with_types: bool = True, max_length: int = 0) -> dict[str, torch.Tensor]:
    """Pad windows (to the longest unless `max_length` allows a rounder length): input_ids, attention_mask and, for pairs, token_type_ids, each (B, T)."""
    arrays = pad(windows, pad_id, max_length)
    if not with_types or not any(window.type_ids for window in windows):
        del arrays["token_type_ids"]
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
