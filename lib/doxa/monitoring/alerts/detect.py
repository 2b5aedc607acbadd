"""Whether a bucket is out of the usual: one surprising bucket, or small surprises that add up."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr

from doxa.monitoring.alerts.drift import add_surprise, bound_for, chance_per_bucket
from doxa.monitoring.alerts.expectation import expect_counts, expect_shares
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.levels import chance_at, level_of, raise_mean
from doxa.monitoring.alerts.settings import LEAST_BUCKETS, LEAST_RECORDS, LEAST_SLOW_S, LEAST_SPAN_S, SHARE, VOLUME, AlertSettings
from doxa.monitoring.alerts.tails import count_tail, share_tail

LEAST_SCORES = 300  # normal scores of the past, before the past is asked how they scatter
N_LAGS = 4  # over how many buckets, or all those of a day, scores may hang together
LENT_BLOCKS = 8.0  # what all series tell of that weighs as much as so many stretches of twice these lags of a series' own
ASSUMED_MEMORY, ASSUMED_BLOCKS = 1.5, 4.0  # and this as much as so many of all series
MOST_CHANCE = 0.01  # of a test, however much is promised: what happens more often is not unusual
LEAST_SEEN = 3  # texts, or watched ones: however rare, fewer are nothing to look into
WORSE = 2.0  # times the level that was told, from which an episode is told again
UPPER = 1.6448536269514722  # one score in twenty is above


@dataclass(frozen=True)
class Verdict:
    """What was made of a bucket, all arrays (K, 2) for volume and share. `z`: its normal score, NaN for a series that has not told enough of itself;
    `p`: the chance of so much in a usual bucket; `drift_p`: the chance, per bucket, of a sum of surprises as high, which began with the bucket `drift_since`;
    `is_spike` and `is_drift`: what the promise lets be told; `is_beyond`: of what is told already, what is far beyond its level. `n_tests` is among how many tests the bucket's chances are shared out, `gain` the part of them that this look spends."""

    z: np.ndarray
    p: np.ndarray
    drift_p: np.ndarray
    drift_since: np.ndarray
    is_spike: np.ndarray
    is_drift: np.ndarray
    is_beyond: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray
    n_tests: int
    gain: float

    def found_by(self, surprise: tuple[int, int]) -> tuple[str, float]:
        """The detector that found a surprise (series and measure), and the chance that it found it by."""
        return ("spike", float(self.p[surprise])) if self.is_spike[surprise] else ("drift", float(self.drift_p[surprise]))


def judge(history: History, index: int, settings: AlertSettings, due: float = 1.0, gain: float = 1.0, is_over: bool = True,
          levels: np.ndarray | None = None) -> Verdict:
    """Judge a bucket by those before it. `due` is the share of its texts that should be there, `gain` that of its chances that may be spent.

    A bucket that is over goes into the running sums and into `history`. `levels` (K, 2) are those of episodes under way, else NaN: where there is one,
    nothing adds up, and a bucket is surprising only if it were one at that level too, and brings twice as much."""
    first = max(0, index - settings.n_baseline)
    part = slice(first, index)
    cycles = history.cycles(first, index, settings.bucket_s)
    usual = history.is_usual[part]
    volume = expect_counts(history.n[part], usual[:, :, VOLUME], cycles, *history.exposures(first, index), history.is_week_known(first, index, settings.bucket_s))
    share = expect_shares(history.watched[part], history.judged[part], usual[:, :, SHARE], cycles)
    scatters = np.stack([volume.scatter_at(volume.mean * due), share.scatter], axis=1)
    tails = (count_tail(history.n[index], volume.mean * due, scatters[:, VOLUME]),
             share_tail(history.watched[index], history.judged[index], share.mean, share.scatter))
    freedom = np.stack([volume.freedom, share.freedom], axis=1)
    spread, memory = _past_scatter(history, part, settings.n_day)
    p = _allow_for_scatter(np.stack([tail.p for tail in tails], axis=1), freedom, spread)
    is_ready = _ready(history, part, usual)
    is_ready[:, VOLUME] &= not history.follows_rest_alone(first, index, settings.bucket_s)
    z = np.where(is_ready, np.stack([tail.z for tail in tails], axis=1), np.nan)
    n_tests = (1 + len(settings.paces)) * max(1, int(is_ready.sum()))  # a spike and the drifts, for each measure of each series
    chances = settings.promise.in_seconds(float(history.edges[index + 1] - history.edges[index]))
    chance = min(MOST_CHANCE, chances / n_tests)
    levels = np.full(p.shape, np.nan) if levels is None else levels
    is_quiet = np.isfinite(levels)
    drift_p, drift_since, is_drift = np.ones(p.shape), np.full(p.shape, -1), np.zeros(p.shape, bool)
    if is_over:
        adds_up = np.repeat((is_ready & ~is_quiet)[:, :, None], len(settings.paces), axis=2)
        adds_up[:, VOLUME] &= history.has_week(first, index, settings.bucket_s)
        adds_up[:, :, 1:] &= _is_long(history, part, usual, LEAST_SLOW_S)[:, :, None]
        drift_p, drift_since, is_drift = _add_up(history, index, z / spread / memory, adds_up, settings.paces, chance)
        history.z[index], history.mean[index] = z, np.stack([volume.mean, share.mean], axis=1)
        history.scatter[index] = scatters
    means = np.stack([volume.mean * due, share.mean], axis=1)
    is_many = np.stack([history.n[index], history.watched[index]], axis=1) >= LEAST_SEEN
    is_rare, is_beyond = is_ready & is_many & (p < chance * gain), np.zeros(p.shape, bool)
    for at in map(tuple, np.argwhere(is_rare & is_quiet)):
        is_beyond[at] = _chance_beyond(history, index, at, means[at], scatters[at], levels[at], freedom[at], spread[at[1]]) < chance * gain
    return Verdict(z, p, drift_p, drift_since, is_rare & ~is_quiet, is_drift, is_beyond, means, scatters, n_tests, gain)


def _chance_beyond(history: History, index: int, at: tuple[int, int], mean: float, scatter: float, level: float, freedom: float, spread: float) -> float:
    """The chance of so much of a series and measure at the level of its episode; 1 where it is not far beyond."""
    series, measure = at
    seen, base = (values[index, series : series + 1] for values in history.of(measure))
    if level_of(measure, seen, base, np.array([mean])) < WORSE * level:
        return 1.0
    return float(_allow_for_scatter(chance_at(measure, seen, base, raise_mean(measure, np.array([mean]), level), np.array([scatter])), freedom, spread)[0])


def _allow_for_scatter(p: np.ndarray, freedom: np.ndarray | float, spread: np.ndarray | float) -> np.ndarray:
    """Chances where the scatter is estimated (by Student's distribution), and past scores scatter more than they should."""
    return stdtr(freedom, ndtri(np.clip(p, 1e-300, 1 - 1e-16)) / spread)


def _ready(history: History, part: slice, usual: np.ndarray) -> np.ndarray:
    """Which series (K, 2) have told enough of themselves."""
    is_ready = (usual.sum(axis=0) >= LEAST_BUCKETS) & _is_long(history, part, usual, LEAST_SPAN_S)
    is_ready[:, SHARE] &= (history.judged[part] * usual[:, :, SHARE]).sum(axis=0) >= LEAST_RECORDS
    return is_ready


def _is_long(history: History, part: slice, usual: np.ndarray, span_s: float) -> np.ndarray:
    """Which series (K, 2) have so long a time of usual buckets."""
    return np.einsum("t,tkm->km", np.diff(history.edges[part.start : part.stop + 1]).astype(float), usual.astype(float)) >= span_s


def _past_scatter(history: History, part: slice, n_day: int) -> tuple[np.ndarray, np.ndarray]:
    """By how much the scores of the past scatter more than they should, for each measure (2,), and by how much they hang together (K, 2).

    Both are 1 where the model holds. The first is the ratio of the upper twentieth of all series' scores to the normal one, in the manner
    of genomic control (Devlin and Roeder 1999); the second what `_memory` tells."""
    scores = np.where(history.is_usual[part], history.z[part], np.nan)
    spread, memory = np.ones(2), np.ones(scores.shape[1:])
    for measure in (VOLUME, SHARE):
        values = scores[:, :, measure][np.isfinite(scores[:, :, measure])]
        if len(values) >= LEAST_SCORES:
            spread[measure] = max(1.0, np.quantile(values, 0.95) / UPPER)
            memory[:, measure] = _memory((scores[:, :, measure] - values.mean()) / max(values.std(), 1e-9), n_day)
    return spread, memory


def _memory(scores: np.ndarray, n_day: int) -> np.ndarray:
    """The standard deviation of long sums of scores (T, K; NaN where there is none), as a multiple of what it were if they were independent: (K,)."""
    return _memory_of_parts(scores, max(N_LAGS, n_day)) if n_day > 1 else np.full(scores.shape[1], _memory_of_days(scores))


def _memory_of_days(scores: np.ndarray) -> float:
    """By the first autocorrelations of all series together."""
    known, values, sums = np.isfinite(scores), np.nan_to_num(scores), 0.0
    for lag in range(1, min(N_LAGS, len(scores) - 1) + 1):
        n_pairs = (known[lag:] & known[:-lag]).sum()
        sums += (values[lag:] * values[:-lag]).sum() / n_pairs if n_pairs else 0.0
    return max(1.0, 1.0 + 2.0 * sums) ** 0.5


def _memory_of_parts(scores: np.ndarray, n_lags: int) -> np.ndarray:
    """By sums over n and over 2 n buckets, n being those of a day: twice the variance a bucket of the longer less that of the shorter counts what hangs together
    up to n buckets apart in full (a flat-top kernel: Politis and Romano 1995). How much the buckets of a day have in common shows in large series most: what
    a series tells of that is drawn towards what all do, and these towards ASSUMED_MEMORY."""
    known = np.isfinite(scores)
    if len(scores) < 2 * n_lags:
        return np.full(scores.shape[1], ASSUMED_MEMORY)
    sums, counts = (np.vstack([np.zeros(scores.shape[1]), np.cumsum(values, axis=0)]) for values in (np.nan_to_num(scores), known.astype(float)))

    def variance(length: int) -> tuple[np.ndarray, np.ndarray]:
        """Sums of squares of overlapping sums, and how many scores they are of."""
        return ((sums[length:] - sums[:-length]) ** 2).sum(axis=0), (counts[length:] - counts[:-length]).sum(axis=0)

    (long, n_long), (short, n_short), n_blocks = variance(2 * n_lags), variance(n_lags), known.sum(axis=0) / (2 * n_lags)
    own = 2 * long / np.maximum(n_long, 1e-9) - short / np.maximum(n_short, 1e-9)
    of_all = 2 * long.sum() / max(n_long.sum(), 1e-9) - short.sum() / max(n_short.sum(), 1e-9)
    of_all = (n_blocks.sum() * of_all + ASSUMED_BLOCKS * ASSUMED_MEMORY**2) / (n_blocks.sum() + ASSUMED_BLOCKS)
    return np.sqrt(np.maximum(1.0, (n_blocks * own + LENT_BLOCKS * of_all) / (n_blocks + LENT_BLOCKS)))


def _add_up(history: History, index: int, scores: np.ndarray, counts: np.ndarray, paces: tuple[float, ...], chance: float) -> tuple[np.ndarray, ...]:
    """Add the scores (K, 2) of a bucket that is over to the running sums, where it `counts` (K, 2, P); those of a series that pass the bound begin anew.

    Returns, of the pace that is the most surprising, the chance of such a sum, since when it runs, and whether it passed (K, 2)."""
    before, allowances = history.drift, np.array(paces)
    after = np.where(counts, add_surprise(before, np.nan_to_num(scores)[:, :, None], allowances), 0.0)
    history.since = np.where(after > 0, np.where(before > 0, history.since, index), -1)
    chances = chance_per_bucket(after, allowances)
    first = chances.argmin(axis=2)[:, :, None]
    is_drift = (after > np.array([bound_for(chance, pace) for pace in paces])).any(axis=2)
    history.drift = np.where(is_drift[:, :, None], 0.0, after)
    return np.minimum(1.0, np.take_along_axis(chances, first, 2)[:, :, 0]), np.take_along_axis(history.since, first, 2)[:, :, 0], is_drift
