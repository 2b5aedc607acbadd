"""What a network that writes has beyond others: where a text begins and ends, and how likely it is to write a given one."""

import inspect
import os
from typing import Any

import torch
from torch.nn import functional as F
from transformers import AutoTokenizer, BartConfig, GenerationConfig, PreTrainedModel

from doxa.errors import DoxaError, first_line
from doxa.text.prompt import SLOT
from doxa.text.tokenizer import TextTokenizer, read_object
from doxa.text.vocabulary import SPECIAL_TOKENS

PLAIN_PROMPT = {True: SLOT, False: SLOT + "\n"}  # of an encoder-decoder, and of a decoder, where nothing else is said
_KEPT_IDS = ("bos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id")


def scratch_config(vocabulary_size: int, max_length: int) -> BartConfig:
    """BART's architecture with four layers on either side, 256 wide, for a vocabulary that `learn_writing_tokenizer` made."""
    pad, _, begin, end, _ = range(len(SPECIAL_TOKENS))
    return BartConfig(
        vocab_size=vocabulary_size, d_model=256, encoder_layers=4, decoder_layers=4, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=1024, decoder_ffn_dim=1024, max_position_embeddings=max_length, pad_token_id=pad, bos_token_id=begin, eos_token_id=end,
        decoder_start_token_id=end, forced_eos_token_id=None)


def find_prompt(directory: str, is_encoder_decoder: bool) -> str:
    """How a base wants to be asked, with SLOT for the text: by its chat template, a turn of the user and the beginning of the answer, where it
    has one. What the template takes from the day or the machine stays as it is today: the same text is asked in the same way. Raises DoxaError."""
    if is_encoder_decoder or not _has_chat_template(directory):
        return PLAIN_PROMPT[is_encoder_decoder]
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        found = tokenizer.apply_chat_template([{"role": "user", "content": SLOT}], tokenize=False, add_generation_prompt=True)
    except Exception as error:  # whatever a class that does not fit its file, or a template, raises
        raise DoxaError(f"{directory}: its chat template cannot be used ({first_line(error)}); give a --prompt") from None
    if found.count(SLOT) != 1:
        raise DoxaError(f"{directory}: its chat template does not hold a text once; give a --prompt")
    return found


def _has_chat_template(directory: str) -> bool:
    return os.path.exists(os.path.join(directory, "chat_template.jinja")) or bool(read_object(os.path.join(directory, "tokenizer_config.json")).get("chat_template"))


def end_of_text(directory: str | None, tokenizer: TextTokenizer) -> int:
    """Id of the token that ends what is written: what the tokenizer's files, else those of the model, call the end. Raises DoxaError."""
    if directory is None:
        return SPECIAL_TOKENS.index("[SEP]")
    named = read_object(os.path.join(directory, "tokenizer_config.json")).get("eos_token")
    named = named.get("content") if isinstance(named, dict) else named
    found: Any = tokenizer.rust.token_to_id(named) if isinstance(named, str) else None
    for name in ("generation_config.json", "config.json"):
        found = read_object(os.path.join(directory, name)).get("eos_token_id") if found is None else found
    found = found[0] if isinstance(found, list) and found else found
    if type(found) is not int:
        raise DoxaError(f"{directory} names no token that ends a text: neither eos_token in tokenizer_config.json nor eos_token_id in config.json")
    return found


def end_ids(model: PreTrainedModel) -> list[int]:
    """Ids of the tokens that end what a network writes, the one that it was taught first; none where its files name none."""
    found = model.generation_config.eos_token_id
    found = getattr(model.config, "eos_token_id", None) if found is None else found
    return list(found) if isinstance(found, (list, tuple)) else [] if found is None else [found]


def generation_config(model: PreTrainedModel, ends: list[int], max_new_tokens: int, n_beams: int = 1) -> GenerationConfig:
    """How a network writes: what is likeliest, token by token or by beams. Of what its own files say the ids of special tokens stay, and
    nothing else: a penalty or a least length that suited one task would silently bend another."""
    kept = {name: value for name in _KEPT_IDS if (value := _id_of(model, name)) is not None}
    kept.setdefault("pad_token_id", ends[0] if ends else 0)
    if model.config.is_encoder_decoder:
        kept.setdefault("decoder_start_token_id", kept.get("bos_token_id", kept["pad_token_id"]))
    return GenerationConfig(**kept, eos_token_id=ends or None, max_new_tokens=max_new_tokens, num_beams=n_beams, do_sample=False,
                            use_cache=True)


def _id_of(model: PreTrainedModel, name: str) -> int | None:
    found = getattr(model.generation_config, name, None)
    return getattr(model.config, name, None) if found is None else found


def target_logits(model: PreTrainedModel, prompts: list[list[int]], targets: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits (N, V) for each token of the targets in order, each with all before it given (teacher forcing), and the tokens' ids (N,)."""
    told = generation_config(model, end_ids(model), 1)
    pad_id, device = told.pad_token_id, model.device
    gold = torch.tensor([token for target in targets for token in target], device=device)
    if model.config.is_encoder_decoder:
        ids, mask = _pad_right(prompts, pad_id, device)
        given, is_given = _pad_right([[told.decoder_start_token_id, *target[:-1]] for target in targets], pad_id, device)
        return model(input_ids=ids, attention_mask=mask, decoder_input_ids=given).logits[is_given.bool()], gold  # (B, T, V) -> (N, V)
    ids, mask = _pad_right([[*prompt, *target[:-1]] for prompt, target in zip(prompts, targets)], pad_id, device)
    first = min(len(prompt) for prompt in prompts) - 1
    place = torch.arange(ids.shape[1], device=device)[None]
    begins = torch.tensor([len(prompt) - 1 for prompt in prompts], device=device)[:, None]
    is_target = (place >= begins) & mask.bool()
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=place[0, first:]).logits
    else:
        logits = model(input_ids=ids, attention_mask=mask).logits[:, first:]
    return logits[is_target[:, first:]], gold


def log_likelihoods(model: PreTrainedModel, prompts: list[list[int]], targets: list[list[int]]) -> list[torch.Tensor]:
    """Of every token of the targets (T,), natural, in fp32."""
    logits, gold = target_logits(model, prompts, targets)
    found = -F.cross_entropy(logits.float(), gold, reduction="none")
    return list(found.split([len(target) for target in targets]))


def _pad_right(rows: list[list[int]], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and mask, each (B, T)."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [pad_id] * (length - len(row)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows], device=device)
    return ids, mask
