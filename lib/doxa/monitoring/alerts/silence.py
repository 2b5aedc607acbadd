"""Series that fall silent: nothing comes of them where much should have."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.settings import MEASURES, VOLUME, AlertSettings
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.alerts.subject import Subject
from doxa.monitoring.alerts.told import Told

LEAST_MISSING = 10.0  # texts that should have come: by chance alone, fewer than one in 20,000 such silences
LONGER = 3.0  # times what its longest silence before lacked, for texts come in clumps
HEARD = "heard again"


@dataclass(frozen=True)
class Silence:
    """Of a series since a moment, until another where it is over (seconds since 1970). `line` is the id of what told it, None where it was only learnt."""

    series: int
    since: int
    until: int | None
    line: str | None


def load_silences(store: Store) -> list[Silence]:
    return [Silence(*row) for row in store.database.execute("SELECT series, since, until, line FROM silences ORDER BY id")]


class Silences:
    """Those of a state. A silence counts by the texts that were expected in it; what all texts lack, no series lacks by itself."""

    def __init__(self, store: Store, settings: AlertSettings, subject: Subject, history: History, silences: list[Silence], tell: Callable[[Told], None] | None):
        self.store, self.settings, self.subject, self.history, self.silences, self.tell = store, settings, subject, history, silences, tell
        self.starts = history.edges[:-1]
        self.heard = np.full(history.n.shape[1], -1)  # the last bucket of each series that holds a text, of the first `known` ones
        self.known = 0
        self.lacking = np.zeros(history.n.shape[1])  # texts of each series that were expected since then
        for silence in silences:
            history.is_usual[self._span(silence), silence.series, VOLUME] = False

    def _span(self, silence: Silence) -> np.ndarray:
        """The buckets of a silence (T,), of one that goes on those without a text."""
        return (self.starts >= silence.since) & (self.starts < silence.until if silence.until is not None else self.history.n[:, silence.series] == 0)

    def watch(self, index: int, is_over: bool) -> None:
        """Take what a bucket holds: a series that is heard again ends its silence at once; one begins with a bucket that is over."""
        for at, silence in enumerate(self.silences):
            if silence.until is None:
                came = np.flatnonzero((self.starts[: index + 1] >= silence.since) & (self.history.n[: index + 1, silence.series] > 0))
                if len(came):
                    self._end(at, int(came[0]))
                else:
                    self.history.is_usual[index, silence.series, VOLUME] = False
        if not self.settings.silent_s:
            return
        self._hear(index)
        if is_over and self.history.has_week(max(0, index - self.settings.n_baseline), index, self.settings.bucket_s):  # else the first Saturday is silent
            self._look(index)

    def _hear(self, index: int) -> None:
        """Add up what every series lacks since its last text."""
        for at in range(self.known, index + 1):
            came = self.history.n[at] > 0
            self.heard[came] = at
            self.lacking = np.where(came, 0.0, self.lacking + np.nan_to_num(self._lacked(slice(at, at + 1))[0]))
        self.known = index + 1

    def _look(self, index: int) -> None:
        """Find what falls silent."""
        silent = {silence.series for silence in self.silences if silence.until is None}
        quiet_s = self.history.edges[index + 1] - self.history.edges[self.heard + 1]
        for series in np.flatnonzero((self.heard >= 0) & (quiet_s >= self.settings.silent_s) & (self.lacking >= LEAST_MISSING)).tolist():
            if series not in silent:
                self._begin(series, index)

    def _begin(self, series: int, index: int) -> None:
        last, missing = int(self.heard[series]), float(self.lacking[series])
        longest = self._longest(series, max(0, index - self.settings.n_baseline), last)
        if missing < LONGER * longest:
            return
        since = int(self.history.edges[last + 1])
        line = Told(f"{self.subject.name(series)}|silent|{self.subject.iso(since)}", "silent", self.subject.names[series], MEASURES[VOLUME],
                    since=self.subject.iso(since), until=self.subject.iso(self.history.edges[index + 1]), observed=0, expected=missing, longest=longest,
                    by=self.subject.by)
        self.silences.append(Silence(series, since, None, line.id if self.tell else None))
        self.store.database.execute("INSERT INTO silences (series, since, line) VALUES (?, ?, ?)", (series, since, self.silences[-1].line))
        self.history.is_usual[last + 1 : index + 1, series, VOLUME] = False
        if self.tell:
            self.tell(line)

    def _end(self, at: int, index: int) -> None:
        silence, until = self.silences[at], int(self.starts[index])
        self.silences[at] = replace(silence, until=until)
        self.store.database.execute("UPDATE silences SET until = ? WHERE series = ? AND since = ?", (until, silence.series, silence.since))
        if self.tell and silence.line:
            seen = {}
            if silence.since >= self.starts[0]:
                first = int(np.searchsorted(self.starts, silence.since))
                seen = {"observed": 0, "expected": float(np.nansum(self._lacked(slice(first, index))[:, silence.series]))}
            self.tell(Told(f"{silence.line}|heard", "resolved", self.subject.names[silence.series], MEASURES[VOLUME], since=self.subject.iso(silence.since),
                           until=self.subject.iso(until), **seen, reason=HEARD, by=self.subject.by, alert=silence.line))

    def _longest(self, series: int, first: int, last: int) -> float:
        """The most that a series lacked between two of its texts, in buckets `first` to `last`. What nobody expected yet would have been as much as it was later."""
        part = slice(first, last + 1)
        lacked = self._lacked(part)[:, series]
        known = self.history.mean[part, series, VOLUME][np.isfinite(self.history.z[part, series, VOLUME])]
        lacked = np.where(np.isnan(lacked), known.mean() if len(known) else 0.0, lacked)
        for silence in self.silences:  # an outage is none of the pauses that a series makes
            if silence.series == series:
                lacked[self._span(silence)[part]] = 0.0
        sums = np.cumsum(lacked)[self.history.n[part, series] > 0]
        return float(np.diff(sums, prepend=0.0).max(initial=0.0))

    def _lacked(self, part: slice) -> np.ndarray:
        """(buckets, K): texts that were expected where none came, though some came of other series; NaN where it is not known how many."""
        n, z = self.history.n[part], self.history.z[part, :, VOLUME]
        is_empty = (n == 0) & (n[:, ALL : ALL + 1] > 0)
        is_empty[:, ALL] = n[:, ALL] == 0
        return np.where(is_empty, np.where(np.isfinite(z), self.history.mean[part, :, VOLUME], np.nan), 0.0)
