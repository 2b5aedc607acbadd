"""Texts from token ids, by tokenizers that say how and by those that do not."""

import json

import pytest
from doxa.text.tokenizer import load_tokenizer
from doxa.text.vocabulary import learn_tokenizer, learn_writing_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXTS = ["央行下调存款准备金率，股价涨停。", "我爱nlp，也爱市场！", "profits of the bank rise, and fall", "the 3 banks merge. who pays?", "2023年增长", "カタカナとひらかな"]


@pytest.fixture(params=["whole", "without a decoder"])
def learnt(request, tmp_path):
    """The directory of a tokenizer whose vocabulary holds some words whole and others in pieces."""
    saved = json.loads(learn_tokenizer([*TEXTS, "bank", "pro fits"], vocabulary_size=120).to_str())
    if request.param != "whole":
        saved["decoder"] = None
    (tmp_path / "tokenizer.json").write_text(json.dumps(saved))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}')
    return tmp_path


@pytest.mark.parametrize("text", TEXTS)
def test_a_learnt_tokenizer_gives_texts_back(learnt, text):
    tokenizer = load_tokenizer(str(learnt))
    ids, = tokenizer.encode([text])
    assert tokenizer.decode(tokenizer.frame.single(ids)) == text


def test_stock_transformers_gives_chinese_back(tmp_path):
    from transformers import AutoTokenizer

    learn_tokenizer(TEXTS).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast", "cls_token": "[CLS]", "sep_token": "[SEP]"}')
    stock = AutoTokenizer.from_pretrained(tmp_path)
    assert [stock.decode(stock(text)["input_ids"], skip_special_tokens=True) for text in TEXTS] == TEXTS


@pytest.mark.parametrize("kind", ["bytes", "metaspace", "metaspace within a sequence", "unigram", "ends of words", "words"])
def test_a_tokenizer_without_a_decoder_undoes_its_cuts(tmp_path, kind):
    texts = ["the banks rise", "who pays the banks", "银行 rise"]
    if kind == "bytes":
        tokenizer = learn_writing_tokenizer(texts, 280)
    else:
        model, trainer = {
            "unigram": (models.Unigram(), trainers.UnigramTrainer(vocab_size=60, show_progress=False)),
            "words": (models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(special_tokens=["[UNK]"], show_progress=False)),
            "ends of words": (models.BPE(end_of_word_suffix="</w>"), trainers.BpeTrainer(vocab_size=60, end_of_word_suffix="</w>", show_progress=False)),
        }.get(kind, (models.BPE(), trainers.BpeTrainer(vocab_size=60, show_progress=False)))
        tokenizer = Tokenizer(model)
        space = pre_tokenizers.Metaspace()
        tokenizer.pre_tokenizer = {"metaspace": space, "unigram": space, "metaspace within a sequence": pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), space])}.get(
            kind, pre_tokenizers.Whitespace())
        tokenizer.train_from_iterator(texts, trainer)
    saved = json.loads(tokenizer.to_str())
    saved["decoder"] = None
    (tmp_path / "tokenizer.json").write_text(json.dumps(saved))
    loaded = load_tokenizer(str(tmp_path))
    for text, ids in zip(texts, loaded.encode(texts)):
        assert len(ids) > 1
        assert loaded.decode(ids) == (text.replace("银行 ", "银行") if kind == "words" else text)
    loaded.rust.save(str(tmp_path / "again.json"))
    assert json.loads((tmp_path / "again.json").read_text())["decoder"] is None
