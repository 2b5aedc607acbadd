"""Tiny masked-language models with random weights, as a hub directory holds them: BERT with word pieces, RoBERTa with pairs of bytes."""

from pathlib import Path

from conftest import TEXTS

ROBERTA_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def make_bert(folder: Path, architecture: str = "BertForMaskedLM", n_positions: int = 64, seed: int = 3) -> Path:
    """Two layers of 32, wide weights, so that texts differ. BertModel has no language-model head."""
    import torch
    import transformers

    from doxa.text.vocabulary import learn_tokenizer

    tokenizer = learn_tokenizer(TEXTS, vocabulary_size=300)
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=n_positions, pad_token_id=0, initializer_range=0.3)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        getattr(transformers, architecture)(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": %d, "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", '
        '"cls_token": "[CLS]", "mask_token": "[MASK]"}' % n_positions)
    return folder


def make_roberta(folder: Path) -> Path:
    """Its mask `<mask>` takes the space before it, as RoBERTa's does."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import RobertaConfig, RobertaForMaskedLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=400, special_tokens=ROBERTA_TOKENS[:4], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    config = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=66, pad_token_id=1, bos_token_id=0, eos_token_id=2, initializer_range=0.3)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        RobertaForMaskedLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>", '
        '"cls_token": "<s>", "mask_token": "<mask>"}')
    return folder
