"""Token ids equal AutoTokenizer's; windows cover every token."""

import json
from pathlib import Path

import pytest
from doxa.errors import RecordError
from doxa.model.bases import find_embedded
from doxa.text.batching import padded_length, plan_batches
from doxa.text.frame import Reading
from doxa.text.tokenizer import TextTokenizer, describe_unknown, load_tokenizer
from doxa.text.vocabulary import learn_tokenizer

ROOT = Path(__file__).resolve().parents[2]
REAL = [ROOT.parent / "shared" / "data" / name / "test.jsonl"
        for name in ("airline_tweets_en", "waimai_10k_zh", "fin_forum_sentiment_zh", "financial_phrasebank_en")]
HARD = ["", " ", "Profit rose 12%!", "利润上升了12%，股价涨停🚀", "e\u0301clair caf\u00e9 CAFÉ", "👩‍👩‍👧‍👦 family", "a\u200bb\u200dc\ufeffd", "tab\there\nline\r\nend",
        "x" * 300, "\u202eevil\u202c", "[CLS] [SEP] [MASK] [UNK]", "don't re-enter U.S.A. $3.50", "ﬁnance ①②③ Ｆｕｌｌｗｉｄｔｈ", "नमस्ते مرحبا שלום", "\x00\x07", "word " * 700]


def texts():
    found = list(HARD)
    for path in (*(path for path in REAL if path.exists()), ROOT / "lib/doxa/sample/news.jsonl", ROOT / "tests/fixtures/chinese_news.jsonl"):
        found += [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()[:400]]
    return found


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Every base that the README names: the embedded default, and a tokenizer learnt from texts."""
    from transformers import BertConfig

    folder = tmp_path_factory.mktemp("scratch")
    learn_tokenizer(texts()).save(str(folder / "tokenizer.json"))
    BertConfig(vocab_size=8000).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}')
    return {"minilm": find_embedded(), "scratch": str(folder)}


@pytest.mark.parametrize("base", ["minilm", "scratch"])
def test_ids_equal_autotokenizer(bases, base):
    from transformers import AutoTokenizer

    ours, theirs = load_tokenizer(bases[base]), AutoTokenizer.from_pretrained(bases[base])
    found = texts()
    expected = theirs(found, truncation=False, verbose=False)["input_ids"]
    assert [ours.frame.single(ids) for ids in ours.encode(found)] == expected
    pairs = list(zip(found, found[::-1]))[:200]
    encoded = theirs([a for a, _ in pairs], [b for _, b in pairs], truncation=False, return_token_type_ids=True, verbose=False)
    for index, (first, second) in enumerate(zip(ours.encode([a for a, _ in pairs]), ours.encode([b for _, b in pairs]))):
        ids, types = ours.frame.pair(first, second)
        assert ids == encoded["input_ids"][index]
        assert types == encoded["token_type_ids"][index]
        assert ours.frame.unframe_pair(ids, types) == (first, second) or 102 in first
        assert ours.frame.unframe(ours.frame.single(first)) == first


def test_vocabulary_is_the_same_every_time():
    found = texts()
    assert learn_tokenizer(found).to_str() == learn_tokenizer(found).to_str()


def test_fingerprint_tells_tokenizers_apart(bases):
    first, second = load_tokenizer(bases["minilm"]), load_tokenizer(bases["scratch"])
    assert first.fingerprint != second.fingerprint
    assert first.fingerprint == load_tokenizer(bases["minilm"]).fingerprint


def test_unknown_share(bases):
    tokenizer = load_tokenizer(bases["minilm"])
    ids = tokenizer.encode(["鹰扬银行违反契约"])[0]
    sentence, is_many = describe_unknown(tokenizer.count_unknown(ids), len(ids), "minilm")
    assert is_many and "scratch" in sentence
    assert not describe_unknown(*[tokenizer.count_unknown(tokenizer.encode(["plain words"])[0]), 2], "minilm")[1]


@pytest.fixture(scope="module")
def frame():
    return TextTokenizer(learn_tokenizer(["a b c d e f"] * 3), 512).frame


@pytest.mark.parametrize("n", [1, 509, 510, 511, 512, 513, 1020, 5000])
def test_windows_cover_every_token(frame, n):
    windows, is_cut = Reading(frame, 512).read(list(range(100, 100 + n)))
    assert not is_cut and all(len(window.ids) <= 512 and window.weight == len(window.ids) - 2 for window in windows)
    assert (len(windows) == 1) == (n <= 510)
    seen = [frame.unframe(window.ids) for window in windows]
    assert {token for part in seen for token in part} == set(range(100, 100 + n))
    for before, after in zip(seen, seen[1:]):
        assert len(before) == 510 and len(set(before) & set(after)) >= 127  # a quarter overlaps


@pytest.mark.parametrize("policy, expected", [("head", [*range(10)]), ("head-tail", [0, 1, *range(92, 100)])])
def test_cutting_is_said(frame, policy, expected):
    windows, is_cut = Reading(frame, 12, policy).read(list(range(100)))
    assert is_cut and frame.unframe(windows[0].ids) == expected and len(windows) == 1


def test_too_long_is_an_error_when_asked(frame):
    with pytest.raises(RecordError, match="102 tokens"):
        Reading(frame, 12, "error").read(list(range(100)))


@pytest.mark.parametrize("first, second", [(5, 900), (900, 5), (900, 900), (300, 300)])
def test_windows_of_pairs(frame, first, second):
    a, b = list(range(10, 10 + first)), list(range(5000, 5000 + second))
    windows, is_cut = Reading(frame, 512).read(a, b)
    assert all(len(window.ids) <= 512 for window in windows)
    seen = [frame.unframe_pair(window.ids, window.type_ids) for window in windows]
    long, short = (0, 1) if first > second else (1, 0)
    assert {token for part in seen for token in part[long]} == set((a, b)[long])
    assert is_cut == (min(first, second) > 509 // 2)


def test_batches_hold_each_text_once_within_the_budget():
    import random

    generator = random.Random(1)
    lengths = [8 * generator.randrange(1, 75) for _ in range(500)]
    batches = plan_batches(lengths, 1024)
    assert sorted(i for batch in batches for i in batch) == list(range(500))
    for batch in batches:
        assert len({lengths[i] for i in batch}) == 1
        assert len(batch) == 1 or lengths[batch[0]] * len(batch) <= 1024
    assert len(batches) < 400 and plan_batches([], 10) == []


@pytest.mark.parametrize("n_tokens, max_length, padded", [(1, 512, 8), (8, 512, 8), (9, 512, 16), (509, 510, 510), (510, 510, 510), (5, 0, 5)])
def test_padded_length_stays_within_the_positions(n_tokens, max_length, padded):
    assert padded_length(n_tokens, max_length) == padded
