"""Figures of vectors against a search one pair at a time, scikit-learn and scipy."""

import numpy as np
import pytest
import scipy.stats
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import top_k_accuracy_score
from sklearn.metrics.pairwise import cosine_similarity

from doxa.errors import DoxaError
from doxa.metrics import vector_figures as module
from doxa.metrics.vector_figures import alikeness_figures, vector_figures


def draw_pairs(seed: int, n: int = 60, d: int = 8) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    chance = np.random.default_rng(seed)
    vectors = chance.normal(0, 1, (n, d)) * chance.uniform(0.1, 9, (n, 1))
    pairs = vectors + chance.normal(0, 4, (n, d))
    return vectors, pairs, [{"vector": own.tolist(), "vector_pair": pair.tolist(), "score": 0.0} for own, pair in zip(vectors, pairs)]


def test_equals_a_plain_search():
    vectors, pairs, said = draw_pairs(1)
    cosines = cosine_similarity(vectors, pairs)
    gold = [None] * 60
    judge = vector_figures(gold)
    found = judge.total(gold, said)
    for k in (1, 5, 10):
        assert found[f"recall_at_{k}"] == pytest.approx(top_k_accuracy_score(np.arange(60), cosines, k=k))
    ranks = [1 + sum(other > own[place] for other in own) for place, own in enumerate(cosines)]
    assert found["mrr"] == pytest.approx(np.mean(1 / np.array(ranks, float))) and 0.2 < found["mrr"] < 0.9
    assert judge.right_of(judge.count(gold, said)).tolist() == [rank == 1 for rank in ranks]


def test_pairs_that_are_not_alike_are_candidates_only():
    said = [{"vector": [1, 0], "vector_pair": [1, 0.2]}, {"vector": [0, 1], "vector_pair": [1, 0.1]}, {"vector": [3, 3]}]
    for gold in ([1, 0, 1], [True, False, None], [None, 0.4, None], [5, 2, 0]):
        judge = vector_figures(gold)
        counts = judge.count(gold, said)
        assert counts[:, 4].tolist() == [1, 0, 0]
        assert judge.total(gold, said) == {"mrr": 0.5, "recall_at_1": 0.0, "recall_at_5": 1.0, "recall_at_10": 1.0}
        assert judge.right_of(counts).tolist() == [False, True, True]


def test_equal_vectors_are_one_candidate():
    said = [{"vector": [1, 0], "vector_pair": [2, 0.2]}, {"vector": [1, 0.1], "vector_pair": [2, 0.2]}, {"vector": [0, 1], "vector_pair": [0, 3]}]
    assert set(vector_figures([None] * 3).total([None] * 3, said).values()) == {1.0}


def test_ties_of_different_vectors_are_broken_by_chance():
    said = [{"vector": [0, 0], "vector_pair": [float(i == 0), float(i == 1), float(i == 2)][:2]} for i in range(3)]
    assert vector_figures([None] * 3).total([None] * 3, said) == pytest.approx(
        {"mrr": (1 + 1 / 2 + 1 / 3) / 3, "recall_at_1": 1 / 3, "recall_at_5": 1.0, "recall_at_10": 1.0})


def test_a_model_that_says_one_vector_finds_nothing():
    said = [{"vector": [1.0, 2.0], "vector_pair": [1.0, 2.0]}] * 5
    assert np.isnan(list(vector_figures([1] * 5).total([1] * 5, said).values())).all()
    assert np.isnan(vector_figures([None]).total([None], [{"vector": [1.0]}])["mrr"])


def test_blocks_change_nothing(monkeypatch):
    _, _, said = draw_pairs(2)
    whole = vector_figures([None] * 60).count([None] * 60, said)
    monkeypatch.setattr(module, "BLOCK_NUMBERS", 7 * 60)
    assert (vector_figures([None] * 60).count([None] * 60, said) == whole).all()


def test_vectors_of_two_models_are_refused():
    with pytest.raises(DoxaError, match="differ in length"):
        vector_figures([None] * 2).count([None] * 2, [{"vector": [1], "vector_pair": [1]}, {"vector": [1, 2], "vector_pair": [1, 2]}])
    with pytest.raises(DoxaError, match="differ in length"):
        vector_figures([None]).count([None], [{"vector": [1], "vector_pair": [1, 2]}])


def test_alikeness_equals_scipy():
    chance = np.random.default_rng(3)
    for gold in (chance.integers(0, 6, 80).astype(float), chance.integers(0, 2, 80).astype(float)):
        score = np.round(gold / 6 + chance.normal(0, 0.3, 80), 1)
        weights = np.concatenate([np.ones((1, 80)), chance.multinomial(80, np.full(80, 1 / 80), size=1)])
        found = alikeness_figures(gold, score, weights)
        for row in range(2):
            rows = np.repeat(np.arange(80), weights[row].astype(int))
            assert found["spearman"][row] == pytest.approx(spearmanr(gold[rows], score[rows])[0])
            assert found["pearson"][row] == pytest.approx(pearsonr(gold[rows], score[rows])[0])


def test_alikeness_is_not_defined_on_some_rows_that_do_not_differ():
    said = [{"vector": [1.0, 0.0], "vector_pair": [0.0, 1.0], "score": score} for score in (0.1, 0.5, 0.3)] + [{"vector": [1.0, 0.0]}]
    gold = [1, 1, 0, None]
    judge = vector_figures(gold, said)
    counts, weights = judge.count(gold, said), np.ones((2, 2))
    for rows in ([0, 1], [3, 3]):
        assert np.isnan(list(judge.figures_of_rows(counts[rows], weights).values())).all()
    assert not vector_figures([1, 1, None, 0], said[:2] + said[3:] + said[3:]).differs  # what has no pair has no cosine


def test_alikeness_is_judged_where_gold_is_there_and_differs():
    generator = np.random.default_rng(4)
    said = [{"vector": [1.0, 0.0], "vector_pair": [0.0, 1.0], "score": float(score)} for score in generator.normal(size=40)]
    gold = [None if i % 4 == 0 else float(i % 5) for i in range(40)]
    known = [i for i in range(40) if gold[i] is not None]
    judge = vector_figures(gold)
    weights = generator.integers(0, 4, size=(5, 40)).astype(float)
    found = judge.figures_of_rows(judge.count(gold, said), weights)
    for row, own in enumerate(weights):
        drawn = [i for i in known for _ in range(int(own[i]))]
        expected = scipy.stats.spearmanr([gold[i] for i in drawn], [said[i]["score"] for i in drawn]).statistic
        assert found["spearman"][row] == pytest.approx(expected, abs=1e-12)
    alike = [1.0] * 40
    assert vector_figures(alike).figures_of_rows(vector_figures(alike).count(alike, said), weights) == {}
