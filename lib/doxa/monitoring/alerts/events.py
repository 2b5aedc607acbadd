"""Events: one or several episodes that one line tells of. It is told when it begins, when it is far worse than was told, and when it is over."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from doxa.monitoring.alerts.causes import Stretch, find_causes, find_examples
from doxa.monitoring.alerts.covering import MOST_APART, Surprise, cover, root_of
from doxa.monitoring.alerts.detect import WORSE, Verdict
from doxa.monitoring.alerts.ending import ENOUGH_RELIEF, log_ratio, relief
from doxa.monitoring.alerts.episodes import NEW_LEVEL, OPEN, RESOLVED, WITHDRAWN, Episode, add_episode, change_episode
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.levels import chance_at, level_of, raise_mean
from doxa.monitoring.alerts.settings import MEASURES, SHARE, VOLUME, AlertSettings
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.alerts.subject import Subject
from doxa.monitoring.alerts.tails import count_interval, share_interval
from doxa.monitoring.alerts.told import Told

EXPLAINED_P = 0.05  # an alert whose bucket is no rarer than this, once late records are in, is withdrawn
APART, APART_P = 1.5, 0.001  # so much more than all texts rose, and so surely, is a series' own


class Events:
    """The episodes of a state. `tell` is None where what is found is only kept: it is no event then, and far more of it still may become one."""

    def __init__(self, store: Store, settings: AlertSettings, subject: Subject, history: History, episodes: list[Episode], watermark_s: float,
                 tell: Callable[[Told], None] | None):
        self.store, self.settings, self.subject, self.history, self.episodes = store, settings, subject, history, episodes
        self.watermark_s, self.tell, self.starts = watermark_s, tell, history.edges[:-1]

    @property
    def levels(self) -> np.ndarray:
        """(K, 2): what was told of the episodes under way; NaN where there is none."""
        levels = np.full((self.history.n.shape[1], 2), np.nan)
        for episode in self.episodes:
            if episode.is_open:
                levels[episode.surprise] = episode.level
        return levels

    # --- what begins

    def begin(self, index: int, verdict: Verdict) -> None:
        """Take what is surprising in a bucket; surprises that are one event have one line."""
        found = [(series, measure) for series, measure in np.argwhere(verdict.is_spike | verdict.is_drift).tolist()]
        firsts = {one: index if verdict.is_spike[one] else max(0, int(verdict.drift_since[one])) for one in found}
        stretches = {one: Stretch.of(self.history, verdict, firsts[one], index) for one in found}
        members = {one: member for one in found if (member := self._lapsed(one, stretches[one]))}
        found = [one for one in found if one not in members]
        going = {episode.surprise: episode for episode in self.episodes if episode.is_open and episode.event}
        tellers = {episode.event: episode.series for episode in self.episodes if episode.alert}
        covered = cover(found, set(going), {one for one, episode in going.items() if tellers.get(episode.event) == episode.series},
                        lambda measure: Stretch.of(self.history, verdict, firsts.get((ALL, measure), index), index).excess(measure),
                        lambda one: self._rose_with_all(one, stretches, going)) if found else {}
        events = {one: episode.event for one, episode in (going | members).items()}
        for one in sorted(stretches, key=lambda one: one in covered):
            alert = None
            if one in covered:
                events[one] = events.get(root_of(one, covered))
            elif one not in members:
                detector, chances = ("spike", verdict.p) if verdict.is_spike[one] else ("drift", verdict.drift_p)
                parts = [other for other in covered if root_of(other, covered) == one]
                alert = self._say(self._describe(stretches[one], one, verdict, detector, float(chances[one]), parts))
                events[one] = alert and alert.id
            first = int(self.starts[firsts[one]])
            self.episodes.append(add_episode(self.store, *one, first, int(self.starts[index]), self._level(one, stretches, going, covered), events[one], _dump(alert)))
            self.history.is_usual[firsts[one] : index + 1, *one] = False

    def _lapsed(self, one: Surprise, stretch: Stretch) -> Episode | None:
        """An episode of an event under way that had ended unseen, and is there again as it was."""
        going = {episode.event for episode in self.episodes if episode.is_open and episode.event}
        ended = [episode for episode in self.episodes if episode.surprise == one and not episode.is_open and episode.event in going and not episode.alert]
        return ended[-1] if ended and stretch.level(*one) < WORSE * ended[-1].level else None

    def _level_of_all(self, measure: int, stretches: dict[Surprise, Stretch], going: dict[Surprise, Episode]) -> float:
        of_all = ALL, measure
        return stretches[of_all].level(*of_all) if of_all in stretches else going[of_all].level

    def _rose_with_all(self, one: Surprise, stretches: dict[Surprise, Stretch], going: dict[Surprise, Episode]) -> bool:
        """Whether a series rose no more than all texts did, and when they did: between their first bucket and its own it was likelier at their level than usual."""
        of_all, level = (ALL, one[1]), self._level_of_all(one[1], stretches, going)
        begun = stretches[of_all].first if of_all in stretches else int(np.searchsorted(self.starts, going[of_all].since))
        between = range(begun, stretches[one].first)
        return self._is_alike(one, stretches[one], level, APART) and (not between or sum(log_ratio(self.history, one, index, level) for index in between) < 0)

    def _is_alike(self, one: Surprise, stretch: Stretch, level: float, times: float) -> bool:
        """Whether what the buckets of a stretch hold is less than so many times a level, or not surely more than it."""
        return stretch.level(*one) < times * level or self._chance(one, stretch, level) >= APART_P

    def _chance(self, one: Surprise, stretch: Stretch, level: float) -> float:
        """Of so much in all buckets of a stretch together, at a level."""
        series, measure = one
        seen, base = (values[:, series].sum(keepdims=True) for values in stretch.seen(measure))
        means, weights = stretch.mean[:, series, measure], stretch.seen(measure)[1][:, series]
        usual = np.nansum(means * weights, keepdims=True) / (base if measure == SHARE else 1)
        scatter = np.nan_to_num(np.nanmean(np.append(self.history.scatter[stretch.first : stretch.last + 1, series, measure], 0.0), keepdims=True))
        return float(chance_at(measure, seen, base, raise_mean(measure, usual, level), scatter / len(means))[0])

    def _level(self, one: Surprise, stretches: dict[Surprise, Stretch], going: dict[Surprise, Episode], covered: dict[Surprise, Surprise]) -> float:
        """What is told of it: what it is, or where all texts tell of it, what they are."""
        is_told_by_all = covered.get(one) == (ALL, one[1])
        return self._level_of_all(one[1], stretches, going) if is_told_by_all else stretches[one].level(*one)

    # --- what goes on

    def worsen(self, index: int, verdict: Verdict, is_over: bool) -> None:
        """Tell what goes far beyond what was told: of its own line; or by a line of its own, where it was part of an event, or nothing was told."""
        grown: dict[Surprise, tuple[int, Stretch]] = {}
        for at, episode in enumerate(self.episodes):
            if episode.is_open and verdict.is_beyond[episode.surprise]:
                grown[episode.surprise] = at, Stretch.of(self.history, verdict, index, index)
            elif episode.is_open and is_over and episode.event and not episode.alert and episode.bucket <= self.starts[index]:
                stretch = Stretch.of(self.history, verdict, int(np.searchsorted(self.starts, episode.since)), index)
                if not self._is_alike(episode.surprise, stretch, episode.level, WORSE):
                    grown[episode.surprise] = at, stretch
        if not grown:
            return
        levels = {one: stretch.level(*one) for one, (_, stretch) in grown.items()}
        own = sorted(one for one, (at, _) in grown.items() if self.episodes[at].alert)
        parts = sorted((one for one in grown if one not in own and not ((ALL, one[1]) in own and levels[one] < APART * levels[ALL, one[1]])), key=lambda one: -levels[one])
        lines: dict[Surprise, Told | None] = {}
        for one in own:
            at, stretch = grown[one]
            event = self.episodes[at].event
            self._say(replace(self._describe(stretch, one, verdict, "spike", float(verdict.p[one]), []), id=f"{event}|worse|{self.subject.iso(self.starts[index])}", kind="worse", alert=event))
        for one in parts[:1] if len(parts) > MOST_APART else parts:
            stretch = grown[one][1]
            detector, p = ("spike", float(verdict.p[one])) if verdict.is_beyond[one] else ("drift", self._chance(one, stretch, 1.0))
            lines[one] = self._say(self._describe(stretch, one, verdict, detector, p, parts[1:] if len(parts) > MOST_APART else []))
        for one, (at, _) in grown.items():
            line = lines.get(one, lines.get(parts[0]) if one in parts else None)
            changes = {} if line is None else {"event": line.id, "alert": _dump(lines.get(one))}
            self.episodes[at] = change_episode(self.store, self.episodes[at], level=levels[one], **changes)

    # --- what ends

    def close(self, index: int) -> None:
        """After a bucket that is over: enough that speaks for the usual ends an episode; one that lasts half of the baseline is the level from then on."""
        history, ended = self.history, set()
        for at, episode in enumerate(self.episodes):
            if not episode.is_open or episode.bucket >= self.starts[index]:
                continue
            history.is_usual[index, *episode.surprise] = False
            total = max(0.0, episode.relief + relief(history, episode, index))
            episode = self.episodes[at] = change_episode(self.store, episode, relief=total, calm=episode.calm + 1 if total > 0 else 0)
            if episode.calm >= self.settings.cooldown and total >= ENOUGH_RELIEF:
                first_calm = index + 1 - episode.calm
                history.is_usual[first_calm : index + 1, *episode.surprise] = True
                ended |= {self._end(at, RESOLVED, int(self.starts[first_calm]))}
            elif self.starts[index] - episode.since >= self.settings.n_baseline / 2 * self.settings.bucket_s:
                history.is_usual[:, *episode.surprise] = self.starts >= episode.since
                self.store.database.execute(f"UPDATE series SET {MEASURES[episode.measure]}_from = ? WHERE id = ?", (episode.since, episode.series))
                ended |= {self._end(at, NEW_LEVEL, int(history.edges[index + 1]))}
        # Most parts of an event are over soon after its own: that these go on is told once more time has gone by.
        self._tell_ends(ended, {episode for episode in self.episodes if episode.status == RESOLVED and self._n_since(episode, index) == self._patience(episode)})

    def _n_since(self, episode: Episode, index: int) -> int:
        return index + 1 - int(np.searchsorted(self.starts, episode.ended))

    def _patience(self, episode: Episode) -> int:
        """Buckets: as many as it took to see its end and again, at least a day of them."""
        return max(2 * episode.calm, self.settings.n_day)

    def withdraw(self, late: set[tuple[int, int]]) -> None:
        """End episodes of a bucket that late records make a usual one; `late` are series and buckets that grew."""
        history, ended = self.history, set()
        place = {int(start): i for i, start in enumerate(self.starts)}
        for at, episode in enumerate(self.episodes):
            index = place.get(episode.bucket)
            if (episode.series, episode.bucket) not in late or not episode.is_open or index is None or episode.since != episode.bucket:
                continue
            seen, base = (values[index, [episode.series]] for values in history.of(episode.measure))
            mean, scatter = (values[index, [episode.series], episode.measure] for values in (history.mean, history.scatter))
            if np.isfinite(mean[0]) and chance_at(episode.measure, seen, base, mean, scatter)[0] >= EXPLAINED_P:
                history.is_usual[index, *episode.surprise] = True
                ended |= {self._end(at, WITHDRAWN, episode.bucket)}
        self._tell_ends(ended, ended)

    def _end(self, at: int, status: str, ended_s: int) -> Episode:
        self.episodes[at] = change_episode(self.store, self.episodes[at], status=status, ended=ended_s)
        return self.episodes[at]

    def _tell_ends(self, ended: set[Episode], eased: set[Episode]) -> None:
        """An event is over with the last of its episodes, which have just `ended`; where one of `eased` has its line and others go on, that is told as well."""
        for event in dict.fromkeys(episode.event for episode in sorted(ended | eased, key=lambda episode: episode.id) if episode.event):
            members = [episode for episode in self.episodes if episode.event == event]
            own = next((episode for episode in members if episode.alert), None)
            going = [episode.surprise for episode in members if episode.is_open]
            if own is None or (own not in eased if going else not any(episode in ended for episode in members)):
                continue
            last = own if going else max(members, key=lambda episode: (episode.status != WITHDRAWN, episode.ended))
            kind = "eased" if going else "withdrawn" if last.status == WITHDRAWN else "resolved"
            until = self.watermark_s if last.status == WITHDRAWN else last.ended
            covers = [] if going else [episode.surprise for episode in members if episode.surprise != own.surprise]
            self._say(Told(f"{event}|{kind}", kind, own.told.get("series"), own.told["measure"], since=own.told["since"], until=self.subject.iso(until),
                           reason=None if last.status == RESOLVED else last.status, by=self.subject.by, watch=self.subject.watched(own.measure), alert=event,
                           covers=self.subject.parts(covers), goes_on=self.subject.parts(going)))

    # --- lines

    def _say(self, line: Told) -> Told | None:
        if self.tell is None:
            return None
        self.tell(line)
        return line

    def _describe(self, stretch: Stretch, one: Surprise, verdict: Verdict, detector: str, p: float, covered: list[Surprise]) -> Told:
        """The line of a surprise, `p` being its chance in a usual bucket."""
        series, measure = one
        seen, base = (values[:, series] for values in stretch.seen(measure))
        means, scatter = stretch.mean[:, series, measure], np.array(float(verdict.scatter[one]) / len(seen))
        if measure == VOLUME:
            n = hits = None
            observed, expected = float(seen.sum()), float(np.nansum(means))
            low, high = count_interval(np.array(expected), scatter)
        else:
            hits, n = int(seen.sum()), int(base.sum())
            observed, expected = hits / max(1, n), float(np.nansum(means * base) / max(1, n))
            low, high = share_interval(np.array(n), np.array(expected), scatter)
        edges, gain = self.history.edges, verdict.gain if detector == "spike" else 1.0
        first_s, last_s, end_s = float(edges[stretch.first]), float(edges[stretch.last]), float(edges[stretch.last + 1])
        causes = find_causes(self.store, stretch, self.subject.names, series, measure)
        return Told(
            self.subject.line_id(series, measure, first_s), "alert", self.subject.names[series], MEASURES[measure], detector, self.subject.iso(first_s),
            self.subject.iso(min(self.watermark_s, end_s)), hits, n, observed, expected, float(low), float(high), p,
            (end_s - last_s) * gain / (max(p, 1e-300) * verdict.n_tests), None, self.subject.by, self.subject.watched(measure), causes,
            find_examples(self.store, series, first_s, last_s, measure == SHARE, causes), covers=self.subject.parts(covered))


def _dump(line: Told | None) -> str | None:
    return None if line is None else json.dumps(line.to_json(), ensure_ascii=False)
