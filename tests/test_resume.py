"""Runs of finetune that are stopped or killed, and go on to the very same weights."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from shell import end, run, start

SAMPLE = Path(__file__).parents[1] / "lib/doxa/sample"
FLAGS = ("--base", "scratch", "--head", "sentiment", "--dev", SAMPLE / "dev.jsonl", "--max-steps", 24, "--per-device-train-batch-size", 8,
         "--num-train-epochs", 2, "--no-openvino", "--logging-steps", 5, "--device", "cpu")
TRAIN = SAMPLE / "train.jsonl"
STEPS = 24


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    done = run("finetune", *FLAGS, "-o", output, TRAIN)
    assert done.code == 0, done.err
    return output


def weights(output: Path) -> bytes:
    return (output / "model.safetensors").read_bytes()


def log_rows(output: Path) -> list[dict]:
    rows = [json.loads(line) for line in (output / "training.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in row if key not in ("seconds", "peak_memory_bytes")} for row in rows]


def newest_step(output: Path) -> int:
    return max((int(path.name.removeprefix("checkpoint-")) for path in output.glob("checkpoint-*") if path.suffix != ".tmp"), default=0)


def start_and_wait_for(output: Path, step: int, *more):
    """Start a run and return it when it has a checkpoint of that step or a later one."""
    process = start("finetune", *FLAGS, *more, "-o", output, TRAIN)
    while process.poll() is None and newest_step(output) < step:
        time.sleep(0.005)
    return process


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)])
def test_a_signal_saves_and_resume_ends_with_the_same_weights(number, code, undisturbed, tmp_path):
    output = tmp_path / "out"
    process = start_and_wait_for(output, 7, "--save-steps", 7)
    process.send_signal(number)
    done = end(process)
    assert done.code == code and "--resume" in done.err_lines[-1] and "of 24" in done.err_lines[-1], done.err
    assert not (output / "doxa.json").exists() and not (output / "model.safetensors").exists()
    assert run("predict", "--model", output, stdin=b"").code == 1
    refused = run("finetune", *FLAGS, "-o", output, TRAIN)
    assert refused.code == 1 and "--resume" in refused.err
    done = run("finetune", *FLAGS, "--resume", "-o", output, TRAIN)
    assert done.code == 0 and "going on from step" in done.err, done.err
    assert weights(output) == weights(undisturbed) and log_rows(output) == log_rows(undisturbed)
    assert not list(output.glob("checkpoint-*"))
    again = run("finetune", *FLAGS, "--resume", "-o", output, TRAIN)
    assert again.code == 0 and "nothing to resume" in again.err


def kill_until_whole(output: Path, n_kills: int, seed: int) -> int:
    """Kill a run at random moments of its training, then let it end; return how many kills hit. The first time there is no checkpoint to go on from, and
    it starts all the same."""
    generator, hits = random.Random(seed), 0
    for _ in range(n_kills):
        if (output / "doxa.json").exists():
            break
        before = newest_step(output)
        process = start_and_wait_for(output, min(STEPS, before + generator.randrange(1, 6)), "--save-steps", 1, "--resume")
        time.sleep(generator.random() * 0.05)
        process.kill()
        hits += process.wait() == -signal.SIGKILL
        told = process.communicate()[1]
        assert (b"holds no checkpoint" in told) == (before == 0), told
    done = run("finetune", *FLAGS, "--save-steps", 1, "--resume", "-o", output, TRAIN)
    assert done.code == 0, done.err
    return hits


def test_killed_runs_start_without_a_checkpoint_and_end_with_the_same_weights(undisturbed, tmp_path):
    assert kill_until_whole(tmp_path / "out", 3, 0) >= 2
    assert weights(tmp_path / "out") == weights(undisturbed) and log_rows(tmp_path / "out") == log_rows(undisturbed)
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.slow
def test_many_killed_runs_end_with_the_same_weights(undisturbed, tmp_path):
    hits = 0
    for seed in range(1, 41):
        output = tmp_path / f"out{seed}"
        hits += kill_until_whole(output, 5, seed)
        assert weights(output) == weights(undisturbed)
    assert hits >= 150


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A run that was killed with checkpoints of its last two steps."""
    output = tmp_path_factory.mktemp("killed") / "out"
    process = start_and_wait_for(output, 6, "--save-steps", 1)
    process.kill()
    process.communicate()
    assert len(list(output.glob("checkpoint-*"))) >= 2
    return output


@pytest.fixture
def stopped(killed, tmp_path) -> Path:
    """A copy of that run."""
    return shutil.copytree(killed, tmp_path / "out")


def test_a_damaged_checkpoint_is_skipped_and_said(stopped, undisturbed):
    newest = max(stopped.glob("checkpoint-*[0-9]"), key=lambda path: int(path.name.partition("-")[2]))
    data = bytearray((newest / "state.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (newest / "state.safetensors").write_bytes(data)
    done = run("finetune", *FLAGS, "--resume", "-o", stopped, TRAIN)
    assert done.code == 0 and f"{newest.name} is damaged and was skipped" in done.err
    assert weights(stopped) == weights(undisturbed)


@pytest.mark.parametrize("flags, train, words", [
    pytest.param(("--seed", 7), TRAIN, "--seed is not what the checkpoint", marks=pytest.mark.slow),
    (("--learning-rate", 1e-5), TRAIN, "--learning-rate is not"),
    ((), SAMPLE / "test.jsonl", "the training data is not")], ids=["seed", "rate", "data"])
def test_other_data_or_flags_are_refused(flags, train, words, stopped):
    before = sorted(os.listdir(stopped))
    done = run("finetune", *FLAGS, *flags, "--resume", "-o", stopped, train)
    assert done.code == 1 and words in done.err_lines[-1], done.err
    assert sorted(os.listdir(stopped)) == before


def test_a_look_at_dev_after_the_last_checkpoint_is_logged_once(undisturbed, tmp_path):
    """The checkpoint is of the very step after which the epoch ends."""
    output, lines = tmp_path / "out", (SAMPLE / "train.jsonl").read_text().splitlines(keepends=True)
    train = tmp_path / "train.jsonl"
    train.write_text("".join(lines[:80]))
    flags = (*FLAGS, "--save-steps", 10, "-o", output)
    process, log = start("finetune", *flags, train), output / "training.partial.jsonl"
    while process.poll() is None and not (log.exists() and b'"step": 10, "epoch": 1, "dev_score"' in log.read_bytes()):
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert newest_step(output) == 10
    (tmp_path / ".out.killed.tmp").mkdir()  # what it leaves when it is killed while it publishes
    assert run("finetune", *flags, "--resume", train).code == 0
    looks = [row["step"] for row in log_rows(output) if "dev" in row]
    assert looks == sorted(set(looks)) and looks[0] == 10 and sorted(os.listdir(tmp_path)) == ["out", "train.jsonl"]


def test_force_starts_anew(stopped, undisturbed):
    done = run("finetune", *FLAGS, "--force", "-o", stopped, TRAIN)
    assert done.code == 0 and "going on" not in done.err
    assert weights(stopped) == weights(undisturbed)


def test_one_run_at_a_time(tmp_path):
    process = start_and_wait_for(tmp_path / "out", 1, "--save-steps", 1)
    process.send_signal(signal.SIGSTOP)
    done = run("finetune", *FLAGS, "--resume", "-o", tmp_path / "out", TRAIN)
    process.kill()
    process.communicate()
    assert done.code == 1 and "another finetune is writing" in done.err


def test_a_replaced_model_stays_until_the_new_one_is_whole(undisturbed, tiny_model, tmp_path):
    output = shutil.copytree(tiny_model, tmp_path / "out")
    old = weights(output)
    process = start_and_wait_for(output, 5, "--force", "--save-steps", 1)
    process.kill()
    process.communicate()
    assert weights(output) == old and run("predict", "--engine", "torch", "--model", output, stdin=b'{"text": "a"}\n').code == 0
    done = run("finetune", *FLAGS, "--force", "--resume", "-o", output, TRAIN)
    assert done.code == 0 and weights(output) == weights(undisturbed), done.err
