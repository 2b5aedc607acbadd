"""Rows of one head in two files, put side by side."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import DoxaError
from doxa.evaluation.rows import HeadRows
from doxa.evaluation.seen import Seen


class Pairing(NamedTuple):
    """Which good records of two files are one: places (P) among those of each; by what, `id` or `order`; and what to tell of it, or nothing."""

    first: np.ndarray
    second: np.ndarray
    by: str
    note: str = ""


def pair_records(old: Seen, new: Seen, names: tuple[str, str]) -> Pairing:
    """By id where every record has one and no two the same, else by order, for which all records must be there and
    the texts of every pair be the same. Raises DoxaError."""
    if old.ids.null_count or new.ids.null_count or not len(old.ids) or not len(new.ids):
        return Pairing(*_pair_by_order(old, new, names, "not every record has an id"), "order")
    for seen, name in zip((old, new), names):
        if pc.count_distinct(seen.ids).as_py() < len(seen.ids):
            why = f"{name} holds an id twice"
            return Pairing(*_pair_by_order(old, new, names, why), "order", f"{why}, so records are paired by order")
    found = pc.index_in(new.ids, old.ids.combine_chunks())
    is_there = found.is_valid().to_numpy()
    first, second = found.drop_null().to_numpy(), np.flatnonzero(is_there)
    n_other = int(_has_other_text(old, new, first, second).sum())
    note = f"the texts of {names[0]} and {names[1]} are not the same, though their ids are: {n_other:,} of {len(first):,} differ" if n_other else ""
    return Pairing(first, second, "id", note)


def _pair_by_order(old: Seen, new: Seen, names: tuple[str, str], why: str) -> tuple[np.ndarray, np.ndarray]:
    if old.n_records != new.n_records:
        raise DoxaError(f"{why}, so records are paired by order, but {names[0]} holds {old.n_records:,} records and {names[1]} {new.n_records:,}")
    _, first, second = np.intersect1d(old.places, new.places, assume_unique=True, return_indices=True)
    is_other = _has_other_text(old, new, first, second)
    if is_other.any():
        place = old.places[first[is_other.argmax()]] + 1
        raise DoxaError(f"{why}, so records are paired by order, but (first in record {place:,}) the texts of {names[0]} and {names[1]} are not the same")
    return first, second


def _has_other_text(old: Seen, new: Seen, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether the texts of a pair (P,) differ; they do not where neither has one."""
    one, other = (seen.texts.take(pa.array(places)) for seen, places in ((old, first), (new, second)))
    is_alike = pc.fill_null(pc.equal(one, other), False)
    return ~pc.or_(is_alike, pc.and_(one.is_null(), other.is_null())).to_numpy()


def pair_head(old: HeadRows, new: HeadRows, first: np.ndarray, second: np.ndarray, seen: tuple[Seen, Seen], names: tuple[str, str]) -> tuple[HeadRows, HeadRows]:
    """The rows of a head that both files judge, in one order, with the same labels and the slices that the old file has.

    `first` and `second` pair good records. Raises DoxaError where a pair has not the same gold."""
    if old.kind != new.kind:
        raise DoxaError(f'head "{old.head}" gives {old.kind} in {names[0]} and {new.kind} in {names[1]}')
    partner = np.full(seen[1].n_good, -1)
    partner[second] = first
    row_of_old = np.full(seen[0].n_good, -1)
    row_of_old[old.records] = np.arange(old.n)
    rows = np.where(partner[new.records] >= 0, row_of_old[partner[new.records]], -1)
    slices = _move_slices(old, rows[rows >= 0])
    old, new = old.take(rows[rows >= 0]).match(new.take(rows >= 0))
    old = replace(old, **slices)
    differs = old.differs(new)
    if differs.any():
        row = int(differs.argmax())
        record = new.records[row]
        where = seen[1].ids[record].as_py()
        where = f"id {where}" if where is not None else f"record {seen[1].places[record] + 1}"
        raise DoxaError(f'the gold labels of head "{old.head}" are not the same in {names[0]} and {names[1]}: {int(differs.sum()):,} of {old.n:,} differ, '
                        f"first at {where}; compare predictions of one test set")
    return old, new


def judged_alone(old: HeadRows, new: HeadRows, first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
    """Of the records that are paired, how many only the old file judges by this head, and how many only the new one."""
    has_old, has_new = np.isin(first, old.records), np.isin(second, new.records)
    return int((has_old & ~has_new).sum()), int((has_new & ~has_old).sum())


def count_apart(heads: list[HeadRows], paired: np.ndarray) -> int:
    """How many records of a file some head judges though none of the other file is theirs; `paired` are those with a partner."""
    return len(np.setdiff1d(np.concatenate([rows.records for rows in heads]), paired))


def _move_slices(rows: HeadRows, taken: np.ndarray) -> dict:
    """The slices of some rows, in their order."""
    place = np.full(rows.n, -1)
    place[taken] = np.arange(len(taken))
    moved = {name: np.stack([place[pairs[0]], pairs[1]])[:, place[pairs[0]] >= 0] for name, pairs in rows.slices.items()}
    return {"slices": moved, "slice_names": rows.slice_names}
