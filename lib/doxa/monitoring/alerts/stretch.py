"""Some buckets of a history, and what is usual in them."""

from dataclasses import dataclass

import numpy as np

from doxa.monitoring.alerts.detect import Verdict
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.levels import chance_at, level_of, raise_mean
from doxa.monitoring.alerts.settings import SHARE, VOLUME

SURE_P = 0.001  # what is rarer at a level is surely more
UNUSUAL_P = 0.025  # of so much, above the interval that a line tells of as usual


@dataclass(frozen=True)
class Stretch:
    """Buckets `first` to `last` of a history; `mean` and `z` (T, K, 2) are those of the history, but for a last bucket that was just judged."""

    history: History
    first: int
    last: int
    mean: np.ndarray
    z: np.ndarray

    @classmethod
    def over(cls, history: History, first: int, last: int) -> "Stretch":
        """Buckets that are over."""
        return cls(history, first, last, history.mean[first : last + 1], history.z[first : last + 1])

    @classmethod
    def of(cls, history: History, verdict: Verdict, first: int, last: int) -> "Stretch":
        """The last of which was just judged, by what should be there of it by now if it is still under way."""
        mean, z = history.mean[first : last + 1].copy(), history.z[first : last + 1].copy()
        mean[-1], z[-1] = verdict.mean, verdict.z
        return cls(history, first, last, mean, z)

    def seen(self, measure: int) -> tuple[np.ndarray, np.ndarray]:
        """(T, K): what was counted, and out of how many."""
        seen, base = self.history.of(measure)
        return seen[self.first : self.last + 1], base[self.first : self.last + 1]

    def counted(self, series: int, measure: int) -> dict[str, float]:
        """What came, as a line tells it: `observed` and `expected`, and of a share `hits` of `n`."""
        seen, base = (values[:, series] for values in self.seen(measure))
        expected = float(np.nansum(self.mean[:, series, measure] * base))
        if measure == VOLUME:
            return {"observed": float(seen.sum()), "expected": expected}
        hits, n = int(seen.sum()), int(base.sum())
        return {"hits": hits, "n": n, "observed": hits / max(1, n), "expected": expected / max(1, n)}

    def level(self, series: int, measure: int) -> float:
        """See `levels`."""
        seen, base = self.seen(measure)
        return level_of(measure, seen[:, series], base[:, series], self.mean[:, series, measure])

    def chance(self, series: int, measure: int, level: float = 1.0) -> float:
        """Of so much in all of its buckets together, at a level."""
        seen, base = (values[:, series] for values in self.seen(measure))
        usual = np.nansum(self.mean[:, series, measure] * base) / (max(1, base.sum()) if measure == SHARE else 1)
        scatter = self._scatter(series, measure)
        return float(chance_at(measure, seen.sum(keepdims=True), base.sum(keepdims=True), raise_mean(measure, np.array([usual]), level), scatter)[0])

    def _scatter(self, series: int, measure: int) -> np.ndarray:
        """(1,): that of all of its buckets together."""
        scatters = self.history.scatter[self.first : self.last + 1, series, measure]
        return np.array([np.nanmean(scatters) / len(scatters) if np.isfinite(scatters).any() else 0.0])

    def is_within(self, series: int, measure: int, level: float, times: float) -> bool:
        """Whether what it holds is less than so many times a level, or not surely more than it."""
        return self.level(series, measure) < times * level or self.chance(series, measure, level) >= SURE_P

    def rest_rose(self, measure: int, series: list[int]) -> bool:
        """Whether the texts of no such series rose as well: unusually, and half as far as all texts did, on the scale of levels."""
        seen, base = self.seen(measure)
        usual = self.mean[:, :, measure] * base
        hits, n, mean = (max(0.0, float(values[:, ALL].sum() - values[:, series].sum())) for values in (seen, base, np.nan_to_num(usual)))
        n = n if measure == SHARE else 1.0
        if not n or not mean:
            return False
        hits = min(hits, n) if measure == SHARE else hits  # texts of several values are of several series
        one = [np.array([value]) for value in (hits, n, mean / n)]
        return level_of(measure, *one) >= self.level(ALL, measure) ** 0.5 and chance_at(measure, *one, self._scatter(ALL, measure))[0] < UNUSUAL_P

    def excess(self, measure: int) -> np.ndarray:
        """(K,): how much more was counted than usual."""
        seen, base = self.seen(measure)
        return np.nansum(seen - self.mean[:, :, measure] * base, axis=0)

    def excess_of_texts(self) -> np.ndarray:
        """(K,): as `excess`, of series whose usual is not known yet beside their mean before."""
        mean = self.mean[:, :, VOLUME]
        before = self.history.n[: self.first].mean(axis=0) if self.first else 0.0
        return (self.seen(VOLUME)[0] - np.where(np.isnan(mean), before, mean)).sum(axis=0)
