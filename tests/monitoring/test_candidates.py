"""Examples against a sort of the whole stream, and bounded counting of duplicates."""

import datetime as dt
import random
from collections import Counter

import numpy as np
import pytest
from batches import count, row, words

from doxa.monitoring import candidates, hashes
from doxa.monitoring.likeness import Likeness

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def make_rows(n, seed=0):
    generator = random.Random(seed)
    return [row(i, time=(START + dt.timedelta(minutes=generator.randrange(n))).isoformat(), text=words(generator.randrange(n)),
                label=generator.choice(["negative", "positive"]), score=generator.randrange(50) / 50, by=generator.choice("abc")) for i in range(n)]


def expected_examples(rows, group, n):
    """The texts to show, by sorting everything."""
    own = [r for r in rows if r["by"] == group]
    by_score = sorted((r for r in own if r["label:sentiment"] == "negative"), key=lambda r: (-r["score:sentiment"], -when(r), r["text"]))
    by_time = sorted(own, key=lambda r: (-when(r), r["text"]))
    best = list(dict.fromkeys(r["text"] for r in by_score))[: n - 1]
    return best + [text for text in dict.fromkeys(r["text"] for r in by_time) if text not in best][:1]


def when(r):
    return dt.datetime.fromisoformat(r["time"]).timestamp()


@pytest.mark.parametrize("size", [100_000, 1500, 37])
def test_examples_equal_a_sort_of_everything(size, monkeypatch):
    monkeypatch.setattr(Likeness, "near", lambda self, one: np.arange(self.n_texts) == one)
    rows = make_rows(6000)
    figures = count(rows, by="source", size=size, n_examples=4)
    for group in figures.groups:
        seen = Counter(r["text"] for r in rows if r["by"] == group.name)
        assert [example.text for example in group.examples] == expected_examples(rows, group.name, 4)
        assert [example.count for example in group.examples] == [seen[example.text] for example in group.examples]


def test_a_flood_of_one_text_leaves_room_for_others():
    flood = [row(i, score=0.99, text="Buy cheap watches at the market corner today") for i in range(5000)]
    rows = flood + [row(9000 + i, score=0.8 - i / 100, time="2026-09-01T09:00:00Z") for i in range(3)]
    for size in (100_000, 300):
        examples = count(rows, size=size, n_examples=4).groups[0].examples
        assert [(example.count, example.id in ("9000", "9001", "9002")) for example in examples] == [(5000, False), (1, True), (1, True), (1, True)]


def test_the_newest_is_shown_in_a_stream_in_order_of_time():
    rows = [row(i, time=(START + dt.timedelta(minutes=i)).isoformat(), score=0.5 + i % 997 / 2000) for i in range(5000)]
    for size in (100_000, 50):
        last = count(rows, size=size).groups[0].examples[-1]
        assert (last.id, last.why) == ("4999", "newest")


def test_no_time_and_no_score_still_give_examples():
    rows = [{"text": words(i), "label:sentiment": "negative"} for i in range(3000)]
    first, second = (count(rows, size=size).groups[0].examples for size in (3000, 77))
    assert first == second and len(first) == 3 and first[0].score is None


def test_many_groups_stay_bounded(monkeypatch):
    monkeypatch.setattr(candidates, "MOST_POOLED", 2000)
    rows = [row(i, by=f"g{i % 1500}") for i in range(6000)] + [row(10_000 + i, by="big") for i in range(500)]
    figures = count(rows, by="source", size=500, top=2)
    assert figures.groups[0].name == "big" and len(figures.groups[0].examples) == 3
    assert any("fewer examples" in note for note in figures.notes)


def test_a_long_text_is_cut():
    assert len(count([row(0, text="银行" * 5000)]).groups[0].examples[0].text) == candidates.TEXT_CHARACTERS


def test_duplicates_are_counted_exactly_below_the_bound():
    generator = np.random.default_rng(0)
    values = generator.integers(0, 3000, 20_000).astype(np.uint64)
    tally = hashes.HashCounts()
    for part in np.array_split(values, 13):
        tally.add(part)
        tally.count(part)  # settles in between
    expected = Counter(values.tolist())
    assert not tally.is_lossy
    assert tally.count(np.arange(3100, dtype=np.uint64)).tolist() == [max(1, expected[i]) for i in range(3100)]


def test_beyond_the_bound_counts_are_never_too_high(monkeypatch):
    monkeypatch.setattr(hashes, "MOST_DISTINCT", 1000)
    monkeypatch.setattr(hashes, "N_PENDING", 500)
    generator = np.random.default_rng(1)
    values = np.concatenate([generator.integers(100, 10**9, 20_000), np.repeat(np.arange(10), 300)]).astype(np.uint64)
    generator.shuffle(values)
    tally = hashes.HashCounts()
    for part in np.array_split(values, 40):
        tally.add(part)
    assert tally.is_lossy and len(tally.values) <= 1500
    seen = tally.count(np.arange(10, dtype=np.uint64))
    assert (seen <= 300).all() and (seen >= 290).all()


def test_a_changed_word_is_a_near_duplicate_and_another_sentence_is_not():
    texts = ["The lender has broken two of the terms of its credit line, the company said on Tuesday",
             "The lender has broken two of the terms of its credit line, the company said on Friday",
             "The lender has met all of the terms of its new bond, the company said on Tuesday"]
    examples = count([row(i, text=text, score=0.9 - i / 10) for i, text in enumerate(texts)]).groups[0].examples
    assert [(example.id, example.count) for example in examples] == [("0", 2), ("2", 1)]
