"""Resampling: intervals hold the truth as often as they say, also where a bag of rows stands for all."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import accuracy_score, f1_score

from doxa.metrics.bootstrap import Resampling, draw_cells, draw_rows, estimate
from doxa.metrics.label_figures import accuracy, averages, tally_drawn
from doxa.metrics.paired import bootstrap_p, holm, mcnemar, tango, tango_interval


def mean_of(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ values / weights.sum(axis=1)


def test_interval_is_that_of_another_implementation():
    values = np.random.default_rng(1).exponential(1.0, 400)
    draws = draw_rows(np.zeros(400, int))
    found = estimate(values.mean(), mean_of(values[draws.rows], draws.weights), 400)
    theirs = scipy_bootstrap((values,), np.mean, n_resamples=4000, rng=2, method="percentile").confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def label_figures_of(gold: np.ndarray, said: np.ndarray, n_labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    cells, draws = draw_cells(np.stack([gold, said], axis=1), Resampling(seed))
    [tally] = tally_drawn(cells, draws, n_labels)
    return accuracy(tally), averages(tally)["macro_f1"]


def test_drawing_cells_is_drawing_rows():
    generator = np.random.default_rng(2)
    gold = generator.integers(0, 3, 150)
    said = np.where(generator.random(150) < 0.7, gold, generator.integers(0, 3, 150))
    naive = []
    for _ in range(300):
        rows = generator.integers(0, 150, 150)
        naive.append((accuracy_score(gold[rows], said[rows]), f1_score(gold[rows], said[rows], average="macro")))
    for ours, theirs in zip(label_figures_of(gold, said, 3), np.array(naive).T):
        assert ours[1:].mean() == pytest.approx(theirs.mean(), abs=0.005) and ours[1:].std() == pytest.approx(theirs.std(), rel=0.12)


def test_intervals_cover_the_truth():
    """95 % intervals of an accuracy of 0.8 at n = 300 cover it in 92 to 98 of 100 simulated test sets (400 sets)."""
    generator, hits = np.random.default_rng(3), 0
    for index in range(400):
        said = (generator.random(300) > 0.8).astype(int)
        values = label_figures_of(np.zeros(300, int), said, 2, index)[0]
        found = estimate(values[0], values, 300)
        hits += found.low <= 0.8 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_bag_gives_the_interval_of_all_rows():
    chance = np.random.default_rng(3)
    values = chance.normal(0, 1, 40_000) + 5 * (np.arange(40_000) < 30)  # thirty rows of a rare kind
    strata = (np.arange(40_000) < 30).astype(int)
    draws = draw_rows(strata, most=2000)
    assert len(draws.rows) == 2000 and set(range(30)) <= set(draws.rows.tolist())
    assert draws.weights.sum(axis=1) == pytest.approx(40_000)
    found = estimate(values.mean(), mean_of(values[draws.rows], draws.weights), 40_000)
    half = 1.96 * values.std() / 200
    assert found.value == values.mean()
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_more_strata_than_places():
    draws = draw_rows(np.arange(100), most=10)
    assert len(draws.rows) == len(set(draws.rows.tolist())) == 10


def test_cells_are_rows_drawn():
    rows = np.repeat([[0, 1], [2, 2], [0, 0]], (50, 30, 20), axis=0)
    cells, blocks = draw_cells(rows)
    draws = np.concatenate([*blocks])
    assert cells.tolist() == [[0, 0], [0, 1], [2, 2]] and draws[0].tolist() == [20, 50, 30]
    assert draws[1:].mean(axis=0) == pytest.approx([20, 50, 30], abs=0.6)
    assert draws[1:].var(axis=0) == pytest.approx([16, 25, 21], rel=0.15)  # n p (1 - p)


def test_an_undefined_resample_is_left_out():
    values = np.array([0.5, np.nan, *np.linspace(0, 1, 101)])
    assert (estimate(0.5, values, 10**6).low, estimate(0.5, values, 10**6).high) == pytest.approx((0.025, 0.975), abs=1e-5)
    assert np.isnan(estimate(0.5, np.array([0.5, np.nan]), 9).low)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06]) and holm([]) == []


def test_mcnemar_is_the_sign_test():
    for worse, better in ((0, 0), (1, 0), (3, 9), (10, 10), (40, 12), (2100, 1900)):
        expected = binomtest(worse, worse + better).pvalue if worse + better else 1.0
        assert mcnemar(worse, better) == pytest.approx(expected)


def test_paired_test_refuses_as_often_as_it_says():
    """Two predictions that are equally often right, not on the same rows: the test finds a difference in about alpha of 400 draws."""
    chance, refused, n = np.random.default_rng(5), 0, 300
    for draw in range(400):
        first, second = chance.random(n) < 0.7, chance.random(n) < 0.7
        cells, blocks = draw_cells(np.stack([first, second], axis=1), Resampling(draw))
        draws = np.concatenate([*blocks])
        differences = mean_of(cells[:, 1].astype(float), draws) - mean_of(cells[:, 0].astype(float), draws)
        refused += bootstrap_p(differences[1:], 300) < 0.05
    assert 8 <= refused <= 36  # 20 expected; 0.1 % tails of the binomial


@pytest.mark.parametrize("n, n_worse, n_better, margin", [(20, 0, 0, 0.02), (44, 1, 2, 0.1), (300, 12, 9, 0.05), (1000, 40, 60, 0.01), (60, 9, 0, 0.2)])
def test_the_score_test_of_a_margin_is_tangos_by_search(n, n_worse, n_better, margin):
    """The restricted maximum of the likelihood, searched for, in place of the root of a quadratic."""
    def loss(q):
        cells = (n_better, q), (n_worse, q + margin), (n - n_worse - n_better, 1 - 2 * q - margin)
        return -sum(count * np.log(chance) for count, chance in cells if count)

    q = minimize_scalar(loss, bounds=(1e-12, (1 - margin) / 2 - 1e-12), method="bounded", options={"xatol": 1e-12}).x
    score = (n_better - n_worse + n * margin) / np.sqrt(n * (2 * q + margin - margin**2))
    assert tango(n, n_worse, n_better, margin) == pytest.approx(2 * norm.sf(abs(score)), rel=1e-4)


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_a_loss_of_just_the_margin_is_seldom_taken_for_less(n):
    counts = np.random.default_rng(4).multinomial(n, (0.07, 0.02, 0.91), 1000).tolist()
    taken = sum(better - worse > -0.05 * n and tango(n, worse, better, 0.05) < 0.05 for worse, better, _ in counts)
    assert taken <= 0.025 * 1000 + 3 * (0.025 * 1000) ** 0.5


def test_tangos_interval_is_the_published_one():
    """Airway hyper-responsiveness of 21 children before and after transplantation, 7 changed one way and 1 the other (Fagerland, Lydersen and Laake 2014,
    doi 10.1002/sim.6148, table V): -0.517 to -0.026."""
    assert tango_interval(21, 7, 1) == pytest.approx((-0.517, -0.026), abs=5e-4)
    low, high = tango_interval(21, 1, 7)
    assert (low, high) == pytest.approx((0.026, 0.517), abs=5e-4)


@pytest.mark.parametrize("n, n_worse, n_better", [(30, 0, 0), (30, 30, 0), (100, 2, 1), (50, 0, 1), (400, 20, 20)])
def test_tangos_interval_ends_where_the_test_refuses(n, n_worse, n_better):
    low, high = tango_interval(n, n_worse, n_better)
    assert -1 <= low <= (n_better - n_worse) / n <= high <= 1 and low < high
    for end, step in ((low, -1e-6), (high, 1e-6)):
        losses = [-end, -(end + step)]
        inside, outside = (tango(n, n_worse, n_better, loss) if loss > 0 else tango(n, n_better, n_worse, -loss) for loss in losses)
        assert inside == pytest.approx(0.05, abs=1e-4) and outside < 0.05 or abs(end) == 1


def test_intervals_of_few_changes_hold_the_truth():
    """Of 100 records two become wrong and hardly one right: resamples hold that in 86 of 100 draws."""
    chance, hits = np.random.default_rng(4), 0
    for n_worse, n_better, _ in chance.multinomial(100, [0.02, 0.002, 0.978], size=500):
        low, high = tango_interval(100, int(n_worse), int(n_better))
        hits += low <= -0.018 <= high
    assert 465 <= hits <= 500
