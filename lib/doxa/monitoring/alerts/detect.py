"""Whether a bucket is out of the usual: one surprising bucket, or small surprises that add up."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr

from doxa.monitoring.alerts.drift import add_surprise, bound_for, chance_per_bucket
from doxa.monitoring.alerts.expectation import expect_counts, expect_shares
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.settings import LEAST_BUCKETS, LEAST_RECORDS, LEAST_SPAN_S, SHARE, VOLUME, AlertSettings
from doxa.monitoring.alerts.tails import count_tail, share_tail

N_DETECTORS = 2  # a spike and a drift, for each measure of each series
LEAST_SCORES = 300  # normal scores of the past, before the past is asked how they scatter
N_LAGS = 4
MOST_CHANCE = 0.01  # of a test, however much is promised: what happens more often is not unusual
UPPER = 1.6448536269514722  # one score in twenty is above


@dataclass(frozen=True)
class Verdict:
    """What was made of a bucket, all arrays (K, 2) for volume and share. `z`: its normal score, NaN for a series that has not told enough of itself;
    `p`: the chance of so much in a usual bucket; `drift_p`: the chance, per bucket, of a sum of surprises as high; `is_spike` and `is_drift`: what the
    promise lets be told. `n_tests` is among how many tests the bucket's chances are shared out, `gain` the part of them that this look spends."""

    z: np.ndarray
    p: np.ndarray
    drift_p: np.ndarray
    is_spike: np.ndarray
    is_drift: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray
    n_tests: int
    gain: float


def judge(history: History, index: int, settings: AlertSettings, due: float = 1.0, gain: float = 1.0, is_over: bool = True,
          is_quiet: np.ndarray | None = None) -> Verdict:
    """Judge a bucket by those before it. `due` is the share of its texts that should be there, `gain` that of its chances that may be spent.

    A bucket that is over goes into the running sums and into `history`. Where `is_quiet` (K, 2), an episode is under way: nothing is told
    and nothing adds up."""
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
    spread, memory = _past_scatter(history, part)
    score = ndtri(np.clip(np.stack([tail.p for tail in tails], axis=1), 1e-300, 1 - 1e-16))
    p = stdtr(freedom, score / spread)  # Student's distribution, for the scatter is estimated
    is_ready = _ready(history, part, usual)
    z = np.where(is_ready, np.stack([tail.z for tail in tails], axis=1), np.nan)
    n_tests = N_DETECTORS * max(1, int(is_ready.sum()))
    chances = settings.promise.in_seconds(float(history.edges[index + 1] - history.edges[index]))
    chance = min(MOST_CHANCE, chances / n_tests)
    is_quiet = np.zeros(p.shape, bool) if is_quiet is None else is_quiet
    drift_p, is_drift = np.ones(p.shape), np.zeros(p.shape, bool)
    if is_over:
        adds_up = is_ready & ~is_quiet
        adds_up[:, VOLUME] &= history.has_week(first, index, settings.bucket_s)
        drift_p, is_drift = _add_up(history, index, z / spread / memory, adds_up, bound_for(chance))
        history.z[index], history.mean[index] = z, np.stack([volume.mean, share.mean], axis=1)
        history.scatter[index] = scatters
    return Verdict(z, p, drift_p, is_ready & ~is_quiet & (p < chance * gain), is_drift,
                   np.stack([volume.mean * due, share.mean], axis=1), scatters, n_tests, gain)


def _ready(history: History, part: slice, usual: np.ndarray) -> np.ndarray:
    """Which series (K, 2) have told enough of themselves."""
    n_buckets = usual.sum(axis=0)
    lengths = np.diff(history.edges[part.start : part.stop + 1])
    is_long = (lengths[:, None, None] * usual).sum(axis=0) >= LEAST_SPAN_S
    is_ready = (n_buckets >= LEAST_BUCKETS) & is_long
    is_ready[:, SHARE] &= (history.judged[part] * usual[:, :, SHARE]).sum(axis=0) >= LEAST_RECORDS
    return is_ready


def _past_scatter(history: History, part: slice) -> tuple[np.ndarray, np.ndarray]:
    """By how much the scores of the past scatter more than they should, and by how much they hang together, for each measure (2,).

    Both are 1 where the model holds. The first is the ratio of the upper twentieth of all series' scores to the normal one, in the manner
    of genomic control (Devlin and Roeder 1999); the second the standard deviation of sums of scores, by their first autocorrelations."""
    spread, memory = np.ones(2), np.ones(2)
    scores = np.where(history.is_usual[part], history.z[part], np.nan)
    for measure in (VOLUME, SHARE):
        known = scores[:, :, measure]
        values = known[np.isfinite(known)]
        if len(values) < LEAST_SCORES:
            continue
        spread[measure] = max(1.0, np.quantile(values, 0.95) / UPPER)
        centred = np.nan_to_num((known - values.mean()) / max(values.std(), 1e-9))
        n_known = np.isfinite(known)
        sums = 0.0
        for lag in range(1, min(N_LAGS, len(known) - 1) + 1):
            n_pairs = (n_known[lag:] & n_known[:-lag]).sum()
            sums += (centred[lag:] * centred[:-lag]).sum() / n_pairs if n_pairs else 0.0
        memory[measure] = max(1.0, 1.0 + 2.0 * sums) ** 0.5
    return spread, memory


def _add_up(history: History, index: int, scores: np.ndarray, counts: np.ndarray, bound: float) -> tuple[np.ndarray, np.ndarray]:
    """Add the scores (K, 2) of a bucket that is over to the running sums; those that pass the bound begin anew."""
    before = history.drift
    after = np.where(counts, add_surprise(before, scores), 0.0)
    history.since = np.where(after > 0, np.where(before > 0, history.since, index), -1)
    is_drift = after > bound
    drift_p = np.array([[chance_per_bucket(float(value)) for value in row] for row in after])
    history.drift = np.where(is_drift, 0.0, after)
    return np.minimum(1.0, drift_p), is_drift
