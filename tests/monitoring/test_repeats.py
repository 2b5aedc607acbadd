"""How many ids came before, against a set of all of them."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doxa.monitoring import repeats
from doxa.monitoring.hashes import text_hasher
from doxa.monitoring.repeats import IdRepeats
from doxa.records.database import connect

HASH_TEXTS = text_hasher(connect())
COLUMN = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-20, 20))).map(lambda ids: pa.array(ids, pa.int64())),
    st.lists(st.one_of(st.none(), st.integers(0, 20))).map(lambda ids: pa.array(ids, pa.uint8())),
    st.lists(st.integers(2**63 - 2, 2**63 + 2)).map(lambda ids: pa.array(ids, pa.uint64())),
    st.lists(st.one_of(st.none(), st.integers(-20, 20).map(str), st.text(max_size=1))).map(lambda ids: pa.array(ids, pa.string())),
    st.lists(st.one_of(st.none(), st.integers(-20, 20).map(str))).map(lambda ids: pa.array(ids, pa.string()).dictionary_encode()))


def add(tally: IdRepeats, ids: pa.Array) -> None:
    column = pa.chunked_array([ids])
    texts = ids.dictionary_decode() if pa.types.is_dictionary(ids.type) else ids
    tally.add(column, lambda: HASH_TEXTS(texts))


def count(columns: list[pa.Array]) -> IdRepeats:
    tally = IdRepeats(HASH_TEXTS)
    for ids in columns:
        add(tally, ids)
    return tally


def expected(columns: list[pa.Array]) -> int:
    ids = [str(value) for column in columns for value in column.to_pylist() if value is not None]
    return len(ids) - len(set(ids))


@given(st.lists(COLUMN, max_size=6), st.sampled_from((1, 7, 10_000)))
def test_numbers_and_texts_in_any_order_are_counted_as_texts_are(columns, n_pending):
    before, repeats.N_PENDING = repeats.N_PENDING, n_pending
    try:
        tally = count(columns)
        assert tally.n == expected(columns) and not tally.is_lossy
    finally:
        repeats.N_PENDING = before


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(repeats, "MOST_DISTINCT", 1000)
    monkeypatch.setattr(repeats, "N_PENDING", 500)


def test_rising_numbers_are_known_to_be_new_in_bounded_memory(few):
    tally = count([pa.array(np.arange(start, start + 700)) for start in range(0, 21_000, 700)])
    assert tally.n == 0 and not tally.is_lossy and tally._n_known <= 1000


def test_one_that_repeats_after_much_was_forgotten_makes_the_count_a_lower_bound(few):
    rising = [pa.array(np.arange(start, start + 700)) for start in range(0, 21_000, 700)]
    tally = count([*rising, pa.array([5])])
    assert tally.n == 0 and tally.is_lossy
    tally = count([*rising, pa.array(["new"])])  # which of the numbers it may be is not known once there are texts
    assert tally.n == 0 and tally.is_lossy


def test_texts_beyond_the_bound_are_never_counted_too_high(few):
    generator = random.Random(1)
    ids = [str(generator.randrange(10**9)) for _ in range(20_000)] + [str(i % 10) for i in range(3000)]
    generator.shuffle(ids)
    tally = count([pa.array(ids[start : start + 300]) for start in range(0, len(ids), 300)])
    assert tally.is_lossy and 2500 < tally.n <= len(ids) - len(set(ids))
