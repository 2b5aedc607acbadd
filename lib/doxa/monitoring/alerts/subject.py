"""What a state is about, and what its lines are called by."""

from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.settings import MEASURES, SHARE
from doxa.monitoring.alerts.told import iso


@dataclass(frozen=True)
class Subject:
    """`by` and `watch` as they are told; `names` of the series, None for all texts."""

    by: str | None
    watch: str | None
    zone: ZoneInfo
    names: list[str | None]

    def name(self, series: int) -> str:
        """A name that no other series has, nor all texts."""
        return "all" if series == ALL else f"{self.by}={self.names[series]}"

    def line_id(self, series: int, measure: int, since_s: float) -> str:
        return f"{self.name(series)}|{MEASURES[measure]}|{self.iso(since_s)}"

    def watched(self, measure: int) -> str | None:
        return self.watch if measure == SHARE else None

    def parts(self, surprises: Iterable[tuple[int, int]]) -> list[dict[str, str | None]]:
        """Series and measures, as lines name them, each once."""
        return [{"series": self.names[series], "measure": MEASURES[measure]} for series, measure in dict.fromkeys(surprises)]

    def iso(self, seconds: float) -> str:
        return iso(seconds, self.zone)
