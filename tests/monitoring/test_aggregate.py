"""Figures against a naive count in plain Python."""

import datetime as dt
import json
import random
from collections import Counter
from zoneinfo import ZoneInfo

import pytest
from batches import count, row

from doxa.errors import UsageError
from doxa.monitoring.aggregate import aggregate
from doxa.monitoring.buckets import parse_every
from doxa.monitoring.settings import Settings
from doxa.records import columns
from doxa.records.columns import read_columns
from doxa.records.flat_schema import Wanted
from doxa.records.reader import Source

WORDS = "harbour quiet ledger amber drift copper window marble yield basket signal orchard tunnel velvet prism candle".split()
TOPICS, LABELS = ["credit", "deals", "policy, \"quoted'", "能源"], ["negative", "neutral", "positive"]


def make_records(n, seed=1):
    generator = random.Random(seed)
    start = dt.datetime(2024, 3, 28, tzinfo=dt.UTC)
    records = []
    for i in range(n):
        moment = start + dt.timedelta(seconds=generator.randrange(6 * 86400))
        offset = dt.timezone(dt.timedelta(minutes=generator.choice([0, 60, 345, -210])))
        records.append({
            "id": generator.choice([i, i, i, f"s{i}", i // 2]), "text": " ".join(generator.choices(WORDS, k=12)),
            "timestamp": moment.astimezone(offset).isoformat(), "source": generator.choice(["wire", "blog", None]),
            "prediction": {"topic": {"label": generator.choice(TOPICS), "score": round(generator.random(), 3)},
                           "sentiment": {"label": generator.choice(LABELS), "score": round(generator.random(), 3)},
                           "tags": {"labels": generator.sample(["a", "b", "c"], generator.randrange(4)), "scores": {}},
                           "rating": {"score": generator.gauss(3, 1)}}})
    for i in range(0, n, 50):
        records[i] = {"id": i, "error": {"code": "empty_text", "message": "m"}}
    return records


def report(tmp_path, records, wanted=Wanted(), **settings):
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return aggregate(read_columns(Source((str(path),)), wanted), Settings(**settings))


@pytest.fixture(scope="module")
def records():
    return make_records(3000)


@pytest.mark.parametrize("zone, every", [("UTC", "6h"), ("Europe/Berlin", "1d"), ("Asia/Kathmandu", "1h"), ("Europe/Berlin", "1w")])
def test_trend_equals_a_naive_count(tmp_path, records, zone, every):
    figures = report(tmp_path, records, zone=ZoneInfo(zone), every=parse_every(every), top=3)
    good = [r for r in records if "error" not in r]
    assert figures.n_records == len(records) and figures.errors == {"empty_text": len(records) - len(good)}
    sizes = Counter(r["prediction"]["topic"]["label"] for r in good)
    assert {g.name: g.n for g in figures.groups if g.kind == "value"} == dict(sizes.most_common(3))
    assert [g.n for g in figures.groups if g.kind == "rest"] == [min(sizes.values())]
    for group in figures.groups:
        shown = {g.name for g in figures.groups if g.kind == "value"}
        own = [r for r in good if (r["prediction"]["topic"]["label"] == group.name if group.kind == "value"
                                   else r["prediction"]["topic"]["label"] not in shown)]
        for bucket in group.buckets:
            inside = [r for r in own if bucket.start <= dt.datetime.fromisoformat(r["timestamp"]) < bucket.end]
            assert bucket.n == len(inside)
            assert bucket.watched.hits == sum(r["prediction"]["sentiment"]["label"] == "negative" for r in inside)
        assert sum(bucket.n for bucket in group.buckets) == len(own)


def test_heads_equal_a_naive_count(tmp_path, records):
    figures = report(tmp_path, records)
    good = [r for r in records if "error" not in r]
    heads = {head.name: head for head in figures.heads}
    for name in ("topic", "sentiment"):
        expected = Counter(r["prediction"][name]["label"] for r in good)
        assert {label: share.hits for label, share in heads[name].labels.items()} == expected
        assert all(share.n == len(good) for share in heads[name].labels.values())
    tags = Counter(label for r in good for label in r["prediction"]["tags"]["labels"])
    assert {label: share.hits for label, share in heads["tags"].labels.items()} == tags
    assert heads["tags"].n == len(good)
    ratings = [r["prediction"]["rating"]["score"] for r in good]
    mean = sum(ratings) / len(ratings)
    assert heads["rating"].mean == pytest.approx(mean)
    assert heads["rating"].sd == pytest.approx((sum((x - mean) ** 2 for x in ratings) / len(ratings)) ** 0.5)
    ids = [json.dumps(r["id"]) for r in good]
    assert figures.n_duplicate_ids == len(ids) - len(set(ids))


def test_by_field_has_a_group_for_records_without_one(tmp_path, records):
    figures = report(tmp_path, records, Wanted(by=("source",)))
    expected = Counter(r["source"] for r in records if "error" not in r)
    assert {(g.kind, g.name): g.n for g in figures.groups} == {
        ("value", "wire"): expected["wire"], ("value", "blog"): expected["blog"], ("none", ""): expected[None]}


def test_by_a_head_of_many_labels_counts_each(tmp_path, records):
    figures = report(tmp_path, records, Wanted(by=("tags",)))
    good = [r["prediction"]["tags"]["labels"] for r in records if "error" not in r]
    expected = Counter(label for labels in good for label in labels) + Counter({"": sum(not labels for labels in good)})
    assert {g.name: g.n for g in figures.groups} == expected


def test_a_list_in_a_field_counts_for_each_member_and_the_record_once_in_all(tmp_path, records, monkeypatch):
    """Lists stand beside plain values, come up late, and in some blocks alone."""
    monkeypatch.setattr(columns, "BLOCK_BYTES", 20_000)
    values = ["AAPL", ["AAPL", "MSFT"], ["MSFT", "MSFT", None], [], None, [600036, True, 1.5], [["AAPL"]], {"a": 1}, "[AAPL", "[x]"]
    own = [record | {"tickers": values[i % len(values)] if 1000 <= i < 2000 else "AAPL"} for i, record in enumerate(records)]
    figures = report(tmp_path, own, Wanted(by=("tickers",)), every=parse_every("1d"))
    good, expected, days = [r for r in own if "error" not in r], Counter(), {}
    for r in good:
        value = r["tickers"]
        plain = isinstance(value, list) and not any(isinstance(member, list) for member in value)
        members = {json.dumps(m) if not isinstance(m, str) else m for m in value if m is not None} or {""} if plain else {
            value if isinstance(value, str) else "" if value is None else json.dumps(value, separators=(",", ":"))}
        expected.update(members)
        day = dt.datetime.fromisoformat(r["timestamp"]).astimezone(dt.UTC).date()
        for name in (*members, "total"):
            days.setdefault(name, Counter())[day, r["prediction"]["sentiment"]["label"] == "negative"] += 1
    assert {g.name: g.n for g in figures.groups} == expected and len(expected) == 10
    for group in (figures.total, *figures.groups):
        mine = days["total" if group is figures.total else group.name]
        assert {bucket.start.date(): (bucket.n, bucket.watched.hits) for bucket in group.buckets if bucket.n} == {
            day: (mine[day, True] + mine[day, False], mine[day, True]) for day, _ in mine}
    assert figures.total.n == len(good) and sum(figures.total.labels.values()) == len(good)


def test_since_and_until_bound_everything(tmp_path, records):
    since, until = dt.datetime(2024, 3, 30, tzinfo=dt.UTC), dt.datetime(2024, 3, 31, tzinfo=dt.UTC)
    figures = report(tmp_path, records, since=since, until=until)
    inside = [r for r in records if "error" not in r and since <= dt.datetime.fromisoformat(r["timestamp"]) < until]
    assert sum(group.n for group in figures.groups) == len(inside) > 0
    assert {head.name: head.n for head in figures.heads}["rating"] == len(inside)
    assert since <= figures.first <= figures.last < until


def test_figures_do_not_depend_on_order_or_blocks(tmp_path, records, monkeypatch):
    first = report(tmp_path, records)
    shuffled = list(records)
    random.Random(5).shuffle(shuffled)
    monkeypatch.setattr(columns, "BLOCK_BYTES", 20_000)
    second = report(tmp_path, shuffled)
    for figures in (first, second):  # sums of floats differ in their last digit
        rating = figures.heads.pop()
        assert (rating.name, round(rating.mean, 9), round(rating.sd, 9)) == ("rating", *naive_rating(records))
    assert first == second


def naive_rating(records):
    ratings = [r["prediction"]["rating"]["score"] for r in records if "error" not in r]
    mean = sum(ratings) / len(ratings)
    return round(mean, 9), round((sum((x - mean) ** 2 for x in ratings) / len(ratings)) ** 0.5, 9)


def test_times_of_every_spelling(tmp_path):
    def record(time):
        return {"text": "a b c", "timestamp": time, "prediction": {"sentiment": {"label": "negative", "score": 0.5}}}

    spellings = ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00", "2024-01-01T05:45:00+0545", "2024-01-01 00:00:00.000+00",
                 "1704067200", "1704067200000", "2023-12-31T14:00-10:00"]
    unusable = ["2024-01-01T00:00:00", "2024-01-01", "yesterday", "", None]
    figures = report(tmp_path, [record(time) for time in spellings + unusable])
    assert figures.first == figures.last == dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    assert sum(bucket.n for bucket in figures.groups[0].buckets) == len(spellings)
    assert figures.n_untimed == {"no_time": 1, "naive_time": 2, "bad_time": 2}
    assumed = report(tmp_path, [record(time) for time in spellings + unusable], assumed_zone=ZoneInfo("Asia/Shanghai"))
    assert assumed.first == dt.datetime(2023, 12, 31, 16, tzinfo=dt.UTC)
    assert assumed.n_untimed == {"no_time": 1, "bad_time": 2}


def test_first_and_last_bucket_are_marked_incomplete(tmp_path):
    def record(time):
        return {"text": "x", "timestamp": time, "prediction": {"sentiment": {"label": "negative", "score": 0.5}}}

    figures = report(tmp_path, [record("2024-01-01T10:00Z"), record("2024-01-03T09:00Z")], every=parse_every("1d"))
    assert [bucket.is_complete for bucket in figures.groups[0].buckets] == [False, True, False]
    assert [bucket.n for bucket in figures.groups[0].buckets] == [1, 0, 1]
    assert figures.groups[0].buckets[1].watched.share is None


@pytest.mark.parametrize("hours, begins, is_complete", [
    (range(24), 0, True), (range(24), 1, True), (range(24), 5, False),
    (range(8, 18), 8, True), (range(8, 18), 12, False),  # nobody writes at night, so nothing is missing from one
])
def test_the_first_bucket_is_whole_where_it_lacks_little_of_a_usual_one(hours, begins, is_complete):
    start = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    rows = [row(0, time=(start + dt.timedelta(days=day, hours=hour)).isoformat()) for day in range(6) for hour in hours if day or hour >= begins]
    figures = count(rows, every=parse_every("1d"))
    assert [bucket.is_complete for bucket in figures.total.buckets] == [is_complete, True, True, True, True, False]


def test_near_duplicates_are_shown_once_with_their_count(tmp_path):
    story = "Lender Ashgrove has breached two covenants on its credit line, the company said"
    texts = [story, story + "!", "RT @desk: " + story + " https://example.org/a1", story.upper(), "Copper rallied to a record on demand",
             "鹰扬银行违反两项贷款契约，公司周二表示", "鹰扬银行违反两项贷款契约，公司周二表示。"]
    records = [{"id": i, "text": text, "timestamp": f"2024-01-01T0{i}:00:00Z",
                "prediction": {"sentiment": {"label": "negative", "score": 0.9 - i / 100}}} for i, text in enumerate(texts)]
    figures = report(tmp_path, records + records[:1], n_examples=5)
    examples = figures.groups[0].examples
    assert [(example.text, example.count) for example in examples] == [(texts[0], 5), (texts[4], 1), (texts[5], 2)]


def test_examples_are_the_highest_scores_and_the_newest(tmp_path, records):
    figures = report(tmp_path, records, n_examples=3)
    for group in figures.groups:
        own = [r for r in records if "error" not in r and r["prediction"]["topic"]["label"] == group.name]
        negative = [r["prediction"]["sentiment"]["score"] for r in own if r["prediction"]["sentiment"]["label"] == "negative"]
        assert group.examples[0].score == max(negative) and group.examples[0].label == "negative"
        assert group.examples[-1].why == "newest"


@pytest.mark.parametrize("watch, message", [("sentiment", "HEAD=LABEL"), ("mood=bad", "no head"), ("rating=3", "no head")])
def test_watch_errors(tmp_path, records, watch, message):
    with pytest.raises(UsageError, match=message):
        report(tmp_path, records[:100], watch=watch)


def test_by_unknown_name(tmp_path, records):
    with pytest.raises(UsageError, match="no such head or field"):
        report(tmp_path, records[:100], Wanted(by=("nothing",)))


def test_label_other_than_negative_is_said(tmp_path):
    record = {"text": "跌", "timestamp": "2024-01-01T00:00Z", "prediction": {"sentiment": {"label": "负面", "score": 0.5}}}
    figures = report(tmp_path, [record])
    assert figures.watch is None and any("--watch" in note and "负面" in note for note in figures.notes)
    assert report(tmp_path, [record], watch="sentiment=负面").groups[0].watched.hits == 1
