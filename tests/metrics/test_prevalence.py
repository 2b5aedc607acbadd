"""Corrected shares against naive computations and brute force, and by simulation against a known truth."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from doxa.metrics.intervals import wilson
from doxa.metrics.prevalence import (
    adjust_all_shares, adjust_shares, can_correct, contradict, infer_share, pool_others)

QUALITIES = ((0.95, 0.05), (0.85, 0.10), (0.70, 0.20))  # true-positive, false-positive rate
PREVALENCES = (0.05, 0.2, 0.5, 0.8)
DEV_SHARE = 0.3
RATES = np.array([[0.85, 0.1, 0.05], [0.2, 0.7, 0.1], [0.05, 0.1, 0.85]])  # P(predicted | gold)


def draw_pairs(generator, n, share, t, f):
    held = generator.binomial(n, share)
    hits, alarms = generator.binomial(held, t), generator.binomial(n - held, f)
    return np.array([[n - held - alarms, alarms], [held - hits, hits]])


def simulate(share, n_streams=400, n=1000):
    """Whether intervals hold the share, (streams of all qualities and dev sizes, 2): corrected, and Wilson's of the raw count."""
    generator, held = np.random.default_rng(int(1000 * share)), []
    for (t, f), n_dev, _ in itertools.product(QUALITIES, (200, 500), range(n_streams)):
        pairs = draw_pairs(generator, n_dev, DEV_SHARE, t, f)
        hits = generator.binomial(n, share * t + (1 - share) * f)
        _, low, high = adjust_shares(pairs, hits, n)
        raw_low, raw_high = wilson(hits, n)
        held.append((low <= share <= high, raw_low <= share <= raw_high))
    return np.array(held)


@pytest.mark.parametrize("share", PREVALENCES)
def test_corrected_intervals_hold_the_truth_and_raw_ones_do_not(share):
    held = simulate(share)
    corrected, raw = held.mean(axis=0)
    assert 0.93 <= corrected <= 0.97
    assert all(0.915 <= block.mean() <= 0.985 for block in np.split(held[:, 0], 6))  # every quality and dev size; 400 streams: sd 0.011
    assert raw < (0.8 if share != DEV_SHARE else 1)


@pytest.mark.parametrize("n", [5, 30])
def test_intervals_of_few_texts_hold_the_truth(n):
    generator, held = np.random.default_rng(n), []
    for share, (t, f), _ in itertools.product(PREVALENCES, QUALITIES, range(150)):
        _, low, high = adjust_shares(draw_pairs(generator, 300, DEV_SHARE, t, f), generator.binomial(n, share * t + (1 - share) * f), n)
        held.append(low <= share <= high)
    assert 0.93 <= np.mean(held) <= 0.985  # counts are coarse


def test_a_share_is_the_naive_one_put_into_0_to_1():
    pairs = np.array([[180, 20], [30, 70]])
    hits, n = np.array([[0, 10, 40], [60, 90, 100]]), np.full((2, 3), 100)
    shares, low, high = adjust_shares(pairs, hits, n)
    assert shares == pytest.approx(np.clip((hits / n - 0.1) / (0.7 - 0.1), 0, 1))
    assert shares.shape == low.shape == high.shape == (2, 3) and (low <= shares).all() and (shares <= high).all()
    assert (high - low > 0.05).all()  # also where the count is beyond the rates


def test_nothing_confused_gives_wilson():
    perfect = np.array([[10**9, 0], [0, 10**9]])
    for hits, n in ((0, 40), (3, 7), (500, 1000), (12, 12)):
        share, low, high = adjust_shares(perfect, hits, n)
        assert (low, high) == pytest.approx(wilson(hits, n), abs=1e-4) and share == pytest.approx(hits / n, abs=1e-6)


def test_bounds_are_where_the_inequality_turns():
    pairs, hits, n = np.array([[400, 40], [35, 125]]), 230, 600
    _, low, high = adjust_shares(pairs, hits, n)
    (f, t), z2 = (pairs[:, 1] + 0.5) / (pairs.sum(axis=1) + 1), 1.959963984540054**2
    variance_f, variance_t = f * (1 - f) / 442, t * (1 - t) / 162
    grid = np.linspace(0, 1, 200001)
    s = grid * t + (1 - grid) * f
    inside = grid[(hits / n - s) ** 2 <= z2 * (s * (1 - s) / n + grid**2 * variance_t + (1 - grid) ** 2 * variance_f)]
    assert (low, high) == pytest.approx((inside.min(), inside.max()), abs=1e-4)


def test_more_is_known_the_more_texts_there_are():
    pairs = np.array([[180, 20], [30, 70]])
    widths = [np.subtract(*adjust_shares(pairs * m, 40 * k, 100 * k)[:0:-1]) for m, k in ((1, 1), (1, 100), (100, 1), (100, 100))]
    assert widths[0] > max(widths[1:3]) and widths[3] < min(widths[1:3])


@pytest.mark.parametrize("pairs", [[[50, 50], [50, 50]], [[60, 40], [9, 11]], [[0, 0], [20, 80]], [[80, 20], [0, 0]], [[0, 0], [0, 0]], [[5, 0], [1, 1]]])
def test_what_tells_nothing_leaves_shares_open(pairs):
    assert not can_correct(np.array(pairs))
    shares, low, high = adjust_shares(np.array(pairs), [3, 40], [10, 50])
    assert np.isnan(shares).all() and (low == 0).all() and (high == 1).all()


def test_intervals_widen_to_all_as_rates_approach_each_other():
    widths = [np.subtract(*adjust_shares(np.array([[700, 300], [100 - t, t]]), 150 + 5 * t, 1000)[:0:-1]) for t in range(30, 101, 5)]
    assert widths == sorted(widths, reverse=True) and widths[0] == 1 and widths[-1] < 0.15


def test_a_classifier_worse_than_chance_is_turned_round():
    shares, low, high = adjust_shares(np.array([[20, 180], [70, 30]]), 600, 1000)
    assert shares == pytest.approx(0.5) and low < 0.5 < high


def test_empty_cells_say_nothing():
    shares, low, high = adjust_shares(np.array([[180, 20], [30, 70]]), [0, 5], [0, 10])
    assert np.isnan(shares[0]) and (low[0], high[0]) == (0, 1) and not np.isnan(shares[1])


def test_a_count_beyond_both_rates_contradicts():
    pairs = np.array([[180, 20], [30, 70]])
    assert contradict(pairs, 10, 1000) and contradict(pairs, 900, 1000)
    assert not contradict(pairs, 95, 1000) and not contradict(pairs, 400, 1000) and not contradict(pairs, 0, 5)


def test_others_are_pooled():
    confusion = np.array([[5, 1, 2], [3, 7, 4], [1, 0, 9], [2, 6, 0]])  # the last gold label is never predicted
    gold, predicted = np.nonzero(np.ones_like(confusion))
    for index in range(3):
        expected = np.zeros((2, 2), int)
        np.add.at(expected, ((gold == index).astype(int), (predicted == index).astype(int)), confusion.ravel())
        assert pool_others(confusion, index).tolist() == expected.tolist()


def test_all_shares_are_the_inverse_where_it_is_on_the_simplex():
    truth = np.array([0.2, 0.5, 0.3])
    shares, low, high = adjust_all_shares(RATES * 1000, truth @ RATES * 5000)
    assert shares == pytest.approx(truth) and (low < truth).all() and (truth < high).all()


def test_all_shares_are_the_likeliest_of_the_simplex_where_it_is_not():
    counts = np.array([700.0, 40, 260])
    assert (np.linalg.solve(RATES.T, counts / 1000) < 0).any()
    best = minimize(lambda x: -counts @ np.log(softmax(x) @ RATES), np.zeros(3), method="Nelder-Mead",
                    options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 10000, "maxfev": 10000}).x
    shares, low, high = adjust_all_shares(RATES * 1000, counts)
    assert shares == pytest.approx(softmax(best), abs=1e-4) and shares.sum() == pytest.approx(1) and (shares >= 0).all()
    assert (low <= shares).all() and (shares <= high).all()


def test_a_label_predicted_in_the_stream_alone_is_left_out_of_the_shares():
    shares, low, high = adjust_all_shares(np.array([[90, 10, 0], [20, 80, 0], [30, 70, 0]]), [50, 40, 10])
    assert np.isfinite([shares, low, high]).all() and shares.sum() == pytest.approx(1) and (low <= shares).all() and (shares <= high).all()


def test_all_intervals_hold_the_truth():
    generator, held = np.random.default_rng(4), []
    for i, truth in enumerate(generator.dirichlet([2, 2, 2], 120)):
        gold = generator.multinomial(400, [0.5, 0.3, 0.2])
        confusion = np.array([generator.multinomial(n, row) for n, row in zip(gold, RATES)])
        _, low, high = adjust_all_shares(confusion, generator.multinomial(1000, truth @ RATES), seed=i)
        held.append((low <= truth) & (truth <= high))
    assert 0.925 <= np.mean(held) <= 0.975  # 360 of them: sd 0.011


def test_all_shares_are_the_same_for_a_seed_and_need_something():
    first, second = (adjust_all_shares(RATES * 50, [30, 20, 10], seed=3) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second))
    for confusion, counts in ((RATES, [0, 0, 0]), (RATES * [[1], [0], [1]], [1, 1, 1])):
        with pytest.raises(ValueError):
            adjust_all_shares(confusion, counts)


@pytest.mark.parametrize("hits, n", [(52000, 120000), (1200, 2400), (430, 1000)])
def test_an_inferred_share_is_the_formula_with_the_best_weight(hits, n):
    pairs = np.array([[1200, 240], [160, 800]])
    gold, predicted = np.repeat([0, 0, 1, 1], pairs.ravel()), np.repeat([0, 1, 0, 1], pairs.ravel())

    def variance(weight):
        return np.var(gold - weight * predicted) / 2400 + weight**2 * np.var(predicted) / n

    grid = np.linspace(0, 1, 1001)
    weight = grid[np.argmin([variance(w) for w in grid])]
    expected = gold.mean() + weight * (hits / n - predicted.mean())
    found = infer_share(pairs, hits, n)
    assert found.value == pytest.approx(expected, abs=1e-3)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.sqrt(variance(weight)), rel=0.01)


@pytest.mark.parametrize("n_gold", [100, 300])
def test_inferred_intervals_hold_the_truth_and_are_narrower_than_the_samples_own(n_gold):
    generator, held, widths = np.random.default_rng(n_gold), [], []
    for share, (t, f), _ in itertools.product(PREVALENCES, QUALITIES, range(150)):
        pairs = draw_pairs(generator, n_gold, share, t, f)
        found = infer_share(pairs, generator.binomial(20000, share * t + (1 - share) * f), 20000)
        held.append(found.low <= share <= found.high)
        widths.append((found.high - found.low, np.subtract(*wilson(int(pairs[1].sum()), n_gold)[::-1])))
    ours, own = np.mean(widths, axis=0)
    assert 0.93 <= np.mean(held) <= 0.97 and ours < 0.8 * own


@pytest.mark.parametrize("pairs", [[[70, 0], [0, 30]], [[100, 0], [0, 0]], [[0, 100], [0, 0]], [[1, 0], [0, 0]]])
def test_a_sample_without_mistakes_is_not_held_for_certain(pairs):
    found = infer_share(np.array(pairs), 3000, 10000)
    assert 0 <= found.low <= found.value <= found.high <= 1 and found.high - found.low > 0.02


def test_an_empty_sample_infers_nothing():
    for pairs, n in (([[0, 0], [0, 0]], 10), ([[1, 1], [1, 1]], 0)):
        with pytest.raises(ValueError):
            infer_share(np.array(pairs), 0, n)
