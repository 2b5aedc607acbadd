"""explain as a command: the shape of what it adds, its flags, chains, columns, signals."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import TEXTS, make_tiny_model
from shell import BIN, end, environment, run, shell, start

FAST = ("--method", "occlusion", "--no-faithfulness")  # starts without torch
TEXT = "Profit rose 12.5% 😀, said the bank.\r\n利润增长。Cafe\u0301 closed"
RECORD = json.dumps({"id": 1.10, "text": TEXT}, ensure_ascii=False).encode() + b"\n"
THREE = RECORD + b'{"id": 2, "text": ""}\n' + json.dumps({"id": 3, "text": TEXTS[0]}).encode() + b"\n"


def explanation_of(done, index=0) -> dict:
    assert done.code == 0, done.err
    return json.loads(done.lines[index])["explanation"]


@pytest.fixture(scope="module")
def many_model(tmp_path_factory) -> Path:
    """A head of one label, one of many labels and one that is a number."""
    from doxa.model.heads import Head

    heads = [Head("topic", "label", ("credit", "merger")), Head("tags", "labels", ("a", "b", "c"), 1.0, (0.0, 0.0, 1.1)), Head("rating", "number")]
    return make_tiny_model(tmp_path_factory.mktemp("many") / "model", heads=heads)


@pytest.mark.parametrize("method, adds", [("integrated-gradients", {"steps", "difference", "delta"}), ("shapley", {"samples"}),
                                          pytest.param("occlusion", set(), marks=pytest.mark.slow)])
def test_what_it_adds(tiny_model, method, adds):
    done = run("explain", "--model", tiny_model, "--method", method, "--precision", "fp32", "-q", stdin=RECORD)
    assert done.out.startswith(RECORD.rstrip(b"}\n"))
    predicted = json.loads(run("predict", "--model", tiny_model, "--precision", "fp32", "--scores", "-q", stdin=RECORD).out)["prediction"]
    found = explanation_of(done)
    assert list(found) == ["topic", "sentiment"]
    for head, entry in found.items():
        assert set(entry) == {"label", "score", "runner_up", "method", "unit", "tokens", "faithfulness"} | adds
        scores = predicted[head]["scores"]
        assert (entry["label"], entry["score"]) == (predicted[head]["label"], pytest.approx(predicted[head]["score"], abs=1e-6))
        runner_up = sorted(scores, key=scores.get)[-2]
        assert entry["runner_up"] == {"label": runner_up, "score": pytest.approx(scores[runner_up], abs=1e-6)}
        assert (entry["method"], entry["unit"]) == (method, "word")
        assert all(TEXT[unit["start"] : unit["end"]] == unit["text"] for unit in entry["tokens"])
        assert [unit["text"] for unit in entry["tokens"]] == ["Profit", "rose", "12.5%", "😀", ",", "said", "the", "bank", ".", "利", "润", "增", "长", "。", "Cafe\u0301", "closed"]
        assert set(entry["faithfulness"]) == {"comprehensiveness", "sufficiency", "random_comprehensiveness", "random_sufficiency"}
        assert all(value == float(f"{value:.6g}") for value in [unit["score"] for unit in entry["tokens"]])


@pytest.mark.parametrize("name", ["tiny_model", "many_model"])
def test_csv_is_read_back(name, request, tmp_path):
    model, records = request.getfixturevalue(name), b"".join(json.dumps({"id": f"r{i}", "text": text}).encode() + b"\n" for i, text in enumerate(TEXTS * 3))
    pages = []
    for kind in ("jsonl", "csv"):
        file = tmp_path / f"why.{kind}"
        assert run("explain", "--model", model, *FAST[:2], "-q", "-o", file, stdin=records).code == 0
        pages.append([run("explain", file, *flags).out for flags in (("--summary", "--to", "json"), ("--to", "html"))])
    summaries = [json.loads(page[0]) for page in pages]
    assert summaries[0]["labels"] and summaries[0]["labels"] == summaries[1]["labels"]
    cards = [page[1].count(b"<mark") + page[1].count(b"</article>") for page in pages]
    assert cards[0] == cards[1] > 0


def test_chinese_is_explained_by_its_words(tiny_model, tmp_path):
    flags, record = ("--model", tiny_model, *FAST, "--head", "topic", "--unit", "chinese-word", "-q"), '{"id": "a", "text": "贷款违约率上升, bank"}\n'.encode()
    entry = explanation_of(run("explain", *flags, stdin=record))["topic"]
    assert entry["unit"] == "chinese-word" and [unit["text"] for unit in entry["tokens"]] == ["贷款", "违约", "率", "上升", ",", "bank"]
    (tmp_path / "rjieba.py").write_text("raise ImportError")
    done = run("explain", *flags, stdin=record, env={"PYTHONPATH": str(tmp_path)})
    assert done.code == 1 and done.err_lines == ["explain: --unit chinese-word needs a library that is not installed: pip install 'doxa[chinese]'"]


def test_one_head_one_label(tiny_model):
    entry = explanation_of(run("explain", "--model", tiny_model, *FAST, "--head", "sentiment", "--label", "positive", "-q", stdin=RECORD))
    assert list(entry) == ["sentiment"] and entry["sentiment"]["label"] == "positive" and "faithfulness" not in entry["sentiment"]
    usual = explanation_of(run("explain", "--model", tiny_model, *FAST, "--head", "sentiment", "-q", stdin=RECORD))["sentiment"]
    assert usual["label"] != "positive" and entry["sentiment"]["runner_up"]["label"] == usual["label"]
    assert [unit["score"] for unit in usual["tokens"]] != [unit["score"] for unit in entry["sentiment"]["tokens"]]


def test_the_head_of_a_model_that_doxa_did_not_write_is_named(tiny_model, tmp_path):
    foreign = shutil.copytree(tiny_model, tmp_path / "foreign", ignore=shutil.ignore_patterns("doxa.json", "openvino"))
    done = run("explain", "--model", foreign, *FAST, "--head", "mood", stdin=RECORD)
    assert list(explanation_of(done)) == ["mood"] and 'one head, "mood"' in done.err
    done = run("explain", "--model", foreign, *FAST, stdin=RECORD)
    assert list(explanation_of(done)) == ["label"] and 'one head, "label"' in done.err


@pytest.mark.parametrize("flags, says", [
    (("--head", "mood"), "--head mood: the model has no such head; its heads: topic, sentiment"),
    (("--label", "positive"), '--label positive: the head "topic" has no such label; its labels: credit, earnings, merger; choose the head by --head'),
    (("--head", "topic", "--label", "x"), '--label x: the head "topic" has no such label'),
])
def test_heads_and_labels_that_are_not_there(tiny_model, flags, says):
    done = run("explain", "--model", tiny_model, *FAST, *flags, stdin=RECORD)
    assert (done.code, done.out) == (2, b"")
    assert len(done.err_lines) == 1 and says in done.err


@pytest.fixture(scope="module")
def plain(many_model):
    """The default method on heads of every kind: a record, an error, a record."""
    return run("explain", "--model", many_model, "-q", stdin=THREE)


def test_heads_of_many_labels_and_numbers(many_model, plain):
    found = json.loads(plain.lines[0])["explanation"]
    assert [entry["label"] for entry in found["tags"]["labels"]] == ["a", "b"]
    assert all({"score", "tokens", "steps", "faithfulness"} <= set(entry) and "runner_up" not in entry for entry in found["tags"]["labels"])
    assert "label" not in found["rating"] and "runner_up" not in found["rating"]
    predicted = json.loads(run("predict", "--model", many_model, "-q", stdin=RECORD).out)["prediction"]
    assert found["rating"]["score"] == predicted["rating"]["score"]
    assert [(entry["label"], entry["score"]) for entry in found["tags"]["labels"]] == list(predicted["tags"]["scores"].items())


def test_sentences(tiny_model):
    entry = explanation_of(run("explain", "--model", tiny_model, *FAST, "--unit", "sentence", "-q", stdin=RECORD))["topic"]
    assert [unit["text"] for unit in entry["tokens"]] == ["Profit rose 12.5% 😀, said the bank.", "利润增长。", "Cafe\u0301 closed"]
    assert entry["unit"] == "sentence"


def test_the_second_text_of_a_pair_is_named(tiny_model):
    stdin = json.dumps({"text": "Profit rose", "other": "The bank 利润"}).encode() + b"\n"
    units = explanation_of(run("explain", "--model", tiny_model, *FAST, "--text-pair-field", "other", "-q", stdin=stdin))["topic"]["tokens"]
    assert [(unit["text"], unit["start"], unit.get("field")) for unit in units] == [
        ("Profit", 0, None), ("rose", 7, None), ("The", 0, "other"), ("bank", 4, "other"), ("利", 9, "other"), ("润", 10, "other")]


def test_records_with_token_ids_are_explained_by_their_text(tiny_model):
    done = shell(f"tokenize -q --base {tiny_model} | explain -q --model {tiny_model} {' '.join(FAST)}", stdin=RECORD)
    assert explanation_of(done) == explanation_of(run("explain", "--model", tiny_model, *FAST, "-q", stdin=RECORD))
    done = run("explain", "--model", tiny_model, *FAST, "-q", stdin=b'{"id": 1, "input_ids": [2, 5, 3], "tokenizer": "x"}\n')
    assert json.loads(done.out)["error"]["code"] == "missing_field"


# --- explained twice


@pytest.mark.slow
def test_a_record_keeps_its_explanations_and_gains_heads(tiny_model):
    call = f"explain -q --model {tiny_model} {' '.join(FAST)} --head"
    done = shell(f"{call} topic | {call} sentiment", stdin=RECORD)
    both = explanation_of(run("explain", "--model", tiny_model, *FAST, "-q", stdin=RECORD))
    assert explanation_of(done) == both and list(explanation_of(done)) == ["topic", "sentiment"]
    again = shell(f"{call} topic | {call} topic; echo ${{PIPESTATUS[1]}}", stdin=RECORD)
    assert again.out == b"2\n" and again.err == 'explain: <stdin>:1: the record already has an explanation for head "topic"; drop it, or use another model\n'
    other = run("explain", "--model", tiny_model, *FAST, stdin=b'{"text": "ok", "explanation": "because"}\n')
    assert other.code == 2 and 'the field "explanation" holds no object' in other.err


@pytest.mark.slow
def test_columns_hold_it_and_give_it_back(many_model, plain, tmp_path):
    path = tmp_path / "out.parquet"
    assert run("explain", "--model", many_model, "-q", "-o", path, stdin=THREE).code == plain.code == 3
    rows, lines = pq.read_table(path).to_pylist(), [json.loads(line) for line in plain.lines]
    assert [strip(row.get("explanation")) for row in rows] == [line.get("explanation") for line in lines]
    assert rows[1]["error"]["code"] == "empty_text" and rows[0]["_more"] is None


def strip(value):
    """Without the members that a column fills up with null."""
    if isinstance(value, dict):
        return {key: strip(inner) for key, inner in value.items() if inner is not None}
    return [strip(inner) for inner in value] if isinstance(value, list) else value


# --- the same input, the same answer


def test_neighbours_and_order_change_nothing(tiny_model):
    generator = random.Random(3)
    lines = [json.dumps({"id": i, "text": " ".join(generator.choices(" ".join(TEXTS[:10]).split(), k=generator.choice((2, 9, 30, 200))))}).encode() + b"\n"
             for i in range(12)]
    call = ("explain", "--model", tiny_model, "--method", "shapley", "--samples", 64, "--precision", "fp32", "--head", "topic", "-q")
    forward, backward = (sorted(map(json.loads, run(*call, *flags, stdin=b"".join(order)).lines), key=lambda record: record["id"])
                         for order, flags in ((lines, ()), (lines[::-1], ("--batch-tokens", 200))))
    for one, other in zip(forward, backward):
        one, other = one["explanation"]["topic"], other["explanation"]["topic"]
        assert [unit["score"] for unit in one["tokens"]] == pytest.approx([unit["score"] for unit in other["tokens"]], abs=1e-5)
        assert one["faithfulness"] == pytest.approx(other["faithfulness"], abs=1e-5)


def test_seeds_count_where_there_is_chance(tiny_model):
    call = ("explain", "--model", tiny_model, "--method", "shapley", "--samples", 64, "--head", "topic", "-q")
    first, same, other = (explanation_of(run(*call, "--seed", seed, stdin=RECORD))["topic"] for seed in (1, 1, 2))
    assert first == same
    assert first["tokens"] != other["tokens"] and first["faithfulness"]["random_sufficiency"] != other["faithfulness"]["random_sufficiency"]


def test_long_texts_are_read_whole_or_cut(tiny_model):
    text = "bank loan profit " * 100
    stdin = json.dumps({"text": text}).encode() + b"\n"
    call = ("explain", "--model", tiny_model, *FAST, "--head", "topic", "-q")
    whole, head = (explanation_of(run(*call, "--long", policy, stdin=stdin))["topic"]["tokens"] for policy in ("windows", "head"))
    assert len(whole) == len(head) == 300
    assert all(unit["score"] == 0 for unit in head[150:]) and np.mean([unit["score"] != 0 for unit in whole[150:]]) > 0.9
    assert json.loads(run(*call, "--long", "error", stdin=stdin).out)["error"]["code"] == "too_long_text"


@pytest.mark.parametrize("number, code, says", [(signal.SIGINT, 130, "interrupted"), pytest.param(signal.SIGTERM, 143, "terminated", marks=pytest.mark.slow)])
def test_a_signal_ends_it_in_the_middle_of_a_text(tiny_model, number, code, says):
    """Gradients of a long text take minutes; it stops at once."""
    process = start("explain", "--model", tiny_model, "--steps", 512, "--no-faithfulness", "-q")
    process.stdin.write(RECORD)
    process.stdin.flush()
    assert process.stdout.readline()
    process.stdin.write(json.dumps({"text": "bank loan profit " * 20_000}).encode() + b"\n")
    process.stdin.flush()
    time.sleep(2)
    sent_s = time.monotonic()
    process.send_signal(number)
    assert process.wait(30) == code and time.monotonic() - sent_s < 10
    assert process.stderr.read().decode().strip() == f"explain: {says}"
    end(process)


@pytest.mark.slow
def test_ten_thousand_tokens_in_bounded_memory(tiny_model):
    measure = ("import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; "
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(code)")
    peaks = []
    for n in (30, 3400):
        done = subprocess.run([sys.executable, "-c", measure, BIN / "explain", "--model", tiny_model, "-q", "--head", "topic"], env=environment(),
                              input=json.dumps({"text": "bank loan profit " * n}).encode() + b"\n", capture_output=True)
        assert done.returncode == 0 and b"explanation" in done.stdout
        peaks.append(int(done.stderr.split()[-1]))
    assert peaks[1] < peaks[0] + 400_000  # kB
