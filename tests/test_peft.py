"""Training few weights: what is trained, what is written, and that ranks move."""

import json
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from shell import end, run, start
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from doxa.errors import DoxaError
from doxa.model.network import load_network
from doxa.device.extras import load_extra

pytest.importorskip("peft")

SAMPLE = Path(__file__).parents[1] / "lib/doxa/sample"
TRAIN, DEV, TEST = (SAMPLE / f"{name}.jsonl" for name in ("train", "dev", "test"))
FLAGS = ("--head", "sentiment", "--dev", DEV, "--num-train-epochs", 3, "--no-openvino", "--device", "cpu")


@pytest.fixture(scope="module", params=["lora", *(pytest.param(method, marks=pytest.mark.slow) for method in ("adalora", "adapter"))])
def trained(request, tiny_model, tmp_path_factory):
    output = tmp_path_factory.mktemp("peft") / "out"
    done = run("finetune", *FLAGS, "--base", tiny_model, "--peft", request.param, "--peft-rank", 4, "--keep-adapter", "-o", output, TRAIN)
    assert done.code == 0, done.err
    return request.param, output, done.out.decode()


def test_a_fresh_process_gave_the_same_logits(trained):
    assert trained[2].count("loaded in a fresh process") == 2


def test_only_what_the_method_names_has_moved(trained, tiny_model):
    method, output, _ = trained
    before, after = load_file(tiny_model / "model.safetensors"), load_file(output / "model.safetensors")
    before = {re.sub(r"^bert\.", "", name): tensor for name, tensor in before.items()}
    moved = {name for name, tensor in after.items()
             if (own := re.sub(r"^bert\.", "", name)) in before and before[own].shape == tensor.shape and not torch.equal(before[own], tensor)}
    assert not any("embeddings.word" in name or "embeddings.position" in name for name in moved)
    linear = {name for name in after if "encoder.layer" in name and name.endswith("weight") and "LayerNorm" not in name and "adapter_" not in name}
    assert moved & linear == (set() if method == "adapter" else linear)
    if method == "adapter":
        assert sum("adapter_down.weight" in name for name in after) == len([name for name in after if name.endswith("output.dense.weight")])


def test_the_closing_table_counts_what_was_trained(trained):
    method, output, table = trained
    said = int(re.search(r"\(([\d,]+) trained", table)[1].replace(",", ""))
    counted = sum(tensor.numel() for name, tensor in load_file(output / "adapter/adapter_model.safetensors").items() if "ranknum" not in name)
    assert said > counted if method == "adalora" else said == counted  # AdaLoRA writes only the ranks that it kept


def test_predict_gives_what_the_weights_give(trained):
    """The converted form, adapters included, against the weights as torch runs them."""
    _, output, _ = trained
    done = run("predict", "--model", output, "--precision", "fp32", "--scores", TEST)
    assert done.code == 0, done.err
    model, tokenizer, head = load_network(str(output)), AutoTokenizer.from_pretrained(output), json.loads((output / "doxa.json").read_text())["heads"][0]
    for line in done.lines[:10]:
        record = json.loads(line)
        with torch.inference_mode():
            logits = model(**tokenizer(record["text"], return_tensors="pt")).logits[0] / head["temperature"]
        found = record["prediction"]["sentiment"]["scores"]
        assert [found[label] for label in head["labels"]] == pytest.approx(logits.softmax(0).tolist(), abs=2e-3)


def test_merged_models_are_plain_ones(trained):
    method, output, _ = trained
    model, info = AutoModelForSequenceClassification.from_pretrained(output, output_loading_info=True)
    assert not info["missing_keys"] and bool(info["unexpected_keys"]) == (method == "adapter")


def test_peft_itself_reads_the_added_weights(trained):
    method, output, _ = trained
    if method == "adapter":
        pytest.skip("peft has none")
    from peft import AutoPeftModelForSequenceClassification

    whole, inputs = AutoModelForSequenceClassification.from_pretrained(output).eval(), {"input_ids": torch.tensor([[2, 17, 5, 30, 3]])}
    alone = AutoPeftModelForSequenceClassification.from_pretrained(output / "adapter", num_labels=whole.config.num_labels, ignore_mismatched_sizes=True).eval()  # the base has a head
    with torch.inference_mode():
        torch.testing.assert_close(alone(**inputs).logits, whole(**inputs).logits, rtol=1e-4, atol=1e-5)


def ranks(table: str) -> np.ndarray:
    rows = re.findall(r"^  [\w.]+: ([\d ]+)$", table, re.MULTILINE)
    return np.array([int(value) for row in rows for value in row.split()])


def test_adalora_moves_ranks_and_keeps_its_budget(trained):
    method, _, table = trained
    if method != "adalora":
        pytest.skip("of AdaLoRA alone")
    found = ranks(table)
    assert len(set(found.tolist())) > 1 and found.max() <= 6 and abs(int(found.sum()) - 4 * len(found)) <= 1


@pytest.mark.parametrize("method", [pytest.param("adalora", marks=pytest.mark.slow), pytest.param("adapter", marks=pytest.mark.slow)])
def test_a_stopped_run_goes_on_to_the_same_weights(method, tiny_model, tmp_path):
    flags = (*FLAGS, "--base", tiny_model, "--peft", method, "--peft-rank", 4, "--logging-steps", 1)
    assert run("finetune", *flags, "-o", tmp_path / "whole", TRAIN).code == 0
    process = start("finetune", *flags, "-o", tmp_path / "out", TRAIN)
    log = tmp_path / "out/training.partial.jsonl"
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b'"loss"') >= 12):
        pass
    process.send_signal(signal.SIGINT)
    assert end(process).code == 130
    done = run("finetune", *flags, "--resume", "-o", tmp_path / "out", TRAIN)
    assert done.code == 0, done.err
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(DoxaError, match=r"pip install 'doxa\[peft\]'"):
        load_extra("peft", "peft", "--peft lora")


@pytest.mark.parametrize("adversary", [pytest.param("fgm", marks=pytest.mark.slow), pytest.param("freelb", marks=pytest.mark.slow)])
def test_few_weights_and_an_adversary_go_together(adversary, tiny_model, tmp_path):
    done = run("finetune", *FLAGS, "--base", tiny_model, "--peft", "lora", "--adversarial", adversary, "--gradient-checkpointing",
               "-o", tmp_path / "out", TRAIN)
    assert done.code == 0, done.err


def test_an_adapter_needs_a_base_that_others_have(tmp_path):
    done = run("finetune", *FLAGS, "--base", "scratch", "--peft", "lora", "--keep-adapter", "-o", tmp_path / "out", TRAIN)
    assert done.code == 2 and "scratch" in done.err
