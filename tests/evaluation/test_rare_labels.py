"""Intervals of means over many labels, each of which few records hold."""

import json
from collections import Counter

import numpy as np
import pytest
from judged import lines
from scipy.stats import binomtest
from shell import run

from doxa.evaluation.flat_rows import FlatRows
from doxa.evaluation.measures import estimate_figures, estimate_labels, measure
from doxa.metrics.bootstrap import Resampling

N_LABELS, RIGHT = 77, 0.85


def draw(n: int, generator: np.random.Generator) -> FlatRows:
    """Labels all alike frequent, said right with a chance, else at random."""
    gold = generator.integers(N_LABELS, size=n)
    said = np.where(generator.random(n) < RIGHT, gold, generator.integers(N_LABELS, size=n))
    return FlatRows(head="h", kind="label", labels=[f"l{i}" for i in range(N_LABELS)], gold=gold, said=said, scores=None, score=np.full(n, np.nan), records=np.arange(n))


def test_macro_figures_hold_the_truth():
    """Precision, recall and F1 of every label are the same by the way it is drawn. Of 60 intervals 53 or more hold it but once in 100, were it 95 of 100."""
    truth, held = RIGHT + (1 - RIGHT) / N_LABELS, {"macro_f1": 0, "macro_recall": 0, "weighted_f1": 0}
    for seed in range(60):
        rows = draw(300, np.random.default_rng(seed))
        found = estimate_figures(rows, measure(rows))
        for name in held:
            held[name] += found[name].low <= truth <= found[name].high
    assert min(held.values()) >= 53, held


def test_labels_without_a_mistake_have_the_interval_of_a_share():
    """Ten records of each label; of "a" none is wrong, which says that at least 72 of 100 are right."""
    records = [{"text": "t", "s": gold, "prediction": {"s": {"label": said}}} for gold, said in ["aa"] * 10 + ["bb"] * 6 + ["bc"] * 4 + ["cc"] * 10]
    labels = json.loads(run("evaluate", "--to", "json", stdin=lines(records)).out)["heads"]["s"]["labels"]
    low = proportion_confint(10, 10)
    assert labels["a"]["recall"] == labels["a"]["precision"] == {"value": 1.0, "low": pytest.approx(low[0]), "high": 1.0}
    assert labels["a"]["f1"]["low"] == pytest.approx(2 * low[0] / (1 + low[0]))
    for name, hits, n in (("recall", 6, 10), ("precision", 6, 6)):
        assert (labels["b"][name]["low"], labels["b"][name]["high"]) == pytest.approx(proportion_confint(hits, n))


def proportion_confint(hits: int, n: int) -> tuple[float, float]:
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return interval.low, interval.high


@pytest.mark.parametrize("n, right", [(30, 0.95), (100, 0.98)])
def test_figures_of_a_good_model_hold_the_truth(n, right):
    """Four labels of which one is rare, and few mistakes or none: resamples hold the truth in 8 to 90 of 100 draws. Of 200 intervals 178 or more hold it but once in
    500, were it 95 of 100."""
    held, prior = Counter(), np.array([0.5, 0.3, 0.12, 0.08])
    chances = np.full((4, 4), (1 - right) / 3)
    np.fill_diagonal(chances, right)
    chances *= prior[:, None]
    said, hits = chances.sum(axis=0), np.diag(chances)
    of_labels = {"precision": hits / said, "recall": hits / prior, "f1": 2 * hits / (said + prior)}
    truths = {"accuracy": hits.sum(), "macro_f1": of_labels["f1"].mean(), "macro_recall": of_labels["recall"].mean(), "weighted_f1": of_labels["f1"] @ prior,
              "matthews": (hits.sum() - said @ prior) / np.sqrt((1 - said @ said) * (1 - prior @ prior))}
    for seed in range(200):
        cells = np.random.default_rng(seed).choice(16, n, p=chances.ravel())
        rows = FlatRows(head="h", kind="label", labels=list("abcd"), gold=cells // 4, said=cells % 4, scores=None, score=np.full(n, np.nan), records=np.arange(n))
        measured, (_, n_held, n_said) = measure(rows, Resampling(seed, 200)), rows.support()
        found, by_label = estimate_figures(rows, measured), estimate_labels(rows, measured)
        for name, truth in truths.items():
            held[name] += found[name].low <= truth <= found[name].high
        for name, truth in of_labels.items():
            for place in (0, 3):
                held[name, place] += not n_held[place] or not n_said[place] or by_label[name][place].low <= truth[place] <= by_label[name][place].high
    assert min(held.values()) >= 178, held


def test_means_over_labels_are_no_surer_than_their_labels():
    """Against the sum of squares written out, of a model without a mistake, where resamples know of none."""
    gold = np.repeat([0, 1, 2], (10, 4, 2))
    rows = FlatRows(head="h", kind="label", labels=list("abc"), gold=gold, said=gold, scores=None, score=np.full(16, np.nan), records=np.arange(16))
    found = estimate_figures(rows, measure(rows))
    low = [proportion_confint(n, n)[0] for n in (10, 4, 2)]
    assert found["macro_recall"].low == pytest.approx(1 - np.sqrt(sum((1 - own) ** 2 for own in low)) / 3)
    assert found["weighted_precision"].low == pytest.approx(1 - np.sqrt(sum((n / 16 * (1 - own)) ** 2 for n, own in zip((10, 4, 2), low))))
    assert found["macro_f1"].low == pytest.approx(1 - np.sqrt(sum((1 - 2 * own / (1 + own)) ** 2 for own in low)) / 3) and found["macro_f1"].high == 1.0
    assert found["matthews"].low == pytest.approx(1 - 2 * (1 - proportion_confint(16, 16)[0]))


@pytest.mark.parametrize("labels", [("1", "1.0"), ("Positive", "positive"), ("caf\u00e9", "cafe\u0301"), ("a b", "a  b")])
def test_labels_that_may_be_meant_to_be_the_same_are_told(labels):
    records = [{"text": "t", "s": gold, "prediction": {"s": {"label": said}}} for gold, said in [labels, (labels[0], "other")]]
    told = run("evaluate", "--to", "json", stdin=lines(records)).out.decode()
    assert "count as different ones" in told
