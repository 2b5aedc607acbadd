"""Conditions on columns, each beside what it means in plain Python."""

import operator
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doxa.errors import UsageError
from doxa.records.conditions import parse_conditions, select
from doxa.records.names import Named, resolve_name

ORDERS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
TEXTS = ["1", "1.0", "1.00", "01", "000001", "+1", " 1", "1 ", "-0", "0", "2e1", "20", "9007199254740993", "9007199254740992", "x", "X", "", "ＡＢ",
         "Ab", "信贷违约", "违约", "1\n", ".5", "0.5", "1e", "nan", "NaN", "Infinity", "true", "a.b", "ab", "50%", "%"]


def holds(text, column):
    (condition,) = parse_conditions([text])
    return condition.holds(pa.chunked_array([column])).to_pylist()


def plain_number(text):
    """The number that a text is in JSON's spelling, else None; by hand, not by a pattern."""
    digits = text.lstrip("-") if text.count("-", 0, 2) < 2 else "x"
    if not digits[:1].isdecimal() or not text.isascii() or text != text.strip() or digits.endswith(".") or ".e" in digits.lower():
        return None
    if digits[0] == "0" and digits[1:2].isdecimal():
        return None
    try:
        return Fraction(Decimal(text))
    except InvalidOperation:
        return None


def expected(op, value, text):
    if text is None:
        return False
    number, other = plain_number(value), plain_number(text)
    if op in ORDERS:
        return other is not None and ORDERS[op](float(other), float(number))
    if op == "~":
        return value.casefold() in text.casefold()
    is_same = text == value or (number is not None and number == other and not (value.lstrip("-").isdecimal() and text.lstrip("-").isdecimal()))
    return is_same if op == "=" else not is_same


@pytest.mark.parametrize("op", ["=", "!=", "~", "<", "<=", ">", ">="])
def test_texts_against_plain_python(op):
    for value in (text.strip() for text in TEXTS if text.strip()):
        if op in ORDERS and plain_number(value) is None:
            continue
        assert holds(f"f{op}{value}", [*TEXTS, None]) == [expected(op, value, text) for text in [*TEXTS, None]], value


@given(st.lists(st.one_of(st.none(), st.floats(-100, 100).map(lambda x: round(x, 2)), st.integers(-5, 5).map(float))), st.integers(-500, 500))
def test_numbers_against_plain_python(values, hundredths):
    value = hundredths / 100
    for op, compare in {**ORDERS, "=": operator.eq, "!=": operator.ne}.items():
        (condition,) = parse_conditions([f"h{op}{value}"])
        assert condition.holds(pa.array(values, pa.float64())).to_pylist() == [v is not None and compare(v, value) for v in values]


def test_what_cannot_be_compared_is_missing():
    assert [holds(f"h{op}0.5", pa.array([float("nan"), None, 0.5])) for op in ("=", "!=", "<=")] == [
        [False, False, True], [False, False, False], [False, False, True]]


def test_whole_numbers_are_compared_digit_by_digit():
    assert holds("id=9007199254740993", ["9007199254740992", "9007199254740993"]) == [False, True]


def test_lists_hold_any_label():
    column = pa.array([["a", "b"], [], None, ["b", None], ["ab"]], pa.list_(pa.string()))
    assert holds("t=a", column) == [True, False, False, False, False]
    assert holds("t!=a", column) == [False, True, False, True, True]  # a record without the head is neither
    assert holds("t~A", column) == [True, False, False, False, True]
    assert parse_conditions(["t=a"])[0].holds(column.slice(1)).to_pylist() == [False, False, False, False]


def test_all_must_hold_and_each_is_counted():
    table = pa.table({"label:topic": ["a", "a", "b", None], "score:topic": [0.9, 0.1, 0.9, None]})
    conditions = parse_conditions(["topic=a", "topic.score>=0.5"])
    names = {"topic": Named("topic", "label"), "topic.score": Named("topic", "score")}
    kept, n_met = select(table, conditions, names)
    assert kept.to_pylist() == [True, False, False, False] and n_met == [2, 2]
    assert select(table.slice(0, 0), conditions, names)[1] == [0, 0]


@pytest.mark.parametrize("text, said", [
    ("topic", "such as topic=credit"), ("", "such as"), ("=x", "such as"), ("topic=", "value is missing"), ("topic==x", "write one ="),
    ("retweets>many", "such as retweets>10"), ("retweets>=", "value is missing"), ("retweets<0x10", "compares numbers"), ("topic>01", "compares numbers")])
def test_a_bad_condition_names_a_good_one(text, said):
    with pytest.raises(UsageError) as caught:
        parse_conditions(["topic=a", text])
    assert said in str(caught.value) and "\n" not in str(caught.value) and "--where" in str(caught.value)


def test_the_first_operator_divides():
    (condition,) = parse_conditions([" url ~ a=b>c "])
    assert (condition.name, condition.operator, condition.value) == ("url", "~", "a=b>c")


HEADS = {"topic": "label", "tags": "labels", "rating": "number", "a.score": "label", "a": "label"}


@pytest.mark.parametrize("asked, found", [
    ("topic", Named("topic", "label")), ("field:topic", Named("topic", "field")), ("head:topic", Named("topic", "label")),
    ("topic.score", Named("topic", "score")), ("head:topic.score", Named("topic", "score")), ("field:topic.score", Named("topic.score", "field")),
    ("tags", Named("tags", "labels")), ("rating", Named("rating", "score")), ("rating.score", Named("rating", "score")),
    ("lang", Named("lang", "field")),
    ("a.score", Named("a.score", "label")), ("lang.score", Named("lang.score", "field")), ("field:late", Named("late", "field")), ("x:y", Named("x:y", "field"))])
def test_a_name_is_a_head_if_there_is_one(asked, found):
    assert resolve_name(asked, "--where", HEADS, {"topic", "lang", "lang.score", "x:y"}) == found


@pytest.mark.parametrize("asked, said", [("head:lang", "no such head"), ("none", "no such head or field"), ("tags.score", "no one score")])
def test_a_name_that_means_nothing(asked, said):
    with pytest.raises(UsageError, match=said):
        resolve_name(asked, "--where", HEADS, {"lang"})
