"""What holds on a CUDA device; left out where none is."""

import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import shell
from conftest import TEXTS
from test_torchrun import FINETUNE, assert_like_weights, base  # noqa: F401 (a fixture)

LIB = Path(__file__).parents[1] / "lib"
SEEN = {"CUDA_VISIBLE_DEVICES": shell.GPUS}
run, start = partial(shell.run, env=SEEN), partial(shell.start, env=SEEN)


def call_python(code: str, *args) -> str:
    """What a program prints that sees the GPUs."""
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(LIB)!r})\n" + code, *map(str, args)], capture_output=True, text=True,
                          env=shell.environment(SEEN))
    assert done.returncode == 0, done.stderr
    return done.stdout


N_GPUS = int(call_python("import torch; print(torch.cuda.device_count())")) if shutil.which("nvidia-smi") else 0
pytestmark = pytest.mark.skipif(not N_GPUS, reason="no CUDA device is there")

SAMPLE = Path(__file__).parents[1] / "lib/doxa/sample"
RECORDS = "".join(json.dumps({"id": i, "text": " ".join(TEXTS[j % len(TEXTS)] for j in range(i, i + 1 + i % 5))}, ensure_ascii=False) + "\n" for i in range(200)).encode()
FLAGS = ("--base", "scratch", "--head", "sentiment", "--dev", SAMPLE / "dev.jsonl", "--num-train-epochs", 2, "--no-openvino", "--logging-steps", 1, "--device", "cuda")


def scores_of(model: Path, *flags) -> np.ndarray:
    """Of both heads' labels, (records, labels)."""
    done = run("predict", "--model", model, "--scores", "-q", *flags, stdin=RECORDS)
    assert done.code == 0, done.err
    predictions = [json.loads(line)["prediction"] for line in done.lines]
    return np.array([[score for head in row.values() for _, score in sorted(head["scores"].items())] for row in predictions])


@pytest.fixture(scope="module")
def on_cpu(tiny_model) -> np.ndarray:
    return scores_of(tiny_model, "--device", "cpu", "--engine", "torch", "--precision", "fp32")


@pytest.mark.parametrize("flags, tolerance", [
    (("--precision", "fp32"), 1e-4), (("--precision", "fp32", "--batch-tokens", 64), 1e-4), (("--precision", "fp16"), 0.03), (("--precision", "bf16"), 0.2),
    (("--precision", "fp32", "--workers", 3), 1e-4)], ids=["fp32", "small batches", "fp16", "bf16", "workers"])
def test_predictions_are_those_of_the_cpu(flags, tolerance, tiny_model, on_cpu):
    found = scores_of(tiny_model, "--device", "cuda", *flags)
    assert np.abs(found - on_cpu).max() < tolerance
    assert (found[:, :3].argmax(axis=1) == on_cpu[:, :3].argmax(axis=1)).mean() > 0.95


def test_a_batch_that_does_not_fit_is_halved(tiny_model):
    difference, batch_tokens = call_python("""
import numpy as np, torch
from doxa.inference.torch_engine import TorchEngine
from doxa.model.network import load_network
from doxa.text.frame import Window

model = load_network(sys.argv[1], torch.float32)
windows = [Window([2 + (i + j) % (model.config.vocab_size - 2) for j in range(128)], None, 1.0) for i in range(20_000)]
expected = TorchEngine(model, torch.device("cuda"), 128, batch_tokens=8192).compute(windows)
torch.cuda.empty_cache()
room = torch.cuda.memory_reserved() + 400e6
torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(0).total_memory)
engine = TorchEngine(model, torch.device("cuda"), 128, batch_tokens=1 << 22)
print(np.abs(engine.compute(windows) - expected).max(), engine.batch_tokens)
""", tiny_model).split()
    assert float(difference) < 1e-4 and int(batch_tokens) < 1 << 21


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_that_was_stopped_goes_on_to_the_very_same_weights(precision, tmp_path):
    whole, output = tmp_path / "whole", tmp_path / "out"
    done = run("finetune", *FLAGS, "--precision", precision, "-o", whole, SAMPLE / "train.jsonl")
    assert done.code == 0, done.err
    process = start("finetune", *FLAGS, "--precision", precision, "-o", output, SAMPLE / "train.jsonl")
    log = output / "training.partial.jsonl"
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b'"loss"') >= 5):
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    assert shell.end(process).code == 130
    done = run("finetune", *FLAGS, "--precision", precision, "--resume", "-o", output, SAMPLE / "train.jsonl")
    assert done.code == 0 and "going on from step" in done.err, done.err
    assert "determin" not in done.err and "Warning" not in done.err
    assert (output / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_training_ends_near_where_a_cpu_does(base, tmp_path):
    for device in ("cpu", "cuda"):
        done = run("finetune", "--base", base, *FLAGS[2:-2], "--max-steps", 12, "--precision", "fp32", "--device", device, "-o", tmp_path / device, SAMPLE / "train.jsonl")
        assert done.code == 0, done.err
    assert_like_weights(tmp_path / "cuda", tmp_path / "cpu")


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion", "shapley", "attention-rollout"])
def test_explanations_are_those_of_the_cpu(method, tiny_model):
    said = []
    for device in ("cpu", "cuda"):
        done = run("explain", "--model", tiny_model, "--method", method, "--no-faithfulness", "--precision", "fp32", "--device", device, "-q",
                   *(("--engine", "torch") if method in ("occlusion", "shapley") and device == "cpu" else ()), stdin=b"".join(RECORDS.splitlines(True)[:12]))
        assert done.code == 0, done.err
        said.append([json.loads(line)["explanation"] for line in done.lines])
    for cpu, gpu in zip(*said):
        for head in cpu:
            ours, theirs = ([unit["score"] for unit in entry[head]["tokens"]] for entry in (cpu, gpu))
            assert ours == pytest.approx(theirs, abs=2e-3)


def test_processes_that_have_no_gpu_of_their_own_are_told(tmp_path):
    n = N_GPUS + 1
    line = f"{FINETUNE} {' '.join(map(str, FLAGS))} -o {tmp_path}/out {SAMPLE}/train.jsonl"
    done = shell.shell(f"python -m torch.distributed.run --nproc-per-node {n} --standalone {line}", env=SEEN)
    assert done.code != 0 and f"{n - 1} CUDA device" in done.err and "Traceback (most recent call last):\n  File \"" + str(FINETUNE) not in done.err, done.err
