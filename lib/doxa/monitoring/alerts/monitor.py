"""One run over a state: judge every bucket that is due, and put what is to be told into the outbox."""

import json
from collections.abc import Callable

import numpy as np

from doxa.monitoring.alerts.calendar import Calendar
from doxa.monitoring.alerts.causes import find_examples
from doxa.monitoring.alerts.detect import judge
from doxa.monitoring.alerts.episodes import load_episodes
from doxa.monitoring.alerts.events import Events
from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.models import Changes
from doxa.monitoring.alerts.promise import newly_spent
from doxa.monitoring.alerts.recall import read_series, recall
from doxa.monitoring.alerts.settings import LEAST_BUCKETS, LEAST_SPAN_S, MEASURES, SHARE, VOLUME, AlertSettings
from doxa.monitoring.alerts.silence import Silences, load_silences
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.alerts.subject import Subject
from doxa.monitoring.alerts.told import Told
from doxa.monitoring.buckets import HOUR_S

KEPT_FOR_LATE = 0.2  # of a bucket's chances, where late records are waited for
TOLD_OF_SERIES = 20  # texts that a series must have to be told as one


class Monitor:
    """`by` and `watch` are what the state is about; where not `tells`, what is found is kept but put into no outbox."""

    def __init__(self, store: Store, settings: AlertSettings, calendar: Calendar, by: str | None, watch: str | None, tells: bool):
        self.store, self.settings, self.calendar, self.by, self.watch, self.tells = store, settings, calendar, by, watch, tells
        self.watermark_s = store.get("watermark")
        first = store.database.execute("SELECT min(bucket) FROM counts").fetchone()[0]
        self.next_bucket = store.get("next_bucket", first)
        self.spent: dict[int, float] = dict(store.get("spent", []))
        self.afresh = [0, 0]  # the bucket from which a model spoke that came up in this run, for either measure
        if first is None:
            return
        self.next_bucket = max(self.next_bucket, first)
        self.first_s = max(first, self.calendar.back(self.next_bucket, settings.n_baseline + 1))
        self.load()

    def load(self) -> None:
        """Read the history that judgement needs."""
        edges = self.calendar.edges(self.first_s, max(self.watermark_s, self.next_bucket))
        self.series = read_series(self.store)
        self.starts = edges[:-1]
        episodes = load_episodes(self.store, int(edges[0]))
        self.history = recall(self.store, edges, self.settings, self.series, episodes, self.watermark_s)
        self.subject = Subject(self.by, self.watch, self.calendar.zone, [name for _, name, *_ in self.series])
        tell = self.tell if self.tells else None
        self.events = Events(self.store, self.settings, self.subject, self.history, episodes, self.watermark_s, tell)
        self.silences = Silences(self.store, self.settings, self.subject, self.history, load_silences(self.store), tell)

    def run(self, late: set[tuple[int, int]], changes: Changes, count: Callable[[int], None]) -> None:
        """Judge all that is due; `late` are (series, bucket) that grew after they were over, `changes` the models that come up. `count` is told how many
        buckets are left."""
        if self.next_bucket is None:
            return
        self.events.withdraw(late)
        unfinished = []
        for index in range(int(np.searchsorted(self.starts, self.next_bucket)), len(self.starts)):
            bucket, is_over, elapsed = int(self.starts[index]), *self._elapsed(index)
            if models := changes.due(float(self.history.edges[index + 1])):
                self._start_afresh(index, changes.measures, *models)
            gain = newly_spent(elapsed, self.spent.get(bucket, 0.0))
            if gain or is_over:
                verdict = judge(self.history, index, self.settings, self._due(index), gain, is_over, self.events.levels)
                self.events.worsen(index, verdict, is_over)
                self.events.begin(index, verdict)
                self.spent[bucket] = elapsed
            self.silences.watch(index, is_over)
            if is_over:
                self.events.close(index)
                self._tell_new_series(index)
                self._keep_scores(index)
                self.next_bucket = int(self.history.edges[index + 1])
            else:  # what is not all there tells nothing of what is usual
                unfinished.append((index, self.history.is_usual[index].copy()))
                self.history.is_usual[index] = False
            count(len(self.starts) - 1 - index)
        for index, is_usual in unfinished:
            self.history.is_usual[index] = is_usual & np.isnan(self.events.levels)
        self.spent = {bucket: spent for bucket, spent in self.spent.items() if bucket >= self.next_bucket}
        self.store.set("next_bucket", self.next_bucket)
        self.store.set("spent", sorted(self.spent.items()))
        self._keep_drifts()

    def _start_afresh(self, index: int, measures: tuple[int, ...], before: str, now: str) -> None:
        """From a bucket on another model speaks. The volume of all texts is no model's."""
        history, bucket = self.history, int(self.starts[index])
        for measure in measures:
            column, least = f"{MEASURES[measure]}_from", ALL if measure == SHARE else ALL + 1
            self.store.database.execute(f"UPDATE series SET {column} = ? WHERE id >= ?", (bucket, least))
            history.is_usual[:index, least:, measure] = False
            history.drift[least:, measure], history.since[least:, measure] = 0.0, -1
            self.afresh[measure] = bucket
        since = self.subject.iso(bucket)
        self.tell(Told(f"model {now[:12]}|{since}", "new_model", None, since=since, until=self.subject.iso(history.edges[index + 1]),
                       reason=f"{before[:12]} before, {now[:12]} now"))

    def _elapsed(self, index: int) -> tuple[bool, float]:
        """Whether a bucket is over, and the share of its chances that may be spent by the watermark: by its time, but for a part that waits
        for what comes late."""
        start, end, lateness_s = float(self.starts[index]), float(self.history.edges[index + 1]), self.settings.lateness_s
        if self.watermark_s >= end + lateness_s:
            return True, 1.0
        own = min(1.0, (self.watermark_s - start) / (end - start))
        if not lateness_s:
            return False, own
        return False, (1 - KEPT_FOR_LATE) * own + KEPT_FOR_LATE * max(0.0, (self.watermark_s - end) / lateness_s)

    def _due(self, index: int) -> float:
        """The share of a bucket's texts that should be there by the watermark: by the hours of the week they usually come in."""
        start, end = float(self.starts[index]), float(self.history.edges[index + 1])
        until = min(self.watermark_s, end)
        if until == end or end - start <= HOUR_S:
            return max(1e-6, (until - start) / (end - start))
        hours = np.arange(start, end, HOUR_S)
        counts = dict(self.store.database.execute("SELECT cell, n FROM hours").fetchall())
        usual = np.array([counts.get(int(cell), 0) for cell in self.calendar.hour_of_week(hours.astype(np.int64))], float)
        usual += 0.1 * usual.mean() + 1e-9
        return max(1e-6, float((usual * np.clip((until - hours) / HOUR_S, 0.0, 1.0)).sum() / usual.sum()))

    def _tell_new_series(self, index: int) -> None:
        """A series that comes up once the stream is known is told as such: what it brings is no spike of anything. It is learnt from then on."""
        is_early = self.starts[index] - self.series[ALL][2] < max(LEAST_SPAN_S, LEAST_BUCKETS * self.settings.bucket_s)
        for at, (number, name, first, is_told, *_) in enumerate(self.series):
            n = self.history.n[: index + 1, number]
            if is_told or number == ALL or n.sum() < TOLD_OF_SERIES:
                continue
            is_slow = 2 * n[-LEAST_BUCKETS:].sum() < n.sum()  # it was there all the time
            since = 0 if is_early or is_slow else int(self.starts[index])
            self.store.database.execute("UPDATE series SET is_told = 1, volume_from = max(volume_from, ?), share_from = max(share_from, ?) WHERE id = ?",
                                        (since, since, number))
            self.series[at] = (number, name, first, 1, since, since)
            for measure in (VOLUME, SHARE):
                self.history.is_usual[:, number, measure] = (self.starts > first) & (self.starts >= max(since, self.afresh[measure]))
            if since:
                recent = np.flatnonzero(n[-LEAST_BUCKETS:]) + max(0, len(n) - LEAST_BUCKETS)
                came = int(self.starts[recent[0]])
                since = self.subject.iso(came)
                self.tell(Told(f"{self.subject.name(number)}|new|{since}", "new_series", name, since=since, n=int(n[recent].sum()), by=self.by,
                               until=self.subject.iso(self.history.edges[index + 1]), examples=find_examples(self.store, number, came, int(self.starts[index]), False)))

    def tell(self, told: Told) -> None:
        if self.tells:
            self.store.database.execute("INSERT INTO outbox (told) VALUES (?)", (json.dumps(told.to_json(), ensure_ascii=False),))

    def _keep_scores(self, index: int) -> None:
        history, bucket = self.history, int(self.starts[index])
        rows = [(series, bucket, MEASURES[measure], None if np.isnan(history.z[index, series, measure]) else float(history.z[index, series, measure]),
                 float(history.mean[index, series, measure]), float(history.scatter[index, series, measure]))
                for series in range(len(self.series)) for measure in (VOLUME, SHARE)]
        self.store.database.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?)", rows)

    def _keep_drifts(self) -> None:
        rows = [(series, MEASURES[measure], pace, float(self.history.drift[series, measure, pace]),
                 int(self.starts[self.history.since[series, measure, pace]]) if self.history.since[series, measure, pace] >= 0 else None)
                for series in range(len(self.series)) for measure in (VOLUME, SHARE) for pace in range(len(self.settings.paces))]
        self.store.database.executemany("INSERT OR REPLACE INTO drifts VALUES (?, ?, ?, ?, ?)", rows)
