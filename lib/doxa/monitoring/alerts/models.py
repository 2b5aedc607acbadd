"""Which models speak in a stream, and from when on: what is usual is learnt anew for each."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.monitoring.portion import NO_TIME, read_times
from doxa.records.conditions import good_rows


class Models:
    """Fingerprints of the models that predicted, as predict --stamp told them (another precision is no other model): `begins_s`, when each
    comes up first, and the `last` that was read."""

    def __init__(self):
        self.begins_s: dict[str, float] = {}
        self.last: str | None = None

    def add(self, table: pa.Table, head: str, zone: ZoneInfo | None) -> None:
        name = f"model:{head}"
        table = good_rows(table)
        if name not in table.schema.names or table.column(name).null_count == len(table):
            return
        stamps = table.column(name).combine_chunks().dictionary_encode()
        models = [stamp.partition("/")[0] for stamp in stamps.dictionary.to_pylist()]
        places = pc.fill_null(stamps.indices, -1).to_numpy()
        us, _ = read_times(table, zone)
        for place, model in enumerate(models):
            own = us[(places == place) & (us != NO_TIME)]
            if len(own):
                self.begins_s[model] = min(self.begins_s.get(model, np.inf), float(own.min()) / 1e6)
        self.last = models[places[places >= 0][-1]]


@dataclass
class Changes:
    """Models that are to come, oldest first, as (when a model comes up first, what it is called), after the one that is `current`. Another model says other things
    of the same texts: what is usual for it is learnt anew of these `measures`."""

    current: str | None
    coming: list[tuple[float, str]]
    measures: tuple[int, ...]

    @classmethod
    def of(cls, current: str | None, begins_s: dict[str, float], last: str | None, from_s: float | None, measures: tuple[int, ...]) -> "Changes":
        """`last` is the model that was read last; any other that speaks of times before `from_s` alone came late."""
        coming = sorted((begin, model) for model, begin in begins_s.items() if model != current and (model == last or from_s is None or begin >= from_s))
        return cls(current, coming, measures)

    def due(self, until_s: float) -> tuple[str, str] | None:
        """The model so far and the one that comes up before a moment, if there is one; several in a row count as one change."""
        before = self.current
        while self.coming and self.coming[0][0] < until_s:
            self.current = self.coming.pop(0)[1]
        return (before, self.current) if before is not None and before != self.current else None
