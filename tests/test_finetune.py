"""finetune from the command line to a directory that stock tools load."""

import hashlib
import json
import os
import random
import re
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import make_tiny_model
from shell import end, run, start

GOOD = "gain rally surplus upgrade profit growth relief boom".split()
BAD = "loss default crash downgrade slump deficit strike fine".split()
TOPICS = {"credit": "loan bond bank lender".split(), "energy": "oil gas coal power".split(), "policy": "rate tax law tariff".split()}
FILLER = "the of on in today market report says after before new week".split()


def make_records(n: int, seed: int) -> list[dict]:
    """Texts whose words decide every label: topic, sentiment, tags, and a rating that counts the good words."""
    generator = random.Random(seed)
    records = []
    for i in range(n):
        topic, is_good = generator.choice(sorted(TOPICS)), generator.random() < 0.5
        mood = generator.choices(GOOD if is_good else BAD, k=3)
        words = generator.choices(TOPICS[topic], k=3) + mood + generator.choices(FILLER, k=5)
        generator.shuffle(words)
        records.append({"id": i, "text": " ".join(words), "topic": topic, "sentiment": "positive" if is_good else "negative",
                        "tags": sorted({topic} | ({"good"} if is_good else set())), "rating": 10.0 + 5.0 * is_good})
    return records


def write(path: Path, records: list[dict]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    train = make_records(320, 1)
    for record in train[::5]:
        del record["topic"]  # these still train the other heads
    for record in train[1::5]:
        record["sentiment"] = None
    return write(folder / "train.jsonl", train), write(folder / "dev.jsonl", make_records(60, 2)), write(folder / "test.jsonl", make_records(60, 3))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("base") / "tiny", [record["text"] for record in make_records(320, 1)], spread=0.05)


@pytest.fixture(scope="module")
def trained(data, base, tmp_path_factory):
    train, dev, _ = data
    output = tmp_path_factory.mktemp("model") / "out"
    done = run("finetune", "--base", base, "--head", "topic", "--head", "sentiment", "--head", "tags", "--head", "rating", "--dev", dev,
               "--output", f"{output}/", "--num-train-epochs", 16, "--learning-rate", 3e-3, train)
    assert done.code == 0, done.err
    return output, done


def test_every_head_learns(trained, data):
    output, _ = trained
    done = run("predict", "--model", output, "--scores", data[2])
    assert done.code == 0, done.err
    records = [json.loads(line) for line in done.lines]
    right = {head: np.mean([r["prediction"][head]["label"] == r[head] for r in records]) for head in ("topic", "sentiment")}
    assert min(right.values()) > 0.9, right
    assert np.mean([sorted(r["prediction"]["tags"]["labels"]) == r["tags"] for r in records]) > 0.8
    ratings = np.array([r["prediction"]["rating"]["score"] for r in records])
    gold = np.array([r["rating"] for r in records])
    assert np.mean(np.abs(ratings - gold)) < 1.0 and np.corrcoef(ratings, gold)[0, 1] > 0.9
    assert all(abs(sum(r["prediction"]["topic"]["scores"].values()) - 1) < 1e-4 for r in records)


def test_stock_transformers_gives_the_same(trained, data):
    """AutoModel and AutoTokenizer load the directory; slices of their logits are the predictions."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    output, _ = trained
    done = run("predict", "--model", output, "--scores", "--precision", "fp32", data[2])
    ours = [json.loads(line)["prediction"] for line in done.lines]
    model = AutoModelForSequenceClassification.from_pretrained(output).eval()
    names = [model.config.id2label[i] for i in range(model.config.num_labels)]
    assert names == ["topic=credit", "topic=energy", "topic=policy", "sentiment=negative", "sentiment=positive",
                     "tags=credit", "tags=energy", "tags=good", "tags=policy", "rating"]
    tokenizer = AutoTokenizer.from_pretrained(output)
    texts = [json.loads(line)["text"] for line in data[2].read_text().splitlines()]
    logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.detach().double().numpy()
    temperature = {head["name"]: head["temperature"] for head in json.loads((output / "doxa.json").read_text())["heads"]}
    assert temperature["topic"] != 1.0 != temperature["tags"]
    for row, prediction in zip(logits, ours):
        softmax = np.exp(row[:3] / temperature["topic"]) / np.exp(row[:3] / temperature["topic"]).sum()
        assert np.allclose(list(prediction["topic"]["scores"].values()), softmax, atol=1e-5)
        assert np.allclose(list(prediction["tags"]["scores"].values()), 1 / (1 + np.exp(-row[5:9] / temperature["tags"])), atol=1e-5)
        assert prediction["rating"]["score"] == pytest.approx(row[9], abs=1e-3)


def test_closing_table_and_directory(trained):
    output, done = trained
    table = done.out.decode()
    for words in ("this model", "TF-IDF + linear", "majority", "macro-F1", "topic:", "sentiment:", "bootstrap"):
        assert words in table
    assert sorted(set(os.listdir(output)) - {"openvino"}) == [
        "config.json", "doxa.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "training.jsonl", "training.svg"]
    assert len({path.stat().st_mode for path in output.rglob("*") if path.is_file()}) == 1  # who may read one may read all
    about = json.loads((output / "doxa.json").read_text())
    assert [head["name"] for head in about["heads"]] == ["topic", "sentiment", "tags", "rating"]
    for name, entry in about["files"].items():
        assert entry["sha256"] == hashlib.sha256((output / name).read_bytes()).hexdigest()
    assert not [name for name in os.listdir(output.parent) if name != "out"]


def test_dev_confusions_are_what_predict_confuses_and_correct_a_report(trained, data):
    output, _ = trained
    kept = json.loads((output / "doxa.json").read_text())["dev"]["confusion"]
    assert list(kept) == ["topic", "sentiment", "tags"]
    done = run("predict", "--model", output, "--precision", "fp32", data[1])
    records = [json.loads(line) for line in done.lines]
    for head in ("topic", "sentiment"):
        labels = kept[head]["labels"]
        pairs = [(r[head], r["prediction"][head]["label"]) for r in records]
        assert kept[head]["counts"] == [[pairs.count((gold, said)) for said in labels] for gold in labels]
        assert kept[head]["unseen"] == [0] * len(labels)
    for label, counts in zip(kept["tags"]["labels"], kept["tags"]["counts"]):
        assert np.sum(counts) == 60 and np.sum(counts[1]) == sum(label in r["tags"] for r in records)
    for watch in ("topic=credit", "tags=good"):
        page = json.loads(run("report", "--watch", watch, "--model", output, "--to", "json", stdin=done.out).out)
        corrected = page["total"]["corrected"]
        assert "dev n=60 of doxa.json" in page["signature"] and corrected["low"] <= corrected["share"] <= corrected["high"]


@pytest.mark.slow
def test_same_seed_same_weights(tmp_path):
    """Weights and vocabulary, from texts rich enough that the vocabulary has ties to break."""
    sample = Path(__file__).parents[1] / "lib/doxa/sample/train.jsonl"
    sums = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        done = run("finetune", "--base", "scratch", "--head", "sentiment", "--seed", seed, "--max-steps", 4, "--no-openvino", "-o", tmp_path / name, sample)
        assert done.code == 0, done.err
        sums.append(hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest())
    assert sums[0] == sums[1] != sums[2]


def test_tokenized_input_trains_the_same_model(trained, data, tmp_path):
    """Token ids made beforehand give the very weights that texts give."""
    output, _ = trained
    tokenized = tmp_path / "train.arrow"
    assert run("tokenize", "--base", output, "--to", "arrow", "-o", tokenized, data[0]).code == 0
    sums = []
    for name, source in (("a", data[0]), ("b", tokenized)):
        done = run("finetune", "--base", output, "--head", "sentiment", "--max-steps", 3, "--no-openvino", "-o", tmp_path / name, source)
        assert done.code == 0, done.err
        sums.append((tmp_path / name / "model.safetensors").read_bytes())
    assert sums[0] == sums[1]


def test_table_says_when_tfidf_is_ahead(data, tmp_path):
    done = run("finetune", "--base", "scratch", "--head", "topic", "--max-steps", 1, "--no-openvino", "--dev", data[1], "-o", tmp_path / "out", data[0])
    assert "TF-IDF is AHEAD of this model" in done.out.decode()


@pytest.mark.parametrize("records, flags, code, words", [
    ([], ["--head", "topic"], 1, "no record"),
    ([{"text": "a", "topic": "x"}] * 9, ["--head", "topic"], 1, "one value only"),
    ([{"text": "a"}] * 9, ["--head", "topic"], 1, 'no training record has a text and a label in field "topic"'),
    ([{"text": "a", "topic": "x"}, {"text": "b", "topic": ["y"]}], ["--head", "topic"], 1, "topic"),
    ([{"text": "a", "topic": "x"}, {"text": "b", "topic": "y"}], ["--head", "topic:colour"], 2, "no kind of head"),
    ([{"text": "a", "topic": "x"}, {"text": "b", "topic": "y"}], ["--head", "topic", "--head", "topic"], 2, "twice"),
    ([{"text": "a", "topic": "x"}, {"text": "b", "topic": "y"}], ["--head", "topic", "--dev", "/nowhere.jsonl"], 1, "/nowhere.jsonl"),
], ids=["empty", "one-class", "no-label", "two-kinds", "unknown-kind", "twice", "no-dev"])
def test_data_that_cannot_be_learnt(records, flags, code, words, tmp_path):
    done = run("finetune", "--base", "scratch", *flags, "--no-openvino", "-o", tmp_path / "out", write(tmp_path / "t.jsonl", records))
    assert done.code == code and words in done.err and "Traceback" not in done.err, done.err
    assert not (tmp_path / "out").exists()


def test_bad_records_are_counted_and_the_rest_trains(data, tmp_path):
    source = tmp_path / "t.jsonl"
    source.write_bytes(data[0].read_bytes() + b'not json\n{"text": "", "topic": "credit"}\n{"text": "x", "topic": {"a": 1}}\n')
    line = ("finetune", "--base", "scratch", "--head", "topic", "--max-steps", 1, "--no-openvino", "-o", tmp_path / "out")
    refused = run(*line, "--max-errors", "0.1%", source)
    assert refused.code == 1 and len(refused.err_lines) == 1 and "--max-errors" in refused.err and not (tmp_path / "out").exists()
    done = run(*line, source)
    told = f"3 of 323 records carry an error: 1 bad_label ({source}:323), 1 empty_text ({source}:322), 1 not_json ({source}:321); first: {source}:321: "
    assert done.code == 3 and told in done.err_lines[0] and told in done.err_lines[-1], done.err
    assert (tmp_path / "out" / "doxa.json").exists() and not (tmp_path / "out" / "openvino").exists()


def test_a_dry_run_says_what_the_run_then_takes(data, tmp_path):
    flags = ("--base", "scratch", "--head", "sentiment", "--dev", data[1], "--num-train-epochs", 1, "--no-openvino", "-o", tmp_path / "out")
    planned = run("finetune", *flags, "--dry-run", data[0])
    assert planned.code == 0 and not (tmp_path / "out").exists(), planned.err
    plan = planned.out.decode()
    records = [json.loads(line) for line in data[0].read_text().splitlines()]
    for label in ("positive", "negative"):
        assert f"  {label}  {sum(record.get('sentiment') == label for record in records)}\n" in plan
    assert run("finetune", *flags, data[0]).code == 0
    last = [row for line in (tmp_path / "out/training.jsonl").read_text().splitlines() if "loss" in (row := json.loads(line))][-1]
    assert int(re.search(r"(\d+) steps", plan)[1]) == last["step"]
    assert float(re.search(r"memory: about ([\d.]+) GB", plan)[1]) == pytest.approx(last["peak_memory_bytes"] / 1e9, rel=0.35)


def test_warnings_on_data(data, tmp_path):
    dev = write(tmp_path / "dev.jsonl", [json.loads(data[0].read_text().splitlines()[1]), {"text": "oil up", "topic": "unseen"},
                                         {"text": "tax up", "topic": "policy"}])
    train = tmp_path / "t.jsonl"
    train.write_bytes(data[0].read_bytes() + b'{"text": "rare", "topic": "rare"}\n')
    done = run("finetune", "--base", "scratch", "--head", "topic", "--max-steps", 1, "--no-openvino", "--dev", dev, "-o", tmp_path / "out", train)
    assert done.code == 0
    for words in ("1 dev texts are in the training set", "unseen (1)", "rare (1)"):
        assert words in done.err


def test_an_existing_model_is_not_overwritten(trained, data, tmp_path):
    output, _ = trained
    before = (output / "model.safetensors").read_bytes()
    done = run("finetune", "--base", "scratch", "--head", "topic", "-o", output, data[0])
    assert done.code == 1 and "--force" in done.err and len(done.err_lines) == 1
    assert (output / "model.safetensors").read_bytes() == before
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious.txt").write_text("keep")
    done = run("finetune", "--base", "scratch", "--head", "topic", "--force", "-o", tmp_path / "folder", data[0])
    assert done.code == 1 and (tmp_path / "folder" / "precious.txt").read_text() == "keep"


def test_runaway_training_publishes_nothing(data, tmp_path):
    done = run("finetune", "--base", "scratch", "--head", "rating", "--learning-rate", 1e30, "--warmup-steps", 0, "--num-train-epochs", 3,
               "--max-grad-norm", 1e30, "-o", tmp_path / "out", data[0])
    assert done.code == 1 and "3 steps in a row" in done.err_lines[-1]
    skipped = [line for line in done.err_lines if "was skipped" in line]
    assert len(skipped) == 3 and all("t.jsonl" in line or "train.jsonl:" in line for line in skipped)
    assert os.listdir(tmp_path) == []


def test_patience_ends_a_run_that_learns_nothing_and_the_model_knows_how_it_was_made(data, base, tmp_path):
    done = run("finetune", "--base", base, "--head", "sentiment", "--dev", data[1], "--learning-rate", 1e-12, "--early-stopping-patience", 2,
               "--num-train-epochs", 9, "--focal-gamma", 2, "--class-weights", "balanced", "--no-openvino", "-o", tmp_path / "out", data[0])
    assert done.code == 0 and "stopped early: no better dev score in the 2 epochs after epoch 1" in done.err, done.err
    rows = [json.loads(line) for line in (tmp_path / "out/training.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows if "dev" in row] == [1, 2, 3]
    settings = json.loads((tmp_path / "out/doxa.json").read_text())["settings"]
    assert {name: settings[name] for name in ("learning_rate", "focal_gamma", "class_weights", "adversarial", "early_stopping_patience")} == {
        "learning_rate": 1e-12, "focal_gamma": 2.0, "class_weights": "balanced", "adversarial": None, "early_stopping_patience": 2}


def test_a_number_that_no_network_holds_is_an_error_of_its_record(data, tmp_path):
    train = tmp_path / "t.jsonl"
    train.write_bytes(data[0].read_bytes() + b'{"text": "far", "rating": 1e200}\n')
    done = run("finetune", "--base", "scratch", "--head", "rating", "--max-steps", 1, "--no-openvino", "--dev", data[1], "-o", tmp_path / "out", train)
    assert done.code == 3 and f'{train}:321: field "rating" is 1e+200; networks compute with numbers up to 1e+30' in done.err, done.err


def test_full_disk_publishes_nothing(data, tmp_path):
    """The limit is there long before the first weights are written; Python ignores the signal that goes with it."""
    process = start("finetune", "--base", "scratch", "--head", "topic", "--max-steps", 1, "--no-openvino", "-o", tmp_path / "out", data[0])
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    done = end(process)
    assert done.code == 1 and "Traceback" not in done.err, done.err
    assert os.listdir(tmp_path) == []


def test_chinese_from_nothing(tmp_path):
    fixtures = Path(__file__).parent / "fixtures"
    made = run("finetune", "--base", "scratch", "--head", "topic", "--head", "sentiment", "--num-train-epochs", 2, "--no-openvino", "-o", tmp_path / "zh",
               fixtures / "chinese_train.jsonl")
    assert made.code == 0, made.err
    predicted = run("predict", "--engine", "torch", "--model", tmp_path / "zh", fixtures / "chinese_news.jsonl")
    assert predicted.code == 0, predicted.err
    done = run("report", "--watch", "sentiment=负面", "--time-zone", "Asia/Shanghai", "--every", "1d", stdin=predicted.out)
    assert done.code == 0, done.err
    page = done.out.decode()
    assert "20 records" in page and "sentiment=负面" in page and "Asia/Shanghai" in page
    assert "unknown" not in made.err + predicted.err + done.err


def test_signature_pipe_on_a_slow_feed(trained, tmp_path):
    """predict answers before its input ends."""
    output, _ = trained
    process = start("predict", "--model", output)
    process.stdin.write(b'{"text": "oil gas rally gain"}\n')
    process.stdin.flush()
    started_s = time.monotonic()
    line = process.stdout.readline()
    assert b'"prediction"' in line and time.monotonic() - started_s < 60
    assert process.poll() is None
    process.stdin.close()
    process.stdin = None
    assert end(process).code == 0
