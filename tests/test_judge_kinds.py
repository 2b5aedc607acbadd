"""evaluate and compare as a user runs them on tags, answers and choices, and on candidates that scores rank; report and alert pass such heads by."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from judged import judged, lines
from scipy.stats import bootstrap, norm, t
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2
from sklearn.metrics import ndcg_score

from shell import run


def evaluate(records, *args):
    return run("evaluate", *args, stdin=lines(records))


def page(records, *args) -> dict:
    done = evaluate(records, "--to", "json", *args)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def tagged(text: str, gold: str, said: str) -> dict:
    """A record of words whose tags are written as `O B-PER I-PER`."""
    tokens, tags, starts = text.split(), said.split(), [0]
    for token in tokens:
        starts.append(starts[-1] + len(token) + 1)
    entities = []
    for i, tag in enumerate(tags):
        if tag.startswith("B-"):
            end = next((j for j in range(i + 1, len(tags)) if not tags[j].startswith("I-")), len(tags))
            entities.append({"start": starts[i], "end": starts[end] - 1, "label": tag[2:], "score": 0.5 + i / 10, "text": " ".join(tokens[i:end])})
    return {"id": text, "tokens": tokens, "text": text, "names": gold.split(), "prediction": {"names": {"entities": entities, "tags": tags}}}


TAGS = [tagged("Anna Berg met Bo in Oslo", "B-PER I-PER O B-PER O B-LOC", "B-PER I-PER O B-PER O B-LOC"),
        tagged("Oslo waits", "B-LOC O", "B-PER O"), tagged("the Bank rose", "O B-ORG O", "O O O"), tagged("nothing here", "O O", "O B-LOC"),
        tagged("北京 的 李 明", "B-LOC O B-PER I-PER", "B-LOC O B-PER O")]


def test_tags_equal_seqeval():
    found = page(TAGS)["heads"]["names"]
    sides = [r["names"] for r in TAGS], [r["prediction"]["names"]["tags"] for r in TAGS]
    for name, reference in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        assert found["figures"][name]["value"] == pytest.approx(reference(*sides, mode="strict", scheme=IOB2))
        assert found["figures"][name]["low"] <= found["figures"][name]["value"] <= found["figures"][name]["high"]
    assert {label: (own["held"], own["said"]) for label, own in found["labels"].items()} == {"PER": (3, 4), "LOC": (3, 3), "ORG": (1, 0)}
    assert [m["id"] for m in found["mistakes"]] == ["北京 的 李 明", "nothing here", "Oslo waits", "the Bank rose"]  # by score, without one last
    assert found["kind"] == "tags" and "kind:tags" in found["signature"]


def test_tags_are_judged_in_the_scheme_of_each_side():
    inside = tagged("Anna Berg met Bo Li in Oslo", "I-PER I-PER O I-PER B-PER O I-LOC", "I-PER I-PER O I-PER B-PER O I-LOC")
    ended = tagged("Anna Berg met Bo Li in Oslo", "B-PER I-PER O B-PER B-PER O B-LOC", "B-PER E-PER O S-PER S-PER O S-LOC")
    for record in (inside, ended):
        assert {name: own["value"] for name, own in page([record] * 3)["heads"]["names"]["figures"].items()} == dict.fromkeys(
            ("f1", "precision", "recall", "macro_f1", "token_accuracy"), 1.0)


def test_tags_that_are_none_of_a_span_cost_their_records_and_no_others():
    odd = [tagged("Bo waits", "PERSON O", "B-PER O"), tagged("Bo met Li Na", "PER O B-PER I-PER", "B-PER O B-PER I-PER"),
           tagged("Li met Bo", "B-PER O B-PER", "B-PER O NN")]
    done = evaluate([*TAGS, *odd], "--to", "json")
    assert done.code == 3 and "1 of 8 records" in done.err
    found, plain = json.loads(done.out)["heads"]["names"], page(TAGS)["heads"]["names"]
    assert {name: found["figures"][name]["value"] for name in plain["figures"]} == {name: own["value"] for name, own in plain["figures"].items()}
    assert found["lost"] == {"gold of another kind": 2, "prediction that does not fit its gold": 1}


def test_gates_on_labels_of_tags():
    _, recalls, values, _ = precision_recall_fscore_support([r["names"] for r in TAGS], [r["prediction"]["names"]["tags"] for r in TAGS], scheme=IOB2, zero_division=0)
    for label, recall, value in zip(("LOC", "ORG", "PER"), recalls, values):
        assert evaluate(TAGS, "--at-least", f"names:f1[{label}]={max(0, value - 1e-9)}", "--at-least", f"recall[{label}]={max(0, recall - 1e-9)}").code == 0
        assert evaluate(TAGS, "--at-least", f"f1[{label}]={value + 1e-9}").code == 4
    assert [round(value, 3) for value in values] == [0.667, 0, 0.571]
    done = evaluate(TAGS, "--at-least", "f1[B-PER]=0.5")
    assert done.code == 2 and 'no record holds or was given the label "B-PER"; there are, of names: "LOC", "PER", "ORG"' in done.err
    done = evaluate(chosen(20, {1}), "--at-least", "f1[yes]=0.5")
    assert done.code == 2 and "no label is told apart by right" in done.err


def test_tags_by_characters_are_the_same_where_gold_is_entities():
    records = [r | {"names": [{key: e[key] for key in ("start", "end", "label")} for e in r["prediction"]["names"]["entities"]]} for r in TAGS]
    assert page(records)["heads"]["names"]["figures"]["f1"]["value"] == 1.0
    done = evaluate(TAGS, "--errors", 9)
    text = done.out.decode()
    assert done.code == 0 and "Oslo (PER)" in text and "F1" in text and "token accuracy" in text and "precision" in text


def test_a_record_with_other_tokens_than_its_gold_is_left_out_and_stops_nothing():
    done = evaluate([*TAGS, tagged("two words", "O O", "O O") | {"names": ["O"]}], "--to", "json")
    assert done.code == 3 and f'1 of {len(TAGS) + 1} records has a gold label of head "names" and no prediction of it' in done.err
    found = json.loads(done.out)
    assert found["heads"]["names"]["figures"] == page(TAGS)["heads"]["names"]["figures"]
    assert found["heads"]["names"]["lost"] == {"prediction that does not fit its gold": 1}
    done = evaluate([tagged("two words", "O O", "O O") | {"names": ["O"]}])
    assert (done.code, done.err_lines) == (1, ["evaluate: gold has 1 tags, and the prediction 2; both must have one for each token"])


def test_gold_that_is_written_otherwise_is_the_same(tmp_path):
    """Entities, and the keys of each, in another order."""
    paths, records = [tmp_path / "old.jsonl", tmp_path / "new.jsonl"], [
        r | {"names": [{key: e[key] for key in ("start", "end", "label")} for e in r["prediction"]["names"]["entities"]]} for r in TAGS]
    for path, step in zip(paths, (1, -1)):
        path.write_bytes(lines([r | {"names": [dict(list(e.items())[::step]) for e in r["names"]][::step]} for r in records]))
    done = run("compare", *paths)
    assert done.code == 0 and "no difference shown" in done.out.decode(), done.err


def answered(i: int, gold, answer) -> dict:
    return {"id": str(i), "question": "who?", "context": "Anna met Bo.", "answers": gold, "prediction": {"answers": answer}}


SPANS = [answered(1, [{"text": "Anna", "start": 0}], {"answer": {"text": "Anna", "start": 0, "end": 4, "score": 0.9}}),
         answered(2, {"text": ["Anna met", "Bo"], "answer_start": [0, 9]}, {"answer": {"text": "Anna", "start": 0, "end": 4, "score": 0.8}}),
         answered(3, [], {"answer": None, "score": 0.7}), answered(4, [], {"answer": {"text": "Bo", "start": 9, "end": 11, "score": 0.3}}),
         answered(5, [{"text": "Bo", "start": 9}], {"answer": None, "score": 0.6})]


def test_answers():
    found = page(SPANS, "--text-field", "question")["heads"]["answers"]
    values = {name: own["value"] for name, own in found["figures"].items()}
    assert values == pytest.approx({"f1": (1 + 2 / 3 + 1) / 5, "exact_match": 2 / 5, "answer_exact_match": 1 / 3, "answer_f1": (1 + 2 / 3) / 3,
                                    "no_answer_accuracy": 1 / 2})
    assert [(m["id"], m["score"]) for m in found["mistakes"]] == [("2", 0.8), ("5", 0.6), ("4", 0.3)]
    text = evaluate(SPANS, "--text-field", "question").out.decode()
    assert "(none)" in text and "Anna met, Bo" in text and "who?" in text


def chosen(n: int, wrong: set[int], with_scores: bool = True) -> list[dict]:
    """Records whose right choice is the second, and whose prediction is the first for some."""
    return [{"id": f"r{i}", "text": f"case {i}", "source": "ab"[i % 2], "choices": ["no", "yes", "maybe"], "right": 1 if i % 3 else "yes",
             "prediction": {"right": {"index": int(i not in wrong), "text": "no" if i in wrong else "yes", "score": round(0.4 + i / 1000, 3)}
                            | ({"scores": [0.3, 0.5, 0.2]} if with_scores else {})}} for i in range(n)]


def test_choices_with_gates_slices_and_pages(tmp_path):
    records = chosen(80, {0, 2, 4, 6, 7})
    found = page(records, "--by", "source")["heads"]["right"]
    assert found["figures"]["accuracy"]["value"] == 75 / 80 and [part["value"] for part in found["slices"]["by"]] == ["a", "b"]
    assert [m["place"] for m in found["mistakes"]] == [8, 7, 5, 3, 1]
    assert evaluate(records, "--at-least", "right:accuracy=0.9").code == 0
    done = evaluate(records, "--at-least", "accuracy=0.95")
    assert done.code == 4 and "right: accuracy 0.9375" in done.err and "is below 0.95" in done.err
    for kind, mark in (("markdown", "| accuracy | 0.938 |"), ("html", "<strong>0.938</strong>"), ("terminal", "accuracy")):
        done = evaluate(records, "--to", kind)
        assert done.code == 0 and mark in done.out.decode() and "kind:choice" in done.out.decode(), kind


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_other_formats_hold_the_same(form, tmp_path):
    """Null members of a struct, and cells of CSV that hold JSON, are read as JSON Lines have them."""
    records = [r | {"answers": r["answers"] if isinstance(r["answers"], list) else [{"text": "Anna met", "start": 0}, {"text": "Bo", "start": 9}]} for r in SPANS]
    path = tmp_path / f"predicted.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        with path.open("w", newline="") as file:
            rows = [{"id": r["id"], "answers": json.dumps(r["answers"]), "prediction.answers.score": r["prediction"]["answers"].get("score")}
                    | {f"prediction.answers.answer.{key}": (r["prediction"]["answers"]["answer"] or {}).get(key) for key in ("text", "start", "end", "score")}
                    for r in records]
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    done = run("evaluate", "--to", "json", path)
    assert (done.code, done.err) == (0, "")
    own, other = json.loads(done.out)["heads"]["answers"], page(records)["heads"]["answers"]
    assert own["figures"] == other["figures"] and [m["said"] for m in own["mistakes"]] == [m["said"] for m in other["mistakes"]]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv"])
def test_gold_that_is_none_of_the_choices_is_left_out_and_told(form, tmp_path):
    """As finetune has it, with which such a record carries an error; whether or not predict gave the scores of all choices."""
    records = [record | {"right": 1} for record in chosen(40, {0}, with_scores=False)]
    for place, gold in ((5, 3), (6, 10**30)) if form == "jsonl" else ((5, 3), (6, 7)):
        records[place]["right"] = gold
    path = tmp_path / f"predicted.{form}"
    if form == "jsonl":
        records[7]["right"] = "perhaps"
        path.write_bytes(lines(records))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        with path.open("w", newline="") as file:
            rows = [{"id": r["id"], "choices": json.dumps(r["choices"]), "right": r["right"]}
                    | {f"prediction.right.{key}": value for key, value in r["prediction"]["right"].items()} for r in records]
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    done = run("evaluate", "--to", "json", path)
    found, n_lost = json.loads(done.out)["heads"]["right"], 3 if form == "jsonl" else 2
    assert found["lost"] == {"gold that does not fit its record": n_lost} and found["n"] == 40 - n_lost
    assert found["figures"]["accuracy"]["value"] == pytest.approx((39 - n_lost) / (40 - n_lost))
    assert f"{n_lost} records are left out, gold that does not fit its record" in run("evaluate", path).out.decode().replace("\n", " ")


def test_gold_of_which_none_is_a_choice_is_one_line():
    done = evaluate([record | {"right": 3} for record in chosen(9, set(), with_scores=False)])
    assert (done.code, done.out) == (2, b"") and done.err == 'evaluate: head "right" is of kind choice, but its gold in field "right" is 3, which is none of the 3 choices\n'


def test_compare_choices(tmp_path):
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_bytes(lines(chosen(60, {1})))
    new.write_bytes(lines(chosen(60, set(range(10, 30)))))
    done = run("compare", "--to", "json", old, new)
    assert done.code == 4 and done.err.strip().endswith("right accuracy 0.9833 -> 0.6667")
    head = json.loads(done.out)["pairs"][0]["heads"]["right"]
    assert (head["became_wrong"], head["became_right"], head["figures"]["accuracy"]["verdict"]) == (20, 1, "worse")
    assert [flip["id"] for flip in head["flips"]] == ["r29", "r28", "r27", "r26", "r25"]
    assert run("compare", new, old).code == 0 and b"right before, wrong since" in run("compare", old, new).out


# --- candidates of one question


def test_a_mistake_shows_what_was_read_and_other_texts_are_not_compared(tmp_path):
    def records(question: str) -> list[dict]:
        return [{"question": question, "context": "Anna met Bo", "answers": [], "prediction": {"answers": {"answer": None, "score": 1.0}}}] * 3 + [
            {"question": question, "context": "Bo left", "answers": [], "prediction": {"answers": {"answer": {"text": "Bo", "start": 0, "end": 2, "score": 0.8}}}}]

    assert [m["text"] for m in page(records("who?"))["heads"]["answers"]["mistakes"]] == ["who? | Bo left"]
    assert page([{key: value for key, value in TAGS[1].items() if key != "text"}])["heads"]["names"]["mistakes"][0]["text"] == "Oslo waits"
    for name, question in (("old", "who?"), ("new", "where?")):
        (tmp_path / name).write_bytes(lines(records(question)))
    done = run("compare", tmp_path / "old", tmp_path / "new")
    assert done.code == 1 and done.err.endswith("are not the same\n"), done.err


def ranked(n: int = 30, gold=int) -> list[dict]:
    """Questions of four candidates, of which one is right; every third question puts another first."""
    return [{"text": f"{q} {c}", "question": f"q{q}", "fits": gold(c == 0), "prediction": {"fits": {"label": "1" if s > 0.5 else "0", "score": max(s, 1 - s)}}}
            for q in range(n) for c, s in enumerate((0.4 if q % 3 == 0 else 0.9, 0.45, 0.2, 0.1))]


def test_groups_rank_as_scikit_learn_does():
    found = page(ranked(), "--group", "question")
    figures = found["heads"]["fits"]["figures"]
    gold, score = [[1, 0, 0, 0]] * 30, [[0.4 if q % 3 == 0 else 0.9, 0.45, 0.2, 0.1] for q in range(30)]
    assert figures["ndcg"]["value"] == pytest.approx(ndcg_score(gold, score)) and figures["mrr"]["value"] == pytest.approx((20 + 10 / 2) / 30)
    wanted = bootstrap((np.array([0.5 if q % 3 == 0 else 1.0 for q in range(30)]),), np.mean, method="percentile", n_resamples=4000,
                       confidence_level=1 - 2 * norm.cdf(-(30 / 29) ** 0.5 * t.ppf(0.975, 29)), rng=np.random.default_rng(0)).confidence_interval
    assert [figures["mrr"][end] for end in ("low", "high")] == pytest.approx([wanted.low, wanted.high], abs=0.01) and "accuracy" in figures
    assert "group:question groups:30 positive:1" in found["heads"]["fits"]["signature"] and any("means over 30 groups" in n for n in found["notes"])
    assert evaluate(ranked(), "--group", "question", "--at-least", "mrr=0.9").code == 4


def test_whole_groups_are_resampled():
    """Each group of three twice: more records of the same groups tell no more, twice the groups do."""
    def width(records):
        found = page(records, "--group", "question")["heads"]["fits"]["figures"]["mrr"]
        return found["high"] - found["low"]

    once = ranked(30)
    longer = once + [r | {"prediction": {"fits": {"label": "0", "score": 1.0}}, "fits": 0} for r in once for _ in range(3)]
    more = once + [r | {"question": r["question"] + "'" + str(i)} for r in once for i in range(3)]
    assert width(longer) == pytest.approx(width(once)) and width(more) < 0.7 * width(once)


def test_which_label_is_ranked_first():
    def named(c):
        return "good" if c else "bad"

    records = [r | {"prediction": {"fits": {"label": named(r["prediction"]["fits"]["label"] == "1"), "score": r["prediction"]["fits"]["score"]}}}
               for r in ranked(gold=named)]
    done = evaluate(records, "--group", "question")
    assert done.code == 2 and "name it with --positive" in done.err
    assert page(records, "--group", "question", "--positive", "good")["heads"]["fits"]["figures"]["mrr"] == page(
        ranked(), "--group", "question")["heads"]["fits"]["figures"]["mrr"]
    done = evaluate(records, "--positive", "good")
    assert done.code == 2 and "--group" in done.err


def test_numbers_rank_by_themselves_and_lone_records_are_left_out():
    records = [{"text": "t", "question": q, "grade": g, "prediction": {"grade": {"score": s}}} for q in "ab" for g, s in ((3, 1.0), (2, 2.0), (0, 0.5))]
    records.append({"text": "alone", "grade": 1, "prediction": {"grade": {"score": 9.0}}})
    found = page(records, "--group", "question")
    assert found["heads"]["grade"]["figures"]["ndcg"]["value"] == pytest.approx(ndcg_score([[3, 2, 0]], [[1.0, 2.0, 0.5]]))
    assert any("1 record without a group is" in note for note in found["notes"])
    done = evaluate([r | {"grade": -1} for r in records], "--group", "question")
    assert done.code == 2 and "ranking needs gold of 0" in done.err
    done = evaluate(records, "--group", "nowhere")
    assert done.code == 2 and "holds this field" in done.err


def test_three_labels_need_the_scores_of_all():
    records = judged(40)
    for i, record in enumerate(records):
        record["q"] = i // 4
    done = evaluate(records, "--group", "q", "--positive", "positive")
    assert done.code == 2 and "predict --scores" in done.err
    records = judged(40, with_scores=True)
    for i, record in enumerate(records):
        record["q"] = i // 4
    assert "ndcg_at_10" in page(records, "--group", "q", "--positive", "positive")["heads"]["sentiment"]["figures"]


# --- commands that count labels


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv"])
def test_report_counts_labels_and_passes_others_by(form, tmp_path):
    records = [record | {"prediction": record["prediction"] | {"right": {"index": 1, "text": "t", "score": 0.5}}} for record in judged(20)]
    path = tmp_path / f"predicted.{form}"
    if form == "jsonl":
        path.write_bytes(lines(records))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        with path.open("w", newline="") as file:
            rows = [{"id": r["id"], "text": r["text"]} | {f"prediction.{head}.{key}": value for head, entry in r["prediction"].items()
                                                           for key, value in entry.items()} for r in records]
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    done = run("report", "--to", "json", path)
    assert (done.code, done.err) == (0, "")
    assert {name: head["n"] for name, head in json.loads(done.out)["heads"].items()} == {"sentiment": 20}


@pytest.mark.parametrize("records, told", [(TAGS, '"names" (tags)'), (SPANS, '"answers" (span)'), (chosen(3, set()), '"right" (choice)')])
def test_a_stream_of_others_alone_names_the_commands_that_read_them(records, told, tmp_path):
    for command, args in (("report", ()), ("alert", ("--state", tmp_path / "state.db"))):
        done = run(command, *args, stdin=lines([r | {"timestamp": "2026-11-01T09:00:00Z"} for r in records]))
        assert done.code == 2 and done.out == b"" and len(done.err_lines) == 1 and f"evaluate and compare read {told}" in done.err


def test_so_does_a_table_of_others_alone(tmp_path):
    path = tmp_path / "predicted.csv"
    path.write_text("id,prediction.right.index,prediction.right.text,prediction.right.score\n1,0,no,0.5\n")
    pq.write_table(pa.Table.from_pylist(chosen(3, set())[1:3]), tmp_path / "predicted.parquet")
    for name in ("predicted.csv", "predicted.parquet"):
        done = run("report", tmp_path / name)
        assert done.code == 2 and 'evaluate and compare read "right" (choice)' in done.err


def test_the_gravest_mistakes_of_texts_are_those_that_the_model_was_sure_of():
    """Their score is a perplexity, 1 at the least."""
    records = [{"id": i, "text": "t", "reply": "a b", "prediction": {"reply": {"text": "x", "score": score}}} for i, score in enumerate((3.0, 1.5, 40.0))]
    mistakes = json.loads(run("evaluate", "--to", "json", "--errors", "2", stdin=lines(records)).out)["heads"]["reply"]["mistakes"]
    assert [mistake["id"] for mistake in mistakes] == ["1", "0"]
