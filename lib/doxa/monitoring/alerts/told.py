"""What alert tells, as plain data: it lies in the state until it is told, and goes out as it is."""

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Told:
    """One line. `kind`: alert; worse (what was told is far more by now), silent (nothing comes of a series), eased (it is over, and other parts of its event are not), and one of resolved and
    withdrawn (late records explain it away) at the end of each event; new_series and new_model. No two lines have one `id`; `alert` is that of the
    alert that told of the event.

    `measure` is volume or share. `since` is when it began, `until` the end of what was looked at, the first second that is no part of it (ISO 8601). For a share `observed` is `hits` of
    `n` and `expected`, `low`, `high` are shares; for a volume all are numbers of texts. `low` and `high` bound what is usual, 95 %. `p` is
    the chance of so much in a usual bucket (spike) or of such a sum per bucket (drift); `recurrence_s`: how often, on average, all series
    and detectors together would bring that by chance. `covers` are the series and measures that an alert tells of as well, and at its end all that were
    part of the event, each with its own end; `goes_on` those that are not over with what eased. What eased or is resolved has `hits`, `n`, `observed` and `expected`
    of all the time from `since` to `until`, and `still` the same of what came after that, where that is above what is usual (2.5 %); `reason` is
    "new level" where it stays or "undecided" where that is not known: it is taken for usual from then on; or "heard again", where a series was silent. Of a silence
    `expected` is how many texts should have come, and `longest` how many in its longest one before."""

    id: str
    kind: str
    series: str | None
    measure: str | None = None
    detector: str | None = None
    since: str | None = None
    until: str | None = None
    hits: int | None = None
    n: int | None = None
    observed: float | None = None
    expected: float | None = None
    longest: float | None = None
    still: dict[str, float] | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    recurrence_s: float | None = None
    reason: str | None = None
    by: str | None = None
    watch: str | None = None
    causes: list[dict[str, Any]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    alert: str | None = None
    covers: list[dict[str, Any]] = field(default_factory=list)
    goes_on: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in (None, [])}


def iso(seconds: float, zone: dt.tzinfo) -> str:
    return dt.datetime.fromtimestamp(int(seconds), zone).isoformat()
