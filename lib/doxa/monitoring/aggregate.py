"""Predictions to figures, in one pass and bounded memory."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.monitoring.candidates import Candidates
from doxa.monitoring.conclude import conclude
from doxa.monitoring.counts import TimeCounts
from doxa.monitoring.figures import Figures
from doxa.monitoring.hashes import HashCounts, hash_column, text_hasher
from doxa.monitoring.latest import LatestTime
from doxa.monitoring.portion import NO_TIME, Portion, read_times, regroup, text_keys, watched_columns
from doxa.monitoring.repeats import IdRepeats
from doxa.monitoring.settings import Settings, Watch, choose_watch
from doxa.monitoring.tallies import TALLIES
from doxa.monitoring.times import to_microseconds
from doxa.records.columns import ColumnReader
from doxa.records.conditions import good_rows, select
from doxa.records.database import connect
from doxa.records.groups import GroupNames
from doxa.records.names import Named
from doxa.records.prefetch import gather
from doxa.records.spool import TableSpool
from doxa.records.stored import encode, is_encoded, tell_all

MINUTE_US = 60_000_000
# Since 1972 the offset of every zone, hence every edge of a day or hour, is a multiple of 15 minutes.
SLICE_MINUTES = 15


Follow = Callable[[pa.Table, ColumnReader], None]


def aggregate(reader: ColumnReader, settings: Settings, followers: Sequence[Follow] = ()) -> Figures:
    """Count everything; `followers` see every table that is read, too. Raises UsageError when --watch names no head of labels, or the buckets or groups are too many."""
    if settings.last is None:
        return conclude(_count_tables(iter(reader), reader, settings, followers), reader)
    # What lies inside is known at the end. Repeats, examples and the limits on groups are of the inside alone, so counts
    # per slice of time would not do: the flat columns wait on disk, parsed once, from a pipe as from a file.
    latest = LatestTime(settings)
    with TableSpool() as spool:
        for table in _gathered(iter(reader)):
            spool.add(tell_all(table))
            latest.add(read_times(good_rows(table), settings.assumed_zone)[0])
        return conclude(_count_tables(spool.read(), reader, latest.bound(), followers), reader)


def _count_tables(tables: Iterator[pa.Table], reader: ColumnReader, settings: Settings, followers: Sequence[Follow]) -> "Counter":
    counter = Counter(settings)
    for table in _gathered(tables):
        counter.add(table, reader)
        if followers:
            table = tell_all(table)
        for follow in followers:
            follow(table, reader)
    return counter


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    for some in gather(tables, 4, patience_s=0.0):  # parsing goes on while the last ones are counted
        for _, alike in itertools.groupby(some, key=lambda table: table.schema):
            yield pa.concat_tables(alike)


class Counter:
    """What is known after some of the stream. It grows with groups, labels and time, not with records."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.database = connect()
        minutes = math.gcd(SLICE_MINUTES, settings.every.n) if settings.every and settings.every.unit == "m" else SLICE_MINUTES
        self.counts = TimeCounts(self.database, minutes * MINUTE_US)
        self.names = GroupNames(0)
        self.hash_texts = text_hasher(self.database)
        self.ids, self.texts, self.candidates = IdRepeats(self.hash_texts), HashCounts(), Candidates(self.hash_texts)
        self.n_records = self.n_counted = self.n_outside = self.n_unmet = 0
        self.n_met = [0] * len(settings.conditions)
        self.errors: dict[str, int] = {}
        self.problems: dict[str, int] = {}
        self.span_us: tuple[int, int] | None = None
        self.tallies: list | None = None
        self.watch: Watch | None = None

    def add(self, table: pa.Table, reader: ColumnReader) -> None:
        heads = reader.schema.heads
        self.n_records += table.num_rows
        table = self._without_errors(table)
        if not table.num_rows:
            return
        if self.tallies is None:
            self.tallies = [TALLIES[kind](head, kind) for head, kind in heads.items()]
            self.watch = choose_watch(self.settings.watch, heads)
            self.names = GroupNames(len(reader.schema.by))
        us, problems = read_times(table, self.settings.assumed_zone)
        for problem, n in problems.items():
            self.problems[problem] = self.problems.get(problem, 0) + n
        table, us = self._inside(table, us)
        table, us = self._meeting(table, us, reader.schema.where)
        self.n_counted += table.num_rows
        if table.num_rows:
            self._count(table, us, heads, [named.column for named in reader.schema.by])

    def _without_errors(self, table: pa.Table) -> pa.Table:
        errors = table.column("error")
        if errors.null_count == len(errors):
            return table
        for pair in pc.value_counts(errors.drop_null()).to_pylist():
            self.errors[pair["values"]] = self.errors.get(pair["values"], 0) + pair["counts"]
        return good_rows(table)

    def _inside(self, table: pa.Table, us: np.ndarray) -> tuple[pa.Table, np.ndarray]:
        since, until = self.settings.since, self.settings.until
        if since is None and until is None and self.settings.last is None:
            return table, us
        inside = us != NO_TIME
        inside &= us >= to_microseconds(since) if since else True
        inside &= us < to_microseconds(until) if until else True
        self.n_outside += int((~inside).sum())
        return table.filter(pa.array(inside)), us[inside]

    def _meeting(self, table: pa.Table, us: np.ndarray, names: dict[str, Named]) -> tuple[pa.Table, np.ndarray]:
        if not self.settings.conditions:
            return table, us
        meets, n_met = select(table, self.settings.conditions, names)
        self.n_met = [before + n for before, n in zip(self.n_met, n_met)]
        self.n_unmet += table.num_rows - meets.true_count
        return table.filter(meets), us[meets.to_numpy(zero_copy_only=False)]

    def _count(self, table: pa.Table, us: np.ndarray, heads: dict[str, str], by: list[str]) -> None:
        table = _encoded(table, {*(f"label:{head}" for head, kind in heads.items() if kind == "label"), *by})
        for tally in self.tallies:
            tally.add(table)
        self._span(us)
        self.ids.add(table.column("id"), lambda: hash_column(table, "id", self.hash_texts))
        labels, said, watched, scores = watched_columns(table, self.watch, heads.get(self.watch.head) if self.watch else None)
        portion = Portion(table, np.arange(table.num_rows), np.zeros(table.num_rows, np.int32), labels, said, watched, scores, us,
                          hash_column(table, "text", self.hash_texts), table.column("text").is_valid().to_numpy())
        if by:
            portion = regroup(portion, by, self.names)
        self.counts.add(portion)
        if self.settings.n_examples:
            self.texts.add(text_keys(portion.hashes, portion.codes)[portion.has_text])
            self.candidates.add(portion)

    def _span(self, us: np.ndarray) -> None:
        timed = us[us != NO_TIME] if us.min() == NO_TIME else us  # mostly all have a time
        if len(timed):
            first, last = int(timed.min()), int(timed.max())
            earliest, latest = self.span_us or (first, last)
            self.span_us = min(earliest, first), max(latest, last)


def _encoded(table: pa.Table, names: set[str]) -> pa.Table:
    """The table with the columns of texts among those named encoded once for all that counts them."""
    for place, field in enumerate(table.schema):
        if field.name in names and (pa.types.is_string(field.type) or is_encoded(field.type)):
            table = table.set_column(place, field.name, encode(table.column(place)))
    return table
