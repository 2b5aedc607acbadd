"""What the next bucket of time should hold, by what the buckets before it held: level, calendar, and how far it all scatters.

Everything is estimated for all series at once, and what one series alone tells poorly is drawn towards what all tell together
(empirical Bayes: Efron and Morris 1975; for dispersions in the manner of Smyth 2004)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

LENT_BUCKETS = 20.0  # the dispersion of all series weighs as much as so many buckets of the series' own
LENT_RECORDS, MOST_LENT_RECORDS = 4.0, 50.0  # and the share of all series at least and at most as much as so many records
N_ROUNDS = 3
WEEK_SD = 0.3


@dataclass(frozen=True)
class Cycle:
    """A calendar cycle: the cell (hour of the day, day of the week) of each of T buckets, and of the bucket that comes."""

    cells: np.ndarray
    coming: int
    n_cells: int


@dataclass(frozen=True)
class Expected:
    """Of K series (K,). For a count `mean` is that of the whole bucket and `scatter` the negative binomial's dispersion; for a share `mean`
    is a share and `scatter` the beta-binomial's correlation. Both hold what is not known of the level and the calendar. `freedom` says
    how well the scatter itself is known, in buckets. The texts of a count come in clumps, as replies do: its variance is
    (1 + `clumping`) * m + scatter * m ** 2."""

    mean: np.ndarray
    scatter: np.ndarray
    freedom: np.ndarray
    clumping: np.ndarray | float = 0.0

    def scatter_at(self, mean: np.ndarray) -> np.ndarray:
        """The negative binomial's dispersion that gives this variance at a mean: that of a part of the bucket, say."""
        return self.scatter + self.clumping / np.maximum(mean, 1e-9)


def expect_counts(counts: np.ndarray, is_usual: np.ndarray, cycles: list[Cycle], lengths: np.ndarray | None = None, coming_length: float = 1.0,
                  is_week_known: bool = True) -> Expected:
    """Expect the next of counts (T, K); buckets that are not `is_usual` (T, K) tell nothing. Series need at least two usual buckets.

    `lengths` (T,) and `coming_length` are those of the buckets as parts of the usual one. What the days of the week do stays open by a
    standard deviation of WEEK_SD, on the log scale, where history is too short to tell."""
    weights = is_usual.astype(float)
    n_buckets = np.maximum(weights.sum(axis=0), 1e-9)
    factors = np.ones_like(weights) * (1.0 if lengths is None else lengths[:, None])
    unsure, coming = np.full(counts.shape[1], 0.0 if is_week_known else WEEK_SD**2), np.full(counts.shape[1], coming_length)
    n_known = np.ones(counts.shape[1])
    level = _level(counts, weights, factors)
    dispersion, freedom, clumping = _count_scatter(counts, weights, level * factors, n_known)
    for cycle in cycles:
        expected = level * factors
        cell_seen, cell_expected = _by_cell(weights * counts, cycle), _by_cell(weights * expected, cycle)
        cell_buckets = _by_cell(weights, cycle)
        effects = np.log((cell_seen + 0.5) / (cell_expected + 0.5))
        within = _within_cells(counts, weights, expected, cycle, effects)
        variances = (1.0 / np.maximum(cell_expected, 0.25)) + within / np.maximum(cell_buckets, 0.25)
        effects, variances, share_used = _shrink(effects, np.where(cell_buckets > 0, variances, 1e6))
        factors = factors * np.exp(effects[cycle.cells])
        coming, unsure = coming * np.exp(effects[cycle.coming]), unsure + variances[cycle.coming]
        n_known = n_known + share_used
        level = _level(counts, weights, factors)
        dispersion, freedom, clumping = _count_scatter(counts, weights, level * factors, n_known)
    mean = level * coming
    of_level = (dispersion + (1.0 + clumping) / np.maximum(level, 1e-9)) / n_buckets
    return Expected(np.maximum(mean, 0.5 / n_buckets), dispersion + of_level + unsure, freedom, clumping)


def _level(counts: np.ndarray, weights: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Mean count of a bucket without its calendar factor, a trace above 0."""
    return ((weights * counts).sum(axis=0) + 0.5) / np.maximum((weights * factors).sum(axis=0) + 0.5 / 5, 1e-9)


def _count_scatter(counts: np.ndarray, weights: np.ndarray, expected: np.ndarray, n_known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dispersion, its freedom and clumping by moments: E (x - m)^2 = (1 + c) m + d m^2, for each series and drawn towards all; `n_known`
    parameters were fitted.

    What small counts show beyond chance is clumping, what large ones show is dispersion: each is found with the other taken off."""
    excess = (counts - expected) ** 2 * _spared(weights.sum(axis=0), n_known) - expected
    mean = np.maximum(expected, 1e-9)
    # A bucket's own estimate of d is (excess - c m) / m^2; those of small counts are mostly noise and weigh less. That of c is (excess - d m^2) / m.
    of_clumping = weights / (1.0 + 0.3 * mean) ** 2
    of_dispersion = of_clumping * mean**2
    trusted, at_mean = of_clumping.sum(axis=0), (of_clumping * mean).sum(axis=0)
    at_square, at_excess, at_ratio = of_dispersion.sum(axis=0), (of_clumping * excess).sum(axis=0), (of_clumping * excess / mean).sum(axis=0)
    n_clumping, n_dispersion = _carrying(of_clumping, trusted), _carrying(of_dispersion, at_square)
    clumping = np.zeros(counts.shape[1])
    for _ in range(N_ROUNDS):
        dispersion, freedom = _lend(at_excess - clumping * at_mean, at_square, n_dispersion)
        clumping, _ = _lend(at_ratio - dispersion * at_mean, trusted, n_clumping)
    return dispersion, freedom, clumping


def _spared(n_buckets: np.ndarray, n_known: np.ndarray) -> np.ndarray:
    """Residuals are too small by the parameters that were fitted to them."""
    return n_buckets / np.maximum(n_buckets - n_known, 0.5 * np.maximum(n_buckets, 1.0))


def _carrying(trust: np.ndarray, total: np.ndarray) -> np.ndarray:
    """How many buckets carry a mean over time that is weighted by (T, K), which add up to `total`."""
    return np.maximum(total, 1e-12) ** 2 / np.maximum((trust**2).sum(axis=0), 1e-12)


def _lend(sums: np.ndarray, trusts: np.ndarray, n_own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means over time, from weighted sums and sums of weights (K,), drawn towards that of all series, never below 0; and the buckets that carry them,
    of which `n_own` are the series' own."""
    own = sums / np.maximum(trusts, 1e-12)
    all_of_them = max(0.0, float(sums.sum() / np.maximum(trusts.sum(), 1e-12)))
    return (n_own * np.maximum(own, 0.0) + LENT_BUCKETS * all_of_them) / (n_own + LENT_BUCKETS), n_own + LENT_BUCKETS


def _within_cells(counts: np.ndarray, weights: np.ndarray, expected: np.ndarray, cycle: Cycle, effects: np.ndarray) -> np.ndarray:
    """The dispersion that is left when every cell has a level of its own: what a cell's level is unsure by."""
    n_cells = (_by_cell(weights, cycle) > 0).sum(axis=0)
    dispersion, _, clumping = _count_scatter(counts, weights, expected * np.exp(effects[cycle.cells]), n_cells.astype(float))
    return dispersion + clumping * weights.sum(axis=0) / np.maximum((weights * expected).sum(axis=0), 1e-9)


def expect_shares(hits: np.ndarray, n: np.ndarray, is_usual: np.ndarray, cycles: list[Cycle]) -> Expected:
    """Expect the next of shares hits / n, both (T, K); buckets that are not `is_usual` (T, K) tell nothing."""
    weights = (is_usual & (n > 0)).astype(float)
    offsets, unsure, coming = np.zeros(n.shape), np.zeros(n.shape[1]), np.zeros(n.shape[1])
    correlation = np.full(n.shape[1], 0.01)
    n_known = np.ones(n.shape[1])
    level = _share_level(hits, n, weights, offsets, correlation)
    correlation, freedom = _share_correlation(hits, n, weights, expit(level + offsets), correlation, n_known)
    for cycle in cycles:
        shares = expit(level + offsets)
        information = weights * n / (1.0 + np.maximum(n - 1.0, 0.0) * correlation)
        cell_seen, cell_n = _by_cell(weights * hits, cycle), _by_cell(weights * n, cycle)
        cell_expected = _by_cell(weights * n * shares, cycle)
        effects = logit((cell_seen + 0.5) / (cell_n + 1.0)) - logit((cell_expected + 0.5) / (cell_n + 1.0))
        variances = 1.0 / np.maximum(_by_cell(information * shares * (1 - shares), cycle), 0.05)
        effects, variances, share_used = _shrink(effects, variances)
        offsets, coming, unsure = offsets + effects[cycle.cells], coming + effects[cycle.coming], unsure + variances[cycle.coming]
        n_known = n_known + share_used
        for _ in range(2):
            level = _share_level(hits, n, weights, offsets, correlation)
            correlation, freedom = _share_correlation(hits, n, weights, expit(level + offsets), correlation, n_known)
    mean = expit(level + coming)
    information = (weights * n / (1.0 + np.maximum(n - 1.0, 0.0) * correlation)).sum(axis=0) + LENT_RECORDS
    # Var(logit) = 1 / (i p (1 - p)): on the scale of the share times p^2 (1 - p)^2, of a correlation another p (1 - p) less.
    return Expected(mean, np.minimum(0.5, correlation + 1.0 / (information + 1.0) + unsure * mean * (1 - mean)), freedom)


def _share_level(hits: np.ndarray, n: np.ndarray, weights: np.ndarray, offsets: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """The logit of each series' share (K,), drawn towards that of all as their spread asks for."""
    trust = weights / (1.0 + np.maximum(n - 1.0, 0.0) * correlation)
    counted = trust * n
    seen, size = (trust * hits).sum(axis=0), counted.sum(axis=0)
    centre = (seen.sum() + 0.5) / (size.sum() + 1.0)
    own = (seen + centre) / (size + 1.0)
    # The variance between series by moments: what it is short of that of chance is the weight of the common share, in records.
    trusted = np.maximum(size, 1e-9)
    spread = float(np.average((own - centre) ** 2 - centre * (1 - centre) / (size + 1.0), weights=trusted))
    lent = float(np.clip(centre * (1 - centre) / max(spread, 1e-9) - 1.0, LENT_RECORDS, MOST_LENT_RECORDS))
    level = logit(np.clip((seen + lent * centre) / (size + lent), 1e-6, 1 - 1e-6))
    if not offsets.any():  # then that is where Newton's steps would lead
        return level
    for _ in range(N_ROUNDS):  # Newton's steps for the level beside the calendar's offsets
        shares = expit(level + offsets)
        expected = counted * shares
        sums = expected.sum(axis=0)
        slope = sums - (expected * shares).sum(axis=0) + lent * centre * (1 - centre)
        pull = seen - sums + lent * (centre - expit(level))
        level = level + np.clip(pull / np.maximum(slope, 1e-9), -1.0, 1.0)
    return level


def _share_correlation(hits: np.ndarray, n: np.ndarray, weights: np.ndarray, shares: np.ndarray, before: np.ndarray,
                       n_known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By moments: E (y - n p)^2 = n p (1 - p) (1 + (n - 1) c)."""
    usable = weights * (n > 1)
    squares = (hits - n * shares) ** 2 * _spared(usable.sum(axis=0), n_known) / np.maximum(n * shares * (1 - shares), 1e-9)
    more = np.maximum(n - 1.0, 1e-9)
    # Small expected counts scatter widely, and so do their estimates.
    trust = usable * (more / (1.0 + more * np.maximum(before, 0.003))) ** 2 * np.minimum(1.0, n * shares * (1 - shares))
    total = trust.sum(axis=0)
    correlation, freedom = _lend((trust * (squares - 1.0) / more).sum(axis=0), total, _carrying(trust, total))
    return np.minimum(0.5, correlation), freedom


def _by_cell(values: np.ndarray, cycle: Cycle) -> np.ndarray:
    """Sums over the buckets of a cell: (T, K) -> (C, K)."""
    return (cycle.cells == np.arange(cycle.n_cells)[:, None]).astype(float) @ values


def _shrink(effects: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Effects (C, K) on a log scale with their variances: the pooled effect of a cell drawn towards 0, the series' own towards the pooled.

    Returns effects, variances, and per series how many effects were really taken from its own data."""
    precision = 1.0 / variances
    pooled = (effects * precision).sum(axis=1, keepdims=True) / precision.sum(axis=1, keepdims=True)  # (C, 1)
    of_pooled = 1.0 / precision.sum(axis=1, keepdims=True)
    pooled = pooled - pooled.mean()
    common = max(0.0, float(np.mean(pooled**2 - of_pooled)))
    kept = common / (common + of_pooled)
    pooled, of_pooled = pooled * kept, of_pooled * kept
    own = float(np.sum(((effects - pooled) ** 2 - variances) * precision**2) / np.sum(precision**2)) if effects.shape[1] > 1 else 0.0
    drawn = max(0.0, own) / (max(0.0, own) + variances)
    return pooled + drawn * (effects - pooled), of_pooled + drawn * variances, drawn.sum(axis=0)
