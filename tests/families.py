"""Tiny bases of the families that transformers has: random weights, and a tokenizer of the family's own manner learnt from a few texts.

`build_base(family, folder)` writes what a hub directory of that family holds: `config.json`, `model.safetensors` of the class that it was
pretrained as (with its language-model head), `tokenizer.json`, `tokenizer_config.json`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = (
    "The bank sets aside more money for bad loans.", "Profit rose 12.5% on strong demand; margins held up.", "Both boards agreed to merge next spring!",
    "Sales fell short of what the company had promised.", "It's \"the deal\" of the year, isn't it? We don't know.", "Café résumé naïve: prices in EUR and USD.",
    "贷款违约率上升，银行计提更多准备金。", "公司第三季度利润同比增长百分之十二。", "两家公司宣布合并，交易金额尚未公布。", "销售额低于预期，股价下跌。",
    "good gain rally growth relief", "bad loss crash slump default", "great results again", "poor results again") * 4
SIZE, LAYERS, HEADS, INNER, POSITIONS = 32, 2, 4, 64, 128


@dataclass(frozen=True)
class Family:
    """`manner` makes its tokenizer, `architecture` is the class that it is pretrained as, `config` what its config says beside the sizes."""

    model_type: str
    manner: Callable[["Family"], Tokenizer]
    architecture: str
    special: tuple[str, ...]  # its special tokens, by id
    tokenizer_config: dict[str, Any]
    config: dict[str, Any]
    sizes: dict[str, Any] = field(default_factory=lambda: dict(
        hidden_size=SIZE, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=INNER, max_position_embeddings=POSITIONS))
    dtype: str = "float32"


def build_base(family: str, folder: Path, seed: int = 5) -> Path:
    """Write a base of a family of FAMILIES into `folder`, which is made; return it."""
    import torch
    import transformers

    made = FAMILIES[family]
    tokenizer = made.manner(made)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(made.tokenizer_config))
    config = transformers.AutoConfig.for_model(made.model_type, vocab_size=tokenizer.get_vocab_size() + 3, **made.sizes, **made.config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = getattr(transformers, made.architecture)(config).to(getattr(torch, made.dtype))
        with torch.no_grad():  # wider than at birth, so that texts differ in what comes out
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(4.0)
    model.save_pretrained(folder)
    return folder


def word_piece(family: Family) -> Tokenizer:
    """As BERT: lower case, words and signs apart, pieces of words marked by ##; every Chinese character a word."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=400, special_tokens=list(family.special), show_progress=False))
    if "<s>" in family.special:
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    else:
        tokenizer.post_processor = _frame(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    return tokenizer


_GPT4_WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_pairs(family: Family) -> Tokenizer:
    """As GPT-2: pairs of bytes, a space belongs to the word behind it; the later ones normalise (Qwen) and cut words by a pattern of their own."""
    tokenizer = Tokenizer(models.BPE())
    own_words = family.model_type in ("qwen2", "qwen3", "llama")
    if own_words:
        tokenizer.normalizer = normalizers.NFC() if family.model_type != "llama" else None
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(_GPT4_WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        tokenizer.normalizer = normalizers.NFC() if family.model_type == "modernbert" else None
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(
        vocab_size=500, special_tokens=list(family.special), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    if family.model_type in ("roberta", "bart"):
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    elif family.model_type == "modernbert":
        tokenizer.post_processor = _frame(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]")
    elif family.model_type == "llama":
        begin = "<|begin_of_text|>"
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), _frame(tokenizer, f"{begin} $A", f"{begin} $A {begin}:1 $B:1")])
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def unigram(family: Family) -> Tokenizer:
    """As SentencePiece: likely pieces, a space is a sign of its own (▁)."""
    unknown = "[UNK]" if "[UNK]" in family.special else "<unk>"
    tokenizer = Tokenizer(models.Unigram())
    if family.model_type == "albert":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(),
                                                     normalizers.StripAccents(), normalizers.Lowercase()])
    if family.model_type == "deberta-v2":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "), normalizers.NFC(),
                                                     normalizers.Strip(left=False, right=True)])
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace()])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.train_from_iterator(SENTENCES, trainers.UnigramTrainer(
        vocab_size=300, special_tokens=list(family.special), unk_token=unknown, show_progress=False))
    if "[CLS]" in family.special:
        tokenizer.post_processor = _frame(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    elif "<s>" in family.special:
        tokenizer.post_processor = _frame(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>")
    else:
        tokenizer.post_processor = _frame(tokenizer, "$A </s>", "$A </s> $B </s>")
    if "<mask>" in family.special or "[MASK]" in family.special:
        mask = next(token for token in family.special if "mask" in token.lower())
        tokenizer.add_special_tokens([AddedToken(mask, lstrip=True, normalized=False, special=True)])
    return tokenizer


def _frame(tokenizer: Tokenizer, single: str, pair: str) -> processors.TemplateProcessing:
    names = {part.split(":")[0] for part in f"{single} {pair}".split()} - {"$A", "$B"}
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=[(name, tokenizer.token_to_id(name)) for name in sorted(names)])


_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_BY_PADDING = dict(hidden_size=SIZE, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=INNER, max_position_embeddings=POSITIONS + 2)
_T5 = dict(d_model=SIZE, d_kv=8, d_ff=INNER, num_layers=LAYERS, num_heads=HEADS)
_BART = dict(d_model=SIZE, encoder_layers=LAYERS, decoder_layers=LAYERS, encoder_attention_heads=HEADS, decoder_attention_heads=HEADS,
             encoder_ffn_dim=INNER, decoder_ffn_dim=INNER, max_position_embeddings=POSITIONS)
_GROUPED = dict(hidden_size=SIZE, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=2, intermediate_size=INNER,
                max_position_embeddings=POSITIONS)
_LIMIT = {"model_max_length": POSITIONS}
_QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

FAMILIES: dict[str, Family] = {
    "bert": Family("bert", word_piece, "BertForMaskedLM", _BERT, {"tokenizer_class": "BertTokenizer", "do_lower_case": True} | _LIMIT, {"pad_token_id": 0}),
    "electra": Family("electra", word_piece, "ElectraForPreTraining", _BERT, {"tokenizer_class": "ElectraTokenizer", "do_lower_case": True} | _LIMIT,
                      {"pad_token_id": 0, "embedding_size": 16}),
    "ernie": Family("ernie", word_piece, "ErnieForMaskedLM", _BERT, {"tokenizer_class": "BertTokenizer", "do_lower_case": True} | _LIMIT, {"pad_token_id": 0}),
    "distilbert": Family("distilbert", word_piece, "DistilBertForMaskedLM", _BERT, {"tokenizer_class": "DistilBertTokenizer", "do_lower_case": True} | _LIMIT,
                         {"pad_token_id": 0}, dict(dim=SIZE, n_layers=LAYERS, n_heads=HEADS, hidden_dim=INNER, max_position_embeddings=POSITIONS)),
    "mpnet": Family("mpnet", word_piece, "MPNetForMaskedLM", ("<s>", "<pad>", "</s>", "[UNK]", "<mask>"),
                    {"tokenizer_class": "MPNetTokenizer", "do_lower_case": True}, {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}, _BY_PADDING),
    "roberta": Family("roberta", byte_pairs, "RobertaForMaskedLM", _ROBERTA, {"tokenizer_class": "RobertaTokenizer"},
                      {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}, _BY_PADDING),
    "modernbert": Family("modernbert", byte_pairs, "ModernBertForMaskedLM", _BERT,
                         {"tokenizer_class": "PreTrainedTokenizerFast", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]",
                          "mask_token": "[MASK]", "model_input_names": ["input_ids", "attention_mask"]} | _LIMIT,
                         {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 16}),
    "xlm-roberta": Family("xlm-roberta", unigram, "XLMRobertaForMaskedLM", _ROBERTA, {"tokenizer_class": "XLMRobertaTokenizer"} | _LIMIT,
                          {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}, _BY_PADDING),
    "albert": Family("albert", unigram, "AlbertForMaskedLM", ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"), {"tokenizer_class": "AlbertTokenizer"} | _LIMIT,
                     {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "embedding_size": 16, "classifier_dropout_prob": 0.1}),
    "deberta-v3": Family("deberta-v2", unigram, "DebertaV2ForMaskedLM", ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"),
                         {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": False, "split_by_punct": False} | _LIMIT,
                         {"pad_token_id": 0, "relative_attention": True, "position_buckets": 32, "norm_rel_ebd": "layer_norm", "share_att_key": True,
                          "pos_att_type": "p2c|c2p", "position_biased_input": False, "type_vocab_size": 0, "max_relative_positions": -1, "pooler_hidden_size": SIZE}),
    "t5": Family("t5", unigram, "T5ForConditionalGeneration", ("<pad>", "</s>", "<unk>", "<extra_id_1>", "<extra_id_0>"),
                 {"tokenizer_class": "T5Tokenizer", "extra_ids": 2} | _LIMIT, {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}, _T5),
    "mt5": Family("mt5", unigram, "MT5ForConditionalGeneration", ("<pad>", "</s>", "<unk>"), {"tokenizer_class": "T5Tokenizer", "extra_ids": 0},
                  {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}, _T5),
    "bart": Family("bart", byte_pairs, "BartForConditionalGeneration", _ROBERTA, {"tokenizer_class": "BartTokenizer"} | _LIMIT,
                   {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2}, _BART),
    "gpt2": Family("gpt2", byte_pairs, "GPT2LMHeadModel", ("<|endoftext|>",), {"tokenizer_class": "GPT2Tokenizer"},
                   {"bos_token_id": 0, "eos_token_id": 0}, dict(n_embd=SIZE, n_layer=LAYERS, n_head=HEADS, n_positions=POSITIONS)),
    "qwen2": Family("qwen2", byte_pairs, "Qwen2ForCausalLM", _QWEN,
                    {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "add_prefix_space": False, "bos_token": None, "eos_token": "<|im_end|>",
                     "pad_token": "<|endoftext|>", "unk_token": None, "model_max_length": 131072},
                    {"bos_token_id": 0, "eos_token_id": 2, "tie_word_embeddings": True}, _GROUPED, "bfloat16"),
    "qwen3": Family("qwen3", byte_pairs, "Qwen3ForCausalLM", _QWEN,
                    {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "add_prefix_space": False, "bos_token": None, "eos_token": "<|im_end|>",
                     "pad_token": "<|endoftext|>", "unk_token": None, "model_max_length": 131072},
                    {"bos_token_id": 0, "eos_token_id": 2, "tie_word_embeddings": True}, _GROUPED | {"head_dim": 8}, "bfloat16"),
    "llama": Family("llama", byte_pairs, "LlamaForCausalLM", ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
                    {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>",
                     "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 131072},
                    {"bos_token_id": 0, "eos_token_id": [1, 2], "tie_word_embeddings": False}, _GROUPED, "bfloat16"),
}
