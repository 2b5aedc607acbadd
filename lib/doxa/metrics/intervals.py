"""Intervals for shares, and for what follows from one."""

import math

import numpy as np

Z_95 = 1.959963984540054


def wilson(hits: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The score interval of Wilson (1927) for a share hits/n of independent draws; (0, 1) where n is 0."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (max(0.0, centre - half) if hits else 0.0), (min(1.0, centre + half) if hits < n else 1.0)


def wilson_many(hits: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of many shares (K)."""
    z2, n = Z_95 * Z_95, np.asarray(n, dtype=float)
    share = np.divide(hits, n, out=np.full(len(n), 0.5), where=n > 0)
    centre, half = share * n + z2 / 2, Z_95 * np.sqrt(share * (1 - share) * n + z2 / 4)
    return np.where(np.asarray(hits) > 0, (centre - half) / (n + z2), 0.0), np.where(np.asarray(hits) < n, (centre + half) / (n + z2), 1.0)


def of_f1(of_share: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The interval of an F1 by that of the share J of the rows that hold or were given a label which hold it and were given it: F1 is 2 J / (1 + J)."""
    low, high = of_share
    return 2 * low / (1 + low), 2 * high / (1 + high)


def of_mean(values: np.ndarray, low: np.ndarray, high: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The interval of a weighted mean by those of its parts (K), which are taken to be independent: distances add up in squares (Zou and Donner 2008,
    doi 10.1002/sim.3095). `weights` sum to 1."""
    mean = float(weights @ values)
    return mean - float(np.linalg.norm(weights * (values - low))), mean + float(np.linalg.norm(weights * (high - values)))
