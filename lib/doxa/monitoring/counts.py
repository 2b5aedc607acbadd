"""Counts per group, label and slice of time. DuckDB adds them up; what is held grows with those, not with records."""

import math

import duckdb
import numpy as np
import pyarrow as pa

from doxa.monitoring.portion import NO_TIME, Portion

COMPACT_ROWS = 1_000_000
MOST_LABELS = 50  # whose trends are told
REPEATED = -1  # the code under which memberships of records that have an earlier one count less than nothing: with it, all groups hold every record once


class TimeCounts:
    """How many records every group has, per label of the watched head and per slice of `slice_us` microseconds.

    Bucket edges must be multiples of `slice_us`. The different rows of portions wait, `COMPACT_ROWS` of them or as many as are known, until
    they are added up together: where times are fine, hardly two of a portion are alike."""

    def __init__(self, database: duckdb.DuckDBPyConnection, slice_us: int):
        self.database, self.slice_us = database, slice_us
        self.is_overlapping = False  # some record is in several groups
        self._waiting: list[pa.Table] = []
        self._n_waiting, self._most_waiting = 0, COMPACT_ROWS
        database.execute("CREATE TEMP TABLE counts (grp INTEGER, label VARCHAR, is_judged BOOLEAN, is_watched BOOLEAN, slice BIGINT, n BIGINT)")

    def add(self, portion: Portion) -> None:
        """Count every membership of a portion under its group; those of a record must follow each other."""
        self._wait(portion, slice(None))
        is_repeated = np.append(False, portion.rows[1:] == portion.rows[:-1])
        if is_repeated.any():
            self.is_overlapping = True
            self._wait(portion, is_repeated, are_repeated=True)

    def _wait(self, portion: Portion, kept: slice | np.ndarray, are_repeated: bool = False) -> None:
        slices, first = _slices(portion.us[kept], self.slice_us)
        counts, (said, slices, *codes) = count_rows([portion.said[kept], slices] + ([] if are_repeated else [portion.codes]))
        said, slices = said.astype(np.int32), slices.astype(np.int64)
        self._waiting.append(pa.table({
            "grp": np.full(len(counts), REPEATED, np.int32) if are_repeated else codes[0].astype(np.int32),
            "label": pa.DictionaryArray.from_arrays(pa.array(said - 2, mask=said < 2), portion.labels),
            "is_judged": said > 0, "is_watched": said == portion.watched, "slice": pa.array(slices + first - 1, mask=slices == 0), "n": -counts if are_repeated else counts}))
        self._n_waiting += len(counts)
        if self._n_waiting >= self._most_waiting:
            self._add_up()

    def _add_up(self) -> None:
        if not self._waiting:
            return
        self.database.register("waiting", pa.concat_tables(self._waiting).unify_dictionaries())
        self.database.execute("CREATE OR REPLACE TEMP TABLE counts AS SELECT grp, label, is_judged, is_watched, slice, sum(n)::BIGINT AS n "
                              "FROM (FROM counts UNION ALL FROM waiting) GROUP BY ALL")
        self.database.unregister("waiting")
        self._waiting, self._n_waiting = [], 0
        self._most_waiting = max(COMPACT_ROWS, self.database.execute("SELECT count(*) FROM counts").fetchall()[0][0])

    def sizes(self) -> list[tuple[int, int]]:
        """(group code, records) of every group."""
        self._add_up()
        return self.database.execute("SELECT grp, sum(n)::BIGINT FROM counts WHERE grp <> ? GROUP BY grp", [REPEATED]).fetchall()

    def split_at(self, microseconds: int) -> tuple[int, int, int | None]:
        """How many times lie in or after the slice of a moment, how many before it, and the end of the last slice before it."""
        self._add_up()
        row = self.database.execute(
            "SELECT coalesce(sum(n) FILTER (slice >= $at), 0)::BIGINT, coalesce(sum(n) FILTER (slice < $at), 0)::BIGINT, "
            "max(slice) FILTER (slice < $at) FROM counts", {"at": microseconds // self.slice_us}).fetchall()[0]
        return row[0], row[1], None if row[2] is None else (row[2] + 1) * self.slice_us - 1

    def fold(self, parts: list[list[int]], edges_us: np.ndarray) -> "FoldedCounts":
        """Sum up for each part (a list of group codes): labels, and records, judged and watched per bucket.

        `edges_us` (B + 1) bound the B buckets, ascending; what lies outside of them is in no bucket."""
        self._add_up()
        where = pa.table({"grp": pa.array([code for part in parts for code in part], pa.int32()),
                          "part": pa.array([i for i, part in enumerate(parts) for _ in part], pa.int64())})
        starts = edges_us // self.slice_us
        self.database.register("parts", where)
        labels = self.database.execute("SELECT part, label, sum(n)::BIGINT FROM counts JOIN parts USING (grp) WHERE label IS NOT NULL "
                                       "GROUP BY ALL ORDER BY 3 DESC, label").fetchall()
        frequent = [label for label, in self.database.execute(
            "SELECT label FROM counts WHERE label IS NOT NULL GROUP BY label ORDER BY sum(n) DESC, label LIMIT $most", {"most": MOST_LABELS}).fetchall()]
        cells = self.database.sql(
            "SELECT part, list_position($labels, label) - 1 AS label, slice, sum(n)::BIGINT AS n FROM counts JOIN parts USING (grp) "
            "WHERE label IN (SELECT unnest($labels)) AND slice IS NOT NULL GROUP BY ALL", params={"labels": frequent}).to_arrow_table() if frequent else None
        rows = self.database.sql(
            "SELECT part, slice, sum(n)::BIGINT AS n, coalesce(sum(n) FILTER (is_judged), 0)::BIGINT AS judged, "
            "coalesce(sum(n) FILTER (is_watched), 0)::BIGINT AS watched FROM counts JOIN parts USING (grp) GROUP BY ALL").to_arrow_table()
        self.database.unregister("parts")
        return FoldedCounts(len(parts), labels, rows, starts, frequent, cells)


class FoldedCounts:
    """Per part: `labels` (label -> n), `totals` (P, 3) and `buckets` (P, B, 3): records, judged, watched; `frequent` are the labels that `labels_of` tells of."""

    def __init__(self, n_parts: int, labels: list[tuple], rows: pa.Table, starts: np.ndarray, frequent: list[str], cells: pa.Table | None):
        self.labels: list[dict[str, int]] = [{} for _ in range(n_parts)]
        for part, label, n in labels:
            self.labels[part][label] = n
        part = rows.column("part").to_numpy()
        values = np.stack([rows.column(name).to_numpy() for name in ("n", "judged", "watched")], axis=1)  # (R, 3)
        self.totals = np.zeros((n_parts, 3), np.int64)
        np.add.at(self.totals, part, values)
        self.starts, self.n_buckets = starts, max(0, len(starts) - 1)
        self.buckets = np.zeros((n_parts, self.n_buckets, 3), np.int64)
        slices = rows.column("slice").fill_null(np.iinfo(np.int64).min).to_numpy()
        place, inside = self._places(slices)
        np.add.at(self.buckets, (part[inside], place[inside]), values[inside])
        of_first = inside & (part == 0)
        self._first_part = slices[of_first], place[of_first], values[of_first, 0]
        self.frequent, self._keys, self._sums = frequent, np.empty(0, np.int64), np.empty(0, np.int64)
        if cells is not None and self.n_buckets:
            part, label, slices, n = (column.to_numpy() for column in cells.columns)
            place, inside = self._places(slices)
            keys = ((part * self.n_buckets + place) * len(frequent) + label)[inside]
            self._keys, at = np.unique(keys, return_inverse=True)
            self._sums = np.bincount(at, n[inside], len(self._keys)).astype(np.int64)

    def share_before_first(self) -> float:
        """Which part of their texts the other buckets of the first part have as early in them as the first one has none yet; where there is no other that is
        over, the part of its time."""
        slices, place, n = self._first_part
        gap = slices.min(initial=self.starts[-1]) - self.starts[0]
        is_other = (place > 0) & (place < self.n_buckets - 1)
        if not n[is_other].sum():
            return float(gap / (self.starts[1] - self.starts[0]))
        return float(n[is_other & (slices - self.starts[place] < gap)].sum() / n[is_other].sum())

    def labels_of(self, part: int) -> list[dict[str, int]]:
        """How many records of each bucket of a part have which of the frequent labels, those that none has left out."""
        found: list[dict[str, int]] = [{} for _ in range(self.n_buckets)]
        n_cells = self.n_buckets * len(self.frequent)
        first, last = np.searchsorted(self._keys, (part * n_cells, (part + 1) * n_cells))
        for key, n in zip((self._keys[first:last] - part * n_cells).tolist(), self._sums[first:last].tolist()):
            found[key // len(self.frequent)][self.frequent[key % len(self.frequent)]] = n
        return found

    def _places(self, slices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The buckets that slices of time are in, and which of them are in one."""
        place = np.searchsorted(self.starts, slices, side="right") - 1
        return place, (place >= 0) & (place < self.n_buckets)


def _slices(us: np.ndarray, slice_us: int) -> tuple[np.ndarray, int]:
    """The slices of times, counted from 1 on for the returned first one; 0 without a time."""
    first_us, slices = int(us.min()), us // slice_us
    if first_us != NO_TIME:
        slices -= first_us // slice_us - 1
        return slices, first_us // slice_us
    timed = us != NO_TIME
    first = int(us.min(initial=us.max(), where=timed)) // slice_us
    return np.where(timed, slices - first + 1, 0), first


def count_rows(columns: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return how often every different row of columns of whole numbers from 0 on comes, and the columns of these rows."""
    sizes = [int(column.max(initial=0)) + 1 for column in columns]
    n_keys = math.prod(sizes)
    if n_keys > np.iinfo(np.int64).max:
        rows, counts = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
        return counts, list(rows.T)
    keys = columns[0].astype(np.int64)
    for column, size in zip(columns[1:], sizes[1:]):
        keys *= size
        keys += column
    if n_keys <= 4 * len(keys):
        counts = np.bincount(keys)
        keys = np.flatnonzero(counts)
        counts = counts[keys]
    else:
        keys, counts = np.unique(keys, return_counts=True)
    return counts, list(np.unravel_index(keys, sizes))
