"""Whether the level of an episode is gone."""

import numpy as np

from doxa.monitoring.alerts.episodes import Episode
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.settings import VOLUME
from doxa.monitoring.alerts.tails import count_tail, share_tail

GONE_P = 0.05  # at its own level, an episode would bring so little no more often


def is_gone(history: History, episode: Episode, first_calm: int, index: int) -> bool:
    """Whether the calm buckets, from `first_calm` to `index`, hold less than the episode's own level would bring: a quiet night tells nothing of that."""
    series = episode.series
    before, calm = slice(int(np.searchsorted(history.edges[:-1], episode.since)), first_calm), slice(first_calm, index + 1)
    mean, scatter = history.mean[calm, series, episode.measure], np.nanmean(history.scatter[calm, series, episode.measure])
    usual = np.nansum(history.mean[before, series, episode.measure])
    if before.start >= before.stop or not np.isfinite(mean).all() or usual <= 0:
        return True
    if episode.measure == VOLUME:
        level = float(history.n[before, series].sum() / usual)
        seen, expected = history.n[calm, series].sum(), level * mean.sum()
        return level <= 1 or bool(1 - count_tail(np.array([seen + 1]), np.array([expected]), np.array([scatter / len(mean)])).p[0] <= GONE_P)
    n = history.judged[calm, series].sum()
    level = float(np.clip(history.watched[before, series].sum() / max(1, history.judged[before, series].sum()), 1e-6, 1 - 1e-6))
    seen = history.watched[calm, series].sum()
    return bool(1 - share_tail(np.array([seen + 1]), np.array([n]), np.array([level]), np.array([scatter])).p[0] <= GONE_P)
