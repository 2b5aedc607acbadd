"""Tags and spans against seqeval, in every scheme, faultless and not."""

import numpy as np
import pytest

from doxa.metrics.bio import BIOES, IOB1, IOB2, find_odd, find_scheme, is_span_tag, spans_to_tags, tags_to_spans


def draw_spans(chance: np.random.Generator, n_tokens: int) -> list[tuple[int, int, str]]:
    """Spans that do not overlap, many of which touch."""
    spans, place = [], int(chance.integers(0, 2))
    while place < n_tokens:
        end = min(n_tokens, place + int(chance.integers(1, 4)))
        spans.append((place, end, str(chance.choice(["PER", "LOC", "机构"]))))
        place = end + int(chance.integers(0, 3)) // 2
    return spans


def write(spans: list[tuple[int, int, str]], n_tokens: int, scheme: str) -> list[str]:
    """The tags of spans, written another way than the code does."""
    first, middle, last, single = {"IOB2": "BIIB", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES", "IOB1": "BIIB"}[scheme]
    tags = ["O"] * n_tokens
    for start, end, label in spans:
        for place in range(start, end):
            letter = single if end - start == 1 else first if place == start else last if place == end - 1 else middle
            if scheme == "IOB1" and place == start and not any(e == start and other == label for _, e, other in spans):
                letter = "I"
            tags[place] = f"{letter}-{label}"
    return tags


@pytest.mark.parametrize("scheme", ["IOB2", "IOB1", "BIOES", "BILOU", "BMES"])
def test_spans_of_any_scheme_are_found(scheme):
    chance, found_schemes = np.random.default_rng(1), set()
    for _ in range(300):
        n = int(chance.integers(1, 15))
        spans = draw_spans(chance, n)
        tags = write(spans, n, scheme)
        assert tags_to_spans(tags) == spans
        assert tags_to_spans(spans_to_tags(spans, n), IOB2) == spans and spans_to_tags(spans, n) == write(spans, n, "IOB2")
        if spans:
            found_schemes.add(find_scheme([tags]))
    assert found_schemes == {{"IOB2": IOB2, "IOB1": IOB1}.get(scheme, BIOES)}


@pytest.mark.parametrize("name, letters", [("IOB2", "BIO"), ("IOBES", "BIOES"), ("BILOU", "BILOU")])
def test_faulty_tags_are_read_as_strictly_as_seqeval_does(name, letters):
    scheme = pytest.importorskip("seqeval.scheme")
    chance, n_spans = np.random.default_rng(2), 0
    for _ in range(500):
        tags = [letter if letter == "O" else f"{letter}-{chance.choice(['PER', 'LOC'])}" for letter in chance.choice(list(letters), 12)]
        theirs = [(entity.start, entity.end, entity.tag) for entity in scheme.Tokens(tags, getattr(scheme, name)).entities]
        assert tags_to_spans(tags, IOB2 if name == "IOB2" else BIOES) == theirs
        n_spans += len(theirs)
    assert n_spans > 500


def test_faultless_iob1_is_read_as_seqeval_does():
    scheme = pytest.importorskip("seqeval.scheme")
    chance = np.random.default_rng(3)
    for _ in range(200):
        tags = write(draw_spans(chance, 10), 10, "IOB1")
        assert tags_to_spans(tags) == [(entity.start, entity.end, entity.tag) for entity in scheme.Tokens(tags, scheme.IOB1).entities]


def test_what_does_not_begin_is_no_span():
    assert tags_to_spans(["O", "I-PER", "O", "B-LOC", "I-PER", "I-LOC"]) == [(3, 4, "LOC")]
    assert tags_to_spans(["O", "I-PER"]) == [(1, 2, "PER")] and tags_to_spans(["O", "I-PER"], IOB2) == []


def test_the_scheme_is_that_of_a_whole_corpus():
    inside = ["O", "I-PER"]
    assert find_scheme([inside, ["I-LOC", "B-LOC"]]) == IOB1
    assert find_scheme([inside, ["O", "B-PER"]]) == IOB2  # one record cannot be IOB1: the other is faulty
    assert find_scheme([inside, ["B-PER"], ["S-PER"]]) == BIOES
    assert find_scheme([]) == find_scheme([["O"]]) == IOB2


def test_a_tag_of_no_span_is_odd_among_those_of_spans_and_not_among_parts_of_speech():
    assert find_odd([["B-PER", "I-PER", "O"], ["per", "O"]]) == "per"
    assert find_odd([["NN", "B-PER"], ["VB", "O"]]) is find_odd([["B-PER", "O"]]) is find_odd([["M", "NN"]]) is find_odd([]) is None


def test_labels_may_be_missing_or_hold_hyphens():
    assert tags_to_spans(["B", "I", "O", "B-event-date"]) == [(0, 2, "_"), (3, 4, "event-date")]


def test_faults_are_named():
    with pytest.raises(ValueError, match="'NN' is no tag of a span"):
        tags_to_spans(["O", "NN"])
    with pytest.raises(ValueError, match="'S-PER' is no tag of IOB2, which has B-PER, I-PER and O"):
        tags_to_spans(["S-PER"], IOB2)
    with pytest.raises(ValueError, match="overlap at token 1"):
        spans_to_tags([(1, 3, "B"), (0, 2, "A")], 4)
    for span in ((2, 5, "A"), (2, 2, "A"), (-1, 1, "A")):
        with pytest.raises(ValueError, match="does not fit 4 tokens"):
            spans_to_tags([span], 4)


def test_parts_of_speech_are_no_span_tags():
    assert [is_span_tag(tag) for tag in ("O", "B", "I-PER", "S-地名", "NN", "b-per", "O-PER", "X-PER", "")] == [True] * 4 + [False] * 5
