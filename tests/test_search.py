"""A search for settings: what is tried, what is given up, what is kept, and that a stopped one goes on alike."""

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from shell import end, run, start

from doxa.errors import DoxaError
from doxa.training.rounds import Trial
from doxa.training.search import Sampler
from doxa.training.space import Span, parse_space

SAMPLE = Path(__file__).parents[1] / "lib/doxa/sample"
TRAIN, DEV = SAMPLE / "train.jsonl", SAMPLE / "dev.jsonl"
N_TRIALS = 7
SPACE = ("--space", "learning-rate=1e-5..1e-1", "--space", "num-train-epochs=1..4", "--space", "class-weights=none,balanced")
FLAGS = ("--head", "sentiment", "--dev", DEV, "--num-train-epochs", 2, "--no-openvino", "--device", "cpu", "--logging-steps", 1, "--seed", 3)


@pytest.fixture(scope="module")
def searched(tiny_model, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("searched") / "out"
    done = run("finetune", *FLAGS, "--base", tiny_model, "--search", N_TRIALS, *SPACE, "-o", output, TRAIN)
    assert done.code == 0, done.err
    (output.parent / "table.txt").write_bytes(done.out)
    return output


def trials_of(output: Path) -> list[dict]:
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in json.loads((output / "doxa.json").read_text())["search"]]


def test_the_model_is_the_best_trial_as_it_was_trained(searched, tiny_model, tmp_path):
    trials = trials_of(searched)
    best = max((trial for trial in trials if not trial["is_given_up"]), key=lambda trial: max(trial["scores"]))
    assert best["number"] > 0  # seed 3: else nothing is shown of how a later one is kept
    figures = json.loads((searched / "doxa.json").read_text())
    assert figures["dev"]["heads"][0]["scores"]["model"]["macro-F1"]["value"] == pytest.approx(max(best["scores"]))
    flags = [part for name, value in best["settings"].items() for part in (f"--{name}", repr(value) if isinstance(value, float) else value)]
    plain = ("--head", "sentiment", "--dev", DEV, "--no-openvino", "--device", "cpu", "--seed", 3)
    done = run("finetune", *plain, "--base", tiny_model, *flags, "-o", tmp_path / "alone", TRAIN)
    assert done.code == 0, done.err
    assert (tmp_path / "alone/model.safetensors").read_bytes() == (searched / "model.safetensors").read_bytes()


def test_the_table_holds_every_trial_best_first(searched):
    lines = (searched.parent / "table.txt").read_text().splitlines()
    top = next(i for i, line in enumerate(lines) if line.startswith("trial "))
    rows = [line.split() for line in lines[top + 1 : top + 1 + N_TRIALS]]
    assert sorted(int(row[0]) for row in rows) == list(range(1, N_TRIALS + 1))
    finished = [float(row[1]) for row in rows if "given" not in row]
    assert finished == sorted(finished, reverse=True)
    assert any("flatter" in line for line in lines)


def test_trials_stay_in_the_space_and_the_first_is_what_the_flags_say(searched):
    first, *others = trials_of(searched)
    assert first["settings"]["num-train-epochs"] == 2 and first["settings"]["class-weights"] == "none"
    for trial in others:
        assert 1e-5 <= trial["settings"]["learning-rate"] <= 1e-1 and 1 <= trial["settings"]["num-train-epochs"] <= 4
        assert trial["settings"]["class-weights"] in ("none", "balanced") and trial["n_epochs"] == trial["settings"]["num-train-epochs"]


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [pytest.param(8, marks=pytest.mark.slow), 75])  # in the first trial, and in a later one
def test_a_stopped_search_goes_on_to_the_same_trials_and_weights(n_rows, searched, tiny_model, tmp_path):
    output = tmp_path / "out"
    command = (*FLAGS, "--base", tiny_model, "--search", N_TRIALS, *SPACE, "-o", output)
    process = start("finetune", *command, TRAIN)
    log = output / "training.partial.jsonl"
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= n_rows):
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    assert end(process).code == 143
    assert not (output / "doxa.json").exists()
    refused = run("finetune", *command, "--space", "weight-decay=0..1", "--resume", TRAIN)
    assert refused.code == 1 and "--search" in refused.err
    done = run("finetune", *command, "--resume", TRAIN)
    assert done.code == 0, done.err
    assert trials_of(output) == trials_of(searched)
    assert (output / "model.safetensors").read_bytes() == (searched / "model.safetensors").read_bytes()
    assert not list(output.glob("stage-*")) and not list(output.glob("checkpoint-*"))


@pytest.mark.slow
def test_few_weights_are_searched_too(tiny_model, tmp_path):
    done = run("finetune", *FLAGS, "--base", tiny_model, "--peft", "lora", "--keep-adapter", "--search", 3, "--space", "peft-rank=2,4,8",
               "-o", tmp_path / "out", TRAIN)
    assert done.code == 0, done.err
    assert (tmp_path / "out/adapter").is_dir()


def _trial(scores: list[float], n_epochs: int, **more) -> Trial:
    return Trial(0, {"learning-rate": 0.01}, scores, 1, n_epochs, more.get("is_given_up", False), 1.0)


def test_a_trial_is_hopeless_below_the_median_at_the_same_share_of_its_epochs():
    sampler = Sampler({"learning-rate": Span(1e-5, 1e-1, is_log=True)}, 0)
    past = [[0.1, 0.5], [0.2, 0.6], [0.3, 0.7], [0.4, 0.8], [0.5, 0.9]]
    for scores in past[:4]:
        sampler.tell(_trial(scores, 2))
        assert not sampler.is_hopeless([0.0], 2)  # too few to compare with
    sampler.tell(_trial(past[4], 2))
    at_half, at_end = (float(np.median([max(scores[:n]) for scores in past])) for n in (1, 2))
    for score in (0.05, 0.29, 0.31, 0.65, 0.75):
        assert sampler.is_hopeless([score], 2) == (score < at_half)
        assert sampler.is_hopeless([0.0, score], 4) == (score < at_half)  # two of four are half too
        assert sampler.is_hopeless([score], 1) == (score < at_end)


def test_choices_follow_from_the_trials_before():
    space = {"learning-rate": Span(1e-5, 1e-1, is_log=True), "per-device-train-batch-size": (8, 16)}
    one, other = Sampler(space, 5), Sampler(space, 5)
    asked = []
    for i in range(12):
        asked.append(one.ask())
        trial = Trial(i, asked[-1], [], 0, 1, True, 0.0) if i == 3 else Trial(i, asked[-1], [1 / (1 + i)], 1, 1, False, 0.0)
        one.tell(trial)
        other.tell(trial)
        assert one.ask() == other.ask()
    assert len({choice["learning-rate"] for choice in asked}) == 12


def test_later_choices_are_better_than_chance():
    """The score falls with the distance from 1e-3, in decades."""
    sampler = Sampler({"learning-rate": Span(1e-5, 1e-1, is_log=True)}, 0)
    distances = []
    for i in range(40):
        rate = sampler.ask()["learning-rate"]
        distances.append(abs(np.log10(rate) + 3))
        sampler.tell(Trial(i, {"learning-rate": rate}, [-distances[-1]], 1, 1, False, 0.0))
    assert np.median(distances[20:]) < 0.6  # of a uniform choice: 1.0


def test_space_is_read():
    assert parse_space(("learning-rate=1e-5..1e-3", "num-train-epochs=2..8", "weight-decay=0,0.1", "lr-scheduler-type=linear,cosine")) == {
        "learning-rate": Span(1e-5, 1e-3, is_log=True), "num-train-epochs": Span(2, 8, is_whole=True), "weight-decay": (0.0, 0.1),
        "lr-scheduler-type": ("linear", "cosine")}


@pytest.mark.parametrize("flags, says", [
    (("--space", "learning-rate=1..2"), "--space needs --search"),
    (("--search", 3, "--space", "speed=1..2"), "'speed' is no setting that can be searched"),
    (("--search", 3, "--space", "learning-rate"), "give numbers"),
    (("--search", 3, "--space", "learning-rate=2e-3..1e-3"), "LOW is not below HIGH"),
    (("--search", 3, "--space", "learning-rate=0..1e-3"), "goes from"),
    (("--search", 3, "--space", "num-train-epochs=1.5..3"), "whole numbers"),
    (("--search", 3, "--space", "class-weights=none,some"), "'some' is none of"),
    (("--search", 3, "--space", "focal-gamma=0,1", "--space", "focal-gamma=2"), "twice"),
    (("--search", 3, "--space", "peft-rank=2,4"), "--space peft-rank needs --peft"),
    (("--search", 3, "--unlabelled", TRAIN, "--self-training-rounds", 1), "do not go together"),
])
def test_what_cannot_be_searched_is_said_at_once(flags, says, tmp_path):
    done = run("finetune", *FLAGS, *flags, "-o", tmp_path / "out", TRAIN)
    assert done.code == 2 and says in done.err and len(done.err_lines) == 1


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(DoxaError, match=r"pip install 'doxa\[search\]'"):
        Sampler({}, 0)
