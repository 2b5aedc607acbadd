"""Two processes train as one does."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from shell import run, shell

SAMPLE = Path(__file__).parents[1] / "lib/doxa/sample"
FINETUNE = Path(__file__).parents[1] / "bin/finetune"
TORCHRUN = f"{sys.executable} -m torch.distributed.run --nproc-per-node 2 --standalone"


@pytest.fixture(scope="module")
def base(tiny_model, tmp_path_factory) -> Path:
    """A base without dropout, which every process draws for itself."""
    path = tmp_path_factory.mktemp("base") / "base"
    path.mkdir()
    for file in tiny_model.iterdir():
        if file.is_file() and file.name != "doxa.json":
            (path / file.name).write_bytes(file.read_bytes())
    config = json.loads((path / "config.json").read_text()) | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_two_processes_end_where_one_does(base, tmp_path):
    flags = f"--base {base} --head sentiment --dev {SAMPLE}/dev.jsonl --num-train-epochs 2 --precision fp32 --no-int8 --device cpu"
    two = shell(f"{TORCHRUN} {FINETUNE} {flags} --per-device-train-batch-size 8 -o {tmp_path}/two {SAMPLE}/train.jsonl")
    assert two.code == 0, two.err
    assert two.err.count("epoch 1 of 2") == 1
    one = run("finetune", *flags.split(), "--per-device-train-batch-size", 16, "-o", tmp_path / "one", SAMPLE / "train.jsonl")
    assert one.code == 0, one.err
    found, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "one"))
    for name in expected:
        if name.endswith("key.bias"):  # softmax does not depend on it: its gradient is rounding, which Adam scales up
            continue
        assert torch.allclose(found[name], expected[name], atol=2e-4), name
    losses = [[row["loss"] for row in map(json.loads, (tmp_path / name / "training.jsonl").read_text().splitlines()) if "loss" in row] for name in ("two", "one")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    assert not list((tmp_path / "two").glob("checkpoint-*"))


def test_standard_input_cannot_be_shared(base, tmp_path):
    done = shell(f"cat {SAMPLE}/train.jsonl | {TORCHRUN} {FINETUNE} --base {base} --head sentiment -o {tmp_path}/out")
    assert done.code != 0 and "standard input" in done.err and not (tmp_path / "out").exists()
