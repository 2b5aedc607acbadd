"""What is said of labelled data before training."""

import unicodedata

import pytest
from hypothesis import given, strategies as st

from doxa.model.heads import Head
from doxa.text.question import Question
from doxa.training.examples import Example, LabelledSet
from doxa.training.findings import drop_leaks, find_leaks, find_problems

TOPIC, TAGS, RATING = Head("topic", "label", ("a", "b")), Head("tags", "labels", ("x", "y")), Head("rating", "number")


def make(*rows, name="t") -> LabelledSet:
    """A set of (text or texts, value of every head)."""
    return LabelledSet([Example(f"{name}.jsonl:{i + 1}", Question((texts,) if isinstance(texts, str) else texts), values) for i, (texts, *values) in enumerate(rows)])


def filler(n: int) -> list[tuple]:
    return [(f"filler {i}", "ab"[i % 2]) for i in range(n)]


def problems(train, dev=None, head=TOPIC) -> list[str]:
    return find_problems([head], train, dev or LabelledSet())


def test_numbers_that_are_far_from_all_others_are_named():
    values = [(f"text {i}", float(i)) for i in range(20)]
    assert problems(make(*values), head=RATING) == [] and problems(make(*((text, 5.0) for text, _ in values)), head=RATING) == []
    (told,) = problems(make(*values, ("odd", 1e6), ("odder", -1e9)), head=RATING)
    assert '2 records are more than 100 times as far from the median, 9.5, as half of all are' in told and '1e+06, -1e+09; t.jsonl:21 "odd", t.jsonl:22 "odder"' in told


def test_clean_data_has_none():
    assert problems(make(*filler(20)), make(("something else", "a"))) == []


def test_contradictions_are_counted_and_shown():
    (line,) = problems(make(*filler(20), ("Rates  rise", "a"), ("rates rise", "b"), ("RATES RISE", "a")))
    assert line.startswith('head "topic": 3 records hold a text that others label otherwise')
    assert 't.jsonl:21 "Rates rise", t.jsonl:22 "rates rise"' in line


@pytest.mark.parametrize("head, first, second, is_torn", [
    (TAGS, ["x", "y"], ["y", "x"], False), (TAGS, ["x"], ["x", "y"], True), (RATING, 1.0, 1.0, False), (RATING, 1.0, 2.0, True), (TOPIC, "a", None, False)])
def test_what_contradicts(head, first, second, is_torn):
    rows = [(f"filler {i}", value) for i in range(20) for value in [{"labels": ["xy"[i % 2]], "number": float(i), "label": "ab"[i % 2]}[head.kind]]]
    assert bool(problems(make(*rows, ("同一句话😀", first), ("同一句话😀", second)), head=head)) == is_torn


def test_leaks_are_named_and_dropped():
    train, dev = make(*filler(20), ("加息", "a"), ("A  b", "a")), make(("加息", "b"), ("a B", "a"), ("new", "a"), name="d")
    (line,) = problems(train, dev)
    assert line.startswith("2 dev texts are in the training set too") and "--drop-leaks" in line and 't.jsonl:21 "加息"' in line
    kept, dropped = drop_leaks(train, dev)
    assert [example.question.texts[0] for example in dropped] == ["加息", "A  b"] and len(kept.examples) == 20 and not find_leaks(kept, dev)


def test_pairs_differ_where_either_text_does():
    train = make((("q", "one"), "a"), (("q", "two"), "b"), *filler(20))
    assert problems(train) == []
    assert find_leaks(train, make((("q", "two"), "b"))) == [1]


def test_labels():
    train = make(*[(f"n {i}", "Credit") for i in range(5)], *[(f"m {i}", "credit ") for i in range(6)], ("rare", "policy"))
    lines = problems(train, make(("other", "unseen"), ("one", "unseen")))
    assert any("1 labels have fewer than 5 examples" in line and "policy (1)" in line for line in lines)
    assert any("differ by case or space alone, 11 records" in line and "'Credit' (5), 'credit ' (6)" in line for line in lines)
    assert any("2 dev records hold labels that training lacks, counted as errors: unseen (2)" in line and '"other"' in line and '"one"' in line for line in lines)
    assert any("fewer than 5 examples, 1 records" in line and '"rare"' in line for line in lines)
    assert any('"n 0"' in line and '"m 0"' in line for line in lines)  # one of each of the labels that are alike
    assert any("'a' holds 95% of 100 records" in line for line in problems(make(*[(f"{i}", "a" if i < 95 else "b") for i in range(100)])))


def test_a_long_text_is_shown_short_and_on_one_line():
    (line,) = problems(make(*filler(20), ("long\n" * 100, "a"), ("long\n" * 100, "b")))
    assert "\n" not in line and len(line) < 300


_TEXTS = st.lists(st.tuples(st.sampled_from(["a", "A", "a ", " a", "ａ", "b", "b b", "b  b", "😀"]), st.sampled_from("xyz")), max_size=12)


def plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@given(_TEXTS, _TEXTS)
def test_counts_equal_a_naive_loop(train, dev):
    lines = problems(make(*train), make(*dev))
    torn = [i for i, (text, value) in enumerate(train) if any(plain(text) == plain(t) and value != v for t, v in train)]
    said = [line for line in lines if "label otherwise" in line]
    assert bool(said) == bool(torn) and all(f" {len(torn)} records hold" in line for line in said)
    assert find_leaks(make(*train), make(*dev)) == [i for i, (text, _) in enumerate(train) if any(plain(text) == plain(t) for t, _ in dev)]
