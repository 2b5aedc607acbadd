"""Figures of texts against rouge-score and sacreBLEU, on plain records and on resampled ones."""

import numpy as np
import pytest

from doxa.metrics import bleu_chrf
from doxa.metrics.rouge import common_subsequence, rouge_l, rouge_n, tokenize
from doxa.metrics.text_figures import text_figures

WORDS = "The bank raised its rates, and shares of 3.5% fell; investors don't like (sudden) moves. U.S. Fed".split()
IDEOGRAPHS = list("央行宣布加息，股价下跌。投资者不安！ABC 3.5%")


def draw_corpus(seed: int, pieces: list[str], joint: str, n: int = 30) -> tuple[list[list[str]], list[str]]:
    """One to three references each, and texts that share runs with the first."""
    chance, gold, said = np.random.default_rng(seed), [], []
    for _ in range(n):
        gold.append([joint.join(chance.choice(pieces, chance.integers(3, 20))) for _ in range(chance.integers(1, 4))])
        words = gold[-1][0].split(joint) if joint else list(gold[-1][0])
        said.append(joint.join(words[chance.integers(0, 3) :] + chance.choice(pieces, chance.integers(0, 4)).tolist()))
    return gold, said


def weigh(n: int) -> np.ndarray:
    return np.concatenate([np.ones((1, n)), np.random.default_rng(n).multinomial(n, np.full(n, 1 / n), size=3)])


def test_rouge_equals_rouge_score():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    gold, texts = draw_corpus(1, WORDS, " ")
    gold, texts = [*gold, ["a"], ["..."], ["one two"]], [*texts, "", "...", "two one"]
    said = [{"text": text} for text in texts]
    counts = text_figures(gold).count(gold, said)
    theirs = [scorer.score_multi(own, text) for own, text in zip(gold, texts)]
    for place, name in enumerate(("rouge1", "rouge2", "rougeL")):
        assert counts[:, place] == pytest.approx([score[name].fmeasure for score in theirs], rel=1e-14)
        assert text_figures(gold).total(gold, said)[name] == pytest.approx(np.mean([score[name].fmeasure for score in theirs]), rel=1e-13)


def test_rouge_of_chinese_is_that_of_its_ideographs():
    assert tokenize("央行加息3.5%，Fed's café") == ["央", "行", "加", "息", "3", "5", "fed", "s", "café"]
    held, given = tokenize("央行宣布加息"), tokenize("央行加息了")
    assert rouge_n(held, given, 1) == pytest.approx(8 / 11) and rouge_n(held, given, 2) == pytest.approx(4 / 9)
    assert rouge_l(held, given) == pytest.approx(8 / 11)


def test_common_subsequence_by_its_recursion():
    def slow(first: list[str], second: list[str]) -> int:
        if not first or not second:
            return 0
        return slow(first[1:], second[1:]) + 1 if first[0] == second[0] else max(slow(first[1:], second), slow(first, second[1:]))

    chance = np.random.default_rng(2)
    for _ in range(200):
        first, second = (chance.choice(list("abc"), chance.integers(0, 8)).tolist() for _ in range(2))
        assert common_subsequence(first, second) == slow(first, second)


@pytest.mark.parametrize("pieces, joint, tokenizer", [(WORDS, " ", "13a"), (IDEOGRAPHS, "", "zh")], ids=["en", "zh"])
def test_bleu_and_chrf_equal_sacrebleu(pieces, joint, tokenizer):
    sacrebleu = pytest.importorskip("sacrebleu")
    gold, texts = draw_corpus(3, pieces, joint)
    judge, said = text_figures(gold), [{"text": text} for text in texts]
    assert judge.tokenizer == tokenizer
    weights = weigh(len(gold))
    found = judge.figures(weights @ judge.count(gold, said))
    for row in range(len(weights)):
        rows = np.repeat(np.arange(len(gold)), weights[row].astype(int))
        streams = [[gold[i][place] if place < len(gold[i]) else None for i in rows] for place in range(3)]
        hypotheses = [texts[i] for i in rows]
        assert found["bleu"][row] == pytest.approx(sacrebleu.BLEU(tokenize=tokenizer).corpus_score(hypotheses, streams).score, rel=1e-12)
        assert found["chrf"][row] == pytest.approx(sacrebleu.CHRF().corpus_score(hypotheses, streams).score, rel=1e-12)
    assert 20 < found["bleu"][0] < 95


@pytest.mark.parametrize("gold, said", [
    (["the cat sat on a mat"], ["the dog sat in a hat"]),  # orders without a hit
    (["a b c"], ["a b c"]),  # no 4-gram
    (["a b c d e"], [""]), (["one"], ["xyz"]), (["same text as that one"], ["same text as that one"]),
    (["a long reference of many words"], ["a long reference of"])])
def test_edges_equal_sacrebleu(gold, said):
    sacrebleu = pytest.importorskip("sacrebleu")
    found = text_figures(gold).total(gold, [{"text": text} for text in said])
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(said, [gold]).score, rel=1e-12)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(said, [gold]).score, rel=1e-12)


def test_figures_are_signed():
    sacrebleu = pytest.importorskip("sacrebleu")
    signed = text_figures(["加息"]).signatures(["加息", "下跌"])
    assert signed == {"bleu": f"nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|version:{sacrebleu.__version__}",
                      "chrf": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{sacrebleu.__version__}"}
    assert "nrefs:var" in text_figures(["a"]).signatures([["a", "b"], ["c"]])["bleu"]


def test_without_sacrebleu_the_two_are_left_out(monkeypatch):
    monkeypatch.setattr(bleu_chrf, "find_spec", lambda name: None)
    gold, said = ["Rates rise", ["down", "加 息\n"]], [{"text": "rates  rise"}, {"text": "加 息"}]
    judge = text_figures(gold)
    assert judge.total(gold, said) == {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0, "exact_match": 0.5} and judge.signatures(gold) == {}
    assert [judge.is_right(*pair) for pair in zip(gold, said)] == [False, True]
    assert "pip install 'doxa[text]'" in bleu_chrf.missing_extra()


def test_no_record_has_no_figure():
    judge = text_figures(["a"])
    assert np.isnan(list(judge.total([], []).values())).all()
