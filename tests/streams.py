"""Made streams of opinion of which the truth is known: counts per day and series, over-dispersed, with a weekly cycle."""

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np

from doxa.monitoring.alerts.detect import judge
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.settings import LEAST_BUCKETS, AlertSettings

DAY_S = 86_400
MONDAY_S = 4 * DAY_S  # 1970-01-05
EVENTS = {"day": 1, "week": 7, "drift": 56}  # what happens, and for how many days it may be found


@dataclass(frozen=True)
class Stream:
    """`mean` and `share` (T, K) are the expected number of texts of a day and the expected share of watched ones; `dispersion` and `correlation`
    (K,) say how far a day's number and share scatter beyond chance."""

    mean: np.ndarray
    share: np.ndarray
    dispersion: np.ndarray
    correlation: np.ndarray

    def draw(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Texts and watched texts (T, K)."""
        n = generator.poisson(generator.gamma(1 / self.dispersion, self.mean * self.dispersion))
        strength = 1 / self.correlation - 1
        return n, generator.binomial(n, generator.beta(self.share * strength, (1 - self.share) * strength))

    def draw_hours(self, generator: np.random.Generator, day_part: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Texts and watched texts of every hour (24 T, K): busy by day. Of what scatters, `day_part` is shared by the hours of a day, and the rest an hour's own,
        so strong that a day's number and share scatter as they do in `draw`."""
        by_hour = 1 + 0.8 * np.sin(2 * np.pi * (np.arange(24) - 9) / 24)
        by_hour = np.tile(by_hour / by_hour.sum(), len(self.mean))[:, None]
        even = float((by_hour[:24] ** 2).sum())  # how much of an hour's own scatter is left in a day's sum
        mean, share = np.repeat(self.mean, 24, axis=0), np.repeat(self.share, 24, axis=0)
        of_day, of_hour = self.dispersion * day_part, self.dispersion * (1 - day_part) / even
        mean = mean * by_hour * np.repeat(_gammas(generator, of_day, self.mean.shape), 24, axis=0) * _gammas(generator, of_hour, mean.shape)
        share = np.repeat(_betas(generator, self.share, self.correlation * day_part), 24, axis=0) if day_part else share
        share = _betas(generator, share, np.minimum(0.5, self.correlation * (1 - day_part) / even)) if day_part < 1 else share
        n = generator.poisson(mean)
        return n, generator.binomial(n, share)

    def with_event(self, kind: str, measure: int, series: int, day: int) -> "Stream":
        """The same, with the number (measure 0) or the share (1) doubled for a day or a week, or creeping to its double in 8 weeks."""
        factor = np.ones(len(self.mean))
        length = EVENTS[kind]
        factor[day : day + length] += np.linspace(0, 1, length) if kind == "drift" else 1.0
        if kind == "drift":
            factor[day + length :] = 2.0
        changed = [self.mean.copy(), self.share.copy()]
        changed[measure][:, series] *= factor
        return replace(self, mean=changed[0], share=np.minimum(0.95, changed[1]))


def make_stream(generator: np.random.Generator, n_series: int = 30, n_days: int = 365, memory: float = 0.0) -> Stream:
    """5 to 500 texts a day, 10 to 50 % of them watched, weekends quieter in each series' own way.

    With `memory`, a part of what scatters goes on from day to day (an autoregression on the log of the number), which no model here knows of."""
    weekdays = np.arange(n_days) % 7
    size = np.exp(generator.uniform(np.log(5), np.log(500), n_series))
    dispersion, correlation = generator.uniform(0.02, 0.1, n_series), generator.uniform(0.005, 0.03, n_series)
    share = generator.uniform(0.1, 0.5, n_series)
    week = np.array([0.1, 0.15, 0.15, 0.1, 0.0, -0.5, -0.6])
    cycle = np.exp(generator.uniform(0.3, 1.3, n_series) * week[:, None] + generator.normal(0, 0.08, (7, n_series)))
    mean = size * (cycle / cycle.mean(axis=0))[weekdays]
    if memory:
        noise = np.zeros((n_days, n_series))
        for day in range(1, n_days):
            noise[day] = memory * noise[day - 1] + generator.normal(0, (1 - memory**2) ** 0.5, n_series)
        mean = mean * np.exp(noise * np.sqrt(dispersion) / 1.5)
    odds = share / (1 - share) * np.exp(generator.normal(0, 0.1, (7, n_series)) + np.where(np.arange(7) >= 5, 0.15, 0.0)[:, None])[weekdays]
    return Stream(mean, odds / (1 + odds), dispersion, correlation)


def _gammas(generator: np.random.Generator, dispersion: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Factors of mean 1 and such a variance."""
    return generator.gamma(1 / np.maximum(dispersion, 1e-9), np.maximum(dispersion, 1e-9), shape)


def _betas(generator: np.random.Generator, share: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    strength = 1 / correlation - 1
    return generator.beta(np.maximum(share * strength, 1e-6), np.maximum((1 - share) * strength, 1e-6))


def make_history(n: np.ndarray, watched: np.ndarray, settings: AlertSettings) -> History:
    """Of texts and watched ones (T, K) of buckets from a Monday on, nothing of it judged."""
    history = History.empty(np.arange(len(n) + 1) * int(settings.bucket_s) + MONDAY_S, ZoneInfo("UTC"), n.shape[1], len(settings.paces))
    history.n[:], history.judged[:], history.watched[:] = n, n, watched
    return history


def find_alarms(n: np.ndarray, watched: np.ndarray, settings: AlertSettings) -> np.ndarray:
    """Where alert speaks up (T, K, 2), for volume and share, on the texts and watched ones (T, K) of buckets."""
    history = make_history(n, watched, settings)
    alarms = np.zeros((*n.shape, 2), bool)
    for index in range(LEAST_BUCKETS, len(n)):
        verdict = judge(history, index, settings)
        alarms[index] = verdict.is_spike | verdict.is_drift
    return alarms
