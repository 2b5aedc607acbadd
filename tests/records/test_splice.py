"""The splice: every byte that came in goes out, and the result says what it should."""

import json
from json.decoder import scanstring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.errors import RecordError
from doxa.records.outcome import Outcome, to_line
from doxa.records.record import Record
from doxa.records.splice import find_value, splice, splice_into

SPACE = st.sampled_from(["", "", "", " ", "\t", "\r", "  ", "\n"])
CHARACTERS = st.characters(exclude_categories=("Cs",))
NUMBERS = st.one_of(
    st.integers().map(str), st.integers(10**19, 10**40).map(str),
    st.sampled_from(["1.10", "-0", "0.0", "1E5", "-1e-300", "0.1e+7", "123456789012345678901234567890", "1.7976931348623157e308"]))
KEYS = st.one_of(st.sampled_from(["prediction", "a", "error", "", 'a"b', "b\\", "}", "{", ",", "名"]), st.text(CHARACTERS, max_size=6))


@st.composite
def strings(draw, texts=st.one_of(st.text(CHARACTERS, max_size=12), st.sampled_from(['"', "\\", '\\"', "}", ', "prediction": {', "\u2028"]))):
    text = json.dumps(draw(texts), ensure_ascii=draw(st.booleans()))
    return text.replace("/", "\\/") if draw(st.booleans()) else text


@st.composite
def containers(draw, inner):
    items = draw(st.lists(inner, max_size=3))
    keys = [draw(strings(KEYS)) for _ in items] if draw(st.booleans()) else None
    return _wrap(draw, items, keys)


def _wrap(draw, items, keys):
    pad = lambda text: draw(SPACE) + text + draw(SPACE)  # noqa: E731
    members = [pad(item) if keys is None else pad(keys[i]) + ":" + pad(item) for i, item in enumerate(items)]
    inside = ",".join(members) or draw(SPACE)
    return "[" + inside + "]" if keys is None else "{" + inside + "}"


VALUES = st.recursive(st.one_of(strings(), NUMBERS, st.sampled_from(["true", "false", "null"])), containers, max_leaves=8)


@st.composite
def objects(draw):
    items = draw(st.lists(VALUES, max_size=5))
    return draw(SPACE) + _wrap(draw, items, [draw(strings(KEYS)) for _ in items]) + draw(SPACE)


ADDED = st.dictionaries(st.text(CHARACTERS, min_size=1, max_size=8), st.one_of(
    st.none(), st.booleans(), st.integers(-2**63, 2**63), st.floats(allow_nan=False, allow_infinity=False), st.text(CHARACTERS, max_size=8),
    st.lists(st.integers(0, 9), max_size=3), st.dictionaries(st.text(CHARACTERS, max_size=4), st.integers(0, 9), max_size=2)), max_size=3)


def pairs(text) -> list:
    """The members in order, duplicates too, numbers as they are spelt."""
    return json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)


def spelt(added: dict) -> list:
    return [list(pair) for pair in pairs(json.dumps(added))] if added else []


def number_of(value):
    """Spelling of floats may differ between two JSON writers; their value may not."""
    if isinstance(value, (list, tuple)):
        return [number_of(inner) for inner in value]
    try:
        return repr(float(value)) if isinstance(value, (str, float)) else value  # as text, for nan is not nan
    except ValueError:
        return value


def naive_find(text: str, key: str) -> tuple[int, int] | None:
    """The extent of the last value of a top-level key, by the standard library's scanner."""
    decoder, found = json.JSONDecoder(), None
    at = skip(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = scanstring(text, at + 1)
        at = skip(text, skip(text, at) + 1)
        _, end = decoder.raw_decode(text, at)
        if name == key:
            found = (at, end)
        at = skip(text, end)
        at = skip(text, at + 1) if text[at] == "," else at
    return found


def skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


@settings(deadline=None, max_examples=150)
@given(objects(), ADDED)
def test_splice_keeps_every_byte_and_adds_every_key(text, added):
    raw = text.encode()
    result = splice(raw, added)
    brace = raw.rindex(b"}")
    assert result.startswith(raw[:brace]) and result.endswith(raw[brace:])
    assert len(result) >= len(raw)
    before = pairs(text)
    got = pairs(result)
    assert got[: len(before)] == before  # the old members, their order, duplicates and spelling
    assert number_of(got[len(before) :]) == number_of(spelt(added))


@settings(deadline=None, max_examples=150)
@given(objects(), KEYS)
def test_find_value_agrees_with_a_naive_scan(text, key):
    raw, expected = text.encode(), naive_find(text, key)
    if expected is None:
        with pytest.raises(KeyError):
            find_value(raw, key)
    else:
        start, end = find_value(raw, key)
        assert raw[start:end].decode() == text[expected[0] : expected[1]]
        assert raw[:start].decode() == text[: expected[0]]


@settings(deadline=None, max_examples=100)
@given(objects(), objects(), objects(), st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9), min_size=1, max_size=2))
def test_splice_into_changes_one_value_alone(first, inner, last, added):
    text = '{"x": %s, "prediction" :%s,"y":%s}' % (first, inner, last)
    start, end = naive_find(text, "prediction")
    result = splice_into(text.encode(), "prediction", added)
    assert result == text[:start].encode() + splice(text[start:end].encode(), added) + text[end:].encode()
    members = dict(pairs(result))
    assert members["prediction"][: len(pairs(inner))] == pairs(inner)
    assert number_of(members["prediction"][len(pairs(inner)) :]) == number_of(spelt(added))
    assert members["x"] == pairs(first) and members["y"] == pairs(last)


def test_of_two_equal_keys_the_last_one_gains():
    raw = b'{"prediction":{"a":1},"prediction":{"b":2}}'
    assert splice_into(raw, "prediction", {"c": 3}) == b'{"prediction":{"a":1},"prediction":{"b":2,"c":3}}'


@pytest.mark.parametrize("raw, expected", [
    (b"{}", b'{"n":1}'), (b"{ }", b'{ "n":1}'), (b'{"a":{}}', b'{"a":{},"n":1}'), (b'{"a": 1, "b": 2}\t', b'{"a": 1, "b": 2, "n":1}\t')])
def test_the_separator_suits_the_line(raw, expected):
    assert splice(raw, {"n": 1}) == expected


def test_nothing_added_is_nothing_changed():
    assert splice(b'{"a": 1.10 }', {}) == b'{"a": 1.10 }'


def test_a_long_text_is_passed_over_without_trouble():
    raw = json.dumps({"text": 'say "a" \\ ' * 400_000, "prediction": {"a": 1}}).encode()
    assert splice_into(raw, "prediction", {"b": 2}).endswith(b'"prediction": {"a": 1,"b":2}}')


@pytest.mark.parametrize("raw, added, expected", [
    (b'{"a": 1.10, "prediction": null}', {"prediction": {"x": 1}, "n_tokens": 3}, b'{"a": 1.10, "prediction": {"x":1}, "n_tokens":3}'),
    (b'{"n_tokens":null ,"prediction":{"y":2}}', {"prediction": {"x": 1}, "n_tokens": 3}, b'{"n_tokens":3 ,"prediction":{"y":2,"x":1}}'),
    (b'{"inner": {"prediction": null}}', {"prediction": {"x": 1}}, b'{"inner": {"prediction": null},"prediction":{"x":1}}')])
def test_what_is_added_takes_the_place_of_a_null(raw, added, expected):
    """Else the key would stand twice, and which one counts is up to who reads it."""
    assert to_line(Outcome(Record("f", 1, raw, json.loads(raw)), added)) == expected


def test_an_error_takes_the_place_of_a_null():
    raw = b'{"error": null, "text": ""}'
    line = to_line(Outcome(Record("f", 1, raw, json.loads(raw)), {}, RecordError("empty_text", "it is empty")))
    assert line == b'{"error": {"code":"empty_text","message":"it is empty"}, "text": ""}'
