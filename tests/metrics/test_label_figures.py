"""Averages over labels against scikit-learn, on plain rows and on resampled ones."""

import numpy as np
import pytest
from sklearn.metrics import classification_report, hamming_loss, jaccard_score, matthews_corrcoef

from doxa.metrics import label_figures
from doxa.metrics.bootstrap import Resampling, draw_cells

AVERAGES = {"macro avg": "macro", "weighted avg": "weighted"}


def make_rows(seed: int, n: int = 60, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Skewed labels, one of which is never predicted and one never held."""
    chance = np.random.default_rng(seed)
    gold, said = chance.integers(0, k - 1, n), chance.integers(1, k, n)
    return gold, np.where(chance.random(n) < 0.5, np.maximum(gold, 1), said)


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn_to_the_last_digit(seed):
    gold, said = make_rows(seed)
    cells, blocks = draw_cells(np.stack([gold, said], axis=1), Resampling(seed))
    draws = np.concatenate([*blocks])
    tally = label_figures.tally_labels(cells[:, 0], cells[:, 1], draws, 5)
    scores, averages = label_figures.label_scores(tally), label_figures.averages(tally)
    for row in (0, 7, 500):  # the rows themselves, then two resamples drawn as whole rows
        drawn = np.repeat(cells, draws[row].astype(int), axis=0)
        report = classification_report(drawn[:, 0], drawn[:, 1], output_dict=True, zero_division=0)
        for label in set(drawn.ravel().tolist()):
            found = report[str(label)]
            assert [scores[name][row, label] for name in ("precision", "recall", "f1")] == pytest.approx(
                [found["precision"], found["recall"], found["f1-score"]], abs=1e-15)
        for theirs, ours in AVERAGES.items():
            assert [averages[f"{ours}_{name}"][row] for name in ("precision", "recall", "f1")] == pytest.approx(
                [report[theirs][name] for name in ("precision", "recall", "f1-score")], abs=1e-15)
        assert label_figures.accuracy(tally)[row] == report["accuracy"] == averages["micro_f1"][row]
        assert label_figures.matthews(tally)[row] == pytest.approx(matthews_corrcoef(drawn[:, 0], drawn[:, 1]), abs=1e-12)


def test_one_label_alone_has_no_correlation():
    tally = label_figures.tally_labels(np.zeros(4, int), np.zeros(4, int), np.ones((1, 4)), 1)
    assert label_figures.matthews(tally)[0] == 0.0 and label_figures.accuracy(tally)[0] == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_many_labels_equal_scikit_learn(seed):
    chance = np.random.default_rng(seed)
    gold, said = chance.random((50, 4)) < 0.3, chance.random((50, 4)) < 0.3
    gold[0], said[0] = True, True  # every label occurs
    weights = np.concatenate([np.ones((1, 50)), chance.multinomial(50, np.full(50, 1 / 50), size=2)])
    tally = label_figures.tally_many(gold, said, weights)
    for row in range(3):
        rows = np.repeat(np.arange(50), weights[row].astype(int))
        report = classification_report(gold[rows], said[rows], output_dict=True, zero_division=0)
        found = label_figures.averages(tally) | label_figures.sample_averages(gold, said, weights)
        for theirs, ours in (AVERAGES | {"micro avg": "micro", "samples avg": "samples"}).items():
            assert [found[f"{ours}_{name}"][row] for name in ("precision", "recall", "f1")] == pytest.approx(
                [report[theirs][name] for name in ("precision", "recall", "f1-score")], abs=1e-12)
        assert found["exact_match"][row] == pytest.approx((gold[rows] == said[rows]).all(axis=1).mean())
        assert found["hamming_loss"][row] == pytest.approx(hamming_loss(gold[rows], said[rows]))
        assert found["samples_jaccard"][row] == pytest.approx(jaccard_score(gold[rows], said[rows], average="samples", zero_division=0))
