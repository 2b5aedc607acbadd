"""Resampled rows as weights: the bootstrap, and beyond a few thousand rows the bag of little bootstraps."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from doxa.metrics.classification import Estimate
from doxa.metrics.student import tail

MOST_ROWS = 5000
BLOCK_NUMBERS = 1 << 22  # draws held at once


@dataclass(frozen=True)
class Resampling:
    """How often rows are drawn anew, and the seed of the chance that draws them."""

    seed: int = 0
    n: int = 1000


@dataclass(frozen=True)
class Draws:
    """`weights` (1 + R, b): how often each of the places `rows` (b) is drawn, first what is expected, then the resamples."""

    rows: np.ndarray
    weights: np.ndarray


def draw_rows(strata: np.ndarray, resampling: Resampling = Resampling(), most: int = MOST_ROWS) -> Draws:
    """Draw as many rows as there are, with replacement (Efron 1979).

    Of more than `most` rows a bag of `most` different ones is taken at random and stands for all: each resample still draws the
    full number (the bag of little bootstraps, Kleiner et al. 2014, of one bag). It holds as many rows of every stratum
    (N,), an integer each, as it has room for, a small stratum whole, and a row weighs what it stands for."""
    generator, n = np.random.default_rng(resampling.seed), len(strata)
    if n <= most:
        rows, shares = np.arange(n), np.full(n, 1 / max(1, n))
    else:
        values, sizes = np.unique(strata, return_counts=True)
        taken = _fill(sizes, most)
        order = np.lexsort((generator.random(n), strata))
        starts = np.cumsum(sizes) - sizes
        rows = np.concatenate([order[start : start + k] for start, k in zip(starts, taken)])
        shares = np.concatenate([np.full(k, size / n / k) for size, k in zip(sizes, taken) if k])
        shares /= shares.sum()
    weights, filled = np.empty((1 + resampling.n, len(rows))), 0
    for block in _draw(n * shares, generator, resampling.n):
        weights[filled : filled + len(block)] = block
        filled += len(block)
    return Draws(rows, weights)


def _fill(sizes: np.ndarray, most: int) -> np.ndarray:
    """How many to take of each stratum: all of the small ones, and of the others equally many, `most` together."""
    taken = np.zeros(len(sizes), int)
    left, order = most, np.argsort(sizes)
    for place, stratum in enumerate(order):
        taken[stratum] = min(sizes[stratum], left // (len(sizes) - place))
        left -= taken[stratum]
    if not taken.all():  # more strata than places: chance would leave some out, and the largest matter most
        taken[order[-most:]] = 1
    return taken


def draw_cells(columns: np.ndarray, resampling: Resampling = Resampling()) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """The same for rows of a few integers each (N, m), of which many are equal: the different rows (C, m) and their draws, from a
    multinomial, which is drawing rows with replacement. The draws (1 + R, C) come in blocks of some resamples."""
    cells, counts = np.unique(columns, axis=0, return_counts=True)
    return cells, _draw(counts.astype(float), np.random.default_rng(resampling.seed), resampling.n)


def _draw(expected: np.ndarray, generator: np.random.Generator, n_resamples: int) -> Iterator[np.ndarray]:
    """How often each is drawn (.., b): what is `expected` (b), then the resamples, as many draws as that sums up to, some resamples at a time."""
    yield expected[None]
    n = round(expected.sum())
    step = max(1, BLOCK_NUMBERS // max(1, len(expected)))
    for start in range(0, n_resamples, step):
        yield generator.multinomial(n, expected / max(1, n), size=min(step, n_resamples - start)).astype(float)


class Correction(Enum):
    """What an interval takes off of what chance does to a figure: nothing; `BIAS` of one that few records bend, as a macro F1 over rare labels: it is moved
    by twice of how far resamples lie off, for as far as they are from the figure, it is from the truth (Efron and Tibshirani 1993, chapter 10); `DISTANCE` of
    one that is never below 0 and that chance makes larger, as it does each resample once more: it is the basic interval of the square (Davison and Hinkley
    1997, section 5.2), for what chance adds to a distance adds up in squares."""

    NONE, BIAS, DISTANCE = range(3)


def estimate(value: float, resampled: np.ndarray, n_rows: int, correction: Correction = Correction.NONE, within: tuple[float, float] | None = None) -> Estimate:
    """A figure of `n_rows` with its 95 % percentile interval, expanded as few rows want it; `resampled` (1 + R) is the figure on Draws.

    Where a bag stands for the rows, the interval lies about the bag's figure and is shifted to the rows', as far as the figure can be (`within`). Resamples on which the
    figure is not defined (NaN) are left out; bounds are NaN where it is defined on none."""
    left_out = tail(n_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanquantile(resampled[1:], (left_out, 1 - left_out))
        bias = np.nanmean(resampled[1:]) - resampled[0] if correction is Correction.BIAS else 0.0
    shift = value - resampled[0] - 2 * bias
    low, high = low + shift, high + shift
    if within is not None:
        low, high = np.clip((low, high), *within)
    if correction is Correction.DISTANCE:
        low, high = max(0.0, 2 * value**2 - high**2) ** 0.5, max(0.0, 2 * value**2 - low**2) ** 0.5
    return Estimate(float(value), float(min(low, value)), float(max(high, value)))
