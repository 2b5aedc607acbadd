"""The generator: windows of token ids to what a network writes for them, by transformers' own decoding."""

import hashlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from transformers import (LogitsProcessor, LogitsProcessorList, PreTrainedModel, StoppingCriteria, StoppingCriteriaList, TemperatureLogitsWarper,
                          TopPLogitsWarper)

from doxa.inference.engine import Engine
from doxa.inference.torch_engine import TORCH_TYPES, open_lanes, told_of_memory
from doxa.model.kinds.kind import Stock
from doxa.model.kinds.text import MOST_NEW_TOKENS
from doxa.model.network import load_network
from doxa.model.writing import end_ids, generation_config, log_likelihoods
from doxa.text.batching import LENGTH_MULTIPLE, padded_length
from doxa.text.frame import Window

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 4096, 65536
MOST_LOGITS_BYTES = 256 << 20  # of texts whose likelihood is computed together


@dataclass(frozen=True)
class Manner:
    """How to write, by the settings of a head. Greedy, or by the likeliest of `beams`; with `sample` each token is drawn, from those likeliest
    ones that together have a share of `top_p`. What is written ends with the model's end of text, behind any of `stop`, or at `max_new_tokens`."""

    max_new_tokens: int = MOST_NEW_TOKENS
    beams: int = 1
    sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 42
    stop: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: dict[str, Any]) -> "Manner":
        known = {field.name for field in fields(cls)}
        return cls(**{name: tuple(value) if name == "stop" else value for name, value in settings.items() if name in known})


class Generator(Engine):
    """An engine whose outputs are rows (T, 2) for each window: the ids of the tokens that were written, and their log-likelihoods
    under the network, all before them given; those are computed anew at the end, which serves every way of decoding alike.

    Windows of one padded length are written for together, so that the answer to one does not depend on its neighbours beyond rounding."""

    per_token, n_outputs = True, 2

    def __init__(self, model: PreTrainedModel, device: torch.device, max_length: int, manner: Manner, decode: Callable[[list[int]], str],
                 ends: list[int] | None = None, batch_tokens: int | None = None, mixed: torch.dtype | None = None, n_cores: int | None = None):
        self.model, self.device, self.mixed = model.to(device), device, mixed
        self.max_length, self.manner, self.decode = max_length, manner, decode
        self.ends = end_ids(model) if ends is None else ends
        self.batch_tokens = batch_tokens or (CPU_BATCH_TOKENS if device.type == "cpu" else GPU_BATCH_TOKENS)
        self.lanes = open_lanes(device, n_cores)

    def compute(self, windows: list[Window]) -> list[np.ndarray]:
        self.model.eval()
        lengths = [padded_length(len(window.ids), self.max_length) + self.manner.max_new_tokens for window in windows]
        return self.run_each(lengths, lambda batch: self._forward([windows[i] for i in batch]))

    @torch.inference_mode()
    def _forward(self, windows: list[Window]) -> list[np.ndarray]:
        with told_of_memory(self.device), torch.autocast(self.device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
            prompts = [window.ids for window in windows]
            written = self._write(prompts)
            scores = self._score(prompts, written)
        return [np.stack([np.array(ids), likelihoods], axis=1).astype(np.float32) for ids, likelihoods in zip(written, scores)]

    def _write(self, prompts: list[list[int]]) -> list[list[int]]:
        """The ids that are written for prompts, each up to its end."""
        manner, is_encoder_decoder = self.manner, self.model.config.is_encoder_decoder
        told = generation_config(self.model, self.ends, manner.max_new_tokens, manner.beams)
        length = padded_length(max(map(len, prompts)), self.max_length)
        ids = np.full((len(prompts), length), told.pad_token_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            place = slice(0, len(prompt)) if is_encoder_decoder else slice(length - len(prompt), length)  # a decoder goes on at the right end
            ids[row, place], mask[row, place] = prompt, 1
        n_before = 1 if is_encoder_decoder else length
        change = LogitsProcessorList()
        if manner.sample:
            change += [TemperatureLogitsWarper(manner.temperature)] if manner.temperature != 1.0 else []
            change += [TopPLogitsWarper(manner.top_p)] if manner.top_p < 1.0 else []
            change.append(_Draw(np.stack([_numbers(manner, prompt) for prompt in prompts]), n_before))
        stops = StoppingCriteriaList([_Stop(manner.stop, self.decode, n_before)] if manner.stop else [])
        found = self.model.generate(torch.from_numpy(ids).to(self.device), attention_mask=torch.from_numpy(mask).to(self.device),
                                    generation_config=told, logits_processor=change, stopping_criteria=stops)
        return [self._cut(row) for row in found[:, n_before:].tolist()]

    def _cut(self, ids: list[int]) -> list[int]:
        """Up to the first end, which is kept: rows that ended before others are filled up."""
        for n, token in enumerate(ids, 1):
            if token in self.ends or self.manner.stop and _holds(self.decode(ids[:n]), self.manner.stop):
                return ids[:n]
        return ids

    def score(self, prompts: list[list[int]], targets: list[list[int]]) -> list[np.ndarray]:
        """The log-likelihoods (T,) of the tokens of given targets, natural. Raises DoxaError where a single one does not fit into memory."""
        self.model.eval()

        def compute(batch: list[int]) -> list[np.ndarray]:
            with torch.inference_mode(), told_of_memory(self.device), torch.autocast(self.device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
                return self._score([prompts[i] for i in batch], [targets[i] for i in batch])

        return self.run_each([_rounded(len(prompt) + len(target)) for prompt, target in zip(prompts, targets)], compute)

    def _score(self, prompts: list[list[int]], targets: list[list[int]]) -> list[np.ndarray]:
        most = max(map(len, targets)) * self.model.config.get_text_config().vocab_size * 4
        size = max(1, MOST_LOGITS_BYTES // most)
        return [own.cpu().numpy() for start in range(0, len(prompts), size)
                for own in log_likelihoods(self.model, prompts[start : start + size], targets[start : start + size])]


class _Draw(LogitsProcessor):
    """Leaves of all tokens the one that is drawn, each row by its own random numbers (B, T) in 0..1: a row's draw does not depend on the others."""

    def __init__(self, numbers: np.ndarray, n_before: int):
        self.numbers, self.n_before = torch.from_numpy(numbers), n_before

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        reached = torch.softmax(scores.double().cpu(), dim=-1).cumsum(dim=-1)  # (B, V)
        wanted = self.numbers[:, input_ids.shape[1] - self.n_before, None] * reached[:, -1:]
        drawn = torch.searchsorted(reached, wanted, right=True).clamp_max(scores.shape[1] - 1)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn.to(scores.device), 0.0)


class _Stop(StoppingCriteria):
    """Ends a row once its text holds a stop."""

    def __init__(self, stops: tuple[str, ...], decode: Callable[[list[int]], str], n_before: int):
        self.stops, self.decode, self.n_before = stops, decode, n_before

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_) -> torch.Tensor:
        texts = map(self.decode, input_ids[:, self.n_before :].tolist())
        return torch.tensor([_holds(text, self.stops) for text in texts], device=input_ids.device)


def _rounded(n_tokens: int) -> int:
    return padded_length(n_tokens, n_tokens + LENGTH_MULTIPLE)


def _holds(text: str, stops: tuple[str, ...]) -> bool:
    return any(stop in text for stop in stops)


def _numbers(manner: Manner, prompt: list[int]) -> np.ndarray:
    """A random number in 0..1 for each token to write: of a seed and a text always the same ones."""
    digest = hashlib.blake2b(array("i", prompt).tobytes(), digest_size=8).digest()
    return np.random.default_rng([manner.seed, int.from_bytes(digest, "little")]).random(manner.max_new_tokens)


def load_generator(directory: str, device: str, precision: str, max_length: int, batch_tokens: int | None, n_cores: int, stock: Stock,
                   settings: dict[str, Any], decode: Callable[[list[int]], str]) -> Generator:
    """Load the weights of a model directory to write with. Raises DoxaError when they are damaged or do not fill the model."""
    return Generator(load_network(directory, TORCH_TYPES[precision], stock), torch.device(device), max_length, Manner.of(settings), decode,
                     batch_tokens=batch_tokens, n_cores=n_cores)
