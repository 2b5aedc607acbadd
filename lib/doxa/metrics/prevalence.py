"""Shares that a classifier's mistakes do not bend: from counts of predictions, and what is known of its confusions.

A share counted from predictions is biased: of a label that p of the texts hold, a classifier with true-positive rate t and
false-positive rate f finds p t + (1 - p) f. Pairs (2, 2) are counts of texts whose truth is known, gold by predicted, no before yes.
"""

import numpy as np

from doxa.metrics.classification import Estimate
from doxa.metrics.intervals import Z_95, wilson

PRIOR = 0.5  # Jeffreys: added to every cell of a confusion, so that a rate of 0 of 20 is not held for certain
N_DRAWS, FEW_DRAWS = 2000, 400  # as many, and the fewest, where labels are many
MOST_DRAWN = 40_000  # labels of all draws
MOST_STEPS = 2000
PRECISE = 1e-9
TINY = 1e-300  # a label that is predicted in the stream alone explains nothing


def pool_others(confusion: np.ndarray, index: int) -> np.ndarray:
    """Pairs (2, 2) of one label against all others, from counts (G, P), gold by predicted, G and P more than `index`."""
    confusion = np.asarray(confusion)
    hits, held, said = confusion[index, index], confusion[index].sum(), confusion[:, index].sum()
    return np.array([[confusion.sum() - held - said + hits, said - hits], [held - hits, hits]])


def can_correct(pairs: np.ndarray) -> bool:
    """Whether true-positive and false-positive rate differ with 95 % confidence.

    Where they do not, any share is compatible with any count (Fieller 1954: the interval of a ratio is unbounded when its
    divisor is not significantly different from 0)."""
    f, t, variance_f, variance_t = _rates(pairs)
    return bool((t - f) ** 2 > Z_95**2 * (variance_f + variance_t))


def contradict(pairs: np.ndarray, hits: int, n: int) -> bool:
    """Whether a share predicted in a stream lies beyond both rates, with 95 % confidence: then label shift does not hold."""
    f, t, variance_f, variance_t = _rates(pairs)
    (low, variance_low), (high, variance_high) = sorted(((f, variance_f), (t, variance_t)))
    sd_low, sd_high = (variance_low + low * (1 - low) / n) ** 0.5, (variance_high + high * (1 - high) / n) ** 0.5
    return not low - Z_95 * sd_low <= hits / n <= high + Z_95 * sd_high


def adjust_shares(pairs: np.ndarray, hits: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Adjusted count (Forman 2008) of a label predicted `hits` times of `n` in each of many cells: shares, and 95 % bounds.

    `pairs` come from a held-out set; hits and n have one shape, and so has what is returned. A share is (q - f) / (t - f) of the
    predicted share q, put into 0..1; NaN with bounds 0 and 1 where n is 0 or the rates do not differ (see can_correct).

    Assumes label shift: the classifier errs on either kind of text as often as it did on the held-out set, whatever their
    mixture, and texts are drawn independently. The bounds hold the chance in the cell and in the rates: all shares p that
    (q - s)^2 <= z^2 [s (1 - s) / n + p^2 var(t) + (1 - p)^2 var(f)] with s = p t + (1 - p) f allows, a quadratic in p. It is
    Fieller's (1954) interval with the variance taken at p, as Wilson (1927) does, and is Wilson's where nothing is confused.
    A q beyond what both rates can explain counts as the nearest that they can. All cells share the rates, so their errors are correlated.
    """
    hits, n = np.asarray(hits, float), np.asarray(n, float)
    f, t, variance_f, variance_t = _rates(pairs)
    if not can_correct(pairs):
        return np.full(n.shape, np.nan), np.zeros(n.shape), np.ones(n.shape)
    (correct_no, false_yes), (false_no, correct_yes) = np.asarray(pairs, float)
    raw_f, raw_t = false_yes / max(1, correct_no + false_yes), correct_yes / max(1, false_no + correct_yes)
    is_seen = n > 0
    size = np.where(is_seen, n, 1.0)
    q = hits / size
    gap, z2 = t - f, Z_95**2
    share = np.clip((q - raw_f) / (raw_t - raw_f), 0.0, 1.0)
    q = np.clip(q, min(t, f), max(t, f))
    a = gap**2 * (1 + z2 / size) - z2 * (variance_t + variance_f)
    b = -2 * gap * (q - f) - z2 * (gap * (1 - 2 * f) / size - 2 * variance_f)
    c = (q - f) ** 2 - z2 * (f * (1 - f) / size + variance_f)
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))
    low, high = np.clip((-b - root) / (2 * a), 0.0, 1.0), np.clip((-b + root) / (2 * a), 0.0, 1.0)
    return (np.where(is_seen, share, np.nan), np.where(is_seen, np.minimum(low, share), 0.0),
            np.where(is_seen, np.maximum(high, share), 1.0))


def _rates(pairs: np.ndarray) -> tuple[float, float, float, float]:
    """False- and true-positive rate with their variances: means and variances of Beta posteriors under Jeffreys' prior."""
    counts = np.asarray(pairs, float) + PRIOR
    n = counts.sum(axis=1)
    rates = counts[:, 1] / n
    return (*rates.tolist(), *(rates * (1 - rates) / (n + 1)).tolist())


def adjust_all_shares(confusion: np.ndarray, counts: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Adjusted count of all K labels of a head of one label: shares (K), which sum to 1, and 95 % bounds (K) each.

    `confusion` (K, K) are counts of a held-out set, gold by predicted, `counts` (K) those predicted in the stream. Assumes
    label shift, like adjust_shares. The shares are the likeliest on the simplex: counts times the inverse of P(predicted | gold) where
    that lies on it. The bounds are percentiles of the shares from FEW_DRAWS to N_DRAWS draws of every row of P(predicted | gold) and of
    the predicted shares, Dirichlet under a prior of one text spread over the labels (Jeffreys' where K is 2). Raises ValueError
    where nothing was predicted, or a label has no held-out text."""
    confusion, counts = np.asarray(confusion, float), np.asarray(counts, float)
    if not counts.sum() > 0 or not confusion.sum(axis=1).all():
        raise ValueError("nothing was predicted, or nothing is known of a label")
    generator, prior = np.random.default_rng(seed), 1.0 / len(counts)
    n_draws = min(N_DRAWS, max(FEW_DRAWS, MOST_DRAWN // len(counts)))
    rows = np.stack([generator.dirichlet(row + prior, n_draws) for row in confusion], axis=1)  # (D, K, K)
    rates = confusion / confusion.sum(axis=1, keepdims=True)
    shares = _solve(rates[None], (counts / counts.sum())[None])[0]
    low, high = np.percentile(_solve(rows, generator.dirichlet(counts + prior, n_draws)), (2.5, 97.5), axis=0)
    low[low < PRECISE] = 0.0
    return shares, np.minimum(low, shares), np.maximum(high, shares)


def _solve(rates: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The shares (D, K) under which predicted shares (D, K) are likeliest, given P(predicted | gold) (D, K, K)."""
    with np.errstate(all="ignore"):
        try:
            shares = np.linalg.solve(np.swapaxes(rates, 1, 2), predicted[:, :, None])[:, :, 0]
        except np.linalg.LinAlgError:
            shares = np.full(predicted.shape, -1.0)
    left = np.flatnonzero(~(shares >= 0).all(axis=1))
    shares[left] = 1 / predicted.shape[1]
    rates, predicted = rates[left], predicted[left]
    for _ in range(MOST_STEPS):  # EM for a mixture whose parts are known
        found = shares[left]
        mixed = np.maximum(np.matmul(found[:, None], rates)[:, 0], TINY)  # (D, K) by predicted label
        shares[left] = found * np.matmul(rates, (predicted / mixed)[:, :, None])[:, :, 0]
        moves = np.abs(shares[left] - found).max(axis=1, initial=0.0) >= PRECISE
        if not moves.any():
            break
        if not moves.all():
            left, rates, predicted = left[moves], rates[moves], predicted[moves]
    return shares / shares.sum(axis=1, keepdims=True)


def infer_share(pairs: np.ndarray, hits: int, n: int) -> Estimate:
    """Prediction-powered share of a label (Angelopoulos et al. 2023, tuned as PPI++ is, Angelopoulos, Duchi and Zrnic 2023).

    `pairs` are a gold sample, `hits` of `n` the predictions of the stream. The share is mean(gold) + lambda (hits / n - mean(predicted)),
    lambda = cov(gold, predicted) / ((1 + n_gold / n) var(predicted)): the better the predictions, the more they count.

    Assumes that the gold sample is a random sample of the stream; how the classifier errs is left open. The 95 % interval is Wilson's
    with the number of texts that would give the same variance; the variance is taken with half a text more in every cell,
    as a sample without a mistake does not say that there is none. Raises ValueError for an empty sample or stream."""
    pairs = np.asarray(pairs, float)
    n_gold = pairs.sum()
    if not n_gold or not n:
        raise ValueError("an empty sample or stream")
    weight = _tune(pairs, n_gold / n)
    predicted, gold = pairs[:, 1].sum() / n_gold, pairs[1].sum() / n_gold
    share = float(np.clip(gold + weight * (hits / n - predicted), 0.0, 1.0))
    cells = (pairs + PRIOR) / (n_gold + 4 * PRIOR)
    said, held = cells[:, 1].sum(), cells[1].sum()
    weight = _tune(cells * n_gold, n_gold / n)
    stream_variance, own = said * (1 - said), held * (1 - held)
    rest = own - 2 * weight * (cells[1, 1] - said * held) + weight**2 * stream_variance
    variance = rest / n_gold + weight**2 * stream_variance / n
    n_alike = float(held * (1 - held) / variance)
    low, high = wilson(share * n_alike, n_alike)
    return Estimate(share, min(low, share), max(high, share))


def _tune(pairs: np.ndarray, ratio: float) -> float:
    """The lambda of PPI++ in 0..1, from pairs and the number of gold texts to a text of the stream."""
    n = pairs.sum()
    predicted, gold = pairs[:, 1].sum() / n, pairs[1].sum() / n
    variance = predicted * (1 - predicted)
    return float(np.clip((pairs[1, 1] / n - predicted * gold) / variance / (1 + ratio), 0.0, 1.0)) if variance else 0.0

