"""Figures of ranked groups against scikit-learn, and against the mean over all orders of what ties."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from doxa.metrics.group_ranking import expected_first, mean_of_groups, rank_groups


def draw_groups(seed: int, n_groups: int = 25) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups of 2 to 30 records in mixed order, graded relevance, many tied scores."""
    chance = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), chance.integers(2, 31, n_groups))
    groups = chance.permutation(groups)
    gold = chance.choice([0.0, 0.0, 1.0, 2.0, 3.5], len(groups))
    return gold, np.round(gold / 5 + chance.random(len(groups)), 1), groups


def first_rank(gold: np.ndarray, score: np.ndarray) -> float:
    """1 / rank of the first relevant record, averaged over all orders that the scores allow."""
    found = [1 / (1 + next(place for place, row in enumerate(order) if gold[row] > 0)) for order in permutations(range(len(gold)))
             if all(score[a] >= score[b] for a, b in zip(order, order[1:]))]
    return float(np.mean(found))


@pytest.mark.parametrize("seed", [1, 2])
def test_ndcg_equals_scikit_learn(seed):
    gold, score, groups = draw_groups(seed)
    found, n_checked = rank_groups(gold, score, groups), 0
    for code in range(groups.max() + 1):
        own = groups == code
        if gold[own].any():
            assert found["ndcg"][code] == pytest.approx(ndcg_score([gold[own]], [score[own]]), rel=1e-12)
            assert found["ndcg_at_10"][code] == pytest.approx(ndcg_score([gold[own]], [score[own]], k=10), rel=1e-12)
            n_checked += 1
        else:
            assert np.isnan([found[name][code] for name in found]).all()
    assert n_checked > 20 and (found["ndcg"] != found["ndcg_at_10"]).any()


def test_first_relevant_rank_is_the_mean_over_all_orders():
    chance = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 6)
    gold, score = chance.choice([0.0, 0.0, 1.0], 72), chance.integers(0, 3, 72).astype(float)
    found = rank_groups(gold, score, groups)["mrr"]
    for code in range(12):
        own = groups == code
        assert found[code] == pytest.approx(first_rank(gold[own], score[own])) if gold[own].any() else np.isnan(found[code])
    assert len(set(found.round(6))) > 5
    assert expected_first(4, 1, 1) == 1 / 5 and expected_first(0, 3, 3) == 1.0


def test_means_are_over_groups_that_have_a_figure():
    values = np.array([0.2, np.nan, 1.0])
    weights = np.array([[1, 1, 1], [0, 3, 0], [3, 0, 1]], float)
    assert mean_of_groups(values, weights) == pytest.approx([0.6, np.nan, 0.4], nan_ok=True)


def test_edges():
    found = rank_groups(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([0, 2]))
    assert found["ndcg"] == pytest.approx([1.0, np.nan, np.nan], nan_ok=True) and found["mrr"] == pytest.approx([1.0, np.nan, np.nan], nan_ok=True)
    assert all(len(values) == 0 for values in rank_groups(np.zeros(0), np.zeros(0), np.zeros(0, int)).values())
    for bad in (-1.0, np.nan):
        with pytest.raises(ValueError, match="0 .not relevant. or more"):
            rank_groups(np.array([bad]), np.zeros(1), np.zeros(1, int))
