"""A bounded pool of texts per group from which the examples are chosen at the end."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.monitoring.portion import Portion
from doxa.records.stored import tell

KEPT = 100  # different texts per group, by score of the watched label and again by time
MOST_POOLED = 60_000
TEXT_CHARACTERS = 2_000
LARGE_GROUP = 4 * KEPT
_KEYS = {"codes": np.int32, "is_watched": bool, "scores": float, "us": np.int64, "hashes": np.uint64}
_LOWEST = {"best_score": -np.inf, "best_us": np.iinfo(np.int64).min, "us": np.iinfo(np.int64).min}  # of a group that has not KEPT yet


class Candidates:
    """Keeps for every group the KEPT watched texts of the highest score (the newest among equals) and the KEPT newest
    texts, each text once. What is kept does not depend on the order or the borders of the portions.

    Beyond MOST_POOLED texts, the groups that are smallest so far lose theirs: with many thousand groups, one that grows
    late may show fewer examples. Texts are cut at 2,000 characters.
    """

    def __init__(self, hash_texts: Callable[[pa.Array | pa.ChunkedArray], np.ndarray]):
        self._hash_texts = hash_texts
        self.keys = {name: np.empty(0, kind) for name, kind in _KEYS.items()}
        self.texts: pa.Table | None = None
        self.dropped: set[int] = set()
        self._added: list[tuple[dict[str, np.ndarray], pa.Table]] = []
        self._n_added = 0
        self._least = {name: np.full(0, lowest) for name, lowest in _LOWEST.items()}

    def add(self, portion: Portion) -> None:
        keys = {name: getattr(portion, name) for name in _KEYS}
        picked = self._that_may_enter(keys, portion.has_text)
        picked = np.sort(_leading(keys, picked))
        texts = _take(portion.table.select(["time", "id", "text"]), portion.rows[picked])
        texts = pa.table([*(tell(texts.column(name)) for name in ("time", "id")), pc.utf8_slice_codeunits(tell(texts.column("text")), 0, TEXT_CHARACTERS)],
                         ["time", "id", "text"])
        said = portion.said[picked]
        texts = texts.append_column("label", portion.labels.take(pa.array(said - 2, mask=said < 2)))
        self._added.append(({name: values[picked] for name, values in keys.items()}, texts))
        self._n_added += len(picked)
        if self._n_added > 2_000:
            self.settle()

    def _that_may_enter(self, keys: dict[str, np.ndarray], has_text: np.ndarray) -> np.ndarray:
        """The rows with a text, without those that are surely behind KEPT others of their group."""
        codes, is_watched, scores, us = (keys[name] for name in ("codes", "is_watched", "scores", "us"))
        n_new = max(0, int(codes.max(initial=-1)) + 1 - len(self._least["us"]))
        least = {name: np.append(values, np.full(n_new, _LOWEST[name], values.dtype)) for name, values in self._least.items()}
        own = np.flatnonzero(np.bincount(codes))
        is_in_front = us >= least["us"][own].min()  # of the last of all groups; hardly any row is
        is_in_front |= is_watched & (scores >= least["best_score"][own].min())
        picked = np.flatnonzero(has_text & is_in_front)
        place, us, scores = codes[picked], us[picked], scores[picked]
        least_score, least_us = least["best_score"][place], least["best_us"][place]
        is_good = is_watched[picked] & ((scores > least_score) | ((scores == least_score) & (us >= least_us)))
        return picked[is_good | (us >= least["us"][place])]

    def settle(self) -> None:
        """Merge what was added and keep the best."""
        if not self._added:
            return
        self.keys = {name: np.concatenate([self.keys[name], *(keys[name] for keys, _ in self._added)]) for name in _KEYS}
        tables = [table for _, table in self._added]
        texts = pa.concat_tables([self.texts, *tables] if self.texts is not None else tables)
        ids = self._hash_texts(texts.column("id"))  # which of two that are else alike is kept depends on them alone
        best = _first_per_group(self.keys, ids, np.flatnonzero(self.keys["is_watched"]), ("us", "scores"))
        newest = _first_per_group(self.keys, ids, np.arange(texts.num_rows), ("us",))
        self._raise_bar(best, newest)
        kept = np.union1d(best, newest)
        if len(kept) > MOST_POOLED:
            kept = kept[self._in_large_groups(kept)]
        self.keys = {name: values[kept] for name, values in self.keys.items()}
        self.texts = texts.take(kept).combine_chunks()
        self._added, self._n_added = [], 0

    def _raise_bar(self, best: np.ndarray, newest: np.ndarray) -> None:
        n = int(self.keys["codes"].max(initial=-1)) + 1
        least = {name: np.full(n, lowest) for name, lowest in _LOWEST.items()}
        for rows, names in ((best, (("best_score", "scores"), ("best_us", "us"))), (newest, (("us", "us"),))):
            codes = self.keys["codes"][rows]
            last = np.flatnonzero(np.append(codes[1:] != codes[:-1], True)) if len(codes) else np.empty(0, int)
            is_full = np.diff(last, prepend=-1) >= KEPT
            for name, key in names:
                least[name][codes[last[is_full]]] = self.keys[key][rows[last[is_full]]]
        self._least = least

    def _in_large_groups(self, kept: np.ndarray) -> np.ndarray:
        codes = self.keys["codes"][kept]
        sizes = np.bincount(codes)
        order = np.argsort(-sizes, kind="stable")
        is_large = np.zeros(len(sizes), bool)
        is_large[order[np.cumsum(sizes[order]) <= MOST_POOLED // 2]] = True
        self.dropped |= set(np.flatnonzero(~is_large & (sizes > 0)).tolist())
        return is_large[codes]


def _take(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """The rows of a table, in order. Its own `take` puts together all texts of several batches first."""
    taken, start = [], 0
    for batch in table.to_batches():
        first, last = np.searchsorted(rows, (start, start + batch.num_rows))
        taken.append(batch.take(pa.array(rows[first:last] - start)))
        start += batch.num_rows
    return pa.Table.from_batches(taken, table.schema)


def _leading(keys: dict[str, np.ndarray], picked: np.ndarray) -> np.ndarray:
    """Leave out, group by group, rows that are surely behind KEPT others of this portion."""
    codes = keys["codes"][picked]
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.append(True, np.diff(codes[order]) != 0)) if len(codes) else np.empty(0, int)
    kept = []
    for start, end in zip(bounds, np.append(bounds[1:], len(order))):
        rows = picked[order[start:end]]
        if len(rows) > LARGE_GROUP:
            watched = rows[keys["is_watched"][rows]]
            rows = np.union1d(_top(keys, watched, "scores", "us"), _top(keys, rows, "us", "us"))
        kept.append(rows)
    return np.concatenate(kept) if kept else picked


def _top(keys: dict[str, np.ndarray], rows: np.ndarray, first: str, second: str) -> np.ndarray:
    """At least the KEPT different texts that come first; all rows where duplicates fill the places."""
    if len(rows) <= LARGE_GROUP:
        return rows
    values, n = keys[first][rows], 2 * KEPT
    bar = np.partition(values, -n)[-n]
    chosen = rows[values >= bar]
    if first != second and len(chosen) > 2 * n:
        above, equal = rows[values > bar], rows[values == bar]
        n_wanted = n - len(above)
        ties = keys[second][equal]
        chosen = np.concatenate([above, equal[ties >= np.partition(ties, -n_wanted)[-n_wanted]]])
    return chosen if len(np.unique(keys["hashes"][chosen])) >= KEPT else rows


def _first_per_group(keys: dict[str, np.ndarray], ids: np.ndarray, rows: np.ndarray, by: tuple[str, ...]) -> np.ndarray:
    """Rows of the KEPT different texts of every group that lead by the keys, the most important last, ordered by group."""
    order = rows[np.lexsort((ids[rows], keys["hashes"][rows], *(-keys[name][rows] for name in by), keys["codes"][rows]))]
    pairs = np.lexsort((np.arange(len(order)), keys["hashes"][order], keys["codes"][order]))
    codes, hashes = keys["codes"][order][pairs], keys["hashes"][order][pairs]
    is_first = np.append(True, (np.diff(codes) != 0) | (hashes[1:] != hashes[:-1])) if len(pairs) else np.empty(0, bool)
    order = order[np.sort(pairs[is_first])]
    codes = keys["codes"][order]
    starts = np.flatnonzero(np.append(True, np.diff(codes) != 0)) if len(codes) else np.empty(0, int)
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return order[place < KEPT]
