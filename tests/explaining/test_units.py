"""Where words and sentences are, and which tokens make them up, for any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.explaining.chinese_words import find_chinese_words
from doxa.explaining.units import UNITS, cut_units
from doxa.text.segments import find_sentences, find_words
from doxa.text.tokenizer import TextTokenizer

PIECES = st.sampled_from(["Profit", "rose", "don't", "U.S.", "12.5%", "1,000", "@JetBlue", "#fail", "state-of-the-art", " ", "  ", "\r\n", "\n\n", "\t", "。", "!!!", "...",
                          "利润", "公司增长了", "A股", "😀", "👨‍👩‍👧", "🇨🇳🇺🇸", "👍🏽", "cafe\u0301", "naïve", "नमस्ते", "\u200b", "\ufeff", "e\u0301\u0302", "ﬁ", "İ", "ß", ", ", ". ", "“", "”"])
WRITTEN = st.lists(PIECES, min_size=1, max_size=30).map("".join) | st.text(max_size=60)


def byte_level():
    """A tokenizer that writes bytes, as GPT-2 and RoBERTa do: one character may be several tokens, and a token holds its space."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))} | {"[X]": 256}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    return tokenizer


def pieces():
    """A tokenizer that cuts by SentencePiece's rule, whose tokens reach over Chinese words and whose first may stand for a space alone."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    scores = [("<unk>", 0.0), ("▁", -2.0), ("▁利润增", -1.0), ("利润", -1.5), ("润增", -1.0), ("▁Profit", -1.0), ("rose", -1.0), ("...", -1.0)]
    tokenizer = Tokenizer(models.Unigram(scores + [(chr(c), -9.0) for c in range(33, 127)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


@pytest.fixture(scope="module", params=["wordpiece", "byte-level", "pieces"])
def tokenizer(request, tiny_model):
    from doxa.text.tokenizer import load_tokenizer

    return load_tokenizer(str(tiny_model)) if request.param == "wordpiece" else TextTokenizer({"byte-level": byte_level, "pieces": pieces}[request.param](), 128)


@settings(max_examples=150, deadline=None)
@given(text=WRITTEN)
def test_words_and_sentences_hold_every_character_but_spaces(text):
    for spans in (find_words(text), find_chinese_words(text), find_sentences(text)):
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:]))
        inside = {i for start, end in spans for i in range(start, end)}
        assert {i for i, character in enumerate(text) if not character.isspace()} <= inside
        assert not any(text[start].isspace() or text[end - 1].isspace() for start, end in spans)


@pytest.mark.parametrize("unit", UNITS)
def test_every_token_is_in_one_unit(tokenizer, unit):
    @settings(max_examples=60, deadline=None)
    @given(text=WRITTEN.filter(str.strip))
    def check(text):
        ((ids, offsets),) = tokenizer.encode_with_offsets([text])
        units = cut_units(text, offsets, unit)
        assert sorted(token for one in units for token in one.tokens) == list(range(len(ids)))
        assert all(0 <= one.start <= one.end <= len(text) for one in units)
        if unit == "token":
            return
        assert all(before.end <= after.start for before, after in zip(units, units[1:]))
        for one in units:
            for token in one.tokens:
                visible = [i for i in range(*offsets[token]) if not text[i].isspace()]
                assert all(one.start <= i < one.end for i in visible)

    check()


def test_ids_are_those_that_predict_reads(tokenizer):
    texts = ["Profit rose 12.5%。利润增长😀\r\nnaïve", "a"]
    assert [ids for ids, _ in tokenizer.encode_with_offsets(texts)] == tokenizer.encode(texts)


@pytest.mark.parametrize("text, words", [
    ("@JetBlue's profit rose 12.5%, to 1,000.5 -- wow!!!", ["@JetBlue's", "profit", "rose", "12.5%", ",", "to", "1,000.5", "--", "wow", "!!!"]),
    ("don’t state-of-the-art; a, b", ["don’t", "state-of-the-art", ";", "a", ",", "b"]),
    ("公司利润增长12%，A股！！", ["公", "司", "利", "润", "增", "长", "12%", "，", "A", "股", "！！"]),
    ("😀👨‍👩‍👧🇨🇳🇺🇸👍🏽 नमस्ते cafe\u0301", ["😀", "👨‍👩‍👧", "🇨🇳", "🇺🇸", "👍🏽", "नमस्ते", "cafe\u0301"]),
    ("カタカナ と ひ", ["カ", "タ", "カ", "ナ", "と", "ひ"]), ("   ", []), ("", []),
])
def test_words(text, words):
    assert [text[start:end] for start, end in find_words(text)] == words


@pytest.mark.parametrize("text, sentences", [
    ('Mr. Smith said "It fell." Then sales rose! Why? e.g. this. End', ['Mr. Smith said "It fell."', "Then sales rose!", "Why? e.g. this.", "End"]),
    ("The U.S. Bank grew 3.5 percent. It rose", ["The U.S. Bank grew 3.5 percent.", "It rose"]),
    ("利润增长。亏损扩大！“为什么？”他说", ["利润增长。", "亏损扩大！", "“为什么？”", "他说"]),
    ("one\r\ntwo\n\n three ", ["one", "two", "three"]), (" \n ", []),
])
def test_sentences(text, sentences):
    assert [text[start:end] for start, end in find_sentences(text)] == sentences


@pytest.mark.parametrize("text, words", [
    ("公司违约率上升，Apple利润增长12.5%！", ["公司", "违约", "率", "上升", "，", "Apple", "利润", "增长", "12.5%", "！"]), ("股价🚀 股 价", ["股价", "🚀", "股", "价"]),
    ("カタ違約", ["カ", "タ", "違約"]), ("", [])])
def test_words_of_chinese(text, words):
    assert [text[start:end] for start, end in find_chinese_words(text)] == words


def test_a_token_over_two_words_joins_them():
    units = cut_units("ab cd ef", [(0, 1), (1, 4), (4, 5), (5, 5), (6, 8)], "word")
    assert [(unit.start, unit.end, unit.tokens) for unit in units] == [(0, 5, (0, 1, 2)), (6, 8, (3, 4))]
