"""Heads whose kind judges them by counts that sum: a kind that only these tests know, put into the table, goes through evaluate and compare."""

import io
import json
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from judged import lines
from scipy.stats import binomtest, bootstrap

from doxa.errors import DoxaError, UsageError
from doxa.evaluation import compare, evaluate
from doxa.evaluation.gate import check_gates, parse_gate
from doxa.evaluation.intake import read_evidence, want_evidence
from doxa.metrics.bootstrap import draw_rows
from doxa.metrics.paired import tango_interval
from doxa.metrics.tallied import Tallied
from doxa.model.kinds.table import KINDS
from doxa.records.columns import read_columns
from doxa.records.entries import find_kind
from doxa.records.reader import Source
from doxa.reporting.comparison import FORMATS as COMPARISON_FORMATS
from doxa.reporting.comparison import render_comparison
from doxa.reporting.evaluation import FORMATS, render_evaluation

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


class Picked(Tallied):
    headline = "hit_rate"
    small = ("hit_rate", "cost")
    lower_is_better = frozenset({"cost"})

    def __init__(self, labels):
        self.labels = tuple(labels)

    def count(self, gold, said):
        rows = [[g == s["pick"], s["effort"], 1, *(g == label == s["pick"] for label in self.labels), *(g == label for label in self.labels),
                 *(s["pick"] == label for label in self.labels)] for g, s in zip(gold, said)]
        return np.array(rows, float).reshape(len(gold), 3 + 3 * len(self.labels))

    def figures(self, sums):
        return {"hit_rate": sums[:, 0] / sums[:, 2], "cost": sums[:, 1] / sums[:, 2], "never": np.full(len(sums), np.nan)}

    def figures_by_label(self, sums):
        hits, held, said = np.split(sums[:, 3:], 3, axis=1)
        return {"f1": np.divide(2 * hits, held + said, out=np.zeros_like(hits), where=held + said > 0)}

    def support_by_label(self, sums):
        return tuple(np.split(sums[:, 3:], 3, axis=1)[1:])

    def is_right(self, gold, said):
        return gold == said["pick"]

    def signatures(self, gold):
        return {"cost": "mean"}


class Pick:
    name, marks, needs_gold, checked_by, is_score_doubt = "pick", ("pick",), True, "", False

    def find_odd(self, gold):
        return []

    def read_gold(self, value):
        if not isinstance(value, str):
            raise ValueError("is not the name of what should be picked")
        return value

    def judge(self, gold, *said):
        return Picked(sorted({*gold, *(s["pick"] for entries in said for s in entries)}))


class Surprise(Pick):
    """Judged without gold, and never wrong."""

    name, marks, needs_gold = "surprise", ("surprise",), False

    def read_gold(self, value):
        return None

    def judge(self, gold, *said):
        class Mean(Tallied):
            headline, small, lower_is_better = "surprise", ("surprise",), frozenset({"surprise"})

            def count(self, gold, said):
                return np.array([[s["surprise"], 1] for s in said], float)

            def figures(self, sums):
                return {"surprise": sums[:, 0] / sums[:, 1]}

            def is_right(self, gold, said):
                return True

        return Mean()


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    for kind in (Pick(), Surprise()):
        monkeypatch.setitem(KINDS, kind.name, kind)


def picks(n: int, seed: int = 0, right: float = 0.7) -> list[dict]:
    chance, own = np.random.default_rng(1), np.random.default_rng([1, seed])
    records = []
    for i in range(n):
        gold, source = "abc"[chance.integers(3)], ("wire", "forum")[chance.integers(2)]
        said = gold if own.random() < right - 0.3 * (source == "forum") else "abc"[own.integers(3)]
        records.append({"id": f"r{i}", "text": f"text {i}", "source": source, "best": gold,
                        "prediction": {"best": {"pick": said, "effort": int(own.integers(1, 9)), "score": round(float(own.random()), 3)}}})
    return records


def read(path, gold=(), by=(), by_length=False, n_mistakes=5, keep_texts=False):
    return read_evidence(read_columns(Source((str(path),)), want_evidence(by, by_length, (), gold, "text", "id")), by_length=by_length,
                         n_mistakes=n_mistakes, keep_texts=keep_texts)


@pytest.fixture
def judge(tmp_path):
    def judge_records(records, by=(), **how):
        path = tmp_path / "predicted.jsonl"
        path.write_bytes(lines(records))
        found = evaluate.judge_heads(read(path, by=by, **how), evaluate.Settings(by=", ".join(by) or None))
        return found, json.loads([render_evaluation(found, kind) for kind in FORMATS][FORMATS.index("json")])

    return judge_records


def test_figures_are_of_all_records_and_intervals_of_resampled_ones(judge):
    records = picks(300)
    _, page = judge(records)
    found = page["heads"]["best"]
    right = np.array([r["best"] == r["prediction"]["best"]["pick"] for r in records])
    effort = np.array([r["prediction"]["best"]["effort"] for r in records], float)
    assert found["kind"] == "pick" and found["n"] == 300 and set(found["figures"]) == {"hit_rate", "cost"}  # `never` is not defined
    assert found["figures"]["hit_rate"]["value"] == pytest.approx(right.mean()) and found["figures"]["cost"]["value"] == pytest.approx(effort.mean())
    for name, values in (("hit_rate", right.astype(float)), ("cost", effort)):
        wanted = bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0), n_resamples=4000).confidence_interval
        width = wanted.high - wanted.low
        assert abs(found["figures"][name]["low"] - wanted.low) < 0.1 * width and abs(found["figures"][name]["high"] - wanted.high) < 0.1 * width
    assert "kind:pick cost:mean" in found["signature"]


def test_labels_slices_and_mistakes(judge):
    records = picks(300)
    _, page = judge(records, by=("source",), by_length=True)
    found = page["heads"]["best"]
    for label, own in found["labels"].items():
        assert own["held"] == sum(r["best"] == label for r in records) and own["said"] == sum(r["prediction"]["best"]["pick"] == label for r in records)
    assert [own["held"] for own in found["labels"].values()] == sorted((own["held"] for own in found["labels"].values()), reverse=True)
    assert [part["value"] for part in found["slices"]["by"]] == ["forum", "wire"]
    for part in found["slices"]["by"]:
        own = [r["best"] == r["prediction"]["best"]["pick"] for r in records if r["source"] == part["value"]]
        assert part["n"] == len(own) and part["hit_rate"]["value"] == pytest.approx(np.mean(own))
    wrong = sorted((r for r in records if r["best"] != r["prediction"]["best"]["pick"]), key=lambda r: -r["prediction"]["best"]["score"])[:5]
    assert [(m["id"], m["gold"], m["said"], m["text"]) for m in found["mistakes"]] == [
        (r["id"], r["best"], r["prediction"]["best"], r["text"]) for r in wrong]


def test_every_page_shows_them(judge):
    found, _ = judge(picks(60), by=("source",))
    for kind in FORMATS:
        text = render_evaluation(found, kind)
        assert ("hit_rate" if kind == "json" else "hit rate") in text and "kind:pick" in text and found.heads[0].mistakes[0].text in text, kind


def test_more_records_than_a_bag_holds(judge, monkeypatch):
    monkeypatch.setattr("doxa.evaluation.tallied_rows.draw_rows", partial(draw_rows, most=100))
    records = picks(390)
    found = judge(records)[1]["heads"]["best"]["figures"]["hit_rate"]
    assert found["value"] == pytest.approx(np.mean([r["best"] == r["prediction"]["best"]["pick"] for r in records]))
    assert found["low"] < found["value"] < found["high"] < found["low"] + 0.15


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv"])
def test_other_formats_give_the_same(form, tmp_path, judge):
    records, path = picks(80), tmp_path / f"predicted.{form}"
    table = pa.Table.from_pylist(records)
    if form == "parquet":
        pq.write_table(table, path)
    elif form == "arrow":
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
    else:
        out = io.BytesIO()
        pa.csv.write_csv(pa.Table.from_pylist([{key: value for key, value in r.items() if key != "prediction"} | {
            f"prediction.best.{key}": value for key, value in r["prediction"]["best"].items()} for r in records]), out)
        path.write_bytes(out.getvalue())
    found = evaluate.judge_heads(read(path), evaluate.Settings())
    assert json.loads(render_evaluation(found, "json"))["heads"] == judge(records)[1]["heads"]


def test_what_cannot_be_judged_is_left_out_and_counted(judge):
    records = picks(30)
    plain = judge(records[5:])[1]["heads"]["best"]
    records[0]["best"] = ["a", "b"]
    del records[1]["best"]
    records[2]["prediction"] = {"other": {"label": "x"}}
    records[3]["prediction"]["best"] = {"pick": "a", "effort": None}
    records[4]["prediction"]["best"] = {"pick": ["a"], "effort": 1}
    found, page = judge(records, by=("source",))
    head = page["heads"]["best"]
    assert head["lost"] == {"gold of another kind": 1, "without a gold label": 1, "without its prediction": 1, "prediction of another kind": 2}
    assert head["n"] == 25 and head["figures"] == plain["figures"] and sum(part["n"] for part in head["slices"]["by"]) == 25
    assert head["mistakes"][0]["place"] == plain["mistakes"][0]["place"] + 5
    assert any("2 records are left out, prediction of another kind" in note for note in page["notes"])


def test_nothing_that_can_be_judged_is_an_error(judge):
    with pytest.raises(UsageError, match=r'head "best": no entry of prediction is as kind pick says \(KeyError'):
        judge([{"text": "t", "best": "a", "prediction": {"best": {"pick": "a"}}}])
    with pytest.raises(UsageError, match='head "best" is of kind pick, but its gold in field "best" is not the name'):
        judge([r | {"best": {"a": 1}} for r in picks(3)])
    with pytest.raises(UsageError, match='no record holds a gold label .* in "best"'):
        judge([{key: value for key, value in r.items() if key != "best"} for r in picks(3)])


def test_a_kind_without_gold_needs_no_field(judge):
    records = [{"text": "t", "prediction": {"h": {"surprise": float(i)}}} for i in range(40)]
    found, page = judge(records)
    assert page["heads"]["h"]["figures"]["surprise"]["value"] == pytest.approx(19.5) and page["heads"]["h"]["mistakes"] == []
    assert page["heads"]["h"]["lost"] == {} and not any("mistake" in note for note in page["notes"])


def test_gates_go_the_way_of_the_figure(judge):
    found, _ = judge(picks(100))
    assert check_gates(found, [parse_gate("hit_rate=0.1"), parse_gate("best:cost=100", True)]) == []
    missed = check_gates(found, [parse_gate("hit_rate=0.99"), parse_gate("cost=0.5", True)])
    assert len(missed) == 2 and "is below 0.99" in missed[0] and "is above 0.5" in missed[1]
    with pytest.raises(UsageError, match="--at-least cost=2: cost is better when it is lower: --at-most"):
        check_gates(found, [parse_gate("cost=2")])
    with pytest.raises(UsageError, match="--at-most hit_rate=2: hit_rate is better when it is higher: --at-least"):
        check_gates(found, [parse_gate("hit_rate=2", True)])


def test_beside_a_head_of_one_label_both_are_judged(judge):
    records = picks(50)
    for i, record in enumerate(records):
        record["mood"] = "up" if i % 3 else "down"
        record["prediction"]["mood"] = {"label": "up", "score": 0.5}
    heads = judge(records)[1]["heads"]
    assert set(heads) == {"best", "mood"} and heads["mood"]["figures"]["accuracy"]["value"] == pytest.approx(33 / 50)
    assert heads["best"]["figures"] == judge(picks(50))[1]["heads"]["best"]["figures"]


# --- compare


@pytest.fixture
def beside(tmp_path):
    def compare_records(*sets, by=(), **settings):
        seen = []
        for i, records in enumerate(sets):
            path = tmp_path / f"{i}.jsonl"
            path.write_bytes(lines(records))
            seen.append(read(path, by=by, keep_texts=True))
        found = compare.compare_all(seen, list("abc"[: len(sets)]), compare.Settings(by=", ".join(by) or None, **settings))
        return found, [render_comparison(found, kind) for kind in COMPARISON_FORMATS]

    return compare_records


def test_compare_pairs_by_the_same_resampled_rows(beside):
    old, new = picks(300, 1, right=0.9), picks(300, 2, right=0.6)
    found, pages = beside(old, new[::-1], by=("source",))
    [head] = found.pairs[0].heads
    assert [figure.name for figure in head.figures if figure.verdict] == ["hit_rate"] and found.worse and "hit rate" in pages[0]
    was, is_ = ([r["best"] == r["prediction"]["best"]["pick"] for r in side] for side in (old, new))
    worse, better = (sum(a and not b for a, b in pairs) for pairs in (list(zip(was, is_)), list(zip(is_, was))))
    assert (head.n_worse, head.n_better) == (worse, better) and head.p_mcnemar == pytest.approx(binomtest(worse, worse + better).pvalue)
    figure = head.figures[0]
    assert figure.more.value == pytest.approx(np.mean(is_) - np.mean(was))
    moved = np.array(is_, float) - np.array(was, float)
    wanted = bootstrap((moved,), np.mean, method="percentile", rng=np.random.default_rng(0), n_resamples=4000).confidence_interval
    assert abs(figure.more.low - wanted.low) < 0.1 * (wanted.high - wanted.low) > abs(figure.more.high - wanted.high)
    lost = sorted((r for r, a, b in zip(new, was, is_) if a and not b), key=lambda r: -r["prediction"]["best"]["score"])[:5]
    assert [(flip.id, flip.new, flip.text) for flip in head.flips] == [(r["id"], r["prediction"]["best"], r["text"]) for r in lost]
    assert sum(n for n, _ in head.slices["by"]) == 300 and [figure.name for figure in head.labels] == [
        figure.name for figure in sorted(head.labels, key=lambda figure: figure.more.value)]


def test_the_same_predictions_do_not_differ(beside):
    [head] = beside(picks(50), picks(50))[0].pairs[0].heads
    shares = [f.more for f in head.figures if f.name == "hit_rate"]
    assert all((f.more.value, f.more.low, f.more.high) == (0, 0, 0) for f in head.figures + head.labels if f.more not in shares) and head.flips == []
    assert len(shares) == 1 and shares[0].value == 0 and (shares[0].low, shares[0].high) == pytest.approx(tango_interval(50, 0, 0))  # of 50 more may differ


def test_less_of_a_cost_is_better(beside):
    old, new = picks(80), picks(80)
    for record in new:
        record["prediction"]["best"]["effort"] += 3
    found, _ = beside(old, new, metrics=("cost",))
    assert [figure.name for _, _, figure in found.worse] == ["cost"]
    assert not beside(new, old, metrics=("cost",))[0].worse and not beside(old, new, metrics=("cost",), margin=4.0)[0].worse


def test_a_label_that_one_side_alone_says_counts_nothing_on_the_other(beside):
    old, new = picks(60), picks(60)
    for record in new:
        record["prediction"]["best"]["pick"] = "z"
    [head] = beside(old, new)[0].pairs[0].heads
    assert {figure.name: figure.new for figure in head.labels} == {"a": 0, "b": 0, "c": 0} and all(figure.old > 0 for figure in head.labels)


def test_gold_that_differs_is_refused_and_a_format_makes_no_difference(beside):
    old, new = picks(40), picks(40)
    beside(old, [dict(reversed(record.items())) for record in new])
    new[7]["best"] = "z"
    with pytest.raises(DoxaError, match='gold labels of head "best" are not the same in a and b: 1 of 40 differ, first at id r7'):
        beside(old, new)


def test_heads_without_right_and_wrong_have_no_flips(beside):
    sides = [[{"id": i, "text": "t", "prediction": {"h": {"surprise": i + step}}} for i in range(30)] for step in (0, 1)]
    found, pages = beside(*sides)
    [head] = found.pairs[0].heads
    assert head.p_mcnemar is None and head.flips == [] and "became wrong" not in pages[0]
    assert head.figures[0].verdict == "worse" and head.figures[0].more.value == pytest.approx(1)


# --- what kind an entry is of

CONTRACT = [({"label": "a", "score": 0.5}, "label"), ({"labels": ["a"], "scores": {}}, "labels"), ({"score": 1.5}, "number"),
            ({"entities": [], "tags": ["O"]}, "tags"), ({"answer": None, "score": 0.5}, "span"), ({"answer": {"text": "t"}}, "span"),
            ({"index": 1, "text": "t", "score": 0.5}, "choice"), ({"text": "t", "score": 0.5}, "text"), ({"perplexity": 3.0, "fills": []}, "mask"),
            ({"vector": [0.5], "vector_pair": [0.5], "score": 1.0}, "vector"), ({"other": 1}, None)]


@pytest.mark.parametrize("entry, kind", CONTRACT)
def test_the_kind_of_an_entry(entry, kind):
    marks = {"entities": "tags", "answer": "span", "index": "choice", "text": "text", "perplexity": "mask", "vector": "vector"}
    assert find_kind(entry, lambda: marks) == kind


@pytest.mark.parametrize("entry, kind", [pair for pair in CONTRACT if pair[1] in KINDS])
def test_the_table_tells_the_kind_of_an_entry(entry, kind):
    """Where two kinds have a key in common the order of the table decides."""
    assert find_kind(entry, want_evidence((), False, (), (), "text", "id").kinds) == kind
