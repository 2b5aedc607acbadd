"""One portion of the stream as aligned numpy columns: what is counted, in which group, at what time."""

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.monitoring.settings import Watch
from doxa.monitoring.times import read_instants
from doxa.records.groups import GroupNames, spread_lists
from doxa.records.listed import read_column
from doxa.records.stored import encode

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # odd, and its bits are spread (Knuth, TAOCP 3, 6.4)
NO_TIME = np.int64(-(2**62))  # stands for "without a time" among microseconds, before all of them


def read_times(table: pa.Table, assumed_zone: ZoneInfo | None) -> tuple[np.ndarray, dict[str, int]]:
    """Microseconds of every row, NO_TIME without one; and how many times had which problem."""
    instants, problems = read_instants(table.column("time"), assumed_zone)
    return pc.fill_null(instants, NO_TIME).to_numpy(), problems


@dataclass
class Portion:
    """Aligned columns of N memberships: record `rows[i]` of the table belongs to the group `codes[i]`.

    `said` (int32) is what the watched head says: 0 where the record lacks it, 1 where it gives none of `labels`, from 2 on a place in these;
    `watched` stands for the watched label, or for nothing that is said. `scores` are the label's (-1 without one), `us` microseconds or NO_TIME,
    `hashes` those of texts, or what else two records share that are one.
    """

    table: pa.Table
    rows: np.ndarray
    codes: np.ndarray
    labels: pa.Array
    said: np.ndarray
    watched: int
    scores: np.ndarray
    us: np.ndarray
    hashes: np.ndarray
    has_text: np.ndarray

    @property
    def is_judged(self) -> np.ndarray:
        return self.said > 0

    @property
    def is_watched(self) -> np.ndarray:
        return self.said == self.watched


def text_keys(hashes: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Numbers (uint64) that are the same for the same text in the same group."""
    return hashes ^ codes.astype(np.uint64) * GOLDEN


def regroup(portion: Portion, columns: list[str], names: GroupNames) -> Portion:
    """The memberships of a portion that holds every record once, by the columns of --by.

    Where one is a head of many labels, or a field with a list, a record has one for each different one; where several are, for each
    combination. Those of a record follow each other."""
    rows, columns = spread_lists([read_column(portion.table, name) for name in columns])
    codes = names.encode(columns)
    if rows is None:
        return replace(portion, codes=codes)
    rows, codes = np.unique(np.stack([rows, codes]), axis=1)
    aligned = {name: getattr(portion, name)[rows] for name in ("said", "scores", "us", "hashes", "has_text")}
    return replace(portion, rows=rows, codes=codes.astype(np.int32), **aligned)


def watched_columns(table: pa.Table, watch: Watch | None, kind: str | None) -> tuple[pa.Array, np.ndarray, int, np.ndarray]:
    """Return (labels, said, watched, scores) of the watched head as in Portion, a row a record."""
    n, nothing = table.num_rows, -1
    if watch is None:
        return pa.array([], pa.string()), np.zeros(n, np.int32), nothing, np.full(n, -1.0)
    column, label = table.column(f"{kind}:{watch.head}"), pa.scalar(watch.label, pa.string())
    if kind == "label":
        labels = encode(column)
        place = labels.dictionary.index(label).as_py()
        return labels.dictionary, pc.fill_null(labels.indices, -2).to_numpy() + np.int32(2), nothing if place < 0 else place + 2, _scores(table, watch.head)
    column = column.combine_chunks()
    said = column.is_valid().to_numpy(zero_copy_only=False).astype(np.int32)
    hits = pc.list_parent_indices(column).filter(pc.equal(pc.list_flatten(column), label))
    said[hits.to_numpy(zero_copy_only=False)] = 2
    return pa.array([watch.label], pa.string()), said, 2, np.full(n, -1.0)


def _scores(table: pa.Table, head: str) -> np.ndarray:
    if f"score:{head}" not in table.schema.names:
        return np.full(table.num_rows, -1.0)
    return np.nan_to_num(pc.fill_null(table.column(f"score:{head}"), -1.0).to_numpy(), nan=-1.0)
