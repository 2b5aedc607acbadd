"""Texts without labels: the head start, self-training, teachers."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from shell import end, run, start
from torch.nn import functional as F

from doxa.model.heads import Head
from doxa.text.frame import Window
from doxa.training.masked_language import MaskedLanguage
from doxa.training.loss import Objective
from doxa.training.self_training import _choose_one, least_score

SAMPLE = Path(__file__).parents[1] / "lib/doxa/sample"
TRAIN, DEV, NEWS = (SAMPLE / f"{name}.jsonl" for name in ("train", "dev", "news"))
FLAGS = ("--base", "scratch", "--head", "sentiment", "--dev", DEV, "--num-train-epochs", 1, "--no-openvino", "--device", "cpu", "--logging-steps", 1)


@pytest.fixture(scope="module")
def head_start(tmp_path_factory) -> tuple:
    """Flags of a head start on few texts."""
    texts = tmp_path_factory.mktemp("texts") / "news.jsonl"
    texts.write_bytes(b"".join(NEWS.read_bytes().splitlines(keepends=True)[:96]))
    return (*FLAGS, "--head-start", "mlm", "--head-start-epochs", 2, "--unlabelled", texts)


@pytest.fixture(scope="module")
def started(head_start, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("started") / "out"
    done = run("finetune", *head_start, "-o", output, TRAIN)
    assert done.code == 0, done.err
    return output


def rows_of(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "training.jsonl").read_text().splitlines()]


def test_the_head_start_learns_and_its_encoder_is_a_base(started, tmp_path):
    scores = [row["dev_score"] for row in rows_of(started) if row["name"] == "head start" and "dev_score" in row]
    assert len(scores) == 2 and scores[1] > scores[0]
    assert {row["name"] for row in rows_of(started)} == {"head start", "fine-tuning"}
    done = run("finetune", *FLAGS[2:], "--base", started / "encoder", "-o", tmp_path / "next", TRAIN)
    assert done.code == 0, done.err


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [5, pytest.param(24, marks=pytest.mark.slow)])  # in the head start, and after it
def test_a_run_with_a_head_start_goes_on_to_the_same_weights(n_rows, head_start, started, tmp_path):
    output = tmp_path / "out"
    process = start("finetune", *head_start, "-o", output, TRAIN)
    log = output / "training.partial.jsonl"
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= n_rows):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert end(process).code == 143
    refused = run("finetune", *head_start, "--head-start-learning-rate", 1e-3, "--resume", "-o", output, TRAIN)
    assert refused.code == 1 and "--head-start" in refused.err
    done = run("finetune", *head_start, "--resume", "-o", output, TRAIN)
    assert done.code == 0, done.err
    assert (output / "model.safetensors").read_bytes() == (started / "model.safetensors").read_bytes()
    assert (output / "encoder/model.safetensors").read_bytes() == (started / "encoder/model.safetensors").read_bytes()


def test_hidden_tokens_are_drawn_in_their_shares():
    task = MaskedLanguage([Window([1, 2], None, 2)], 4, 1000, (0, 1, 2, 3, 4), 0, None)
    torch.manual_seed(0)
    ids = torch.randint(5, 1000, (200, 100))
    ids[:, 0], ids[:, 90:] = 2, 0
    mask = torch.ones_like(ids)
    mask[:, 90:] = 0
    hidden, shown = task.hide(ids, mask)
    assert not hidden[:, 0].any() and not hidden[:, 90:].any() and torch.equal(shown[~hidden], ids[~hidden])
    n = 200 * 89
    assert abs(hidden.sum().item() / n - 0.15) < 5 * (0.15 * 0.85 / n) ** 0.5
    n_hidden = hidden.sum().item()
    for share, wanted in (((shown == 4)[hidden].float().mean().item(), 0.8), ((shown == ids)[hidden].float().mean().item(), 0.1)):
        assert abs(share - wanted) < 5 * (wanted * (1 - wanted) / n_hidden) ** 0.5 + 0.001


def test_a_text_of_few_tokens_still_hides_one():
    task = MaskedLanguage([Window([1, 2], None, 2)], 4, 1000, (0, 1, 2, 3, 4), 0, None)
    for seed in range(50):
        torch.manual_seed(seed)
        hidden, _ = task.hide(torch.tensor([[2, 77, 3]]), torch.ones(1, 3, dtype=torch.long))
        assert hidden.sum() == 1 and hidden[0, 1]


def test_least_score_is_the_lowest_that_keeps_the_precision():
    generator = np.random.default_rng(1)
    confidence = generator.random(400)
    is_right = generator.random(400) < confidence
    found = least_score(confidence, is_right)
    naive = [s for s in confidence if (confidence >= s).sum() >= 10 and is_right[confidence >= s].mean() >= 0.9]
    assert found == pytest.approx(min(naive))
    assert least_score(confidence, np.zeros(400, dtype=bool)) > 1
    assert least_score(confidence[:5], is_right[:5]) == 0.9


def test_chosen_labels_keep_the_shares_of_the_labelled_ones():
    scores = np.array([[0.99, 0.01]] * 50 + [[0.02, 0.98]] * 4 + [[0.6, 0.4]] * 9)
    chosen = _choose_one(scores, np.zeros((0, 2)), np.zeros(0), np.array([0, 0, 1, 1, np.nan]))
    offered = 50 / 2, 4 / 2
    assert (chosen == 1).sum() == 4 and (chosen == 0).sum() == np.ceil(2 * min(10, np.median(offered))) and np.isnan(chosen[54:]).all()


def test_self_training_never_learns_from_dev(tmp_path):
    done = run("finetune", *FLAGS, "--unlabelled", DEV, "-o", tmp_path / "out", TRAIN)
    assert done.code == 1 and "no text beyond" in done.err


def test_self_training_runs_in_rounds(tiny_model, tmp_path):
    flags = (*FLAGS[2:], "--base", tiny_model, "--num-train-epochs", 12, "--learning-rate", 2e-3, "--unlabelled", NEWS, "--self-training-rounds", 1)
    done = run("finetune", *flags, "-o", tmp_path / "out", TRAIN)
    assert done.code == 0, done.err
    assert "round 1 of 1" in done.err or "self-training ends" in done.err


def test_a_teacher_teaches(started, tiny_model, tmp_path):
    done = run("finetune", *FLAGS[2:], "--base", tiny_model, "--teacher", tiny_model, "--teacher", tiny_model, "--unlabelled", NEWS, "-o", tmp_path / "out", TRAIN)
    assert done.code == 0, done.err
    done = run("finetune", *FLAGS, "--head", "topic", "--teacher", started, "-o", tmp_path / "other", TRAIN)
    assert done.code == 1 and 'no head "topic"' in done.err


def test_the_loss_with_a_teacher_is_the_mean_of_both():
    torch.manual_seed(0)
    heads = [Head("a", "label", ("x", "y", "z"))]
    logits, gold = torch.randn(6, 3), torch.tensor([0.0, 1.0, 2.0, torch.nan, 1.0, torch.nan])
    soft = torch.randn(6, 3).softmax(1)
    known = ~gold.isnan()
    hard = F.cross_entropy(logits[known], gold[known].long())
    taught = -(soft * logits.log_softmax(1)).sum(1).mean()
    assert Objective(heads)(logits, [gold], soft).item() == pytest.approx(((hard + taught) / 2).item())
