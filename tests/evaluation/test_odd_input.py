"""What evaluate makes of numbers, scores, gold labels and lengths that nobody expects, without a process for each."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from judged import judged, lines
from shell import run

from doxa.errors import DoxaError
from doxa.evaluation.evaluate import Settings, judge_heads
from doxa.evaluation.gate import check_gates, parse_gate
from doxa.evaluation.intake import read_evidence
from doxa.metrics.bootstrap import draw_cells
from doxa.records.columns import read_columns
from doxa.records.flat_schema import Wanted
from doxa.records.reader import Source
from doxa.reporting.evaluation import FORMATS, render_evaluation

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.fixture
def judge(tmp_path):
    def judge_records(records: list[dict], by: tuple[str, ...] = (), by_length: bool = False) -> dict:
        """The page as JSON; the other formats are made too."""
        path = tmp_path / "predicted.jsonl"
        path.write_bytes(lines(records))
        wanted = Wanted(by=by, where=("field:n_tokens",) if by_length else (), gold={})
        evaluation = judge_heads(read_evidence(read_columns(Source((str(path),)), wanted), by_length=by_length, n_mistakes=5), Settings(by=", ".join(by)))
        return json.loads([render_evaluation(evaluation, kind) for kind in FORMATS][FORMATS.index("json")])

    return judge_records


def numbers(pairs) -> list[dict]:
    return [{"text": "t", "h": gold, "prediction": {"h": {"score": said}}} for gold, said in pairs]


def test_what_is_no_number_is_left_out(judge):
    good = [(i, i + 0.5) for i in range(20)]
    found = judge(numbers([*good, (1, "nan"), (2, "inf"), (3, 1e200), (1e200, 3), ("NaN", 3), ("9" * 400, 3)]))["heads"]["h"]
    assert found["n"] == 20 and found["lost"] == {"without its prediction": 3, "gold of another kind": 1, "gold beyond 1e+70": 2}
    assert found["figures"] == judge(numbers(good))["heads"]["h"]["figures"]


def test_digits_with_an_underscore_are_no_number(judge):
    found = judge(numbers([*((i, i + 0.5) for i in range(9)), ("1_000", 3)]))["heads"]["h"]
    assert found["n"] == 9 and found["lost"] == {"gold of another kind": 1}


def test_figures_that_need_gold_that_varies_are_named_where_it_does_not(judge):
    told = " ".join(judge(numbers([(3, i / 7) for i in range(9)]))["notes"])
    assert 'head "h": r2, pearson, spearman cannot be told where all gold, or all that was said, is alike' in told


@pytest.mark.parametrize("gold, shown", [(-3e71, "-3e+71"), ("9" * 400, "99999999999999999999…")])
def test_gold_that_is_too_large_a_number_is_told(gold, shown):
    done = run("evaluate", stdin=lines(numbers([(gold, 1.0), (gold, 2.0)])))
    assert done.code == 2 and done.err.count("\n") == 1
    assert f'its gold in field "h" is too large, as {shown}: beyond 1e+70' in done.err and "give it in larger units" in done.err


def test_gold_that_is_no_number_is_not_called_too_large():
    done = run("evaluate", stdin=lines(numbers([("inf", 1.0), ("much", 2.0)])))
    assert done.code == 2 and "is none" in done.err


def test_labels_that_gold_never_holds_are_quoted():
    records = [{"text": "t", "h": "a", "prediction": {"h": {"label": said}}} for said in ("a", "", " b, c", "d")]
    told = run("evaluate", "--to", "json", stdin=lines(records)).out.decode()
    assert 'predicted though no gold label is so: (empty), " b, c", "d"; they count' in " ".join(json.loads(told)["notes"])


def test_very_large_numbers_have_figures(judge):
    figures = judge(numbers((i * 1e69, i * 1e69 + 1e68 * (-1) ** i) for i in range(10)))["heads"]["h"]["figures"]
    assert figures["mae"]["value"] == pytest.approx(1e68) and figures["rmse"]["value"] == pytest.approx(1e68)
    assert figures["pearson"]["value"] > 0.99 and figures["r2"]["value"] > 0.99


@pytest.mark.parametrize("gold, said, defined", [(lambda i: i * 1e9, lambda i: 0.1, {"mae", "rmse", "r2"}), (lambda i: 0.1, lambda i: i, {"mae", "rmse"})])
def test_a_side_that_differs_by_rounding_alone_does_not_vary(judge, gold, said, defined):
    assert set(judge(numbers((gold(i), said(i)) for i in range(41)))["heads"]["h"]["figures"]) == defined


def test_small_units_keep_their_figures(judge):
    found = judge(numbers((i * 1e-8, i * 1e-8 + 3e-9 * (-1) ** i) for i in range(30)))["heads"]["h"]["figures"]
    assert found["mae"]["value"] == pytest.approx(3e-9) and {"r2", "pearson", "spearman"} <= set(found)


@pytest.mark.parametrize("entry", [{"score": 3.5}, {"score": 0.5, "scores": {"negative": 1.5, "neutral": 0.2, "positive": -2.0}},
                                   {"score": 0.5, "scores": {"negative": "nan", "neutral": 0.2, "positive": 0.3}}])
def test_scores_that_are_no_shares_give_no_figures(judge, entry):
    records = judged(60, with_scores=True)
    records[33]["prediction"]["sentiment"] |= entry
    page = judge(records)
    found = page["heads"]["sentiment"]
    assert found["n"] == 60 and "macro_f1" in found["figures"] and found["reliability"] == []
    assert not {"log_loss", "brier", "roc_auc", "calibration_error"} & set(found["figures"])
    assert any("no numbers from 0 to 1" in note for note in page["notes"])


def test_tables_whose_predictions_are_no_numbers_or_lists(tmp_path):
    """A cell of CSV, or a column of strings in Parquet, that does not read as it should is missing."""
    path = tmp_path / "predicted.csv"
    path.write_text('id,text,h,prediction.h.label,prediction.h.score,prediction.n.score,n,prediction.t.labels,t\n'
                    '1,t,a,a,high,-1.5e0,1,"[""x""]",x\n2,t,a,a,0.5,about 3,3,x and y,x\n3,t,a,a,nan,+2.,2,"[""x"", 1, null]",x\n')
    evaluation = judge_heads(read_evidence(read_columns(Source((str(path),)), Wanted(gold={}))), Settings())
    assert {head.head: head.n for head in evaluation.heads} == {"h": 3, "n": 2, "t": 2}
    assert evaluation.heads[1].figures["mae"].value == pytest.approx(1.25)
    entries = pa.StructArray.from_arrays([pa.array(["a", "a"]), pa.array(["high", "0.5"])], ["label", "score"])
    path = tmp_path / "predicted.parquet"
    pq.write_table(pa.table({"h": ["a", "b"], "prediction": pa.StructArray.from_arrays([entries], ["h"])}), path)
    [head] = judge_heads(read_evidence(read_columns(Source((str(path),)), Wanted(gold={}))), Settings()).heads
    assert head.n == 2 and head.figures["accuracy"].value == 0.5


@pytest.mark.parametrize("said", [{"label": "a"}, {"labels": ["a"]}])
def test_an_object_is_no_gold_label(judge, said):
    records = [{"text": "t", "h": gold, "prediction": {"h": said}} for gold in ("a", {"name": "a"}, [1, 2], "{a}", "a")]
    found = judge(records)["heads"]["h"]
    assert found["n"] == 3 and found["lost"] == {"gold of another kind": 2} and set(found["labels"]) == {"a", "{a}"}


def test_lengths_are_read_row_by_row(judge):
    records = [{"text": "x" * 40, "n_tokens": 8, "h": "a", "prediction": {"h": {"label": "a"}}} for _ in range(3)]
    del records[1]["n_tokens"]  # 40 characters
    records[2] |= {"text": None, "n_tokens": None}
    slices = judge(records, by_length=True)["heads"]["h"]["slices"]["length"]
    assert {part["value"]: part["n"] for part in slices} == {"1-16": 1, "33-64": 1, "(none)": 1}


def test_says_that_slices_are_left_out(judge, monkeypatch):
    monkeypatch.setattr("doxa.evaluation.rows.MOST_SLICES", 4)
    records = [{"text": "t", "n": str(i), "h": "a", "prediction": {"h": {"label": "a"}}} for i in range(5)]
    page = judge(records, by=("n",))
    assert len(page["heads"]["h"]["slices"]["by"]) == 4 and any("of 5 slices only the 4 largest" in note for note in page["notes"])
    assert not any("slices" in note for note in judge(records[:4], by=("n",))["notes"])


def test_no_gate_is_passed_where_nothing_was_judged(tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"")
    evaluation = judge_heads(read_evidence(read_columns(Source((str(path),)), Wanted(gold={}))), Settings())
    with pytest.raises(DoxaError, match="no record was judged"):
        check_gates(evaluation, [parse_gate("macro_f1=0.5")])
    assert check_gates(evaluation, []) == []


def test_figures_are_the_same_however_many_draws_are_held_at_once(judge, monkeypatch):
    records = judged(60)
    whole = judge(records)
    monkeypatch.setattr("doxa.metrics.bootstrap.BLOCK_NUMBERS", 100)
    assert {block.shape[0] for block in draw_cells(np.arange(40)[:, None])[1]} == {1, 2}
    assert judge(records) == whole


def test_a_record_without_a_score_is_told_where_it_takes_the_figures_of_all(tmp_path):
    def scored(odd):
        records = [{"id": i, "side": "ab"[i % 2], "prediction": {"side": {"label": "ab"[i % 3 == 0], "score": 0.8, "scores": {"ab"[i % 3 == 0]: 0.8, "ab"[i % 3 > 0]: 0.2}}}} for i in range(40)]
        records[7]["prediction"]["side"] |= odd
        return "".join(json.dumps(record) + "\n" for record in records).encode()

    for odd in ({"score": None}, {"scores": None}, {"score": None, "scores": None}):  # of two labels, the score of one is that of both
        found = json.loads(run("evaluate", "--to", "json", stdin=scored(odd)).out)
        assert any("1 of 40 records has no score" in note for note in found["notes"]) == ("score" in odd), found["notes"]
        assert {"log_loss", "calibration_error"} <= set(found["heads"]["side"]["figures"]) or "score" in odd
    assert not any("score" in note for note in json.loads(run("evaluate", "--to", "json", stdin=scored({})).out)["notes"])
