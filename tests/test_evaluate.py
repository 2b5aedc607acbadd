"""evaluate as a user runs it: figures equal to scikit-learn's, gates, slices, formats, and what is wrong with the input."""

import io
import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from judged import LABELS, judged, lines
from sklearn.metrics import average_precision_score, classification_report, confusion_matrix, hamming_loss, jaccard_score, log_loss, matthews_corrcoef, roc_auc_score

from doxa.errors import UsageError
from doxa.evaluation.gate import parse_gate
from shell import Done, run


def evaluate(records, *args) -> Done:
    return run("evaluate", *args, stdin=records if isinstance(records, bytes) else lines(records))


def figures(records, *args, head: str = "sentiment") -> dict:
    done = evaluate(records, "--to", "json", *args)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)["heads"][head]


def sides(records: list[dict]) -> tuple[list[str], list[str]]:
    return [record["sentiment"] for record in records], [record["prediction"]["sentiment"]["label"] for record in records]


def test_equals_scikit_learn_to_the_last_digit():
    records = judged(500, with_scores=True)
    records[0]["sentiment"] = "mixed"  # held, but never predicted
    records[1]["prediction"]["sentiment"]["label"] = "unsure"  # predicted, but never held
    found, (gold, said) = figures(records), sides(records)
    report = classification_report(gold, said, output_dict=True, zero_division=0)
    for label, own in found["labels"].items():
        assert [own[name]["value"] for name in ("precision", "recall", "f1")] + [own["held"]] == [
            report[label][name] for name in ("precision", "recall", "f1-score", "support")]
    for average in ("macro", "weighted"):
        assert [found["figures"][f"{average}_{name}"]["value"] for name in ("precision", "recall", "f1")] == pytest.approx(
            [report[f"{average} avg"][name] for name in ("precision", "recall", "f1-score")], abs=1e-15)
    assert found["figures"]["accuracy"]["value"] == report["accuracy"]
    assert found["figures"]["matthews"]["value"] == pytest.approx(matthews_corrcoef(gold, said), abs=1e-15)
    assert found["confusion"]["counts"] == confusion_matrix(gold, said, labels=found["confusion"]["labels"]).tolist()


def test_a_label_that_only_has_scores_takes_no_place_in_the_confusions():
    records = [{"text": "t", "s": "b", "prediction": {"s": {"label": label, "score": 0.8, "scores": {"a": 0.01, "b": 0.19, "z": 0.8}}}} for label in "bzb"]
    assert figures(records, head="s")["confusion"] == {"labels": ["b", "z"], "counts": [[2, 1], [0, 0]]}


def test_scores_equal_scikit_learn():
    records = judged(400, with_scores=True)
    found, (gold, _) = figures(records), sides(records)
    scores = np.array([[record["prediction"]["sentiment"]["scores"][label] for label in LABELS] for record in records])
    assert found["figures"]["log_loss"]["value"] == pytest.approx(log_loss(gold, np.clip(scores, 5e-7, 1), labels=LABELS), abs=1e-5)
    one_hot = np.array([[label == own for label in LABELS] for own in gold])
    assert found["figures"]["brier"]["value"] == pytest.approx(((scores - one_hot) ** 2).sum(axis=1).mean())
    for i, label in enumerate(LABELS):
        assert found["labels"][label]["roc_auc"]["value"] == pytest.approx(roc_auc_score(one_hot[:, i], scores[:, i]), abs=1e-12)
        assert found["labels"][label]["average_precision"]["value"] == pytest.approx(average_precision_score(one_hot[:, i], scores[:, i]), abs=1e-12)
    assert found["figures"]["roc_auc"]["value"] == pytest.approx(roc_auc_score(gold, scores, multi_class="ovr", labels=list(LABELS)), abs=1e-12)


def test_two_labels_need_no_other_scores():
    records = [{"text": "t", "s": "ab"[i % 3 == 0], "prediction": {"s": {"label": "ab"[i % 2], "score": 0.5 + i / 100}}} for i in range(40)]
    found = figures(records, head="s")["figures"]
    of_b = [entry["score"] if entry["label"] == "b" else 1 - entry["score"] for entry in (record["prediction"]["s"] for record in records)]
    assert found["roc_auc"]["value"] == pytest.approx(roc_auc_score([record["s"] == "b" for record in records], of_b))
    assert found["log_loss"]["value"] == pytest.approx(log_loss([record["s"] == "b" for record in records], of_b))


def test_intervals_hold_the_figure_and_do_not_change():
    records = judged(200, with_scores=True)
    found = figures(records)["figures"]
    assert all(own["low"] <= own["value"] <= own["high"] and own["low"] < own["high"] for own in found.values())
    assert figures(records)["figures"] == found
    assert figures(records, "--seed", 1)["figures"]["macro_f1"]["low"] != found["macro_f1"]["low"]


def test_many_labels_equal_scikit_learn():
    chance, names = np.random.default_rng(1), ["a", "b", "c"]
    gold, said = chance.random((60, 3)) < 0.4, chance.random((60, 3)) < 0.4
    records = [{"text": "t", "tags": [n for n, on in zip(names, g) if on], "prediction": {"tags": {"labels": [n for n, on in zip(names, s) if on]}}}
               for g, s in zip(gold, said)]
    records[0]["tags"] = records[0]["tags"][0] if len(records[0]["tags"]) == 1 else records[0]["tags"]
    found, report = figures(records, head="tags"), classification_report(gold, said, target_names=names, output_dict=True, zero_division=0)
    for average in ("micro", "macro", "weighted", "samples"):
        assert [found["figures"][f"{average}_{name}"]["value"] for name in ("precision", "recall", "f1")] == pytest.approx(
            [report[f"{average} avg"][name] for name in ("precision", "recall", "f1-score")], abs=1e-12)
    assert found["figures"]["exact_match"]["value"] == pytest.approx((gold == said).all(axis=1).mean())
    assert found["figures"]["hamming_loss"]["value"] == pytest.approx(hamming_loss(gold, said))
    assert found["figures"]["samples_jaccard"]["value"] == pytest.approx(jaccard_score(gold, said, average="samples", zero_division=0))


def test_numbers():
    records = [{"text": "t", "rating": i % 5, "prediction": {"rating": {"score": i % 5 + (-1) ** i * 0.5}}} for i in range(20)]
    records.append({"text": "t", "rating": "high", "prediction": {"rating": {"score": 1.0}}})
    found = figures(records, head="rating")
    assert found["n"] == 20 and found["lost"] == {"gold of another kind": 1}
    assert found["figures"]["mae"]["value"] == pytest.approx(0.5) and found["figures"]["rmse"]["value"] == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
def test_other_formats_give_the_same_figures(kind, tmp_path):
    records = judged(120, with_scores=True)
    path, table = tmp_path / f"predicted.{kind}", pa.Table.from_pylist(records)
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "arrow":
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
    else:
        flat = [{"id": r["id"], "text": r["text"], "sentiment": r["sentiment"], "n_tokens": r["n_tokens"],
                 "prediction.sentiment.label": r["prediction"]["sentiment"]["label"], "prediction.sentiment.score": r["prediction"]["sentiment"]["score"]}
                | {f"prediction.sentiment.scores.{label}": score for label, score in r["prediction"]["sentiment"]["scores"].items()} for r in records]
        out = io.BytesIO()
        pa.csv.write_csv(pa.Table.from_pylist(flat), out)
        path.write_bytes(out.getvalue())
    done = run("evaluate", "--to", "json", "--by-length", path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["heads"] == {"sentiment": figures(records, "--by-length")}


def test_odd_lines_go_the_careful_way_and_count_the_same():
    """A block with one line that the fast parser refuses is read line by line."""
    records = judged(50, with_scores=True)
    plain = figures(records)
    odd = lines(records[:25]) + b'{"text": "no\ttab", "sentiment": 1e400}\n' + lines(records[25:])
    done = evaluate(odd, "--to", "json")
    assert done.code == 3 and "1 of 51 records could not be read" in done.err
    assert json.loads(done.out)["heads"]["sentiment"]["figures"] == plain["figures"]


@pytest.mark.parametrize("gate, says", [
    ("--at-least macro_f1=80", "macro_f1 is from 0 to 1; 80 % is 0.8"), ("--at-least sentiment:matthews=-1.5", "matthews is from -1 to 1"),
    ("--at-least no_answer_accuracy=101", "no_answer_accuracy is from 0 to 1"), ("--at-least recall_at_10=1.1", "recall_at_10 is from 0 to 1"),
    ("--at-least bleu=101", "bleu is from 0 to 100"), ("--at-least r2=2", "r2 is never above 1"), ("--at-most log_loss=-0.1", "log_loss is never below 0"),
    ("--at-most calibration_error=5", "calibration_error is from 0 to 1; 5 % is 0.05"), ("--at-most perplexity=0.5", "perplexity is never below 1")])
def test_a_bound_that_no_figure_can_reach_is_refused(gate, says):
    flag, asked = gate.split()
    with pytest.raises(UsageError) as refused:
        parse_gate(asked, flag == "--at-most")
    assert str(refused.value).startswith(f"{gate}: {says}")


def test_bounds_reach_from_end_to_end_of_what_a_figure_can_be():
    records = judged(60, with_scores=True)
    assert evaluate(records, "--at-least", "accuracy=0", "--at-least", "matthews=-1", "--at-most", "calibration_error=1").code == 0
    assert evaluate(records, "--at-least", "accuracy=1").code == 4
    done = evaluate(records, "--at-least", "accuracy=80")
    assert (done.code, done.out, done.err) == (2, b"", "evaluate: --at-least accuracy=80: accuracy is from 0 to 1; 80 % is 0.8\n")


def test_gates():
    records = judged(300)
    assert evaluate(records, "--at-least", "macro_f1=0.5").code == 0
    done = evaluate(records, "--at-least", "accuracy=0.1", "--at-least", "sentiment:macro_f1=0.99")
    assert done.code == 4 and len(done.err_lines) == 1 and "macro_f1" in done.err and "is below 0.99" in done.err and "accuracy" not in done.err
    assert b"macro F1" in done.out  # the page is there all the same
    assert evaluate(records, "--at-most", "calibration_error=0.001").code == 4
    for asked, says in (("f2=0.5", "there is no such figure; there are: accuracy"), ("macro_f1", "give FIGURE=NUMBER"), ("macro_f1=x", "give FIGURE=NUMBER"),
                        ("topic:macro_f1=0.5", 'no head "topic" was judged'), ("mae=0.5", "--at-most"), ("log_loss=0.5", "--at-most")):
        done = evaluate(records, "--at-least", asked)
        assert done.code == 2 and says in done.err and done.out == b"", asked


ODD_LABELS = ("a=0.9", "x]=0.5", "a[b]", "t:f1[x]", "评级下调", " ", "<b>\x1b[2J")


def odd(i: int, n: int = len(ODD_LABELS)) -> dict:
    return {"text": "t", "intent": ODD_LABELS[i % n], "prediction": {"intent": {"label": ODD_LABELS[(i + (i % 5 == 0)) % n], "score": 0.9}}}


@pytest.mark.parametrize("label", ODD_LABELS)
def test_a_gate_on_a_label_is_exactly_scikit_learns_figure(label):
    """Whatever characters its name holds: passed at the figure itself, missed a hair above."""
    records = [odd(i) for i in range(120)]
    report = classification_report([r["intent"] for r in records], [r["prediction"]["intent"]["label"] for r in records], output_dict=True)
    for name, reference in (("f1", "f1-score"), ("precision", "precision"), ("recall", "recall")):
        value = report[label][reference]
        assert 0.5 < value < 1
        assert evaluate(records, "--at-least", f"intent:{name}[{label}]={value!r}").code == 0
        done = evaluate(records, "--at-least", f"{name}[{label}]={value + 1e-9!r}")
        assert done.code == 4 and len(done.err_lines) == 1 and "\x1b" not in done.err and f"intent: {name} of " in done.err and f" {value:.4f} [" in done.err


def test_a_gate_on_a_label_of_many_and_of_their_scores():
    records = judged(300, with_scores=True)
    for i, record in enumerate(records):
        record["tags"] = ["credit"] * (i % 2) + ["merger"] * (i % 3 == 0)
        record["prediction"]["tags"] = {"labels": ["credit"] * (i % 2) + ["merger"] * (i % 4 == 0)}
    merger = [["merger" in record["tags"] for record in records], ["merger" in record["prediction"]["tags"]["labels"] for record in records]]
    value = classification_report(*merger, output_dict=True)["True"]["f1-score"]
    assert evaluate(records, "--at-least", f"f1[merger]={value!r}", "--at-least", "tags:f1[credit]=1").code == 0
    assert evaluate(records, "--at-least", f"tags:f1[merger]={value + 1e-9!r}").code == 4
    area = roc_auc_score([r["sentiment"] == "neutral" for r in records], [r["prediction"]["sentiment"]["scores"]["neutral"] for r in records])
    assert evaluate(records, "--at-least", f"roc_auc[neutral]={area - 1e-9!r}").code == 0
    assert evaluate(records, "--at-least", f"roc_auc[neutral]={area + 1e-9!r}").code == 4


def test_a_gate_on_a_label_of_one_slice():
    records = judged(300)
    forum = sides([record for record in records if record["source"] == "forum"])
    value = classification_report(*forum, output_dict=True)["negative"]["f1-score"]
    assert value != classification_report(*sides(records), output_dict=True)["negative"]["f1-score"]
    assert evaluate(records, "--where", "source=forum", "--at-least", f"f1[negative]={value!r}").code == 0
    assert evaluate(records, "--where", "source=forum", "--at-least", f"f1[negative]={value + 1e-9!r}").code == 4


def test_a_gate_on_a_label_that_no_gold_holds_is_missed():
    records = judged(60)
    records[0]["prediction"]["sentiment"]["label"] = "unsure"
    for figure in ("f1", "recall", "precision"):
        done = evaluate(records, "--at-least", f"sentiment:{figure}[unsure]=0")
        assert (done.code, done.err) == (4, f'evaluate: sentiment: no gold label is "unsure", so its {figure} is not known\n')
    done = evaluate([record | {"sentiment": "neutral"} for record in judged(60, with_scores=True)], "--at-least", "roc_auc[neutral]=0.1")
    assert done.code == 4 and 'roc_auc of "neutral" is not defined by these records' in done.err


@pytest.mark.parametrize("asked, says", [
    ("sentiment:f1[negativ]=0.7", 'no record holds or was given the label "negativ"; there are, of sentiment: "neutral", "positive", "negative"'),
    ("f1[Negative]=0.7", '; there are, of sentiment: "neutral", "positive", "negative"; intent: "意图 0", "意图 1", "意图 2"'),
    ("sentiment:accuracy[negative]=0.7", "there is no such figure of a label; there are: precision, recall, f1"), ("rating:f1[a]=0.7", "no label is told apart by rating"),
    ("topic:f1[a]=0.7", 'no head "topic" was judged'), ("f1[negative]", "give FIGURE=NUMBER"), ("f1[negative=0.7]", "give FIGURE=NUMBER"),
    ("[negative]=0.7", "give FIGURE=NUMBER"), ("f1[negative]=70", "f1 is from 0 to 1; 70 % is 0.7")])
def test_a_gate_on_no_label_is_one_line(asked, says):
    records = judged(100)
    for i, record in enumerate(records):
        record |= {"rating": i % 5, "intent": f"意图 {i % 30}"}
        record["prediction"] |= {"rating": {"score": 2.0}, "intent": {"label": f"意图 {i % 30}"}}
    done = evaluate(records, "--at-least", asked)
    assert (done.code, done.out, len(done.err_lines)) == (2, b"", 1) and done.err.startswith(f"evaluate: --at-least {asked}: ") and says in done.err
    assert done.err.count('"意图') <= 20


def test_a_gate_on_every_slice_names_those_that_miss_it():
    records = judged(600)
    records[0]["source"] = "leaflet"  # alone, and not judged
    parts = {part["value"]: part["accuracy"] for part in figures(records, "--by", "source")["slices"]["by"] if not part["few"]}
    worst, *_, best = sorted(parts, key=lambda name: parts[name]["value"])
    least = parts[worst]["value"]
    assert least < parts[best]["value"]
    assert evaluate(records, "--by", "source", "--slice-at-least", f"accuracy={least!r}").code == 0
    done = evaluate(records, "--by", "source", "--slice-at-least", f"sentiment:accuracy={least + 1e-9!r}")
    assert done.code == 4 and done.err.startswith(f'evaluate: sentiment: accuracy of source "{worst}" {least:.4f} [') and best not in done.err
    done = evaluate(records, "--by-length", "--slice-at-least", "accuracy=0.999")
    assert done.code == 4 and 'accuracy of length "' in done.err
    own = [sides([record for record in records if record["source"] == name]) for name in parts]
    least = min(matthews_corrcoef(*both) for both in own)
    assert evaluate(records, "--by", "source", "--slice-at-least", f"matthews={least - 1e-9!r}").code == 0
    assert evaluate(records, "--by", "source", "--slice-at-least", f"matthews={least + 1e-9!r}").code == 4


def test_a_sure_gate_asks_for_the_whole_interval():
    records = judged(300, with_scores=True)
    found = figures(records, "--by", "source")
    accuracy, loss = found["figures"]["accuracy"], found["figures"]["log_loss"]
    for flag, name, own, end in (("--at-least", "accuracy", accuracy, accuracy["low"]), ("--at-most", "log_loss", loss, loss["high"])):
        assert evaluate(records, flag, f"{name}={own['value']!r}").code == evaluate(records, flag, f"{name}={end!r}", "--sure").code == 0
        inside = (own["value"] + end) / 2
        done = evaluate(records, flag, f"{name}={inside!r}", "--sure")
        assert evaluate(records, flag, f"{name}={inside!r}").code == 0 and done.code == 4 and f"] is not surely {flag[2:].replace('-', ' ')} {inside:g}" in done.err
    least = min(part["accuracy"]["low"] for part in found["slices"]["by"] if not part["few"])
    assert evaluate(records, "--by", "source", "--slice-at-least", f"accuracy={least!r}", "--sure").code == 0
    assert evaluate(records, "--by", "source", "--slice-at-least", f"accuracy={least + 1e-9!r}", "--sure").code == 4


@pytest.mark.parametrize("flags, says", [
    ("--slice-at-least accuracy=0.5", "judge slices; give --by NAME or --by-length"), ("--sure", "give --at-least or --at-most"),
    ("--by source --slice-at-most calibration_error=0.5", "--slice-at-most calibration_error=0.5: there is no such figure of a slice; there are: accuracy, macro_f1"),
    ("--by source --slice-at-least f1[negative]=0.5", "slices have no figures of single labels"),
    ("--by source --slice-at-most accuracy=0.5", "accuracy is better when it is higher: --slice-at-least"),
    ("--by source --slice-at-least log_loss=0.5", "log_loss is better when it is lower: --slice-at-most")])
def test_a_gate_on_slices_that_cannot_be_judged_is_one_line(flags, says):
    done = evaluate(judged(300), *flags.split())
    assert (done.code, done.out, len(done.err_lines)) == (2, b"", 1) and says in done.err


def test_a_gate_on_slices_without_one_of_thirty_records():
    done = evaluate(judged(20), "--by", "source", "--slice-at-least", "accuracy=0.1")
    assert (done.code, done.out) == (1, b"") and 'no slice of head "sentiment" has 30 records' in done.err


def test_a_label_has_no_figure_of_which_less_is_better():
    done = evaluate(judged(60), "--at-most", "f1[negative]=0.7")
    assert done.code == 2 and "f1 is better when it is higher: --at-least" in done.err


def test_slices_come_worst_first_and_small_ones_last():
    records = judged(600)
    records[0]["source"] = "leaflet"
    slices = figures(records, "--by", "source")["slices"]["by"]
    assert [part["value"] for part in slices][0] == "forum" and slices[-1]["value"] == "leaflet" and slices[-1]["few"]
    for part in slices[:-1]:
        rows = [record for record in records if record["source"] == part["value"]]
        assert part["n"] == len(rows)
        assert part["macro_f1"]["value"] == pytest.approx(classification_report(*sides(rows), output_dict=True)["macro avg"]["f1-score"])
    by_length = figures(records, "--by-length")["slices"]["length"]
    assert sum(part["n"] for part in by_length) == 600 and {part["value"] for part in by_length} == {"1-16", "17-32", "33-64", "65-128"}


def test_where_and_a_slice_by_predicted_labels():
    records = judged(300)
    found = figures(records, "--where", "source=wire", "--by", "head:sentiment")
    rows = [record for record in records if record["source"] == "wire"]
    assert found["n"] == len(rows)
    assert sorted((part["value"], part["n"]) for part in found["slices"]["by"]) == sorted((label, sides(rows)[1].count(label)) for label in LABELS)


def test_a_list_in_a_field_puts_a_record_into_a_slice_for_each_member():
    records = [record | {"tickers": [["A", "B"], ["B", "B"], "A", []][i % 4]} for i, record in enumerate(judged(400))]
    found = figures(records, "--by", "tickers")["slices"]["by"]
    for part in found:
        rows = [record for record in records if part["value"] in (record["tickers"] or ["tickers (none)"])]
        assert part["n"] == len(rows)
        assert part["macro_f1"]["value"] == pytest.approx(classification_report(*sides(rows), output_dict=True)["macro avg"]["f1-score"])
    assert {part["value"] for part in found} == {"A", "B", "tickers (none)"}
    assert figures(records, "--where", "tickers=B")["n"] == 200


def test_gravest_mistakes_are_the_most_confident():
    records = judged(300)
    wrong = sorted((record for record in records if record["sentiment"] != record["prediction"]["sentiment"]["label"]),
                   key=lambda record: -record["prediction"]["sentiment"]["score"])
    assert [found["id"] for found in figures(records, "--errors", 7)["mistakes"]] == [record["id"] for record in wrong[:7]]
    assert figures(records, "--errors", 0)["mistakes"] == []


def test_gold_elsewhere_and_missing():
    records = judged(60)
    for record in records[:50]:
        record["truth"] = record.pop("sentiment")
    found = figures(records, "--gold", "sentiment=truth")
    assert found["n"] == 50 and found["lost"] == {"without a gold label": 10}
    assert evaluate(records).code == 0
    none = evaluate(records[:50])
    assert none.code == 2 and 'looked for it in "sentiment"' in none.err and "--gold HEAD=FIELD" in none.err
    lists = evaluate([record | {"sentiment": ["negative"]} for record in records[:50]])
    assert lists.code == 2 and 'head "sentiment" gives one label' in lists.err
    assert evaluate(records, "--head", "topic").code == 2 and "there are: sentiment" in evaluate(records, "--head", "topic").err


def test_a_part_without_mistakes_is_not_said_to_be_perfect():
    records = [record for record in judged(60) if record["sentiment"] == record["prediction"]["sentiment"]["label"]]
    done = evaluate(records)
    assert "resampling cannot tell" in done.out.decode().replace("\n", " ")


def test_a_slice_without_mistakes_is_not_said_to_be_perfect():
    records = judged(200)
    for i, record in enumerate(records):
        record["source"] = "abc"[i % 3]
        if record["source"] == "a":
            record["prediction"]["sentiment"]["label"] = record["sentiment"]
    n = sum(record["source"] == "a" for record in records)
    flawless = next(part for part in figures(records, "--by", "source")["slices"]["by"] if part["value"] == "a")
    assert flawless["accuracy"] == {"value": 1.0, "low": pytest.approx(n / (n + 1.959964**2), abs=1e-6), "high": 1.0}


def test_no_mistake_in_few_records_is_nothing_sure():
    records = [record for record in judged(80) if record["sentiment"] == record["prediction"]["sentiment"]["label"]]
    n = len(records)
    sure = n / (n + 1.959964**2)
    for figure in ("accuracy", "micro_f1"):
        assert evaluate(records, "--at-least", f"{figure}={sure - 1e-4}", "--sure").code == 0
        done = evaluate(records, "--at-least", f"{figure}={sure + 1e-4}", "--sure")
        assert done.code == 4 and f"{figure} 1.0000 [" in done.err
    assert f"is not surely at least {sure + 1e-4:g}" in done.err
    assert evaluate(records, "--at-least", f"matthews={2 * sure - 1 - 1e-4}", "--sure").code == 0
    assert evaluate(records, "--at-least", f"matthews={2 * sure - 1 + 1e-4}", "--sure").code == 4
    numbers = [{"text": "t", "rating": i % 5, "prediction": {"rating": {"score": i % 5}}} for i in range(40)]
    assert evaluate(numbers, "--at-most", "mae=0.1").code == 0 and "all alike" in evaluate(numbers, "--at-most", "mae=0.1", "--sure").err


def test_the_interval_of_the_calibration_error_holds_that_of_the_model():
    """Of a model whose scores are right, and of one that is sure of too much, by draws of 300."""
    n_held, generator = [0, 0], np.random.default_rng(3)
    for draw in range(6):
        score = generator.uniform(0.4, 1.0, 300)
        for which, truth in enumerate((score, score - 0.2)):
            is_right = generator.random(300) < truth
            records = [{"sentiment": "a" if right else "b", "prediction": {"sentiment": {"label": "a", "score": round(float(one), 6)}}} for one, right in zip(score, is_right)]
            found = figures(records)["figures"]["calibration_error"]
            n_held[which] += found["low"] <= (0.0, 0.2)[which] <= found["high"]
    assert min(n_held) >= 5, n_held


def test_a_figure_that_is_not_defined_passes_no_gate():
    records = [{"rating": i % 5, "prediction": {"rating": {"score": 2.0}}} for i in range(50)]
    done = evaluate(records, "--at-least", "spearman=0.1")
    assert done.code == 4 and "rating: spearman is not defined by these records" in done.err
    assert evaluate(records, "--at-least", "nothing=0.1").code == 2


def test_labels_that_look_the_same_are_told():
    records = judged(40)
    records[0]["sentiment"] = records[0]["prediction"]["sentiment"]["label"] + " "
    label = records[0]["prediction"]["sentiment"]["label"]
    told = " ".join(evaluate(records).out.decode().split())
    assert "differ by white space, case, the spelling of a number" in told and f'"{label}"' in told and f'"{label} "' in told


@pytest.mark.parametrize("entry, n_lost", [({}, 5), ({"sentiment": {"label": None}}, 5), ({"sentiment": None}, 5)])
def test_gold_without_a_prediction_is_no_clean_end(entry, n_lost):
    records = judged(100)
    for record in records[:n_lost]:
        record["prediction"] = {"topic": {"label": "a", "score": 0.5}, **entry}
    done = evaluate(records, "--at-least", "accuracy=0.1")
    assert done.code == 3 and f'{n_lost} of 100 records have a gold label of head "sentiment" and no prediction of it' in done.err
    assert evaluate(records, "--at-least", "accuracy=1.0").code == 4


def test_gold_beside_an_error_is_no_clean_end():
    records = judged(60)
    for record, code in zip(records[10:13], ("empty_text", "too_long_text", "empty_text")):
        record |= {"prediction": None, "error": {"code": code, "message": "m"}}
    del records[12]["sentiment"]
    done = evaluate(records, "--to", "json")
    assert done.code == 3 and '2 of 60 records have a gold label of head "sentiment" and no prediction of it' in done.err
    assert json.loads(done.out)["heads"]["sentiment"]["lost"]["with an error instead of its prediction"] == 2
    assert evaluate(records, "--where", f"source!={records[10]['source']}", "--where", f"source!={records[11]['source']}").code == 0
    assert evaluate([*records[:10], *records[12:]]).code == 0  # nothing is known of what is lost


def test_gold_of_other_kinds_beside_an_error_is_no_clean_end():
    records = [{"id": i, "tokens": ["a"], "names": [], "prediction": {"names": {"entities": []}}} for i in range(5)]
    records += [{"id": 9, "names": gold, "error": {"code": "empty_text", "message": "m"}} for gold in ([], None, 7)]
    done = evaluate(records)
    assert done.code == 3 and '1 of 8 records has a gold label of head "names" and no prediction of it' in done.err


def test_records_of_one_id_are_told():
    def told(records, *args):
        return [note for note in json.loads(evaluate(records, "--to", "json", *args).out)["notes"] if "the id of an earlier one" in note]

    records = judged(60, with_scores=True)
    again = [*records, *records[:3], records[0], *({**record, "id": None} for record in records[:9])]
    assert told(records) == []
    assert told(again) == ["4 records with the id of an earlier one count like any other"]
    assert told(again, "--group", "id", "--positive", "positive") == []  # the candidates of a question


def test_texts_and_labels_stay_texts():
    records = judged(40)
    for record in records:
        record["text"] = "<script>\x1b[31m|pipe"
        record["sentiment"] = record["sentiment"] + "\x1b[2J`<b>|"
    for kind in ("terminal", "markdown", "json"):
        out = evaluate(records, "--to", kind).out.decode()
        assert "\x1b" not in out
    assert "<script>" not in evaluate(records, "--to", "markdown").out.decode()


def test_signature_tells_data_and_model():
    records = judged(50)
    other = judged(50, draw=9)
    first, second = (figures(records)["signature"], figures(other)["signature"])
    assert first.split()[2] == second.split()[2] and first.startswith("head:sentiment n:50 data:")  # the same test set
    records[0]["sentiment"] = "positive" if records[0]["sentiment"] != "positive" else "negative"
    assert figures(records)["signature"].split()[2] != first.split()[2]
    for record in other:
        record["prediction"]["sentiment"]["model"] = "0123456789ab/int8/windows"
    assert "model:0123456789ab/int8/windows" in figures(other)["signature"]


def test_nothing_to_judge():
    assert evaluate(b"").code == 0 and b"no records" in evaluate(b"").out
    assert evaluate(b"", "--require-input").code == 1
    done = evaluate(b'{"error": {"code": "empty_text", "message": "m"}}\n')
    assert done.code == 0 and b"1 of them carries an error" in done.out


def test_a_gate_is_not_missed_by_the_last_bit(tmp_path):
    """What a bound differs by from a figure in its last digits is rounding, and more is not."""
    path = tmp_path / "near.jsonl"
    cells = {("a", "a"): 8, ("a", "b"): 1, ("b", "a"): 3}
    rows = [{"text": "t", "topic": gold, "prediction": {"topic": {"label": said, "score": 0.9}}} for (gold, said), n in cells.items() for _ in range(n)]
    path.write_bytes(lines(rows))
    value = json.loads(run("evaluate", "--to", "json", path).out)["heads"]["topic"]["figures"]["accuracy"]["value"]
    for bound, code in ((value, 0), (value + 4e-13, 0), (value + 1e-9, 4)):
        assert run("evaluate", "--at-least", f"accuracy={bound!r}", path).code == code


@pytest.mark.parametrize("least, has_them", [(0.6, True), (0.4, False)])
def test_the_score_of_a_second_label_is_what_is_left_to_1_only_where_no_third_can_be(tmp_path, least, has_them):
    path = tmp_path / "two.jsonl"
    path.write_bytes(lines([{"text": "t", "topic": "ab"[i % 2], "prediction": {"topic": {"label": "ab"[i % 3 == 0], "score": least if i == 7 else 0.9}}} for i in range(20)]))
    done = run("evaluate", "--to", "json", path)
    page = json.loads(done.out)
    assert ("log_loss" in page["heads"]["topic"]["figures"]) == has_them
    assert any("left to 1" in note for note in page["notes"]) == has_them


def test_intervals_of_a_bag_stay_within_what_a_figure_can_be(tmp_path):
    """Of more than 5,000 rows a bag stands for all, and its interval is shifted to theirs."""
    path, right = tmp_path / "many.jsonl", np.random.default_rng(1).random(6000) < 0.9995
    path.write_bytes(lines([{"text": "t", "names": ["B-X", "O"], "prediction": {"names": {"entities": [], "tags": ["B-X" if hit else "O", "O"]}}} for hit in right.tolist()]))
    for name, found in json.loads(run("evaluate", "--to", "json", path).out)["heads"]["names"]["figures"].items():
        assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1, name


@pytest.mark.parametrize("draw", range(12))
def test_confusions_are_of_the_labels_that_name_them(draw):
    """Labels of which equally many records hold some and none was given others: counted one by one."""
    chance, names = np.random.default_rng(draw), list("gfedcba")[: 3 + draw % 4]
    records = [{"k": gold, "prediction": {"k": {"label": names[chance.integers(1 + draw % 3)]}}} for gold in names * 2]
    pairs = Counter((record["k"], record["prediction"]["k"]["label"]) for record in records)
    confusion = figures(records, head="k")["confusion"]
    assert {(gold, said): n for gold, row in zip(confusion["labels"], confusion["counts"]) for said, n in zip(confusion["labels"], row) if n} == pairs


def test_scores_in_the_first_file_alone(tmp_path):
    """Figures of scores, of which the model is seen to give three, are left out, with a note."""
    full = {"k": "b", "prediction": {"k": {"label": "a", "score": 0.9, "scores": {"a": 0.9, "b": 0.06, "c": 0.04}}}}
    bare = {"k": "a", "prediction": {"k": {"label": "a", "score": 0.9}}}
    paths = [tmp_path / "full.jsonl", tmp_path / "bare.jsonl"]
    for path, record in zip(paths, (full, bare)):
        path.write_bytes(lines([record]))
    found = json.loads(run("evaluate", "--to", "json", *paths).out)
    assert "log_loss" not in found["heads"]["k"]["figures"] and "1 of 2 records has no score" in " ".join(found["notes"])
    assert run("evaluate", "--to", "json", *paths[::-1]).code == 0


def test_gold_of_a_head_that_is_not_there_is_refused(tmp_path):
    done = evaluate(judged(40), "--gold", "sentimnt=source")
    assert (done.code, done.out) == (2, b"") and '--gold sentimnt=source: the first predictions have no head "sentimnt"; there are: sentiment' in done.err
    path = tmp_path / "p.jsonl"
    path.write_bytes(lines(judged(40)))
    assert run("compare", "--gold", "sentimnt=source", path, path).code == 2


@pytest.mark.parametrize("flag, asked, says", [
    ("--at-most", "log_loss=0.5", "no such figure: it needs the scores of all labels, predict --scores"),
    ("--at-least", "f1=0.9", "no such figure but of one label, 'f1[LABEL]=0.9'"), ("--at-least", "recall=0.9", "'recall[LABEL]=0.9'")])
def test_a_figure_that_is_elsewhere_is_pointed_at(flag, asked, says):
    done = evaluate(judged(60), flag, asked)
    assert done.code == 2 and says in done.err and len(done.err_lines) == 1
