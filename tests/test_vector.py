"""Heads of kind vector: the same vectors as stock transformers, training from pairs, and a directory that others read."""

import csv
import io
import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import spearmanr
from transformers import AutoModel, AutoTokenizer

from conftest import TEXTS
from doxa.errors import DoxaError
from doxa.inference.loading import Request, load_labeller
from doxa.model.bases import find_embedded
from doxa.model.heads import Head
from doxa.model.sentence_modules import read_pooling, write_modules
from doxa.text.frame import Reading
from doxa.text.question import Question
from doxa.text.tokenizer import load_tokenizer
from doxa.training.contrastive import prepare_contrastive
from doxa.training.examples import Example, LabelledSet
from doxa.training.plan import Listener
from masked_bases import make_bert
from shell import run

LONG = " ".join(TEXTS[:8])
PAIR = {"text": TEXTS[0], "text_pair": TEXTS[9]}
TRAINING = ("--num-train-epochs", 10, "--learning-rate", 2e-3, "--device", "cpu", "--precision", "fp32", "--per-device-train-batch-size", 8)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return make_bert(tmp_path_factory.mktemp("bases") / "encoder", "BertModel")


def lines(records) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def ask(model: Path, texts, engine: str = "torch", **settings) -> list[dict]:
    """What predict says of texts, or of pairs."""
    labeller, _ = load_labeller(Request(str(model), device="cpu", engine=engine, precision="fp32", n_cores=2, **settings))
    added = labeller.label([Question(text if isinstance(text, tuple) else (text,)) for text in texts]).entries
    return [next(iter(entry["prediction"].values())) for entry in added]


def stock_vectors(directory, texts, pooling: str = "mean") -> np.ndarray:
    """By AutoModel, one text after the other, cut to what it reads."""
    model, tokenizer = AutoModel.from_pretrained(directory).eval(), AutoTokenizer.from_pretrained(directory)
    found = []
    for text in texts:
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).last_hidden_state[0]  # (T, D)
        vector = (states.mean(dim=0) if pooling == "mean" else states[0]).numpy()
        found.append(vector / np.linalg.norm(vector))
    return np.array(found)


@pytest.mark.parametrize("engine", ["torch", pytest.param("openvino", marks=pytest.mark.slow)])
def test_vectors_equal_those_of_stock_transformers(engine, encoder):
    said = ask(encoder, TEXTS, engine)
    assert np.array([entry["vector"] for entry in said]) == pytest.approx(stock_vectors(encoder, TEXTS), abs=1e-5)
    pairs = ask(encoder, list(zip(TEXTS, TEXTS[::-1])), engine)
    for entry, one, other in zip(pairs, said, said[::-1]):
        assert entry["vector"] == pytest.approx(one["vector"], abs=2e-6) and entry["vector_pair"] == pytest.approx(other["vector"], abs=2e-6)
        assert entry["score"] == pytest.approx(np.dot(one["vector"], other["vector"]), abs=1e-5)


@pytest.mark.slow
def test_the_first_token_where_the_directory_says_so(tmp_path):
    base = make_bert(tmp_path / "base", "BertModel")
    write_modules(str(base), 32, 64, "cls")
    for engine in ("torch", "openvino"):
        found = np.array([entry["vector"] for entry in ask(base, TEXTS[:6], engine)])
        assert found == pytest.approx(stock_vectors(base, TEXTS[:6], "cls"), abs=1e-5)


def test_a_long_text_is_the_mean_of_its_windows(encoder):
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    ids = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    room, step = 62, 62 - 15  # a quarter overlaps
    starts = [*range(0, len(ids) - room, step), len(ids) - room]
    assert len(starts) > 1
    model, vectors = AutoModel.from_pretrained(encoder).eval(), []
    for start in starts:
        framed = [tokenizer.cls_token_id, *ids[start : start + room], tokenizer.sep_token_id]
        with torch.inference_mode():
            vectors.append(torch.nn.functional.normalize(model(torch.tensor([framed])).last_hidden_state[0].mean(dim=0), dim=0).numpy())
    mean = np.mean(vectors, axis=0)
    assert ask(encoder, [LONG])[0]["vector"] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_the_embedded_base_knows_what_is_alike():
    said = ask(find_embedded(), [("A man is playing a guitar.", "Someone plays an instrument."), ("A man is playing a guitar.", "The bank raised its rates.")])
    assert said[0]["score"] > 0.5 > 0.2 > said[1]["score"] and len(said[0]["vector"]) == 384


@pytest.mark.slow
def test_the_command_writes_records_of_one_text_and_of_two(encoder, tmp_path):
    records = [PAIR, {"text": TEXTS[3]}, {"text": "", "text_pair": "x"}, {"text": "x", "text_pair": 3}, {"text": "x", "text_pair": None}]
    flags = ("--model", encoder, "--head", "meaning", "--engine", "torch", "--precision", "fp32", "-q")
    plain = run("predict", *flags, stdin=lines(records))
    assert plain.code == 3
    said = [json.loads(line) for line in plain.lines]
    assert list(said[0]["prediction"]["meaning"]) == ["vector", "vector_pair", "score"] and list(said[1]["prediction"]["meaning"]) == ["vector"]
    assert [record.get("error", {}).get("code") for record in said] == [None, None, "empty_text", "not_text", None]
    done = run("predict", *flags, "-o", tmp_path / "out.parquet", stdin=lines(records[:2]))
    assert done.code == 0, done.err
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.field("prediction").type.field("meaning").type.field("vector").type == pa.list_(pa.float32())
    rows = [row["prediction"]["meaning"] for row in table.to_pylist()]
    assert rows[0]["vector"] == pytest.approx(said[0]["prediction"]["meaning"]["vector"], abs=1e-7) and rows[1]["score"] is None


def test_csv_holds_the_numbers_of_json_lines(encoder):
    flags = ("--model", encoder, "--head", "meaning", "--engine", "torch", "--precision", "fp32", "-q")
    plain = json.loads(run("predict", *flags, stdin=lines([PAIR])).out)["prediction"]["meaning"]
    row, = csv.DictReader(io.StringIO(run("predict", *flags, "--to", "csv", stdin=lines([PAIR])).out.decode()))
    assert {key: json.loads(row[f"prediction.meaning.{key}"]) for key in plain} == plain
    assert max(len(number) for number in row["prediction.meaning.vector"].strip("[]").split(",")) <= 9


CONCEPTS = (("bank", "银行"), ("bad loans", "贷款"), ("profit", "利润"), ("merge", "合并"), ("shares", "股价"), ("dividend", "收购"))


def make_pairs(n: int, seed: int, values: str) -> list[dict]:
    """A concept in English beside one in Chinese, which no shared word tells to be the same."""
    generator = random.Random(seed)
    records = []
    for _ in range(n):
        one = generator.randrange(6)
        other = one if values == "none" or generator.random() < 0.5 else generator.randrange(6)
        alike = int(one == other) if values == "binary" else 1.0 if one == other else 0.5 if one // 2 == other // 2 else 0.0
        record = {"sentence1": f"{generator.choice(('the', 'a', 'more'))} {CONCEPTS[one][0]}", "sentence2": CONCEPTS[other][1]}
        records.append(record if values == "none" else record | {"alike": alike})
    return records


@pytest.fixture(scope="module", params=["binary", pytest.param("none", marks=pytest.mark.slow), pytest.param("graded", marks=pytest.mark.slow)])
def trained(request, encoder, tmp_path_factory) -> tuple[str, Path, str]:
    folder = tmp_path_factory.mktemp(request.param)
    for name, n, seed in (("train", 96, 1), ("dev", 30, 2)):
        (folder / f"{name}.jsonl").write_bytes(lines(make_pairs(n, seed, request.param)))
    done = run("finetune", "--base", encoder, "--head", "alike:vector", *TRAINING, "--dev", folder / "dev.jsonl", "-o", folder / "out", folder / "train.jsonl")
    assert done.code == 0, done.err
    return request.param, folder / "out", done.out.decode()


def test_training_brings_alike_texts_together(trained, encoder):
    values, output, table = trained
    dev = make_pairs(30, 2, values)
    pairs = [(record["sentence1"], record["sentence2"]) for record in dev]
    assert ("mrr" if values == "none" else "spearman") in table
    assert ("TF-IDF cosine" in table) == (values == "none")  # no pair shares a word, so that its cosines do not vary
    figures = json.loads((output / "doxa.json").read_text())["dev"]["heads"][0]["scores"]["model"]
    if values == "none":
        before, after = (mean_reciprocal_rank(model, pairs) for model in (encoder, output))
        assert figures["mrr"]["value"] == pytest.approx(after, abs=1e-3)
    else:
        gold = [record["alike"] for record in dev]
        before, after = (spearmanr(gold, [entry["score"] for entry in ask(model, pairs)]).statistic for model in (encoder, output))
        assert figures["spearman"]["value"] == pytest.approx(after, abs=1e-3)
    assert after > before + 0.5


def mean_reciprocal_rank(model: Path, pairs: list[tuple[str, str]]) -> float:
    vectors = np.array([entry["vector"] for entry in ask(model, [one for one, _ in pairs])])
    others, own = np.unique([other for _, other in pairs], return_inverse=True)
    products = vectors @ np.array([entry["vector"] for entry in ask(model, list(others))]).T
    return float((1 / (1 + (products > products[np.arange(len(pairs)), own][:, None] + 1e-9).sum(axis=1))).mean())


def test_the_directory_is_one_that_others_read(trained):
    _, output, _ = trained
    assert np.array([entry["vector"] for entry in ask(output, TEXTS)]) == pytest.approx(stock_vectors(output, TEXTS), abs=1e-5)
    modules = json.loads((output / "modules.json").read_text())
    assert [module["path"] for module in modules] == ["", "1_Pooling", "2_Normalize"] and (output / "2_Normalize").is_dir()
    assert read_pooling(str(output)) == "mean"
    assert json.loads((output / "1_Pooling/config.json").read_text())["word_embedding_dimension"] == 32
    assert json.loads((output / "sentence_bert_config.json").read_text())["max_seq_length"] == 64
    assert (output / "openvino").is_dir()
    table = json.loads((output / "doxa.json").read_text())["reading"]
    assert (table["text_field"], table["text_pair_field"]) == ("sentence1", "sentence2")


def predicted(n: int, seed: int, gold) -> list[dict]:
    """Records with random vectors, those of a pair more alike where `gold` of their place is more."""
    chance, records = np.random.default_rng(seed), []
    for place in range(n):
        one, noise = chance.normal(size=16), chance.normal(size=16)
        own = gold(place)
        other = one * (0.5 if own is None else own) + noise
        one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
        entry = {"vector": one.tolist(), "vector_pair": other.tolist(), "score": round(float(one @ other), 6)}
        records.append({"id": f"r{place}", "text": f"text {place}", "text_pair": "other"} | ({} if own is None else {"alike": own}) | {"prediction": {"alike": entry}})
    return records


def test_evaluate_leads_with_the_figure_that_chose_the_epoch(trained):
    values, output, table = trained
    records = run("predict", "--model", output, "--device", "cpu", "--precision", "fp32", "-q", output.parent / "dev.jsonl").out
    rows = [line.split() for line in run("evaluate", "--by-length", stdin=records).out.decode().splitlines()]
    leading = rows[next(i for i, row in enumerate(rows) if row[:2] == ["figure", "value"]) + 2]
    chosen = table.splitlines()[2].split()[2]
    assert (leading[0].lower(), chosen) == (("mrr", "mrr") if values == "none" else ("spearman", "spearman"))
    best = json.loads((output / "doxa.json").read_text())["dev"]["heads"][0]["scores"]["model"][chosen]["value"]
    assert float(leading[1]) == pytest.approx(best, abs=2e-3)
    assert next(row for row in rows if row[:2] == ["value", "records"])[2].lower() == chosen


@pytest.mark.parametrize("gold, leads", [([None], "MRR"), ([1], "MRR"), ([1, 0], "Spearman"), ([None, 0], "Spearman"), ([0.0, 2.5, 5.0], "Spearman"),
                                         ([2.0, None, 4.0], "Spearman")])
def test_which_figure_leads_and_what_it_is(gold, leads):
    records = predicted(60, 7, lambda place: gold[place % len(gold)])
    lines_out = run("evaluate", stdin=lines(records)).out.decode().splitlines()
    first = lines_out[next(i for i, line in enumerate(lines_out) if line.split()[:2] == ["figure", "value"]) + 2].split()
    assert first[0] == leads
    if leads == "Spearman":  # without degrees a pair without gold is alike; with degrees it says none
        known = [r for r in records if len(gold) == 2 or "alike" in r]
        expected = spearmanr([r.get("alike", 1) for r in known], [r["prediction"]["alike"]["score"] for r in known]).statistic
        assert float(first[1]) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("dev", [make_pairs(1, 2, "none"), [record | {"sentence2": "银行"} for record in make_pairs(4, 2, "none")]], ids=["one pair", "one second text"])
def test_a_dev_set_in_which_nothing_is_to_be_found_gets_dashes(encoder, dev, tmp_path):
    for name, records in (("train", make_pairs(24, 1, "none")), ("dev", dev)):
        (tmp_path / f"{name}.jsonl").write_bytes(lines(records))
    done = run("finetune", "--base", encoder, "--head", "alike:vector", "--num-train-epochs", 2, "--device", "cpu", "--no-int8",
               "--dev", tmp_path / "dev.jsonl", "-o", tmp_path / "out", tmp_path / "train.jsonl")
    assert done.code == 0, done.err
    table = done.out.decode()
    assert "nan" not in table.lower() and "nan" not in done.err.lower()
    row, = [line.split() for line in table.splitlines() if line.startswith("alike  this model")]
    assert row[3:] == ["–", "–", str(len(dev))] and "alike: mrr is not defined on this dev set, which tells nothing of the model" in table

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    json.loads((tmp_path / "out" / "doxa.json").read_text(), parse_constant=refuse)
    for line in (tmp_path / "out" / "training.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_mistakes_are_told_by_cosine_and_rank(tmp_path):
    records = predicted(40, 5, lambda place: None)
    found = json.loads(run("evaluate", "--to", "json", "--errors", 40, stdin=lines(records)).out)["heads"]["alike"]["mistakes"]
    vectors, pairs = (np.array([record["prediction"]["alike"][key] for record in records]) for key in ("vector", "vector_pair"))
    products = vectors @ pairs.T
    ranks = (1 + (products > np.diag(products)[:, None]).sum(axis=1)).tolist()
    assert 5 < len(found) == sum(rank > 1 for rank in ranks)
    for mistake in found:
        place = mistake["place"] - 1
        assert mistake["said"] == {"cosine": records[place]["prediction"]["alike"]["score"], "rank": ranks[place]}
    first = found[0]
    page = run("evaluate", "--errors", 1, stdin=lines(records)).out.decode()
    assert f"cosine {first['score']:.3f}, rank {first['said']['rank']}" in page and "numbers" not in page
    (tmp_path / "old.jsonl").write_bytes(lines(records))
    (tmp_path / "new.jsonl").write_bytes(lines(record | {"prediction": other["prediction"]} for record, other in zip(records, predicted(40, 6, lambda place: None)[::-1])))
    flips = run("compare", "--to", "markdown", tmp_path / "old.jsonl", tmp_path / "new.jsonl").out.decode()
    assert ", rank 1 |" in flips and "numbers" not in flips


def make_set(texts, golds) -> LabelledSet:
    return LabelledSet([Example(f"f:{i}", Question(own), (gold,)) for i, (own, gold) in enumerate(zip(texts, golds))])


@pytest.mark.parametrize("texts, golds, message", [
    ([("a b",), ("c d",)], [None, None], "no training record has two texts"),
    ([("a", "b"), ("c", "d"), ("e", "f")], [0.5, None, 2.0], "1 training records do not say how alike")])
def test_what_cannot_be_learnt_is_refused(texts, golds, message):
    found = make_set(texts, golds)
    with pytest.raises(DoxaError, match=message):
        prepare_contrastive(None, {"train": found, "dev": found, "heads": [Head("v", "vector")]}, None)


def test_records_of_one_text_are_left_out_and_told_of(encoder):
    tokenizer, told = load_tokenizer(str(encoder)), []
    shared = {"train": make_set([("a", "b"), ("c",)], [None, 1.0]), "dev": make_set([("c",), ("d", "e")], [1.0, 0.0]), "heads": [Head("v", "vector")],
              "tokenizer": tokenizer, "reading": Reading(tokenizer.frame, 64)}
    ready = prepare_contrastive(None, shared, Listener(told.append, told.append, None, None))
    assert len(ready["lessons"]) == len(ready["dev_layouts"]) == 1 and ready["dev_gold"] == [0.0] and not ready["is_graded"]
    assert [line.split(" have one text")[0] for line in told] == ["1 training records", "1 dev records"]
