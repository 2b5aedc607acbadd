"""What a report holds, as plain data."""

import datetime as dt
from dataclasses import dataclass, field

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
class Bucket:
    """One time bucket of one group, from `start` up to but without `end` (both with zone).

    `watched` counts the watched label among the records that have the watched head."""

    start: dt.datetime
    end: dt.datetime
    n: int
    watched: Share
    is_complete: bool


@dataclass(frozen=True)
class Example:
    """A telling text. `count` is how many records say the same or nearly so (a lower bound when `is_bounded`)."""

    text: str
    time: str | None
    id: str | None
    label: str | None
    score: float | None
    count: int
    why: str


@dataclass
class Group:
    """One value of --by. `kind` is `value`, `none` (records without one) or `rest` (all groups beyond the top)."""

    name: str
    kind: str
    n: int
    labels: dict[str, int]
    watched: Share
    share: Share
    buckets: list[Bucket] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)


@dataclass
class HeadCounts:
    """Counts of one head: labels with their shares, or mean and standard deviation of a number."""

    name: str
    kind: str
    n: int
    labels: dict[str, Share] = field(default_factory=dict)
    mean: float | None = None
    sd: float | None = None


@dataclass
class Figures:
    """Everything a page shows."""

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

    @property
    def n_good(self) -> int:
        return self.n_records - sum(self.errors.values())

    @property
    def signature(self) -> str:
        """How the figures were made, in one line."""
        parts = [f"doxa {self.version}", f"records={self.n_records}", f"errors={sum(self.errors.values())}",
                 "heads=" + ",".join(head.name for head in self.heads), f"by={self.by or '-'}", f"watch={self.watch or '-'}",
                 f"every={self.every or '-'}", f"zone={self.time_zone}", "intervals=wilson95"]
        return " ".join(parts)
