"""The groups that the values of --by make: a number for each combination, and what it is called."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.records.names import Named

MOST_GROUPS = 200_000


class GroupNames:
    """Numbers for the values of --by (a tuple, a value or None for each name), new ones in any order; code 0 is for records
    that have none of them."""

    def __init__(self, n_names: int):
        self.values: list[tuple[str | None, ...]] = [(None,) * n_names]
        self._codes: dict[tuple[str | None, ...], int] = {self.values[0]: 0}

    def encode(self, columns: list[pa.Array]) -> np.ndarray:
        """Return the codes (int32) of N rows of values. Raises UsageError beyond 200,000 groups."""
        combinations: list[tuple[str | None, ...]] = [()]
        keys = None
        for column in columns:
            encoded = column.dictionary_encode()
            names = [None, *encoded.dictionary.to_pylist()]
            places = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False) + np.int32(1)
            keys = places if keys is None else keys.astype(np.int64) * len(names) + places
            different, keys = _tell_apart(keys, len(combinations) * len(names))
            combinations = [(*combinations[key // len(names)], names[key % len(names)]) for key in different.tolist()]
        return np.array([self._code(values) for values in combinations], np.int32)[keys]

    def _code(self, values: tuple[str | None, ...]) -> int:
        code = self._codes.setdefault(values, len(self.values))
        if code == len(self.values):
            self.values.append(values)
            if code > MOST_GROUPS:
                raise UsageError(f"--by gives more than {MOST_GROUPS:,} groups; take a field with fewer values")
        return code


def _tell_apart(keys: np.ndarray, n_possible: int) -> tuple[np.ndarray, np.ndarray]:
    """The different ones of N whole numbers below `n_possible`, and the place of each number among them (int32)."""
    if n_possible > 4 * len(keys) + 1000:
        joined = pa.array(keys).dictionary_encode()
        return joined.dictionary.to_numpy(), joined.indices.to_numpy()
    is_there = np.zeros(n_possible, bool)
    is_there[keys] = True
    different = np.flatnonzero(is_there)
    places = np.zeros(n_possible, np.int32)
    places[different] = np.arange(len(different))
    return different, places[keys]


def group_names(by: tuple[Named, ...]) -> list[str]:
    """What the values of a group are called; a head and a field of one name are told apart."""
    plain = [named.name for named in by]
    return [f"{named.scope}:{named.name}" if plain.count(named.name) > 1 else named.name for named in by]


def name_group(by: list[str], values: tuple[str | None, ...]) -> str:
    """The value of a group; where several names are combined, `topic=credit, source=wire`."""
    if len(values) == 1:
        return values[0] or ""
    return ", ".join(f"{name}={'(none)' if value is None else value}" for name, value in zip(by, values))


def spread_lists(columns: list[pa.Array | pa.ChunkedArray]) -> tuple[np.ndarray | None, list[pa.Array]]:
    """Rows of plain values from columns of which some hold lists, and of which row each came; None where no column does.

    A row has one for each value of its list (one of null where it is empty or null), of several lists one for each combination."""
    columns = [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns]
    if not any(pa.types.is_list(column.type) for column in columns):
        return None, columns
    rows, spread = np.arange(len(columns[0])), []
    for column in columns:
        values = column.take(pa.array(rows))
        if pa.types.is_list(column.type):
            places, values = _spread(values)
            rows, spread = rows[places], [other.take(pa.array(places)) for other in spread]
        spread.append(values)
    return rows, spread


def _spread(lists: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Each value of each list with the place of its list; a list without values gives one null."""
    places = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    lonely = np.setdiff1d(np.arange(len(lists)), places)
    return np.concatenate([places, lonely]).astype(np.int64), pa.concat_arrays([pc.list_flatten(lists), pa.nulls(len(lonely), pa.string())])
