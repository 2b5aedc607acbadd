"""How surprising a count is: upper tails of the negative binomial and the beta-binomial distribution."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaincc, betaincinv, betaln, gammaln, ndtri

LEAST_DISPERSION = 1e-7  # below, both are a Poisson or binomial distribution in all digits that matter
MOST_SUMMED = 20_000  # texts in a bucket; beyond, the beta-binomial is as good as continuous


@dataclass(frozen=True)
class Tail:
    """`p` (K,) is the chance of a count at least as high as the one seen, `z` (K,) its normal score by the mid-p value, which has
    mean 0 and at most variance 1 also where counts are small."""

    p: np.ndarray
    z: np.ndarray


def count_tail(seen: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> Tail:
    """Of a negative binomial count with variance mean + dispersion * mean ** 2; arrays (K,)."""
    size = 1.0 / np.maximum(dispersion, LEAST_DISPERSION)
    chance = mean / (size + mean)  # P(X >= x) = I_chance(x, size)
    at_least = np.where(seen > 0, betainc(np.maximum(seen, 1), size, chance), 1.0)
    return _with_score(at_least, betainc(seen + 1, size, chance))


def share_tail(seen: np.ndarray, n: np.ndarray, mean: np.ndarray, correlation: np.ndarray) -> Tail:
    """Of a beta-binomial count out of n (K,) with expected share `mean`; two records of a bucket agree beyond chance by
    `correlation` (the intraclass correlation). A bucket without records surprises nobody: p = 1, z = 0."""
    pairs = [_share_tail(*row) for row in zip(seen.tolist(), n.tolist(), mean.tolist(), np.maximum(correlation, LEAST_DISPERSION).tolist())]
    at_least, more = np.array(pairs).reshape(-1, 2).T
    tail = _with_score(at_least, more)
    return Tail(tail.p, np.where(n > 0, tail.z, 0.0))


def _share_tail(seen: int, n: int, mean: float, correlation: float) -> tuple[float, float]:
    """P(X >= seen) and P(X > seen)."""
    if n == 0 or seen > n:
        return float(seen <= n), 0.0
    strength = 1.0 / correlation - 1.0
    if n > MOST_SUMMED:  # a beta distribution of the same mean and variance, with a correction for continuity
        strength = 1.0 / (correlation + (1.0 - correlation) / n) - 1.0
        return tuple(float(betaincc(mean * strength, (1.0 - mean) * strength, min(1.0, max(0.0, (seen + step) / n)))) for step in (-0.5, 0.5))
    a, b = mean * strength, (1.0 - mean) * strength
    # The shorter side is summed: from `seen` to n, or from 0 to `seen` - 1.
    is_upper = seen > mean * n
    counts = np.arange(seen, n + 1) if is_upper else np.arange(0, seen + 1)
    mass = np.exp(gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1) + betaln(counts + a, n - counts + b) - betaln(a, b))
    if is_upper:
        return min(1.0, float(mass.sum())), min(1.0, float(mass[1:].sum()))
    return max(0.0, 1.0 - float(mass[:-1].sum())), max(0.0, 1.0 - float(mass.sum()))


def _with_score(at_least: np.ndarray, more: np.ndarray) -> Tail:
    middle = np.clip((at_least + more) / 2, 1e-300, 1 - 1e-16)
    return Tail(at_least, -ndtri(middle))


def count_interval(mean: np.ndarray, dispersion: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The central interval of a count with such a mean and dispersion, by the gamma distribution of the same mean and variance;
    of a mean so small that it lies outside, widened to it."""
    from_mean = dispersion + 1.0 / np.maximum(mean, 1e-9)
    low, high = (np.maximum(0.0, mean * _gamma_quantile(1.0 / from_mean, q)) for q in ((1 - level) / 2, (1 + level) / 2))
    return np.minimum(low, mean), np.maximum(high, mean)


def _gamma_quantile(shape: np.ndarray, q: float) -> np.ndarray:
    """Of a gamma distribution of mean 1, by Wilson and Hilferty (1931)."""
    return np.maximum(0.0, 1 - 1 / (9 * shape) + ndtri(q) / (3 * np.sqrt(shape))) ** 3


def share_interval(n: np.ndarray, mean: np.ndarray, correlation: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The central interval of the share that n records show, by the beta distribution of the same mean and variance;
    of a mean so small that it lies outside, widened to it."""
    correlation = np.maximum(correlation, LEAST_DISPERSION)
    strength = 1.0 / (correlation + (1.0 - correlation) / np.maximum(n, 1)) - 1.0
    strength = np.maximum(strength, 1e-3)
    low, high = (betaincinv(mean * strength, (1.0 - mean) * strength, q) for q in ((1 - level) / 2, (1 + level) / 2))
    return np.minimum(low, mean), np.maximum(high, mean)
