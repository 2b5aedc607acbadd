"""The training loop by itself: fp16 gradients in range, rates of heads, epochs that are taken by default."""

from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from doxa.errors import DoxaError
from doxa.model.heads import Head
from doxa.model.kinds.table import KINDS
from doxa.text.frame import Window
from doxa.training.determinism import insist, unstrict
from doxa.training.loop import LoopSettings, TrainingLoop
from doxa.training.loss import Objective
from doxa.training.optimizer import make_optimizer
from doxa.training.defaults import default_epochs, settle, starts_from_nothing
from doxa.training.plan import Plan
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
        self.losses, self.skipped, self.kept, self.changes, self.named = [], [], [], [], []

    def on_step(self, progress):
        self.losses.append(progress.loss)

    def on_skip(self, step, places):
        self.skipped.append(step)
        self.named.append(places)

    def on_change(self, what):
        self.changes.append(what)

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
    assert_equal_weights(whole, resumed)


def train_within(most: int | None, kept=None, size: int = 16, accumulation: int = 1, dropout: float = 0.0):
    """As `train`, on a device that has no room for more than `most` examples at once."""
    task, model = tiny_task(None), tiny_model()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    batch = task.batch

    def batch_of(model, part):
        if most is not None and len(part) > most:
            torch.rand(3)  # what a forward pass drew before it failed
            raise torch.OutOfMemoryError("no room")
        return batch(model, part)

    task.batch = batch_of
    torch.manual_seed(3)
    loop = TrainingLoop(model, LoopSettings(4e-3, 8, size, accumulation), torch.device("cpu"))
    if kept:
        loop.restore(*kept)
    notebook = Notebook()
    loop.run(task, lambda: {}, notebook)
    return loop, notebook


@pytest.mark.parametrize("is_alone, named", [(True, {"7"}), (False, None)])
def test_a_step_that_is_not_finite_names_the_examples_that_are_not(is_alone, named):
    """Alone, example 7 has no loss; else it is its batch alone that has none, and all of it is named."""
    task, batch = tiny_task(None), Classification.batch
    task.batch = lambda model, part: spoil(*batch(task, model, part), 7 in part and (is_alone or len(part) > 1))
    loop, notebook = TrainingLoop(tiny_model(), LoopSettings(4e-3, 2, 16), torch.device("cpu")), Notebook()
    loop.run(task, lambda: {}, notebook)
    assert len(notebook.skipped) == 2 and all(set(places) == named if named else len(places) == 16 and "7" in places for places in notebook.named)
    assert all(torch.isfinite(tensor).all() for tensor in loop.model.state_dict().values())


def spoil(mask, compute, is_bad):
    return mask, lambda: compute() * (float("nan") if is_bad else 1.0)


def assert_equal_weights(one: TrainingLoop, other: TrainingLoop) -> None:
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


@pytest.mark.parametrize("most, halvings", [(8, 1), (5, 2)])
def test_batches_that_do_not_fit_are_made_up_of_parts(most, halvings):
    loop, notebook = train_within(most)
    assert len(notebook.changes) == halvings and loop.position.part_size == 16 >> halvings
    assert "16 examples at once" in notebook.changes[0] and "here on 8 at once" in notebook.changes[0]
    parts, _ = train_within(None, size=16 >> halvings, accumulation=1 << halvings)
    assert_equal_weights(loop, parts)
    whole = train_within(None)[1].losses
    assert notebook.losses == pytest.approx(whole, abs=2e-3) and whole[0] > 0.5


def test_a_step_that_did_not_fit_draws_the_same_dropout_again():
    loop, notebook = train_within(8, dropout=0.3)
    parts, _ = train_within(None, size=8, accumulation=2, dropout=0.3)
    assert_equal_weights(loop, parts)
    resumed, again = train_within(8, notebook.kept[0], dropout=0.3)
    assert_equal_weights(loop, resumed)
    assert not again.changes  # it is known by then


def test_a_single_example_that_does_not_fit_is_an_error():
    with pytest.raises(DoxaError, match="out of memory on cpu, with 1 examples at once; take a smaller"):
        train_within(0)


def test_a_batch_that_counts_as_a_whole_is_not_cut():
    task = tiny_task(None)
    task.adds_up = False
    with patch.object(task, "batch", side_effect=torch.OutOfMemoryError("no room")), pytest.raises(DoxaError, match="16 examples at once"):
        TrainingLoop(tiny_model(), LoopSettings(4e-3, 20, 16), torch.device("cpu")).run(task, lambda: {}, Notebook())


def test_what_never_repeats_itself_is_computed_and_told():
    class Refusing:
        n_asked = 0

        def __call__(self, *_):
            Refusing.n_asked += 1
            if torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled():
                raise RuntimeError("grid_sampler_2d_backward_cuda does not have a deterministic implementation, but you set ...")

    was = torch.get_deterministic_debug_mode()
    try:
        insist("cuda")
        task, model, notebook = tiny_task(None), tiny_model(), Notebook()
        model.register_forward_pre_hook(Refusing())
        TrainingLoop(model, LoopSettings(4e-3, 20, 16), torch.device("cpu")).run(task, lambda: {}, notebook)
        assert len(notebook.changes) == 1 and "other last digits" in notebook.changes[0]
        assert Refusing.n_asked == len(notebook.losses) + 1 and notebook.losses[-1] < 0.05
        with unstrict():
            assert torch.get_deterministic_debug_mode() == 0
        assert torch.get_deterministic_debug_mode() == 1
    finally:
        torch.set_deterministic_debug_mode(was)


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


@pytest.mark.parametrize("head_start, base, n_texts, rate, factor, n_epochs", [
    (None, None, 20_000, 3e-4, 10, 8), ("mlm", None, 2_999, 3e-4, 10, 8), ("mlm", None, 20_000, 8e-5, 1, 3), ("mlm", "minilm", 2_999, 8e-5, 1, 3)])
def test_a_long_head_start_makes_a_base(head_start, base, n_texts, rate, factor, n_epochs):
    """4 epochs over 20,000 texts are enough of it."""
    plan = Plan("scratch", "out", head_start=head_start)
    settings = settle(plan, starts_from_nothing(plan, base, n_texts), 256, 2_000, 2, 1, KINDS["label"])
    assert (settings.learning_rate, settings.head_lr_factor, settings.num_train_epochs) == (rate, factor, n_epochs)


def test_weights_that_are_not_finite_are_never_kept():
    """A finite gradient, and a step so large that weights are not."""
    loop, notebook = TrainingLoop(tiny_model(), LoopSettings(1e38, 20, 16, warmup_steps=0), torch.device("cpu")), Notebook()
    notebook.wants_checkpoint = lambda step: True
    with pytest.raises(DoxaError, match="not finite after step 1, and no checkpoint"):
        loop.run(tiny_task(None), lambda: {}, notebook)
    assert not notebook.kept
