"""Predictions do not depend on order, batch or memory; windows are pooled as a plain mean."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from shell import ROOT, run

from doxa.inference.lanes import OutOfMemory
from doxa.model.kinds.slices import pool
from doxa.inference.loading import Request, load_labeller
from doxa.inference.predictor import Predictor
from doxa.records.record import Record
from doxa.text.frame import Window

SAMPLE = ROOT / "lib/doxa/sample"
WORDS = "bank loan profit merge shares outlook rating 贷款 利润 公司 deal cash".split()


@pytest.fixture(scope="module", params=["openvino", "torch"])
def labeller(request, tiny_model):
    return load_labeller(Request(str(tiny_model), "cpu", request.param, "fp32", with_scores=True))[0]


@pytest.fixture
def predictor(labeller, monkeypatch):
    """Every call computes anew: nothing is remembered."""
    monkeypatch.setattr(labeller.memory, "most_bytes", 0)
    lanes = ThreadPoolExecutor(2)
    return Predictor(lambda questions: lanes.submit(labeller.label, questions), labeller.kind, [head.name for head in labeller.heads], labeller.tokenizer,
                     window_records=32)


def make_records(n=70):
    generator = random.Random(1)
    return [Record("t", i, b"", {"text": " ".join(generator.choices(WORDS, k=generator.choice([1, 5, 20, 100, 400])))}) for i in range(n)]


def predict(predictor, records):
    return {outcome.record.number: outcome.added for outcomes in predictor.predict(iter(records)) for outcome in outcomes}


def differences(first, second):
    return max(abs(a - b) for i in first for head in first[i]["prediction"]
               for a, b in zip(first[i]["prediction"][head]["scores"].values(), second[i]["prediction"][head]["scores"].values()))


@pytest.mark.parametrize("batch_tokens", [1, 200, 100_000])
def test_order_and_batches_do_not_matter(predictor, labeller, batch_tokens, monkeypatch):
    records = make_records()
    expected = predict(predictor, records)
    shuffled = list(records)
    random.Random(2).shuffle(shuffled)
    monkeypatch.setattr(labeller.memory.engine, "batch_tokens", batch_tokens)
    seen = predict(predictor, shuffled)
    assert differences(expected, seen) <= (1e-5 if type(labeller.memory.engine).__name__ == "TorchEngine" else 0)
    assert list(seen) == [record.number for record in shuffled]


def test_out_of_memory_halves_the_batch(predictor, labeller, monkeypatch):
    records = make_records()
    expected = predict(predictor, records)
    forward, failures = labeller.memory.engine._forward, []

    def fail_on_large(windows):
        if len(windows) * max(len(window.ids) for window in windows) > 150:
            failures.append(len(windows))
            raise OutOfMemory
        return forward(windows)

    monkeypatch.setattr(labeller.memory.engine, "_forward", fail_on_large)
    monkeypatch.setattr(labeller.memory.engine, "batch_tokens", 4096)
    assert differences(expected, predict(predictor, records)) < 1e-5
    assert 0 < len(failures) < 60 and labeller.memory.engine.batch_tokens < 300  # the ceiling is remembered


def test_not_finite_is_an_error_record(predictor, labeller, monkeypatch):
    forward = labeller.memory.engine._forward

    def spoil(windows):
        logits = forward(windows).copy()
        logits[[window.weight < 5 for window in windows]] = np.nan
        return logits

    monkeypatch.setattr(labeller.memory.engine, "_forward", spoil)
    records = [Record("t", 0, b"", {"text": "bank"}), Record("t", 1, b"", {"text": "bank loan profit"})]
    first, second = predictor.predict_window(records)
    assert first.error.code == "non_finite" and not first.added and second.error is None


def test_windows_are_pooled_by_weight():
    logits = np.random.default_rng(0).normal(size=(6, 3))
    windows = [Window([0] * 12, None, weight) for weight in (10, 10, 4, 7, 1, 9)]
    spans = [(0, 3), (3, 4), (4, 6)]
    naive = [sum(logits[i] * windows[i].weight for i in range(*span)) / sum(windows[i].weight for i in range(*span)) for span in spans]
    assert pool(logits, windows, spans) == pytest.approx(np.array(naive))


def test_long_texts_are_read_whole(predictor):
    """A word at the very end of a long text changes its scores."""
    head = "bank " * 1000
    first, second = predictor.predict_window([Record("t", 0, b"", {"text": head}), Record("t", 1, b"", {"text": head + "profit merge"})])
    assert first.added["prediction"] != second.added["prediction"]
    assert first.added["n_tokens"] == len(predictor.tokenizer.encode([head])[0]) + 2 > 1000 and "truncated" not in first.added


def test_the_first_inferences_of_two_threads_do_not_wait_for_each_other(tiny_model, tmp_path):
    """Threads that take turns at every chance show in half of all runs what else hangs one in many; only a model that is new takes this path."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.setswitchinterval(1e-6)")
    load_labeller(Request(str(tiny_model), "cpu", "openvino", "fp32"))  # which leaves the form there, that each process compiles
    for i in range(3):
        env = {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / f"cache{i}")}
        assert run("predict", "--quiet", "--engine", "openvino", "--model", tiny_model, SAMPLE / "train.jsonl", env=env, timeout=30).code == 0
