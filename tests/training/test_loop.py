"""The training loop by itself: fp16 gradients in range, rates of heads, epochs that are taken by default."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from doxa.model.heads import Head
from doxa.text.frame import Window
from doxa.training.loop import LoopSettings, TrainingLoop
from doxa.training.loss import Objective
from doxa.training.optimizer import make_optimizer
from doxa.training.defaults import default_epochs
from doxa.training.tasks import Classification

HEAD = Head("side", "label", ("left", "right"))


def tiny_model(model_type: str = "bert"):
    torch.manual_seed(1)
    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(
        model_type, vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=40,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.0, num_labels=2))


def tiny_task(mixed: torch.dtype | None, factor: float = 1.0):
    """Texts of six tokens, whose first word tells the label. `factor` multiplies the loss."""
    words = np.random.default_rng(0).integers(10, 50, (64, 6))
    labels = np.arange(64) % 2
    words[:, 1] = 5 + labels
    windows = [Window(tuple(int(i) for i in row), None, 1.0) for row in words]

    class Task(Classification):
        def batch(self, model, part):
            mask, compute = super().batch(model, part)
            return mask, lambda: factor * compute()

        def shortcut(self, model):
            return nullcontext()

    return Task(Objective([HEAD]), windows, [torch.tensor(labels, dtype=torch.float32)], [str(i) for i in range(64)], 0, mixed)


class Notebook:
    def __init__(self):
        self.losses, self.skipped, self.kept = [], [], []

    def on_step(self, progress):
        self.losses.append(progress.loss)

    def on_skip(self, step, places):
        self.skipped.append(step)

    def on_evaluation(self, evaluation):
        pass

    def gives_up(self, position):
        return False

    def wants_checkpoint(self, step):
        return step == 20

    def on_checkpoint(self, step, tensors, figures):
        self.kept.append((tensors, figures))


def train(mixed: torch.dtype | None, factor: float = 1.0, kept=None) -> tuple[TrainingLoop, Notebook]:
    loop = TrainingLoop(tiny_model(), LoopSettings(4e-3, 20, 16), torch.device("cpu"), is_fp16=mixed == torch.float16)
    if kept:
        loop.restore(*kept)
    notebook = Notebook()
    loop.run(tiny_task(mixed, factor), lambda: {}, notebook)
    return loop, notebook


def test_fp16_learns_what_fp32_learns():
    plain, fp16 = train(None)[1].losses, train(torch.float16)[1].losses
    assert plain[0] > 0.5 and plain[-1] < 0.05
    assert fp16[0] == pytest.approx(plain[0], abs=1e-3) and fp16[-1] < 0.05


def test_fp16_finds_a_scale_that_fits_and_calls_no_record_bad():
    loop, notebook = train(torch.float16, 1000.0)  # the first scale, 65536, takes its gradients out of range
    assert 1 < loop.scaler.get_scale() < 65536 and not notebook.skipped
    assert notebook.losses[-1] < 0.1 * notebook.losses[0]


def test_fp16_goes_on_from_a_checkpoint_to_the_same_weights():
    whole, notebook = train(torch.float16, 1000.0)
    resumed, _ = train(torch.float16, 1000.0, notebook.kept[0])
    assert notebook.kept[0][1]["scaler"]["scale"] < 65536
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


@pytest.mark.parametrize("model_type", ["bert", "roberta", "electra"])
def test_rates_fall_with_the_distance_from_the_heads_and_rise_in_them(model_type):
    model = tiny_model(model_type)
    found = {id(parameter): group["lr_factor"] for group in make_optimizer(model, 1e-3, 0.01, 0.5, 10.0).param_groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        expected = (10.0 if name.startswith("classifier") else 0.125 if ".embeddings" in name else 0.25 if ".layer.0." in name
                    else 0.5 if ".layer.1." in name else 1.0)
        assert found[id(parameter)] == expected, name


@pytest.mark.parametrize("is_scratch, n_examples, n_labels, expected", [
    (False, 100_000, 3, 3), (True, 100_000, 3, 8), (True, 1200, 16, 18), (False, 600, 3, 8), (False, 1200, 77, 13), (False, 50, 2, 20), (False, 100_000, 10_000, 20)])
def test_epochs_by_default(is_scratch, n_examples, n_labels, expected):
    assert default_epochs(is_scratch, n_examples, 16, n_labels) == expected
