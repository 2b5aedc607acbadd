"""Whether an episode is over."""

import numpy as np
from scipy.special import betaln, gammaln

from doxa.monitoring.alerts.episodes import NEW_LEVEL, RESOLVED, UNDECIDED, Episode
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.levels import level_of, raise_mean
from doxa.monitoring.alerts.settings import SHARE
from doxa.monitoring.alerts.tails import LEAST_DISPERSION

ENOUGH_RELIEF = 3.0  # log of how many times likelier the usual is than half of the episode's level: 20
LEAST_LEVEL = 1.25**2  # for an end to be told from a level at all


def relief(history: History, episode: Episode, index: int) -> float:
    """How far a bucket that is over speaks for the usual again, beside half of the level (on the log scale) that the episode had until its calm began: the log of
    the ratio of likelihoods, to be added up while it is above 0 (the sequential test of Page 1954). A quiet night says little, as little is usual then.

    Half of the level, for the level of a first surprise is mostly less than it looked."""
    series, measure = episode.series, episode.measure
    before = slice(int(np.searchsorted(history.edges[:-1], episode.since)), index - episode.calm)
    seen, base = history.of(measure)
    level = level_of(measure, seen[before, series], base[before, series], history.mean[before, series, measure])
    return log_ratio(history, episode.surprise, index, max(level, LEAST_LEVEL) ** 0.5)


def outcome(history: History, episode: Episode, index: int) -> tuple[str, int | None]:
    """What became of an episode that nothing ended for long, by the buckets after the one in which it was found, up to `index`, beside half of the level that was
    told: RESOLVED and from which bucket on, NEW_LEVEL, or UNDECIDED where neither is 20 times likelier.

    It is resolved from the bucket from which on all speaks most for the usual. The chance that a level of no less looks so is at most 1 in 20 (Ville's
    inequality, backwards in time)."""
    level = max(episode.level, LEAST_LEVEL) ** 0.5
    first = int(np.searchsorted(history.edges[:-1], episode.bucket)) + 1
    ratios = np.array([log_ratio(history, episode.surprise, at, level) for at in range(first, index + 1)])
    sums = np.cumsum(ratios[::-1])[::-1]  # from each bucket on
    if len(sums) and sums.max() >= ENOUGH_RELIEF:
        return RESOLVED, first + int(sums.argmax())
    return NEW_LEVEL if len(sums) and sums[0] <= -ENOUGH_RELIEF else UNDECIDED, None


def log_ratio(history: History, surprise: tuple[int, int], index: int, level: float) -> float:
    """The log of how many times likelier what a bucket holds of a series and measure is where all is usual than at a level; 0 where what is usual is not known."""
    series, measure = surprise
    mean, scatter = history.mean[index, series, measure], history.scatter[index, series, measure]
    if not np.isfinite(mean):
        return 0.0
    seen, base = (float(values[index, series]) for values in history.of(measure))
    return _log_chance(measure, seen, base, mean, scatter) - _log_chance(measure, seen, base, float(raise_mean(measure, mean, level)), scatter)


def _log_chance(measure: int, seen: float, base: float, mean: float, scatter: float) -> float:
    """Of just so many, but for what does not depend on the mean: beta-binomial, negative binomial."""
    scatter = max(float(scatter), LEAST_DISPERSION)
    if measure == SHARE:
        strength = 1 / scatter - 1
        a, b = mean * strength, (1 - mean) * strength
        return float(betaln(seen + a, base - seen + b) - betaln(a, b))
    size = 1 / scatter
    return float(seen * np.log(mean / (size + mean)) - size * np.log1p(mean / size) + gammaln(seen + size) - gammaln(size))
