"""Examples as a model reads them: windows of token ids, and targets as tensors."""

from collections.abc import Callable

import numpy as np
import torch

from doxa.errors import DoxaError
from doxa.model.heads import Head
from doxa.text.frame import Reading, Window
from doxa.text.tokenizer import MANY_UNKNOWN, TextTokenizer, describe_unknown
from doxa.training.examples import LabelledSet, show_examples

Ids = tuple[list[int], ...]  # own token ids of a text, or of both texts of a pair


def token_ids(tokenizer: TextTokenizer, found: LabelledSet, base: str, is_own_vocabulary: bool, warn: Callable[[str], None]) -> list[Ids]:
    """Own ids of every example: those that `tokenize` left, else fresh ones. Warns where many tokens are unknown.

    Raises DoxaError for ids that come from another tokenizer."""
    ids: list[Ids] = []
    encoded = iter(tokenizer.encode([text for example in found.examples if not example.given_ids for text in example.texts]))
    for example in found.examples:
        if example.given_ids is None:
            ids.append(tuple(next(encoded) for _ in example.texts))
            continue
        given, types, fingerprint = example.given_ids
        if fingerprint != tokenizer.fingerprint:
            raise DoxaError(f"{example.place}: input_ids come from another tokenizer than that of --base {base}")
        try:
            is_pair = len(example.texts) == 2
            ids.append(tokenizer.frame.unframe_pair(given, types) if is_pair else (tokenizer.frame.unframe(given),))
        except (ValueError, TypeError) as error:
            raise DoxaError(f"{example.place}: input_ids was not made by tokenize: {error}") from None
    n_tokens = sum(len(part) for parts in ids for part in parts)
    unknown = [sum(tokenizer.count_unknown(part) for part in parts) for parts in ids]
    n_unknown = sum(unknown)
    if not is_own_vocabulary and n_tokens and n_unknown / n_tokens > MANY_UNKNOWN:
        held = [example for example, n in zip(found.examples, unknown) if n]
        warn(f"{describe_unknown(n_unknown, n_tokens, base)[0]}; {len(held)} records hold some: {show_examples(held)}")
    return ids


def head_windows(reading: Reading, ids: list[Ids]) -> tuple[list[Window], int]:
    """The first window of every text, and how many texts go on after it: a label belongs to the whole, most of which is there."""
    windows = [reading.read(*parts)[0][0] for parts in ids]
    return windows, sum(window.weight < sum(map(len, parts)) for window, parts in zip(windows, ids))


def number_scales(heads: list[Head], targets: list[np.ndarray], with_shift: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift (C,) from standardised outputs, which train well, to the numbers themselves.

    Without a shift, for an output layer that has no bias to hold it, numbers are divided by their root mean square alone."""
    scale, shift = [], []
    for head, target in zip(heads, targets):
        is_number = head.kind == "number"
        mean = float(np.nanmean(target)) if is_number and with_shift else 0.0
        scale += [max(float(np.sqrt(np.nanmean((target - mean) ** 2))), 1e-8)] if is_number else [1.0] * head.n_outputs
        shift += [mean] * head.n_outputs
    return np.array(scale), np.array(shift)


def scaled_targets(heads: list[Head], targets: list[np.ndarray], scale: np.ndarray, shift: np.ndarray) -> list[torch.Tensor]:
    """Targets as tensors, numbers standardised."""
    scaled, column = [], 0
    for head, target in zip(heads, targets):
        values = (target - shift[column]) / scale[column] if head.kind == "number" else target
        scaled.append(torch.tensor(values, dtype=torch.float32))
        column += head.n_outputs
    return scaled
