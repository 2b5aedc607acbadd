"""What to count, and what is watched."""

import datetime as dt
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from doxa.errors import UsageError
from doxa.monitoring.buckets import Every
from doxa.records.conditions import Condition


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Settings:
    """`conditions` must all hold for a record to count. `last` sets `since` and `until` once the latest time is known.
    `since` (inclusive) and `until` (exclusive) are instants; `every` None chooses by the span; `watch` is HEAD=LABEL,
    None takes sentiment=negative where there is such a head; `now` is only used to tell which times lie in the future."""

    watch: str | None = None
    every: Every | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    assumed_zone: ZoneInfo | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    top: int = 20
    n_examples: int = 3
    title: str = "Opinion report"
    now: dt.datetime = field(default_factory=_now)
    conditions: tuple[Condition, ...] = ()
    last: Every | None = None


@dataclass(frozen=True)
class Watch:
    """The watched label of a head; `is_asked` when the user named it."""

    head: str
    label: str
    is_asked: bool

    def __str__(self) -> str:
        return f"{self.head}={self.label}"


def choose_watch(asked: str | None, heads: dict[str, str]) -> Watch | None:
    """Return what to watch among `heads` (name -> kind). Raises UsageError when `asked` names no head of labels."""
    if asked is None:
        return Watch("sentiment", "negative", False) if heads.get("sentiment") in ("label", "labels") else None
    # A head's name may itself hold "=": the longest head that fits.
    fitting = [head for head in heads if heads[head] != "number" and asked.startswith(f"{head}=") and len(asked) > len(head) + 1]
    if not fitting:
        head, separator, label = asked.partition("=")
        if not separator or not label:
            raise UsageError(f"--watch {asked}: give HEAD=LABEL, such as sentiment=negative")
        raise unknown_watch(asked, heads)
    head = max(fitting, key=len)
    return Watch(head, asked[len(head) + 1 :], True)


def unknown_watch(asked: str, heads: dict[str, str]) -> UsageError:
    known = ", ".join(sorted(name for name, kind in heads.items() if kind != "number"))
    return UsageError(f'--watch {asked}: no head of labels is called "{asked.partition("=")[0]}"; there are: {known}')
