"""Records into the counts of a state: each once, in its own bucket."""

import hashlib
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.monitoring.alerts.calendar import Calendar
from doxa.monitoring.alerts.settings import LEAST_SPAN_S, AlertSettings
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.portion import NO_TIME, Portion, read_times, regroup, watched_columns
from doxa.monitoring.settings import Watch
from doxa.records.columns import ColumnReader
from doxa.records.conditions import Condition, good_rows, select
from doxa.records.groups import GroupNames, group_names, name_group

SECOND_US = 1_000_000
ALL = 0  # the series of all records
MOST_SERIES = 2_000  # beyond, each is tested so strictly that nothing would ever be told
TEXT_CHARACTERS = 400
TOLD_FIELDS = ("source", "author")  # from which causes are told as well
FUTURE_S = 86_400
STRAY_PART = 0.01  # of the records of a new state: so few, long before all others, are none of its stream
STRAY_BUCKETS = 50_000  # a time that lies so far from the others is a slip, and would stretch the calendar for all


@dataclass
class Taken:
    """What became of the records of a run. Of `n_known`, known from before, `n_other` had another time, so that they are hardly the same. `late`
    are the (series, bucket) that were over before and have grown."""

    n_records: int = 0
    n_counted: int = 0
    n_known: int = 0
    n_other: int = 0
    n_old: int = 0
    n_unmet: int = 0
    n_ahead: int = 0
    n_late: int = 0
    n_nameless: int = 0
    problems: dict[str, int] = field(default_factory=dict)
    late: set[tuple[int, int]] = field(default_factory=set)


class Intake:
    """Adds tables of records (see `records.columns`) to a store."""

    def __init__(self, store: Store, settings: AlertSettings, calendar: Calendar, conditions: tuple[Condition, ...], now_s: float):
        self.store, self.settings, self.calendar, self.conditions, self.now_s = store, settings, calendar, conditions, now_s
        self.watermark_s = store.get("watermark")
        # What was forgotten once is not known again by remembering longer from now on.
        self.oldest_s = -np.inf if self.watermark_s is None else max(self.watermark_s - settings.remember_s, store.get("seen_from", -np.inf))
        self.next_bucket = store.get("next_bucket")
        self.taken, self.names = Taken(), GroupNames(0)
        self.codes = {0: ALL}  # of `names` -> series
        self.series = {name: number for number, name in store.database.execute("SELECT id, name FROM series WHERE id > 0")}
        store.database.execute("CREATE TEMP TABLE coming (place INTEGER PRIMARY KEY, key INTEGER, bucket INTEGER)")

    def add(self, table: pa.Table, reader: ColumnReader, watch: Watch | None, zone: ZoneInfo | None) -> None:
        """Count a table of a reader."""
        taken = self.taken
        taken.n_records += table.num_rows
        table = good_rows(table)
        if self.conditions and table.num_rows:
            meets, _ = select(table, self.conditions, reader.schema.where)
            taken.n_unmet += table.num_rows - meets.true_count
            table = table.filter(meets)
        us, problems = read_times(table, zone)
        is_future = us >= (self.now_s + FUTURE_S) * SECOND_US
        timed = us[(us != NO_TIME) & ~is_future]
        stray_us = STRAY_BUCKETS * self.settings.bucket_s * SECOND_US
        if len(timed):
            is_future |= us > max(float(np.quantile(timed, 0.99)), (self.watermark_s or 0.0) * SECOND_US) + stray_us
        problems |= {"future_time": int(is_future.sum())} if is_future.any() else {}
        for problem, n in problems.items():
            taken.problems[problem] = taken.problems.get(problem, 0) + n
        is_timed = (us != NO_TIME) & ~is_future
        latest_us = float(us[is_timed].max()) if is_timed.any() else -np.inf
        is_old = is_timed & (us < max(self.oldest_s * SECOND_US, latest_us - stray_us))
        taken.n_old += int(is_old.sum())
        rows = np.flatnonzero(is_timed & ~is_old)
        if len(rows):
            table, us = table.take(rows), us[rows]
            # A clock that runs ahead would else end the buckets of all the others before their time.
            taken.n_ahead += int((us > self.now_s * SECOND_US).sum())
            self.watermark_s = max(self.watermark_s or -np.inf, min(float(us.max()) / SECOND_US, self.now_s))
            self._count(table, us, reader, watch)

    def _count(self, table: pa.Table, us: np.ndarray, reader: ColumnReader, watch: Watch | None) -> None:
        buckets = self.calendar.bucket_of(us // SECOND_US)
        keys = record_keys(table)
        fresh = self._unseen(keys, buckets)
        self.taken.n_known += len(keys) - len(fresh)
        self.taken.n_counted += len(fresh)
        self.taken.n_late += int((buckets[fresh] < (self.next_bucket or -np.inf)).sum())
        if not len(fresh):
            return
        table, us, buckets, keys = table.take(fresh), us[fresh], buckets[fresh], keys[fresh]
        n = table.num_rows
        labels, said, watched, scores = watched_columns(table, watch, reader.schema.heads.get(watch.head) if watch else None)
        whole = Portion(table, np.arange(n), np.zeros(n, np.int32), labels, said, watched, scores, us, keys.view(np.uint64), np.ones(n, bool))
        self._add_portion(whole, buckets, np.full(n, ALL))
        if reader.schema.by:
            if len(self.names.values) == 1:
                self.names = GroupNames(len(reader.schema.by))
            parts = regroup(whole, [named.column for named in reader.schema.by], self.names)
            self._name_series(group_names(reader.schema.by))
            series = np.array([self.codes[code] for code in range(len(self.names.values))])[parts.codes]
            named = np.flatnonzero(series != ALL)  # a record without a value, or of one too many, is in the series of all alone
            self.taken.n_nameless += int((parts.codes[series == ALL] > 0).sum())
            self._add_portion(parts, buckets, series, named)
        self._add_hours(us)

    def _unseen(self, keys: np.ndarray, buckets: np.ndarray) -> np.ndarray:
        """Places of the records that no earlier run or line brought, now remembered."""
        run = self.store.database.execute
        run("DELETE FROM coming")
        self.store.database.executemany("INSERT INTO coming VALUES (?, ?, ?)", zip(range(len(keys)), keys.tolist(), buckets.tolist()))
        places = run("SELECT min(place) FROM coming WHERE NOT EXISTS (SELECT 1 FROM seen WHERE seen.key = coming.key) GROUP BY key ORDER BY 1").fetchall()
        run("INSERT OR IGNORE INTO seen SELECT key, bucket FROM coming")
        if len(places) < len(keys):
            self.taken.n_other += run("SELECT count(*) FROM coming JOIN seen USING (key) WHERE coming.bucket <> seen.bucket").fetchone()[0]
        return np.array([place for place, in places], np.int64)

    def _name_series(self, by: list[str]) -> None:
        for code in range(len(self.codes), len(self.names.values)):
            name = name_group(by, self.names.values[code])
            if name not in self.series and len(self.series) < MOST_SERIES:
                self.series[name] = len(self.series) + 1
            self.codes[code] = self.series.get(name, ALL)

    def _add_portion(self, portion: Portion, buckets: np.ndarray, series: np.ndarray, chosen: np.ndarray | None = None) -> None:
        chosen = np.arange(len(series)) if chosen is None else chosen
        if not len(chosen):
            return
        series, rows = series[chosen], portion.rows[chosen]
        bucket = buckets[rows]
        counted, place = _cells(portion, chosen, series, bucket)
        execute = self.store.database.executemany
        names = {number: name for name, number in self.series.items()}
        execute("INSERT INTO series VALUES (?, ?, ?, 0, 0, 0) ON CONFLICT (id) DO UPDATE SET first_bucket = min(first_bucket, excluded.first_bucket)",
                [(number, names.get(number), first) for number, first, *_ in counted])
        add = ("INSERT INTO {} VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n, judged = judged + excluded.judged, "
               "watched = watched + excluded.watched")
        execute(add.format("counts"), counted)
        second = -(-portion.us[chosen] // SECOND_US)
        is_ahead = second > self.now_s
        if is_ahead.any():
            execute(add.format("ahead"), _cells(portion, chosen[is_ahead], series[is_ahead], second[is_ahead])[0])
        if self.next_bucket is not None:
            self.taken.late |= {(number, start) for number, start, *_ in counted if start < self.next_bucket}
        self._sample(portion, chosen, series, bucket, place)

    def _sample(self, portion: Portion, chosen: np.ndarray, series: np.ndarray, bucket: np.ndarray, place: np.ndarray) -> None:
        """Keep the first few records of every cell by their keys: as good as drawn by lot, and the same in any order."""
        rows = portion.rows[chosen]
        keys = portion.hashes[chosen].view(np.int64)
        recent = bucket >= self._sampled_from()
        order = np.lexsort((keys, place))
        rank = np.arange(len(order)) - np.searchsorted(place[order], place[order])
        kept = order[(rank < self.settings.sampled) & recent[order]]
        texts = pc.utf8_slice_codeunits(pc.fill_null(portion.table.column("text"), ""), 0, TEXT_CHARACTERS)
        columns = [portion.table.column("id").take(rows[kept]).to_pylist(), texts.take(rows[kept]).to_pylist()]
        more = [portion.table.column(f"field:{name}").take(rows[kept]).to_pylist() for name in TOLD_FIELDS]
        values = zip(series[kept].tolist(), bucket[kept].tolist(), keys[kept].tolist(), *columns,
                     portion.is_watched[chosen[kept]].astype(int).tolist(), portion.scores[chosen[kept]].tolist(), *more)
        self.store.database.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def _sampled_from(self) -> float:
        """The oldest bucket that records are kept of: none that is yet to be judged is left out."""
        return min(self.calendar.back(self.watermark_s, self.settings.sampled_buckets), self.next_bucket or np.inf)

    def _add_hours(self, us: np.ndarray) -> None:
        cells, counts = np.unique(self.calendar.hour_of_week(us // SECOND_US), return_counts=True)
        self.store.database.executemany("INSERT INTO hours VALUES (?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n", zip(cells.tolist(), counts.tolist()))

    def _leave_out_strays(self) -> None:
        """A slip of a time would make years without a text what is usual, each bucket of which is judged."""
        run = self.store.database.execute
        buckets, n = np.array(run("SELECT bucket, n FROM counts WHERE series = ? ORDER BY bucket", (ALL,)).fetchall(), np.int64).reshape(-1, 2).T
        begin = _stream_begin(buckets, n)
        if begin is None:
            return
        n_strays = int(n[buckets < begin].sum())
        self.taken.n_counted -= n_strays
        self.taken.problems["future_time"] = self.taken.problems.get("future_time", 0) + n_strays
        for table in ("counts", "samples"):
            run(f"DELETE FROM {table} WHERE bucket < ?", (begin,))
        run("UPDATE series SET first_bucket = max(first_bucket, ?)", (begin,))

    def finish(self) -> Taken:
        """Keep the watermark; forget what is too old to be needed."""
        run = self.store.database.execute
        if self.watermark_s is not None:
            if self.next_bucket is None:
                self._leave_out_strays()
            self.store.set("watermark", self.watermark_s)
            oldest_s = self.watermark_s - self.settings.remember_s
            self.store.set("seen_from", max(self.store.get("seen_from", oldest_s), oldest_s))
            run("DELETE FROM ahead WHERE time <= ?", (self.watermark_s,))
            run("DELETE FROM seen WHERE bucket < ?", (self.watermark_s - self.settings.remember_s - 2 * self.settings.bucket_s,))
            run("DELETE FROM samples WHERE bucket < ?", (int(self._sampled_from()),))
            if self.next_bucket is not None:  # else nothing is judged yet
                kept_s = self.calendar.back(min(self.watermark_s, self.next_bucket), 2 * self.settings.n_baseline)
                run("DELETE FROM counts WHERE bucket < ?", (kept_s,))
                run("DELETE FROM scores WHERE bucket < ?", (kept_s,))
            run("DELETE FROM samples WHERE (series, bucket, key) IN (SELECT series, bucket, key FROM (SELECT series, bucket, key, row_number() OVER "
                "(PARTITION BY series, bucket ORDER BY key) AS rank FROM samples) WHERE rank > ?)", (self.settings.sampled,))
        run("DROP TABLE coming")
        return self.taken


def _stream_begin(buckets: np.ndarray, n: np.ndarray) -> int | None:
    """The first of the buckets that hold something, but for few records before a gap that is longer than all that follows it; None where there are none such."""
    is_gap = (np.cumsum(n)[:-1] <= STRAY_PART * n.sum()) & (np.diff(buckets) > np.maximum(buckets[-1] - buckets[1:], LEAST_SPAN_S))
    return int(buckets[1:][is_gap][-1]) if is_gap.any() else None


def _cells(portion: Portion, chosen: np.ndarray, series: np.ndarray, time: np.ndarray) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """Memberships as (series, time, n, judged, watched), those of a series and a time together, and which of these each of the chosen is in."""
    cells, place = np.unique(np.stack([series, time]), axis=1, return_inverse=True)
    place = place.ravel()
    sums = [np.bincount(place, values[chosen].astype(float)).astype(int) for values in (np.ones(len(portion.codes)), portion.is_judged, portion.is_watched)]
    return list(zip(*cells.tolist(), *(values.tolist() for values in sums))), place


def record_keys(table: pa.Table) -> np.ndarray:
    """By what a record is known again (int64): a hash of its id, or without one of its time and text. The same on every machine and version."""
    columns = [table.column(name).to_pylist() for name in ("id", "time", "text")]
    parts = (f"i{one}" if one is not None else f"t{time}\0{text}" for one, time, text in zip(*columns))
    digests = b"".join(hashlib.blake2b(part.encode("utf-8", "surrogatepass"), digest_size=8).digest() for part in parts)
    return np.frombuffer(digests, np.dtype("<i8")).astype(np.int64)
