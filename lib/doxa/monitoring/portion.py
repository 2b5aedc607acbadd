"""One portion of the stream as aligned numpy columns: what is counted, in which group, at what time."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.monitoring.settings import Watch

MOST_GROUPS = 200_000
NO_TIME = np.int64(-(2**62))  # stands for "without a time" among microseconds, before all of them


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
    """Numbers for the values of --by, in order of appearance; code 0 is for records without one."""

    def __init__(self):
        self.names: list[str | None] = [None]
        self._codes: dict[str | None, int] = {None: 0}

    def encode(self, values: pa.Array) -> np.ndarray:
        """Return the codes (int32). Raises UsageError beyond 200,000 groups."""
        encoded = values.dictionary_encode()
        known = np.array([self._code(name) for name in encoded.dictionary.to_pylist()] + [0], np.int32)
        return known[pc.fill_null(encoded.indices, len(known) - 1).to_numpy(zero_copy_only=False)]

    def _code(self, name: str) -> int:
        code = self._codes.setdefault(name, len(self.names))
        if code == len(self.names):
            self.names.append(name)
            if code > MOST_GROUPS:
                raise UsageError(f"--by gives more than {MOST_GROUPS:,} groups; take a field with fewer values")
        return code


def regroup(portion: Portion, names: GroupNames) -> Portion:
    """The memberships of a portion that holds every record once, by its column `by`.

    Where --by is a head of many labels, a record has one for each of its different labels."""
    by = portion.table.column("by").combine_chunks()
    if not pa.types.is_list(by.type):
        return replace(portion, codes=names.encode(by))
    n = portion.table.num_rows
    rows = pc.list_parent_indices(by).to_numpy(zero_copy_only=False)
    codes = names.encode(pc.list_flatten(by))
    lonely = np.setdiff1d(np.arange(n), rows)
    pairs = np.stack([np.concatenate([rows, lonely]), np.concatenate([codes, np.zeros(len(lonely), np.int32)])])
    rows, codes = np.unique(pairs, axis=1).astype(np.int64)
    aligned = {name: getattr(portion, name)[rows] for name in ("is_judged", "is_watched", "scores", "us", "hashes", "ids", "has_text")}
    return Portion(portion.table, rows, codes.astype(np.int32), portion.labels.take(pa.array(rows)), **aligned)


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
