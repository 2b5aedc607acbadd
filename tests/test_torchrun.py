"""Two processes train as one does."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from shell import environment, run, shell

from doxa.errors import UsageError
from doxa.training.processes import Processes

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


FLAGS = f"--head sentiment --dev {SAMPLE}/dev.jsonl --num-train-epochs 2 --precision fp32 --no-openvino --device cpu"


@pytest.fixture(scope="module")
def alone(base, tmp_path_factory) -> Path:
    """What one process makes of it."""
    output = tmp_path_factory.mktemp("alone") / "out"
    done = run("finetune", *FLAGS.split(), "--base", base, "--per-device-train-batch-size", 16, "-o", output, SAMPLE / "train.jsonl")
    assert done.code == 0, done.err
    return output


def losses_of(output: Path) -> list[float]:
    return [row["loss"] for row in map(json.loads, (output / "training.jsonl").read_text().splitlines()) if "loss" in row]


def assert_like_weights(found: Path, expected: Path) -> None:
    weights, others = (load_file(path / "model.safetensors") for path in (found, expected))
    assert weights.keys() == others.keys()
    for name in others:
        if name.endswith("key.bias"):  # softmax does not depend on it: its gradient is rounding, which Adam scales up
            continue
        assert torch.allclose(weights[name], others[name], atol=2e-4), name


def assert_equal(found: Path, expected: Path) -> None:
    assert_like_weights(found, expected)
    assert losses_of(found) == pytest.approx(losses_of(expected), abs=1e-3)


@pytest.mark.parametrize("more", ["", pytest.param("--fsdp", marks=pytest.mark.slow)], ids=["replicas", "shards"])
def test_two_processes_end_where_one_does(more, base, alone, tmp_path):
    two = shell(f"{TORCHRUN} {FINETUNE} {FLAGS} {more} --base {base} --per-device-train-batch-size 8 -o {tmp_path}/two {SAMPLE}/train.jsonl")
    assert two.code == 0, two.err
    assert two.err.count("epoch 1 of 2") == 1
    assert_equal(tmp_path / "two", alone)
    assert not list((tmp_path / "two").glob("checkpoint-*"))


@pytest.mark.slow
def test_shards_that_were_killed_go_on_to_the_same_weights(base, tmp_path):
    line = f"{TORCHRUN} {FINETUNE} {FLAGS} --fsdp --base {base} --per-device-train-batch-size 8 --save-steps 5 {SAMPLE}/train.jsonl"
    undisturbed = shell(f"{line} -o {tmp_path}/whole")
    assert undisturbed.code == 0, undisturbed.err
    running = subprocess.Popen(["bash", "-c", f"{line} -o {tmp_path}/cut"], start_new_session=True, stderr=subprocess.DEVNULL, env=environment())
    while running.poll() is None and not (tmp_path / "cut/checkpoint-5").exists():
        time.sleep(0.002)
    subprocess.run(["pkill", "-9", "-f", f"{tmp_path}/cut"])  # workers have sessions of their own
    running.wait()
    assert not (tmp_path / "cut/doxa.json").exists()
    resumed = shell(f"{line} --resume -o {tmp_path}/cut")
    assert resumed.code == 0 and "going on from step" in resumed.err, resumed.err
    assert (tmp_path / "cut/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    again = shell(f"{line} --resume -o {tmp_path}/cut")
    assert again.code == 0 and again.err.count("nothing to resume") == 1, again.err


@pytest.mark.parametrize("flags, says", [
    (("--fsdp",), "--fsdp needs several processes"), (("--fsdp", "--peft", "lora"), "--fsdp goes with none of"),
    (("--fsdp", "--adversarial", "fgm"), "--fsdp goes with none of"), (("--fsdp", "--precision", "fp16"), "--fsdp goes with none of")])
def test_what_shards_do_not_go_with_is_said(flags, says, tmp_path):
    done = run("finetune", *FLAGS.split(), *flags, "-o", tmp_path / "out", SAMPLE / "train.jsonl")
    assert done.code == 2 and says in done.err


def test_standard_input_cannot_be_shared(base, tmp_path):
    done = shell(f"cat {SAMPLE}/train.jsonl | {TORCHRUN} {FINETUNE} --base {base} --head sentiment -o {tmp_path}/out")
    assert done.code != 0 and "standard input" in done.err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("device, says", [("cuda", "1 CUDA devices are there, and each serves one process"), ("cuda:0", "cannot share a run on cuda:0; give --device cpu, or cuda"),
                                          ("mps", "cannot share a run on mps")])
def test_devices_that_processes_cannot_share(device, says, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match=says):
        Processes(rank=1, count=2, local_rank=1).join(device)
