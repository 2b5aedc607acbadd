"""What a report holds, as plain data."""

import datetime as dt
import math
from dataclasses import dataclass, field
from typing import Any

from doxa.metrics.intervals import wilson


@dataclass(frozen=True)
class Share:
    """`hits` of `n`, with the 95 % Wilson interval of the share; share is None where n is 0."""

    hits: int
    n: int

    @property
    def share(self) -> float | None:
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.hits, self.n)


@dataclass(frozen=True)
class Corrected:
    """A share without the classifier's mistakes, over `n` texts, with its 95 % interval; None where it stays open."""

    share: float | None
    n: int
    interval: tuple[float, float]

    @classmethod
    def of(cls, n: int, share: float, low: float, high: float) -> "Corrected":
        """An estimate over n texts; a share that is NaN stays open."""
        return cls(None if math.isnan(share) else float(share), n, (float(low), float(high)))


@dataclass(frozen=True)
class Bucket:
    """One time bucket of one group, from `start` up to but without `end` (both with zone).

    `watched` counts the watched label among the records that have the watched head, `labels` how many have each of its labels, of those that are
    frequent in all. A bucket is not complete when the data begin or end inside it."""

    start: dt.datetime
    end: dt.datetime
    n: int
    watched: Share
    is_complete: bool
    corrected: Corrected | None = None
    labels: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """A telling text. `count` is how many records say the same or nearly so, a lower bound. `why` it is shown is
    `highest score` or, without one, `of the watched label`, `told most often`, `newest` or `without a usable time`."""

    text: str
    time: str | None
    id: str | None
    label: str | None
    score: float | None
    count: int
    why: str


@dataclass
class Group:
    """One value of --by. `kind` is `value`, `none` (records without one), `rest` (all groups beyond the top) or `all` (every record).

    `values` tells its value for each name of --by, None where there is none (`value` and `none` alone).
    `labels` counts the labels of the watched head. `share` is the group's part of all counted records; where --by is a
    head of many labels, a record is in several groups."""

    name: str
    kind: str
    n: int
    labels: dict[str, int]
    watched: Share
    share: Share
    buckets: list[Bucket] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    values: dict[str, str | None] = field(default_factory=dict)
    corrected: Corrected | None = None


@dataclass
class HeadCounts:
    """Counts of one head: labels with their shares, counted and where known `corrected`, or mean and (population) standard deviation of a number."""

    name: str
    kind: str
    n: int
    labels: dict[str, Share] = field(default_factory=dict)
    mean: float | None = None
    sd: float | None = None
    corrected: dict[str, Corrected] = field(default_factory=dict)


@dataclass
class Figures:
    """Everything a page shows.

    `n_records` counts all that was read. What is counted are the good ones, and with `since` or `until` only those
    whose time lies between them; `n_outside` were left out for that, `n_unmet` of the others because they do not meet the
    `conditions`. `last_length` is the length of --last, which set `since` and `until`. `n_untimed` counts time problems by code.
    `total` is the group of all counted records, None when there is none. With a `promise`, `alerts` holds what alert would have told per `judged_every`,
    from `judged_from` on, None where there was too little to know what is usual (`monitoring.alerts.told.Told` as plain data), oldest first. `correction` says how shares were corrected."""

    title: str
    n_records: int
    errors: dict[str, int]
    n_untimed: dict[str, int]
    n_duplicate_ids: int
    first: dt.datetime | None
    last: dt.datetime | None
    heads: list[HeadCounts]
    by: str | None
    watch: str | None
    every: str | None
    time_zone: str
    groups: list[Group]
    notes: list[str]
    version: str
    n_outside: int = 0
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    total: Group | None = None
    last_length: str | None = None
    conditions: list[str] = field(default_factory=list)
    n_unmet: int = 0
    correction: str | None = None
    promise: str | None = None
    judged_every: str | None = None
    judged_from: dt.datetime | None = None
    alerts: list[dict[str, Any]] = field(default_factory=list)

    def alerts_of(self, group: Group) -> list[dict[str, Any]]:
        """The alerts of one group, or of all records together, those among them that cover it by the measure of its own; of the rest and of records without a
        value there are none."""
        if group.kind not in ("value", "all"):
            return []
        name = group.name if group.kind == "value" else None
        alerts = [told for told in self.alerts if told["kind"] in ("alert", "worse")]
        covering = [told | {"measure": covered["measure"]} for told in alerts for covered in told.get("covers", ()) if covered["series"] == name]
        return sorted([told for told in alerts if told.get("series") == name] + covering, key=lambda told: told["since"])

    @property
    def n_good(self) -> int:
        """Records that are counted."""
        return self.n_records - sum(self.errors.values()) - self.n_outside - self.n_unmet

    @property
    def signature(self) -> str:
        """How the figures were made, in one line."""
        parts = [f"doxa {self.version}", f"records={self.n_records}", f"errors={sum(self.errors.values())}",
                 "heads=" + ",".join(head.name for head in self.heads), f"by={(self.by or '-').replace(', ', ',')}", f"watch={self.watch or '-'}",
                 f"every={self.every or '-'}", f"zone={self.time_zone}"]
        parts += [f"last={self.last_length}"] if self.last_length else []
        if self.last_length is None:
            parts += [f"since={self.since.isoformat()}"] if self.since else []
            parts += [f"until={self.until.isoformat()}"] if self.until else []
        parts += [f"outside={self.n_outside}"] if self.n_outside else []
        parts += [f"where={condition}" for condition in self.conditions]
        parts += [f"unmet={self.n_unmet}"] if self.conditions else []
        parts += [f"false-alarms={self.promise}"] if self.promise else []
        parts += ["intervals=wilson95"]
        parts += [f"corrected={self.correction}"] if self.correction else []
        return " ".join(parts)
