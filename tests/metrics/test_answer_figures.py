"""Figures of answers against plain retellings of the scripts of SQuAD and CMRC 2018."""

import re
import string
from collections import Counter

import numpy as np
import pytest

from doxa.metrics.answer_figures import answer_figures, exact_match, longest_common_run, overlap

ENGLISH = ["The quick, brown fox", "a quick brown dog", "the", "quick brown", "An answer: 42.5%", "42.5", "brown (quick) fox!", "U.S.", "us",
           "dog dog fox",
           "theory of the an", "Don't panic",
           "The brown fox and the quick dog", "one brown dog, one brown fox and a dog"]
CHINESE = ["1995年5月", "1995年", "《红楼梦》", "红楼梦", "在北京、上海和广州", "北京和上海", "NBA总决赛", "nba 总决赛", "约12人", "国际-货币",
           "国际货币", "iPhone手机", "北京、上海和深圳", "1995年5月在北京", "中国北京市和上海市",
           "iPhone 15 手机在中国", "增长12.5", "增长12.7", "增长了12.5 亿"]


def squad(gold: str, said: str) -> tuple[float, float]:
    def normalize(text: str) -> str:
        text = "".join(character for character in text.lower() if character not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    held, given = normalize(gold).split(), normalize(said).split()
    if not held or not given:
        return float(normalize(gold) == normalize(said)), float(held == given)
    same = sum((Counter(held) & Counter(given)).values())
    f1 = 0.0 if same == 0 else 2 * (same / len(given)) * (same / len(held)) / (same / len(given) + same / len(held))
    return float(normalize(gold) == normalize(said)), f1


def cmrc(gold: str, said: str) -> tuple[float, float]:
    signs = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")

    def segment(text: str) -> list[str]:
        found, run = [], ""
        for character in text.lower().strip():
            if character in signs:
                continue
            if "\u4e00" <= character <= "\u9fa5":
                found, run = found + run.split() + [character], ""
            else:
                run += character
        return found + run.split()

    held, given = segment(gold), segment(said)
    runs = [j - i for i in range(len(held)) for j in range(i + 1, len(held) + 1)
            if any(held[i:j] == given[k : k + j - i] for k in range(len(given)))]
    plain = ["".join(c for c in text.lower().strip() if c not in signs) for text in (gold, said)]
    if not runs:
        return float(plain[0] == plain[1]), 0.0
    precision, recall = max(runs) / len(given), max(runs) / len(held)
    return float(plain[0] == plain[1]), 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("texts, reference", [(ENGLISH, squad), (CHINESE, cmrc)], ids=["squad", "cmrc"])
def test_pairs_of_texts_equal_the_script(texts, reference):
    found = {(gold, said): (float(exact_match(gold, said)), overlap(gold, said)) for gold in texts for said in texts}
    assert found == {pair: pytest.approx(reference(*pair), rel=1e-14) for pair in found}
    assert len({f1 for _, f1 in found.values()}) > 6


def test_signs_that_cmrc_removes():
    for sign in "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』":
        assert exact_match("北京", f"{sign}北{sign}京") and overlap("北京", f"北{sign}京") == 1.0
    for sign in ".,!%…‘":
        assert not exact_match("北京", f"北{sign}京") and overlap("北京", f"北{sign}京") == pytest.approx(2 / 5)


def test_what_lies_between_ideographs_is_words():
    assert overlap("增12.5%的GDP", "12.5%") == pytest.approx(2 * 2 / (5 + 2)) and overlap("增1,200万", "200万") == pytest.approx(2 / 5)


def test_corpus_with_and_without_answers():
    gold = [[{"text": "the Eiffel Tower", "start": 4}, {"text": "Eiffel", "start": 8}], [], [], [], [{"text": "长江三峡", "start": 0}],
            [{"text": "Rome", "start": 1}]]
    said = [{"answer": {"text": "Eiffel tower", "start": 8, "end": 20, "score": 0.5}}, {"answer": None, "score": 0.9}, {"answer": None, "score": 0.7},
            {"answer": {"text": "x", "start": 0, "end": 1, "score": 0.4}}, {"answer": {"text": "三峡", "start": 2, "end": 4, "score": 0.8}},
            {"answer": None, "score": 0.3}]
    judge = answer_figures(gold)
    assert judge.total(gold, said) == pytest.approx({
        "exact_match": 3 / 6, "f1": (1 + 2 + 0 + 2 / 3 + 0) / 6, "answer_exact_match": 1 / 3, "answer_f1": (1 + 2 / 3) / 3,
        "no_answer_accuracy": 2 / 3})
    assert [judge.is_right(*pair) for pair in zip(gold, said)] == [True, True, True, False, False, False]
    answered = answer_figures(gold[:1])
    assert set(answered.total(gold[:1], said[:1])) == {"exact_match", "f1"}
    assert np.isnan(judge.figures(np.zeros((1, 5)))["answer_f1"][0])


def test_best_of_several_answers_counts():
    gold = [[{"text": "quick brown", "start": 0}, {"text": "lazy dog", "start": 0}, {"text": "a lazy dog sleeps", "start": 0}]]
    assert answer_figures(gold).total(gold, [{"answer": {"text": "the lazy dog"}}]) == {"exact_match": 1.0, "f1": 1.0}
    assert answer_figures(gold).total(gold, [{"answer": {"text": "dog sleeps"}}]) == {"exact_match": 0.0, "f1": pytest.approx(0.8)}


def test_runs_are_of_neighbours():
    assert longest_common_run("abcde", "xbcye") == 2 and longest_common_run("", "a") == 0 and longest_common_run("aab", "aaab") == 3
