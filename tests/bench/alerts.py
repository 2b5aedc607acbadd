"""What alert finds beside other methods, at the same rate of false alarms. Usage: alerts.py [SEEDS [SEEDS_OF_EVENTS]].

On made streams of which the truth is known (tests/streams.py): first a year without change, 30 series; then doublings for a day, a week, and
creeping up in 8 weeks. Every other method's threshold is chosen afterwards so that it gives as many false alarms on the same streams as
alert gave, which kept its promise beforehand. Farrington's method is that of R's package surveillance, left out where that is missing."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import binom, poisson

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "lib"), str(Path(__file__).resolve().parents[1])]

from doxa.monitoring.alerts.settings import AlertSettings
from doxa.monitoring.buckets import Every
from streams import EVENTS, find_alarms, make_stream

WARM_UP = 70  # days before anything is counted, so that every method has its history
APART = 7  # days without an alarm between two that count as two
HOURLY_DAYS, HOURLY_WARM_UP = 126, 14
SETTINGS = AlertSettings(every=Every(1, "d"))
EVENT_DAYS = np.arange(100, 300, 33)  # events of different series in one year, far apart
MEASURES = ("volume", "share")


def sliding(counts: np.ndarray, length: int, gap: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the `length` days before each day, `gap` days left out."""
    mean, sd = np.full(counts.shape, np.nan), np.full(counts.shape, np.nan)
    for day in range(length + gap, len(counts)):
        part = counts[day - gap - length : day - gap]
        mean[day], sd[day] = part.mean(axis=0), part.std(axis=0, ddof=1)
    return mean, np.maximum(sd, 1e-3 if counts.max() <= 1 else 0.5)


def ears(counts: np.ndarray, gap: int) -> np.ndarray:
    mean, sd = sliding(counts, 7, gap)
    return (counts - mean) / sd


def ears_c3(counts: np.ndarray) -> np.ndarray:
    """Three days of C2 above 1, added up (Hutwagner et al. 2003)."""
    parts = np.maximum(0.0, np.nan_to_num(ears(counts, 2)) - 1.0)
    return parts + np.vstack([np.zeros((1, counts.shape[1])), parts[:-1]]) + np.vstack([np.zeros((2, counts.shape[1])), parts[:-2]])


def many_sd(counts: np.ndarray) -> np.ndarray:
    mean, sd = sliding(counts, 56)
    return (counts - mean) / sd


def twice_last_week(counts: np.ndarray) -> np.ndarray:
    mean, _ = sliding(counts, 7)
    return counts / np.maximum(mean, 0.5 if counts.max() > 1 else 0.005)


def plain_test(n: np.ndarray, watched: np.ndarray, measure: int) -> np.ndarray:
    """Minus the log of the tail of a binomial share or a Poisson number, by the 8 weeks before."""
    mean, _ = sliding(n.astype(float), 56)
    hits, _ = sliding(watched.astype(float), 56)
    tail = binom.logsf(watched - 1, n, hits / np.maximum(mean, 1e-9)) if measure else poisson.logsf(n - 1, mean)
    return -tail


# name -> statistic (T, K) of (texts, watched, measure); high means unusual
PEERS: dict[str, Callable] = {
    "EARS C1": lambda n, y, m: ears(y if m else n, 0), "EARS C2": lambda n, y, m: ears(y if m else n, 2), "EARS C3": lambda n, y, m: ears_c3(y if m else n),
    "EARS C1 on shares": lambda n, y, m: ears(y / np.maximum(n, 1) if m else n, 0),
    "mean + sd": lambda n, y, m: many_sd(y if m else n), "mean + sd on shares": lambda n, y, m: many_sd(y / np.maximum(n, 1) if m else n),
    "last week's mean": lambda n, y, m: twice_last_week(y if m else n), "plain binomial": plain_test,
}


def farrington(tables: list[tuple[np.ndarray, np.ndarray | None, np.ndarray]]) -> list[np.ndarray] | None:
    """Exceedance scores of R's farringtonFlexible for (counts (T, K), population or None, wanted (T, K)); NaN where not wanted. None without R."""
    if not shutil.which("Rscript"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        for i, (counts, population, wanted) in enumerate(tables):
            np.savetxt(f"{folder}/counts{i}.csv", counts, "%d", ","), np.savetxt(f"{folder}/wanted{i}.csv", wanted.astype(int), "%d", ",")
            if population is not None:
                np.savetxt(f"{folder}/population{i}.csv", np.maximum(population, 1), "%d", ",")
        done = subprocess.run(["Rscript", Path(__file__).with_name("farrington.R"), folder, str(len(tables))], capture_output=True, text=True)
        if done.returncode:
            print(f"Farrington's method: not measured ({(done.stderr.strip().splitlines() or ['failed'])[-1]})", file=sys.stderr)
            return None
        return [np.loadtxt(f"{folder}/score{i}.csv", delimiter=",") for i in range(len(tables))]


def count_alarms(alarms: np.ndarray, warm_up: int = WARM_UP, apart: int = APART) -> int:
    """Alarms after the warm-up that are no continuation of another; both in buckets."""
    total = 0
    for series in alarms[warm_up:].reshape(len(alarms) - warm_up, -1).T:
        found = np.flatnonzero(series)
        total += int((np.diff(found, prepend=-apart - 1) > apart).sum())
    return total


def count_by_the_hour(n_seeds: int) -> None:
    """False alarms of alert's own bucket, whatever the hours of a day have in common."""
    for day_part in (0.0, 0.5, 1.0):
        n_false, weeks = [], 0.0
        for seed in range(n_seeds):
            generator = np.random.default_rng([17, seed])
            n, watched = make_stream(generator, n_days=HOURLY_DAYS).draw_hours(generator, day_part)
            n_false.append(count_alarms(find_alarms(n, watched, AlertSettings()), 24 * HOURLY_WARM_UP, 24))
            weeks += (HOURLY_DAYS - HOURLY_WARM_UP) / 7
        print(f"alert by the hour, {day_part:.0%} of the scatter that of the day: {sum(n_false)} false alarms in {weeks:.0f} weeks, {sum(n_false) / weeks:.2f} a week")


def threshold_for(statistics: list[np.ndarray], n_wanted: int) -> float:
    """The threshold above which there are as many alarms as wanted."""
    low, high = 0.0, float(np.nanmax([np.nanmax(np.where(np.isfinite(s[WARM_UP:]), s[WARM_UP:], 0.0)) for s in statistics])) + 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(count_alarms(np.nan_to_num(s) > middle) for s in statistics) > n_wanted else (low, middle)
    return high


def statistic(peer: str, n: np.ndarray, watched: np.ndarray) -> np.ndarray:
    return np.stack([PEERS[peer](n.astype(float), watched.astype(float), measure) for measure in (0, 1)], axis=2)


def make_events(n_seeds: int) -> list[tuple]:
    """(texts, watched, kind, measure, series, day) of every event; several share one year."""
    events = []
    for seed in range(n_seeds):
        generator = np.random.default_rng([7, seed])
        calm = make_stream(generator)
        for kind in EVENTS:
            for measure in (0, 1):
                order = generator.permutation(calm.mean.shape[1])
                for part in np.array_split(order, len(order) // 6):
                    days = generator.permutation(EVENT_DAYS)[: len(part)]
                    stream = calm
                    for series, day in zip(part, days):
                        stream = stream.with_event(kind, measure, series, day)
                    events.append((*stream.draw(generator), kind, measure, part, days, calm.mean.mean(axis=0)))
    return events


def main(n_seeds: str = "20", n_event_seeds: str = "4") -> dict:
    calm = []
    for seed in range(int(n_seeds)):
        generator = np.random.default_rng(seed)
        calm.append(make_stream(generator).draw(generator))
    weeks = int(n_seeds) * (365 - WARM_UP) / 7
    n_false = [count_alarms(find_alarms(*drawn, SETTINGS)) for drawn in calm]
    print(f"alert, promise {SETTINGS.promise}: {sum(n_false)} false alarms in {weeks:.0f} weeks of 30 series, {sum(n_false) / weeks:.2f} a week; by seed {n_false}")
    thresholds = {peer: threshold_for([statistic(peer, *drawn) for drawn in calm], sum(n_false)) for peer in PEERS}
    events = make_events(int(n_event_seeds))
    hits: dict[str, dict[tuple, list]] = {"alert": {}} | {peer: {} for peer in PEERS}
    for n, watched, kind, measure, part, days, _ in events:
        alarms = {"alert": find_alarms(n, watched, SETTINGS)[:, :, measure]} | {peer: np.nan_to_num(statistic(peer, n, watched)[:, :, measure]) > thresholds[peer] for peer in PEERS}
        for method, found in alarms.items():
            for series, day in zip(part, days):
                after = np.flatnonzero(found[day : day + EVENTS[kind], series])
                hits[method].setdefault((kind, measure), []).append(int(after[0]) if len(after) else -1)
    scores = farrington_hits(calm[: max(2, int(n_event_seeds))], sum(n_false) / int(n_seeds), events)
    if scores:
        hits["Farrington (R surveillance)"] = scores
    show(hits)
    count_by_the_hour(max(1, int(n_seeds) // 5))  # last, as it takes most of the time
    return {"false_alarms_per_week": sum(n_false) / weeks}


def farrington_hits(calm: list[tuple], n_false: float, events: list[tuple]) -> dict | None:
    """The same for Farrington's method, asked only where an answer is needed, for it is slow."""
    everywhere = np.zeros(calm[0][0].shape, bool)
    everywhere[WARM_UP:] = True
    tables = [table for n, watched in calm for table in ((n, None, everywhere), (watched, n, everywhere))]
    for n, watched, kind, measure, part, days, _ in events:
        wanted = np.zeros(n.shape, bool)
        for series, day in zip(part, days):
            wanted[day : day + EVENTS[kind], series] = True
        tables.append((watched, n, wanted) if measure else (n, None, wanted))
    scores = farrington(tables)
    if scores is None:
        return None
    pairs = [np.stack(scores[2 * i : 2 * i + 2], axis=2) for i in range(len(calm))]
    threshold, hits = threshold_for(pairs, round(n_false * len(calm))), {}
    for (_, _, kind, measure, part, days, _), score in zip(events, scores[2 * len(calm) :]):
        for series, day in zip(part, days):
            after = np.flatnonzero(np.nan_to_num(score[day : day + EVENTS[kind], series]) > threshold)
            hits.setdefault((kind, measure), []).append(int(after[0]) if len(after) else -1)
    return hits


def show(hits: dict[str, dict[tuple, list]]) -> None:
    """A Markdown table: share of events found, and the mean day on which (0: the first)."""
    columns = [(kind, measure) for kind in EVENTS for measure in (0, 1)]
    print("| | " + " | ".join(f"{MEASURES[measure]}, {kind}" for kind, measure in columns) + " |\n|---|" + "---|" * len(columns))
    for method, found in hits.items():
        cells = []
        for column in columns:
            days = np.array(found[column])
            share, n = (days >= 0).mean(), len(days)
            half = 1.96 * (share * (1 - share) / n) ** 0.5
            cells.append(f"{share:.0%} ± {half:.0%}" + (f", day {days[days >= 0].mean():.1f}" if column[0] != "day" and share else ""))
        print(f"| {method} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])
