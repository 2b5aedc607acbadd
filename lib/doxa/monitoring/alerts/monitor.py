"""One run over a state: judge every bucket that is due, open and close episodes, and put what is to be told into the outbox."""

import json
from collections.abc import Callable

import numpy as np

from doxa.monitoring.alerts.calendar import Calendar
from doxa.monitoring.alerts.causes import Stretch, find_causes, find_examples
from doxa.monitoring.alerts.covering import Surprise, cover, name_surprises, root_of
from doxa.monitoring.alerts.detect import Verdict, judge
from doxa.monitoring.alerts.ending import is_gone
from doxa.monitoring.alerts.episodes import NEW_LEVEL, OPEN, RESOLVED, WITHDRAWN, Episode, add_episode, change_episode, load_episodes
from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.models import Changes
from doxa.monitoring.alerts.promise import newly_spent
from doxa.monitoring.alerts.recall import read_series, recall
from doxa.monitoring.alerts.settings import LEAST_BUCKETS, LEAST_SPAN_S, MEASURES, SHARE, VOLUME, AlertSettings
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.alerts.tails import count_interval, count_tail, share_interval, share_tail
from doxa.monitoring.alerts.told import Told, iso
from doxa.monitoring.buckets import HOUR_S

CALM_Z = 1.2815515655446004  # nine usual buckets in ten lie below
EXPLAINED_P = 0.05  # an alert whose bucket is no rarer than this, once late records are in, is withdrawn
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
        self.names = [name for _, name, *_ in self.series]
        self.starts = edges[:-1]
        self.place = {int(start): i for i, start in enumerate(self.starts)}
        self.episodes = load_episodes(self.store, int(edges[0]))
        self.history = recall(self.store, edges, self.settings, self.series, self.episodes, self.watermark_s)

    def run(self, late: set[tuple[int, int]], changes: Changes, count: Callable[[int], None]) -> None:
        """Judge all that is due; `late` are (series, bucket) that grew after they were over, `changes` the models that come up. `count` is told how many
        buckets are left."""
        if self.next_bucket is None:
            return
        self._withdraw(late)
        unfinished = []
        for index in range(int(np.searchsorted(self.starts, self.next_bucket)), len(self.starts)):
            bucket, is_over, elapsed = int(self.starts[index]), *self._elapsed(index)
            if models := changes.due(float(self.history.edges[index + 1])):
                self._start_afresh(index, changes.measures, *models)
            gain = newly_spent(elapsed, self.spent.get(bucket, 0.0))
            if gain or is_over:
                verdict = judge(self.history, index, self.settings, self._due(index), gain, is_over, self._is_quiet())
                self._open_episodes(index, verdict)
                self.spent[bucket] = elapsed
            if is_over:
                self._close_episodes(index)
                self._tell_new_series(index)
                self._keep_scores(index)
                self.next_bucket = int(self.history.edges[index + 1])
            else:  # what is not all there tells nothing of what is usual
                unfinished.append((index, self.history.is_usual[index].copy()))
                self.history.is_usual[index] = False
            count(len(self.starts) - 1 - index)
        for index, is_usual in unfinished:
            self.history.is_usual[index] = is_usual & ~self._is_quiet()
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
        since = iso(bucket, self.calendar.zone)
        self.tell(Told(f"model {now[:12]}|{since}", "new_model", None, since=since, until=iso(float(history.edges[index + 1]), self.calendar.zone),
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

    def _is_quiet(self) -> np.ndarray:
        quiet = np.zeros((len(self.series), 2), bool)
        for episode in self.episodes:
            if episode.status == OPEN:
                quiet[episode.series, episode.measure] = True
        return quiet

    def _open_episodes(self, index: int, verdict: Verdict) -> None:
        """For every surprise; those that are one event have one line."""
        history = self.history
        found = [(series, measure) for series, measure in np.argwhere(verdict.is_spike | verdict.is_drift).tolist()]
        if not found:
            return
        firsts = {one: index if verdict.is_spike[one] else max(0, int(verdict.drift_since[one])) for one in found}
        going = {(episode.series, episode.measure): episode for episode in self.episodes if episode.status == OPEN and episode.alert}
        covered = cover(found, set(going), self._beside(going), lambda measure: Stretch.of(history, verdict, firsts.get((ALL, measure), index), index).excess(measure))
        roots = {one: root_of(one, covered) for one in found}
        events = {one: episode.event for one, episode in going.items()}
        for one in sorted(found, key=lambda one: one in covered):
            detector = "spike" if verdict.is_spike[one] else "drift"
            if one in covered:
                line = self._name_part(firsts[one], *one, detector, events.get(roots[one]))
            else:
                line = self._describe(index, firsts[one], *one, verdict, detector, [other for other in covered if roots[other] == one])
                events[one] = line.id
                self.tell(line)
            alert = json.dumps(line.to_json(), ensure_ascii=False) if self.tells else None
            self.episodes.append(add_episode(self.store, *one, int(self.starts[firsts[one]]), int(self.starts[index]), alert))
            history.is_usual[firsts[one] : index + 1, *one] = False

    def _beside(self, going: dict[Surprise, Episode]) -> dict[int, int]:
        """How many series have had a line since all texts are surprising, by measure."""
        since = {measure: episode.since for (series, measure), episode in going.items() if series == ALL}
        own = [measure for (series, measure), episode in going.items() if series != ALL and episode.has_line and episode.bucket >= since.get(measure, np.inf)]
        return {measure: own.count(measure) for measure in since}

    def _name_part(self, first: int, series: int, measure: int, detector: str, event: str | None) -> Told:
        """What is kept of a surprise that the line of another event tells of."""
        since = iso(int(self.starts[first]), self.calendar.zone)
        return Told(self._id(series, measure, since), "alert", self.names[series], MEASURES[measure], detector, since, by=self.by,
                    watch=self.watch if measure == SHARE else None, alert=event)

    def _describe(self, index: int, first: int, series: int, measure: int, verdict: Verdict, detector: str, covered: list[Surprise]) -> Told:
        history, part, stretch = self.history, slice(first, index + 1), Stretch.of(self.history, verdict, first, index)
        means = stretch.mean[:, series, measure]
        scatter = float(verdict.scatter[series, measure])
        if measure == VOLUME:
            n = hits = None
            observed, expected = float(history.n[part, series].sum()), float(np.nansum(means))
            low, high = (float(bound) for bound in count_interval(np.array(expected), np.array(scatter / (index + 1 - first))))
        else:
            hits, n = int(history.watched[part, series].sum()), int(history.judged[part, series].sum())
            observed, expected = hits / max(1, n), float(np.nansum(means * history.judged[part, series]) / max(1, n))
            low, high = (float(bound) for bound in share_interval(np.array(n), np.array(expected), np.array(scatter / (index + 1 - first))))
        p = float((verdict.p if detector == "spike" else verdict.drift_p)[series, measure])
        bucket_s = float(history.edges[index + 1] - history.edges[index])
        zone = self.calendar.zone
        first_s, last_s = int(self.starts[first]), int(self.starts[index])
        until_s = min(self.watermark_s, float(history.edges[index + 1]))
        causes = find_causes(self.store, stretch, self.names, series, measure)
        return Told(
            self._id(series, measure, iso(first_s, zone)), "alert", self.names[series], MEASURES[measure], detector,
            iso(first_s, zone), iso(until_s, zone), hits, n, observed, expected, low, high, p,
            bucket_s * (verdict.gain if detector == "spike" else 1.0) / (max(p, 1e-300) * verdict.n_tests), None, self.by, self.watch if measure == SHARE else None,
            causes, find_examples(self.store, series, first_s, last_s, measure == SHARE, causes), covers=name_surprises(covered, self.names))

    def _close_episodes(self, index: int) -> None:
        """After a bucket that is over: usual ones in a row end an episode; one that lasts half of the baseline is the level from then on."""
        history, zone = self.history, self.calendar.zone
        due = [(at, episode) for at, episode in enumerate(self.episodes) if episode.status == OPEN and episode.bucket < self.starts[index]]
        for at, episode in sorted(due, key=lambda item: item[1].has_line):  # the parts of an event before it
            z = history.z[index, episode.series, episode.measure]
            is_calm = bool(np.isnan(z) or z < CALM_Z)
            history.is_usual[index, episode.series, episode.measure] = False
            calm = episode.calm + 1 if is_calm else 0
            first_calm = index + 1 - calm
            if calm >= self.settings.cooldown and is_gone(history, episode, first_calm, index):
                history.is_usual[first_calm : index + 1, episode.series, episode.measure] = True
                self._end(at, episode, RESOLVED, int(self.starts[first_calm]), iso(int(self.starts[first_calm]), zone))
            elif self.starts[index] - episode.since >= self.settings.n_baseline / 2 * self.settings.bucket_s:
                history.is_usual[:, episode.series, episode.measure] = self.starts >= episode.since
                column = f"{MEASURES[episode.measure]}_from"
                self.store.database.execute(f"UPDATE series SET {column} = ? WHERE id = ?", (episode.since, episode.series))
                self._end(at, episode, NEW_LEVEL, int(history.edges[index + 1]), iso(int(history.edges[index + 1]), zone))
            else:
                self.episodes[at] = change_episode(self.store, episode, calm=calm)

    def _end(self, at: int, episode: Episode, status: str, ended_s: int, until: str) -> None:
        """End an episode. It is told with what goes on of its event; what is part of another's event only if that is over."""
        self.episodes[at] = change_episode(self.store, episode, status=status, ended=ended_s, calm=0)
        going = [other for other in self.episodes if other.status == OPEN and other.event == episode.event]
        if episode.alert and (episode.has_line or not any(other.has_line for other in going)):
            said, kind = episode.told, "withdrawn" if status == WITHDRAWN else "resolved"
            parts = [(other.series, other.measure) for other in going] if episode.has_line else []
            self.tell(Told(f"{said['id']}|{kind}", kind, said.get("series"), said["measure"], since=said["since"], until=until, alert=episode.event,
                           reason=None if status == RESOLVED else status, by=said.get("by"), watch=said.get("watch"), goes_on=name_surprises(parts, self.names)))

    def _withdraw(self, late: set[tuple[int, int]]) -> None:
        """Alerts of a bucket that late records make a usual one."""
        history = self.history
        for at, episode in enumerate(self.episodes):
            index = self.place.get(episode.bucket)
            if (episode.series, episode.bucket) not in late or episode.status == WITHDRAWN or index is None or not episode.alert:
                continue
            mean, scatter = (values[index, episode.series, episode.measure : episode.measure + 1] for values in (history.mean, history.scatter))
            seen = history.watched if episode.measure == SHARE else history.n
            seen, n = (values[index, episode.series : episode.series + 1] for values in (seen, history.judged))
            tail = share_tail(seen, n, mean, scatter) if episode.measure == SHARE else count_tail(seen, mean, scatter)
            if np.isfinite(mean[0]) and json.loads(episode.alert)["detector"] == "spike" and tail.p[0] >= EXPLAINED_P:
                history.is_usual[index, episode.series, episode.measure] = True
                self._end(at, episode, WITHDRAWN, episode.bucket, iso(self.watermark_s, self.calendar.zone))

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
                zone, recent = self.calendar.zone, np.flatnonzero(n[-LEAST_BUCKETS:]) + max(0, len(n) - LEAST_BUCKETS)
                came = int(self.starts[recent[0]])
                self.tell(Told(f"{self._name(number)}|new|{iso(came, zone)}", "new_series", name, since=iso(came, zone), n=int(n[recent].sum()), by=self.by,
                               until=iso(float(self.history.edges[index + 1]), zone), examples=find_examples(self.store, number, came, 2**62, False)))

    def _name(self, series: int) -> str:
        """A name that no other series has, nor all texts."""
        return "all" if series == ALL else f"{self.by}={self.names[series]}"

    def _id(self, series: int, measure: int, since: str) -> str:
        return f"{self._name(series)}|{MEASURES[measure]}|{since}"

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
