"""Tiny bases that write, with random weights: each family's own architecture, and a tokenizer that frames texts as the family's does."""

import json
from pathlib import Path

from conftest import TEXTS

CHAT = ("{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
FAMILIES = ("bart", "t5", "llama", "qwen2", "gpt2")
ENCODER_DECODERS = ("bart", "t5")


def make_writer(directory: Path, family: str, texts=TEXTS, width: int = 32, spread: float = 0.3, seed: int = 3) -> Path:
    """`spread` is that of the random weights: wide ones write other texts for other texts, narrow ones learn."""
    import torch
    from transformers import (BartConfig, BartForConditionalGeneration, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config,
                              Qwen2ForCausalLM, T5Config, T5ForConditionalGeneration)

    tokenizer, named = _make_tokenizer(family, texts)
    ids = {name.removesuffix("_token") + "_token_id": tokenizer.token_to_id(token) for name, token in named.items() if name != "unk_token"}
    size = dict(vocab_size=tokenizer.get_vocab_size(), **ids)
    decoder = dict(hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                   max_position_embeddings=128, initializer_range=spread)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = {
            "bart": lambda: BartForConditionalGeneration(BartConfig(
                d_model=width, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=2 * width,
                decoder_ffn_dim=2 * width, max_position_embeddings=128, decoder_start_token_id=ids["eos_token_id"], forced_eos_token_id=None, init_std=spread, **size)),
            "t5": lambda: T5ForConditionalGeneration(T5Config(
                d_model=width, d_kv=width // 2, d_ff=2 * width, num_layers=2, num_heads=2, initializer_factor=10 * spread, decoder_start_token_id=ids["pad_token_id"], **size)),
            "llama": lambda: LlamaForCausalLM(LlamaConfig(tie_word_embeddings=False, **decoder, **size)),
            "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(tie_word_embeddings=True, **decoder, **size)),
            "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=width, n_layer=2, n_head=2, n_positions=128, initializer_range=spread, **size)),
        }[family]()
    model.save_pretrained(directory)
    tokenizer.save(str(directory / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 128, **named} | ({"chat_template": CHAT} if family == "qwen2" else {})
    (directory / "tokenizer_config.json").write_text(json.dumps(about))
    return directory


def _make_tokenizer(family: str, texts):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    named = {"bart": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}, "t5": {"eos_token": "</s>", "pad_token": "<pad>"},
             "llama": {"bos_token": "<s>", "eos_token": "</s>"}, "qwen2": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
             "gpt2": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}}[family]
    specials = list(dict.fromkeys([*named.values(), *(["<|im_start|>"] if family == "qwen2" else []), "<unk>"]))
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    alphabet = []
    if family == "t5":
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    else:
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False))
    frame = {"bart": "<s> $A </s>", "t5": "$A </s>", "llama": "<s> $A"}.get(family)
    if frame:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=frame, special_tokens=[(token, tokenizer.token_to_id(token)) for token in frame.split() if token != "$A"])
    return tokenizer, named
