"""What a stock network needs beyond its weights to be read in batches: a padding token, the right one of its last tokens, its inputs."""

import inspect
from types import MethodType

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from doxa.model.safety import read_config
from doxa.text.padding import read_pad_id

_TYPES_BY_ATTENTION = ("xlnet", "funnel")  # they compare the types of two tokens, and name no number of types


def suit(model: PreTrainedModel, directory: str) -> None:
    """Change a network that was just loaded, in place: it pads with a token that its config names, keeps no cache for tokens to come,
    and an encoder-decoder that classifies reads each text's own last end. Stock transformers gives the same outputs for every text alone."""
    config = model.config
    for part in {id(part): part for part in (config, config.get_text_config())}.values():
        stated = getattr(part, "pad_token_id", None)
        if stated is None or not 0 <= stated:
            part.pad_token_id = read_pad_id(directory, read_config(directory))
        if getattr(part, "use_cache", False):
            part.use_cache = False
    if getattr(config, "is_encoder_decoder", False) and hasattr(model, "classification_head"):
        model.forward = MethodType(_read_last_end, model)


def _read_last_end(model: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> SequenceClassifierOutput:
    """The forward pass of T5's, BART's and their kin's classifiers, (B, T) -> (B, C): the head reads the decoder at the last end of text.

    The stock ones refuse a batch whose texts hold different numbers of that token, and one text that spells it ("</s>") would spoil the
    others of its batch. Raises ValueError for a text without any."""
    more = {"decoder_input_ids": model._shift_right(input_ids)} if hasattr(model, "_shift_right") else {}
    hidden = model.base_model(input_ids, attention_mask=attention_mask, use_cache=False, **more).last_hidden_state  # (B, T, D)
    is_end = input_ids == model.config.eos_token_id
    if not torch.jit.is_tracing() and not bool(is_end.any(dim=1).all()):
        raise ValueError("the tokenizer ends no text with the token that the model reads")
    last = (is_end * torch.arange(input_ids.shape[1], device=input_ids.device)).argmax(dim=1)  # (B,)
    read = hidden.gather(1, last.to(hidden.device)[:, None, None].expand(-1, 1, hidden.shape[-1]))[:, 0]  # (B, T, D) -> (B, D)
    return SequenceClassifierOutput(logits=model.classification_head(read))


def takes_token_types(model: PreTrainedModel) -> bool:
    """Whether the model has embeddings for the types of tokens. Not so DistilBERT, though its tokenizer gives them; RoBERTa, which has
    only one; and GPT-2, which would take a type for a word."""
    is_there = "token_type_ids" in inspect.signature(model.forward).parameters
    return is_there and ((getattr(model.config, "type_vocab_size", None) or 0) > 1 or model.config.model_type in _TYPES_BY_ATTENTION)
