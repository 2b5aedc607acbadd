"""One portion of the stream as aligned numpy columns: what is counted, in which group, at what time."""

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.monitoring.settings import Watch
from doxa.monitoring.times import read_instants
from doxa.records.groups import GroupNames, spread_lists
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

    `labels` holds the watched head's label, dictionary-encoded (null for other labels of a head of many), `is_judged` whether the record
    has that head, `scores` the label's score (-1 without one), `us` microseconds or NO_TIME, `hashes` and `ids` hashes of text and id.
    """

    table: pa.Table
    rows: np.ndarray
    codes: np.ndarray
    labels: pa.DictionaryArray
    is_judged: np.ndarray
    is_watched: np.ndarray
    scores: np.ndarray
    us: np.ndarray
    hashes: np.ndarray
    ids: np.ndarray
    has_text: np.ndarray


def text_keys(hashes: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Numbers (uint64) that are the same for the same text in the same group."""
    return hashes ^ codes.astype(np.uint64) * GOLDEN


def regroup(portion: Portion, columns: list[str], names: GroupNames) -> Portion:
    """The memberships of a portion that holds every record once, by the columns of --by.

    Where one is a head of many labels, a record has one for each of its different labels; where several are, for each
    combination."""
    rows, columns = spread_lists([portion.table.column(name).combine_chunks() for name in columns])
    codes = names.encode(columns)
    if rows is None:
        return replace(portion, codes=codes)
    rows, codes = np.unique(np.stack([rows, codes]), axis=1)
    aligned = {name: getattr(portion, name)[rows] for name in ("is_judged", "is_watched", "scores", "us", "hashes", "ids", "has_text")}
    return Portion(portion.table, rows, codes.astype(np.int32), portion.labels.take(pa.array(rows)), **aligned)


def watched_columns(table: pa.Table, watch: Watch | None, kind: str | None) -> tuple[pa.DictionaryArray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (labels, is_judged, is_watched, scores) of the watched head, a row a record."""
    n = table.num_rows
    if watch is None:
        return pa.nulls(n, pa.string()).dictionary_encode(), np.zeros(n, bool), np.zeros(n, bool), np.full(n, -1.0)
    column, label = table.column(f"{kind}:{watch.head}"), pa.scalar(watch.label, pa.string())
    if kind == "label":
        labels = encode(column)
        places = pc.fill_null(labels.indices, -1).to_numpy()
        watched = labels.dictionary.index(label).as_py()  # -1 where no record has it
        scores = pc.fill_null(table.column(f"score:{watch.head}"), -1.0).to_numpy()
        return labels, places >= 0, (places == watched) & (places >= 0), np.nan_to_num(scores, nan=-1.0)
    column = column.combine_chunks()
    is_judged = column.is_valid().to_numpy(zero_copy_only=False)
    hits = pc.list_parent_indices(column).filter(pc.equal(pc.list_flatten(column), label))
    is_watched = np.zeros(n, bool)
    is_watched[hits.to_numpy(zero_copy_only=False)] = True
    return pa.array(np.where(is_watched, watch.label, None), pa.string()).dictionary_encode(), is_judged, is_watched, np.full(n, -1.0)
