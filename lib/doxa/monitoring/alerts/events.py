"""Events: one or several episodes that one line tells of. It is told when it begins, when it is far worse than was told, and when it is over."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from doxa.monitoring.alerts.covering import MOST_APART, Surprise, cover, hold_most, root_of
from doxa.monitoring.alerts.describing import describe
from doxa.monitoring.alerts.detect import WORSE, Verdict
from doxa.monitoring.alerts.drift import begin_of
from doxa.monitoring.alerts.ending import ENOUGH_RELIEF, log_ratio, outcome, relief
from doxa.monitoring.alerts.episodes import RESOLVED, WITHDRAWN, Episode, add_episode, change_episode
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.levels import chance_at
from doxa.monitoring.alerts.settings import MEASURES, SHARE, VOLUME, AlertSettings
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.alerts.stretch import UNUSUAL_P, Stretch
from doxa.monitoring.alerts.subject import Subject
from doxa.monitoring.alerts.told import Told

EXPLAINED_P = 0.05  # an alert whose bucket is no rarer than this, once late records are in, is withdrawn
APART = 1.5  # times what all texts rose by is a series' own


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
        if not found:
            return
        firsts = {one: index if verdict.is_spike[one] else self._begun(one, verdict, index) for one in found}
        stretches = {one: Stretch.of(self.history, verdict, firsts[one], index) for one in found}
        members = {one: member for one in found if (member := self._lapsed(one, stretches[one]))}
        found = [one for one in found if one not in members]
        going = {episode.surprise: episode for episode in self.episodes if episode.is_open and episode.event}
        tellers = {episode.event: episode.series for episode in self.episodes if episode.alert}
        of_all = [Stretch.of(self.history, verdict, firsts.get((ALL, measure), index), index) for measure in (VOLUME, SHARE)]
        covered = cover(found, set(going), {one for one, episode in going.items() if tellers.get(episode.event) == episode.series},
                        lambda measure: of_all[measure].excess(measure), lambda one: self._rose_with_all(one, stretches, going),
                        lambda measure, series: of_all[measure].rest_rose(measure, series), lambda one: verdict.found_by(one)[1])
        events = {one: episode.event for one, episode in (going | members).items()}
        for one in sorted(stretches, key=lambda one: one in covered):
            alert = None
            if one in covered:
                events[one] = events.get(root_of(one, covered))
            elif one not in members:
                parts = [other for other in covered if root_of(other, covered) == one]
                alert = self._say(self._describe(stretches[one], one, verdict, *verdict.found_by(one), parts))
                events[one] = alert and alert.id
            first = int(self.starts[firsts[one]])
            self.episodes.append(add_episode(self.store, *one, first, int(self.starts[index]), self._level(one, stretches, going, covered), events[one], _dump(alert)))
            self.history.is_usual[firsts[one] : index + 1, *one] = False

    def _begun(self, one: Surprise, verdict: Verdict, index: int) -> int:
        """The likeliest begin of a drift; where what came since then would be nothing unusual by itself, that of the sum that passed its bound."""
        first = max(0, int(verdict.drift_since[one]))
        begun = first + begin_of(np.append(self.history.z[first:index, *one], verdict.z[one]))
        return begun if Stretch.of(self.history, verdict, begun, index).chance(*one) < UNUSUAL_P else first

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
        return stretches[one].is_within(*one, level, APART) and (not between or sum(log_ratio(self.history, one, index, level) for index in between) < 0)

    def _level(self, one: Surprise, stretches: dict[Surprise, Stretch], going: dict[Surprise, Episode], covered: dict[Surprise, Surprise]) -> float:
        """What is told of it: what it is, or where all texts tell of it, what they are."""
        is_told_by_all = covered.get(one) == (ALL, one[1])
        return self._level_of_all(one[1], stretches, going) if is_told_by_all else stretches[one].level(*one)

    # --- what goes on

    def worsen(self, index: int, verdict: Verdict, is_over: bool) -> None:
        """Tell what goes far beyond what was told: once more where it has a line; by a line of its own where it was part of an event, or nothing was told."""
        grown = self._grown(index, verdict, is_over)
        levels = {one: stretch.level(*one) for one, (_, stretch) in grown.items()}
        own = {one for one, (at, _) in grown.items() if self.episodes[at].alert}
        parts = sorted((one for one in grown if one not in own and not self._grew_with(one, grown, own, levels)), key=lambda one: -levels[one])
        groups = [parts] if len(parts) > MOST_APART else [[one] for one in parts]
        lines = {group[0]: self._describe_grown(group[0], grown[group[0]][1], verdict, group[1:]) for group in groups}
        first_of = {one: group[0] for group in groups for one in group}
        left = set()
        for one, (at, stretch) in grown.items():
            episode, changes = self.episodes[at], {"level": levels[one], "calm": 0, "relief": 0.0}
            if one in own:
                line = self._describe_grown(one, stretch, verdict, [])
                self._say(replace(line, id=f"{episode.event}|worse|{levels[one]:.3g}", kind="worse", alert=episode.event))
            elif one in first_of and self.tell is not None:
                left |= {episode.event}
                changes |= {"event": lines[first_of[one]].id, "alert": _dump(self._say(lines[one])) if one in lines else None}
            self.episodes[at] = change_episode(self.store, episode, **changes)
        self._tell_ends(left, set())

    def _grown(self, index: int, verdict: Verdict, is_over: bool) -> dict[Surprise, tuple[int, Stretch]]:
        """Episodes (by their places) that are far beyond their level: by one bucket; or by all of theirs, where nobody knows their own."""
        grown = {}
        for at, episode in enumerate(self.episodes):
            if episode.is_open and verdict.is_beyond[episode.surprise]:
                grown[episode.surprise] = at, Stretch.of(self.history, verdict, index, index)
            elif episode.is_open and is_over and episode.event and not episode.alert and episode.bucket <= self.starts[index]:
                stretch = Stretch.of(self.history, verdict, int(np.searchsorted(self.starts, episode.since)), index)
                if not stretch.is_within(*episode.surprise, episode.level, WORSE):
                    grown[episode.surprise] = at, stretch
        return grown

    def _grew_with(self, one: Surprise, grown: dict[Surprise, tuple[int, Stretch]], own: set[Surprise], levels: dict[Surprise, float]) -> bool:
        """Whether another line tells of it: of all texts, where they grew no less; or those of the series that hold what is too much of all texts."""
        series, measure = one
        if series != ALL:
            return (ALL, measure) in own and levels[one] < APART * levels[ALL, measure]
        return hold_most([other for other, of in grown if of == measure and other != ALL], grown[one][1].excess(measure))

    def _describe_grown(self, one: Surprise, stretch: Stretch, verdict: Verdict, covered: list[Surprise]) -> Told:
        detector, p = ("spike", float(verdict.p[one])) if verdict.is_beyond[one] else ("drift", stretch.chance(*one))
        return self._describe(stretch, one, verdict, detector, p, covered)

    # --- what ends

    def close(self, index: int) -> None:
        """After a bucket that is over: enough that speaks for the usual ends an episode. Where half of the baseline brings too little for that, what came since is
        held against the level that was told: it was usual again, or is from then on."""
        history, ended = self.history, set()
        for at, episode in enumerate(self.episodes):
            if not episode.is_open or episode.bucket >= self.starts[index]:
                continue
            history.is_usual[index, *episode.surprise] = False
            total = max(0.0, episode.relief + relief(history, episode, index))
            episode = self.episodes[at] = change_episode(self.store, episode, relief=total, calm=episode.calm + 1 if total > 0 else 0)
            if episode.calm >= self.settings.cooldown and total >= ENOUGH_RELIEF:
                status, first_usual = RESOLVED, index + 1 - episode.calm
            elif self.starts[index] - episode.since >= self.settings.n_baseline / 2 * self.settings.bucket_s:
                status, first_usual = outcome(history, episode, index)
            else:
                continue
            if first_usual is not None:
                history.is_usual[first_usual : index + 1, *episode.surprise] = True
            else:
                history.is_usual[:, *episode.surprise] = self.starts >= episode.since
                self.store.database.execute(f"UPDATE series SET {MEASURES[episode.measure]}_from = ? WHERE id = ?", (episode.since, episode.series))
            ended |= {self._end(at, status, int(history.edges[index + 1] if first_usual is None else self.starts[first_usual]))}
        self._forget_told(ended, index)
        # Most parts of an event are over soon after its own: that these go on is told once more time has gone by.
        eased = {episode for episode in self.episodes if episode.status == RESOLVED and self._n_since(episode, index) == self._patience(episode)}
        self._tell_ends({episode.event for episode in ended}, eased, index)

    def _forget_told(self, ended: set[Episode], index: int) -> None:
        """What series that were told, and are over, hold of a running sum of all texts is no news: where it is most, the sum begins anew."""
        history = self.history
        for measure in {episode.measure for episode in ended}:
            series = [episode.series for episode in ended if episode.measure == measure and episode.series != ALL and episode.event]
            for pace in np.flatnonzero(history.drift[ALL, measure] > 0) if series else ():
                if hold_most(series, Stretch.over(history, history.since[ALL, measure, pace], index).excess(measure)):
                    history.drift[ALL, measure, pace], history.since[ALL, measure, pace] = 0.0, -1

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
        self._tell_ends({episode.event for episode in ended}, ended)

    def _end(self, at: int, status: str, ended_s: int) -> Episode:
        self.episodes[at] = change_episode(self.store, self.episodes[at], status=status, ended=ended_s)
        return self.episodes[at]

    def _tell_ends(self, events: set[str | None], eased: set[Episode], last: int = -1) -> None:
        """Tell which of some events are over, all of them; and of `eased` which had a line and are over while other parts of their event go on. What is no
        event (None) was not told. `last` is the bucket up to which is known what came since."""
        for event in sorted((events | {episode.event for episode in eased}) - {None}):
            members = [episode for episode in self.episodes if episode.event == event]
            own = next((episode for episode in members if episode.alert), None)
            going = [episode.surprise for episode in members if episode.is_open]
            if own is None or (own not in eased or own.surprise in going if going else event not in events):
                continue
            ends = {episode.surprise: episode for episode in sorted(members, key=lambda episode: episode.since) if not episode.is_open}
            end = ends.pop(own.surprise)
            is_withdrawn = end.status == WITHDRAWN and all(other.status == WITHDRAWN for other in ends.values())
            kind = "eased" if going else "withdrawn" if is_withdrawn else "resolved"
            seen = {} if end.status == WITHDRAWN else self._seen(own, end.ended)
            seen |= {"still": self._still(own, end.ended, last)} if end.status == RESOLVED else {}
            self._say(Told(f"{event}|{kind}", kind, own.told.get("series"), own.told["measure"], since=own.told["since"], until=self._ended(end), **seen,
                           reason=None if end.status == RESOLVED else end.status, by=self.subject.by, watch=self.subject.watched(own.measure), alert=event,
                           covers=[] if going else [self._part(one, episode) for one, episode in ends.items()], goes_on=self.subject.parts(going)))

    def _ended(self, episode: Episode) -> str:
        return self.subject.iso(self.watermark_s if episode.status == WITHDRAWN else episode.ended)

    def _part(self, one: Surprise, end: Episode) -> dict[str, str | None]:
        return self.subject.parts([one])[0] | {"until": self._ended(end)} | ({} if end.status == RESOLVED else {"reason": end.status})

    def _seen(self, episode: Episode, ended_s: int) -> dict[str, float]:
        """What was counted of an episode in all its time, and what is usual; nothing where the history does not go back as far."""
        first, last = np.searchsorted(self.starts, (episode.since, ended_s)).tolist()
        if episode.since < self.starts[0] or last <= first:
            return {}
        return Stretch.over(self.history, first, last - 1).counted(*episode.surprise)

    def _still(self, episode: Episode, ended_s: int, last: int) -> dict[str, float] | None:
        """What was counted since an end, where even that is above what is usual: an end says that a level is no longer what it was."""
        first = int(np.searchsorted(self.starts, ended_s))
        if first > last or episode.since < self.starts[0]:
            return None
        since = Stretch.over(self.history, first, last)
        return since.counted(*episode.surprise) if since.chance(*episode.surprise) < UNUSUAL_P else None

    def _describe(self, stretch: Stretch, one: Surprise, verdict: Verdict, detector: str, p: float, covered: list[Surprise]) -> Told:
        return describe(self.store, self.subject, self.watermark_s, stretch, one, verdict, detector, p, covered)

    def _say(self, line: Told) -> Told | None:
        if self.tell is None:
            return None
        self.tell(line)
        return line


def _dump(line: Told | None) -> str | None:
    return None if line is None else json.dumps(line.to_json(), ensure_ascii=False)
