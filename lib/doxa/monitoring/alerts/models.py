"""Which models speak in a stream, and from when on: what is usual is learnt anew for each."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.monitoring.alerts.settings import AlertSettings
from doxa.monitoring.portion import NO_TIME, read_times
from doxa.records.conditions import good_rows


class Models:
    """Fingerprints of the models that predicted, as predict --stamp told them (another precision is no other model): `spans_s`, when each is there first and
    last, and the `last` that was read."""

    def __init__(self):
        self.spans_s: dict[str, tuple[float, float]] = {}
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
                first_s, last_s = self.spans_s.get(model, (np.inf, -np.inf))
                self.spans_s[model] = min(first_s, float(own.min()) / 1e6), max(last_s, float(own.max()) / 1e6)
        self.last = models[places[places >= 0][-1]]


@dataclass
class Changes:
    """Models that are to come, oldest first, as (when a model comes up first, what it is called), after the one that is `current`. Another model says other things
    of the same texts: what is usual for it is learnt anew of these `measures`. Those that are `mixed` speak by turns, which is usual once it was learnt."""

    current: str | None
    coming: list[tuple[float, str]]
    measures: tuple[int, ...]
    mixed: set[str] = field(default_factory=set)
    by_turns: set[frozenset[str]] = field(default_factory=set)  # pairs that were there at one time

    @classmethod
    def of(cls, current: str | None, mixed: set[str], spans_s: dict[str, tuple[float, float]], before_s: dict[str, float], last: str | None, from_s: float | None,
           settings: AlertSettings, measures: tuple[int, ...]) -> "Changes":
        """`spans_s` says when each model of a run was there first and last, `before_s` when it was there last in earlier runs. `last` is the model that was read
        last; any other that speaks of times before `from_s` alone came late. A pair speaks by turns where both are there for half a bucket, or one comes back
        as long as its records are remembered."""
        coming = sorted((first, model) for model, (first, _) in spans_s.items() if model != current and (model == last or from_s is None or first >= from_s))
        by_turns = {frozenset((one, other)) for one, (first, end) in spans_s.items() for other, (other_first, other_end) in spans_s.items()
                    if one != other and min(end, other_end) - max(first, other_first) >= settings.bucket_s / 2}
        by_turns |= {frozenset((current, model)) for first, model in coming
                     if current is not None and first - before_s.get(model, -np.inf) <= settings.remember_s}
        return cls(current, coming, measures, mixed, by_turns)

    def due(self, until_s: float) -> tuple[str, str] | None:
        """The model so far and the one that comes up before a moment, if there is one; several in a row count as one change."""
        before, is_new = self.current, False
        while self.coming and self.coming[0][0] < until_s:
            model = self.coming.pop(0)[1]
            if model not in self.mixed:
                is_new = True
                self.mixed = {model, self.current} if frozenset((model, self.current)) in self.by_turns else set()
            self.current = model
        return (before, self.current) if is_new and before is not None and before != self.current else None
