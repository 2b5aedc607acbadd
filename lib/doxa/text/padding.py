"""Which token fills a batch up. Decoders are classified by their last token that is not padding, so it must be one that ends no text."""

import os
from typing import Any

from tokenizers import Tokenizer

from doxa.text.tokenizer import load_tokenizer, read_object

_FILES = ("tokenizer_config.json", "special_tokens_map.json")


def read_pad_id(directory: str, config: dict[str, Any]) -> int:
    """The padding id that `config` (of config.json) states. Where it states none that the model has an embedding for, as decoders often
    do not: that of the tokenizer's padding token, of a special token with "pad" in its name, of the end of text unless the tokenizer
    itself ends texts with it, of the unknown token; else 0. Raises DoxaError when the tokenizer is missing or damaged."""
    inner = config.get("text_config") if isinstance(config.get("text_config"), dict) else {}
    n_ids = config.get("vocab_size") or inner.get("vocab_size") or 1 << 62

    def is_one(token_id: Any) -> bool:
        return type(token_id) is int and 0 <= token_id < n_ids

    stated = config.get("pad_token_id", inner.get("pad_token_id"))
    if is_one(stated):
        return stated
    loaded = load_tokenizer(directory)
    names = _named_tokens(directory)
    rust, ends = loaded.rust, config.get("eos_token_id", inner.get("eos_token_id"))
    candidates = [
        _id_of(rust, names.get("pad_token")),
        *(token_id for token_id, token in sorted(rust.get_added_tokens_decoder().items()) if token.special and "pad" in token.content.lower()),
        *(token_id for token_id in (*(ends if isinstance(ends, list) else [ends]), _id_of(rust, names.get("eos_token"))) if token_id not in loaded.frame.suffix),
        loaded.unknown_id]
    return next(filter(is_one, candidates), 0)


def _named_tokens(directory: str) -> dict[str, str]:
    """The tokenizer's special tokens by the names of their parts, as `pad_token`."""
    found: dict[str, str] = {}
    for name in _FILES:
        for part, token in read_object(os.path.join(directory, name)).items():
            text = token.get("content") if isinstance(token, dict) else token
            if part.endswith("_token") and isinstance(text, str):
                found.setdefault(part, text)
    return found


def _id_of(tokenizer: Tokenizer, token: str | None) -> int | None:
    return None if token is None else tokenizer.token_to_id(token)
