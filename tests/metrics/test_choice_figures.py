"""Figures of choices against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, label_ranking_average_precision_score

from doxa.errors import DoxaError
from doxa.metrics.choice_figures import choice_figures


def test_equals_scikit_learn():
    chance = np.random.default_rng(1)
    scores, gold = chance.random((50, 7)), chance.integers(0, 7, 50).tolist()
    said = [{"index": int(own.argmax()), "text": "?", "score": float(own.max()), "scores": own.tolist()} for own in scores]
    judge = choice_figures(gold, said)
    found = judge.total(gold, said)
    assert found["accuracy"] == accuracy_score(gold, scores.argmax(axis=1))
    assert found["mrr"] == pytest.approx(label_ranking_average_precision_score(np.eye(7)[gold], scores))
    assert np.mean([judge.is_right(*pair) for pair in zip(gold, said)]) == found["accuracy"]
    assert np.isnan(judge.figures(np.zeros((1, 3)))["accuracy"][0])


def test_ties_are_broken_by_chance():
    said = [{"index": 0, "text": "a", "scores": [0.4, 0.4, 0.2]}]
    assert choice_figures([1], said).total([1], said) == {"accuracy": 0.0, "mrr": pytest.approx((1 + 1 / 2) / 2)}
    even = [{"index": 0, "text": "a", "scores": [0.25] * 4}]
    assert choice_figures([3], even).total([3], even)["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_gold_may_be_a_text():
    said = [{"index": 1, "text": "画蛇添足", "score": 0.8, "scores": [0.2, 0.8]}, {"index": 0, "text": "a", "score": 0.9, "scores": [0.9, 0.1]}]
    judge = choice_figures(["画蛇添足", "b"], said)
    assert judge.total(["画蛇添足", "b"], said) == {"accuracy": 0.5}
    without = [{"index": 1, "text": "b", "score": 0.8}]
    assert choice_figures([1], without).total([1], without) == {"accuracy": 1.0}


def test_gold_that_is_no_choice_is_refused():
    said = [{"index": 1, "text": "b", "scores": [0.2, 0.8]}]
    with pytest.raises(DoxaError, match="gold is choice 2, but there are 2"):
        choice_figures([2], said).count([2], said)
