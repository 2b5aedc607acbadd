"""One portion of the stream as aligned numpy columns: what is counted, in which group, at what time."""

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.monitoring.settings import Watch
from doxa.monitoring.times import read_instants
from doxa.records.names import Named

MOST_GROUPS = 200_000
NO_TIME = np.int64(-(2**62))  # stands for "without a time" among microseconds, before all of them


def good_rows(table: pa.Table) -> pa.Table:
    """Those of a reader's table that carry no error."""
    errors = table.column("error")
    return table if errors.null_count == len(errors) else table.filter(errors.is_null())


def read_times(table: pa.Table, assumed_zone: ZoneInfo | None) -> tuple[np.ndarray, dict[str, int]]:
    """Microseconds of every row, NO_TIME without one; and how many times had which problem."""
    instants, problems = read_instants(table.column("time"), assumed_zone)
    return pc.fill_null(instants, NO_TIME).to_numpy(), problems


@dataclass
class Portion:
    """Aligned columns of N memberships: record `rows[i]` of the table belongs to the group `codes[i]`.

    `labels` holds the watched head's label (None for other labels of a head of many), `is_judged` whether the record
    has that head, `scores` the label's score (-1 without one), `us` microseconds or NO_TIME, `hashes` and `ids` hashes of text and id.
    """

    table: pa.Table
    rows: np.ndarray
    codes: np.ndarray
    labels: pa.Array
    is_judged: np.ndarray
    is_watched: np.ndarray
    scores: np.ndarray
    us: np.ndarray
    hashes: np.ndarray
    ids: np.ndarray
    has_text: np.ndarray


class GroupNames:
    """Numbers for the values of --by (a tuple, a value or None for each name), in order of appearance; code 0 is for records
    that have none of them."""

    def __init__(self, n_names: int):
        self.values: list[tuple[str | None, ...]] = [(None,) * n_names]
        self._codes: dict[tuple[str | None, ...], int] = {self.values[0]: 0}

    def encode(self, columns: list[pa.Array]) -> np.ndarray:
        """Return the codes (int32) of N rows of values. Raises UsageError beyond 200,000 groups."""
        combinations: list[tuple[str | None, ...]] = [()]
        keys = np.zeros(len(columns[0]), np.int64)
        for column in columns:
            encoded = column.dictionary_encode()
            names = [None, *encoded.dictionary.to_pylist()]
            places = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False) + 1
            joined = pa.array(keys * len(names) + places).dictionary_encode()
            combinations = [(*combinations[key // len(names)], names[key % len(names)]) for key in joined.dictionary.to_pylist()]
            keys = joined.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return np.array([self._code(values) for values in combinations], np.int32)[keys]

    def _code(self, values: tuple[str | None, ...]) -> int:
        code = self._codes.setdefault(values, len(self.values))
        if code == len(self.values):
            self.values.append(values)
            if code > MOST_GROUPS:
                raise UsageError(f"--by gives more than {MOST_GROUPS:,} groups; take a field with fewer values")
        return code


def group_names(by: tuple[Named, ...]) -> list[str]:
    """What the values of a group are called; a head and a field of one name are told apart."""
    plain = [named.name for named in by]
    return [f"{named.scope}:{named.name}" if plain.count(named.name) > 1 else named.name for named in by]


def name_group(by: list[str], values: tuple[str | None, ...]) -> str:
    """The value of a group; where several names are combined, `topic=credit, source=wire`."""
    if len(values) == 1:
        return values[0] or ""
    return ", ".join(f"{name}={'(none)' if value is None else value}" for name, value in zip(by, values))


def regroup(portion: Portion, columns: list[str], names: GroupNames) -> Portion:
    """The memberships of a portion that holds every record once, by the columns of --by.

    Where one is a head of many labels, a record has one for each of its different labels; where several are, for each
    combination."""
    by = [portion.table.column(name).combine_chunks() for name in columns]
    if not any(pa.types.is_list(column.type) for column in by):
        return replace(portion, codes=names.encode(by))
    rows, spread = np.arange(portion.table.num_rows), []
    for column in by:
        values = column.take(pa.array(rows))
        if pa.types.is_list(column.type):
            places, values = _spread(values)
            rows, spread = rows[places], [other.take(pa.array(places)) for other in spread]
        spread.append(values)
    rows, codes = np.unique(np.stack([rows, names.encode(spread)]), axis=1)
    aligned = {name: getattr(portion, name)[rows] for name in ("is_judged", "is_watched", "scores", "us", "hashes", "ids", "has_text")}
    return Portion(portion.table, rows, codes.astype(np.int32), portion.labels.take(pa.array(rows)), **aligned)


def _spread(lists: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Each value of each list with the place of its list; a list without values gives one null."""
    places = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    lonely = np.setdiff1d(np.arange(len(lists)), places)
    return np.concatenate([places, lonely]).astype(np.int64), pa.concat_arrays([pc.list_flatten(lists), pa.nulls(len(lonely), pa.string())])


def watched_columns(table: pa.Table, watch: Watch | None, kind: str | None) -> tuple[pa.Array, np.ndarray, np.ndarray, np.ndarray]:
    """Return (labels, is_judged, is_watched, scores) of the watched head, a row a record."""
    n = table.num_rows
    if watch is None:
        return pa.nulls(n, pa.string()), np.zeros(n, bool), np.zeros(n, bool), np.full(n, -1.0)
    column = table.column(f"{kind}:{watch.head}").combine_chunks()
    is_judged = column.is_valid().to_numpy(zero_copy_only=False)
    if kind == "label":
        is_watched = pc.fill_null(pc.equal(column, watch.label), False).to_numpy(zero_copy_only=False)
        scores = pc.fill_null(table.column(f"score:{watch.head}"), -1.0).to_numpy()
        return column, is_judged, is_watched, np.nan_to_num(scores, nan=-1.0)
    hits = pc.list_parent_indices(column).filter(pc.equal(pc.list_flatten(column), watch.label))
    is_watched = np.zeros(n, bool)
    is_watched[hits.to_numpy(zero_copy_only=False)] = True
    return pa.array(np.where(is_watched, watch.label, None), pa.string()), is_judged, is_watched, np.full(n, -1.0)
