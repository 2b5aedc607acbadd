"""Fields that hold lists: which of their texts are lists, and what their members are."""

import json

import pyarrow as pa
import pytest

from doxa.records.listed import MOST_MEMBERS, read_column


def members(*texts: str | None, name: str = "field:tickers") -> list:
    return read_column(pa.table({name: pa.array(texts, pa.string())}), name).to_pylist()


def test_members_once_in_order_without_nulls():
    assert members('["B","A","B",null,1.5,true]', "plain", "[]", None) == [["B", "A", "1.5", "true"], ["plain"], [], None]


@pytest.mark.parametrize("text", ['[["A"]]', '[{"a":1}]', "[A", "[", '["A"] ', "[" * 100_000])
def test_any_other_text_is_a_member_of_itself(text):
    alone, beside = members(text), members('["A"]', text)
    if text.strip() != text:  # white space around a list means nothing
        assert beside[1] == ["A"]
    else:
        assert alone == [text] and beside == [["A"], [text]]


def test_a_list_longer_than_any_feed_has_is_one_value():
    """Else a single record would make more groups than a report may have."""
    most, more = ([f"T{i}" for i in range(n)] for n in (MOST_MEMBERS, MOST_MEMBERS + 1))
    assert members(json.dumps(most), json.dumps(more)) == [most, [json.dumps(more)]]


def test_other_columns_hold_no_lists():
    assert members('["A"]', name="head:topic") == ['["A"]'] and members("A", None) == ["A", None]
