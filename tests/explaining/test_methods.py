"""Every method against an independent reference: captum, a naive loop, or all orders written out."""

import itertools

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, LayerGradientXActivation, LayerIntegratedGradients, ShapleyValues

from doxa.commands.explain import METHODS as COMMAND_METHODS
from doxa.explaining.attention import explain_by_raw_attention, explain_by_rollout
from doxa.explaining.gradient_input import explain_by_gradient_input
from doxa.explaining.gradients import load_gradients
from doxa.explaining.integrated_gradients import explain_by_integrated_gradients
from doxa.explaining.methods import METHODS
from doxa.explaining.occlusion import explain_by_occlusion
from doxa.explaining.paths import walk
from doxa.explaining.shapley import explain_by_shapley
from explaining.setting import LONG, TEXTS, by_token, make_setting

CASES = [(TEXTS[0],), (TEXTS[1],), (TEXTS[2],), (TEXTS[0], TEXTS[2])]
IDS = ("short", "other", "chinese", "pair")


@pytest.fixture(scope="module")
def setting(tiny_model):
    return make_setting(tiny_model)


def layer_forward(setting, task):
    def forward(ids, types, mask):
        return setting.number(task.target, input_ids=ids, token_type_ids=types, attention_mask=mask)

    inputs = setting.inputs(task)
    return forward, inputs["input_ids"], (inputs["token_type_ids"], inputs["attention_mask"])


@pytest.mark.parametrize("steps, most", [(16, 0.02), (256, 0.001)])
def test_integrated_gradients_are_captums(setting, steps, most):
    """All at once, the texts of different lengths, heads and labels in one call; beside the 600 steps of captum, in parts of the absolute sum."""
    tasks = [setting.task(*texts, head=i % 2, label=i % 3) for i, texts in enumerate(CASES)]
    for task, found in zip(tasks, explain_by_integrated_gradients(tasks, setting.with_tools(steps=steps).tools)):
        forward, ids, rest = layer_forward(setting, task)
        reference = LayerIntegratedGradients(forward, setting.model.get_input_embeddings())
        expected = reference.attribute(ids, setting.baseline(task), additional_forward_args=rest, n_steps=600, method="riemann_middle")
        expected = by_token(task, expected.sum(-1)[0].detach().numpy())
        assert np.abs(found.scores - expected).sum() < most * np.abs(expected).sum()


def test_integrated_gradients_take_steps_until_they_add_up(setting):
    """Few steps to begin with, on a model as rough as this one: where the scores do not add up there are more."""
    rough = setting.with_tools(steps=2)
    tasks = [setting.task(*texts, label=label) for texts in CASES for label in range(3)]
    seen = set()
    for task, found in zip(tasks, explain_by_integrated_gradients(tasks, rough.tools)):
        with torch.no_grad():
            inputs = setting.inputs(task)
            difference = float(setting.number(task.target, **inputs) - setting.number(task.target, **inputs | {"input_ids": setting.baseline(task)}))
        assert found.about["difference"] == pytest.approx(difference, abs=1e-4)
        assert found.about["delta"] == pytest.approx(found.scores.sum() - difference, abs=1e-4)
        assert abs(found.about["delta"]) <= max(0.02, 0.0201 * np.abs(found.scores).sum()) and found.about["steps"] < 100
        seen.add(found.about["steps"])
    assert len(seen) > 1


def test_windows_of_a_long_text_move_together(setting):
    """Against plain autograd over all windows at once: overlapping tokens sum, pooling is inside the number that is explained. A short text goes beside it."""
    short, task = setting.task(TEXTS[0]), setting.task(LONG)
    layout, places = task.layout, np.array([0.1, 0.35, 0.9])
    assert len(layout.windows) >= 3
    alone, found = walk([short, task], setting.tools, [np.array([0.5]), places])
    assert alone.slopes.shape == (1, len(short.layout.ids)) and found.slopes.shape == (3, len(layout.ids))
    embed = setting.model.get_input_embeddings()
    for share, value, slopes in zip(places, found.values, found.slopes):
        points, ways, logits, expected = [], [], [], np.zeros(len(layout.ids))
        for window, slots in zip(layout.windows, layout.slots):
            end = embed(torch.tensor([window.ids])).detach()
            start = embed(torch.tensor([[0 if slot >= 0 else id_ for slot, id_ in zip(slots, window.ids)]])).detach()
            points.append((start + share * (end - start)).float().requires_grad_(True))
            ways.append(end - start)
            logits.append(setting.model(inputs_embeds=points[-1]).logits)
        number = setting.pooled_number(task.target, sum(part * own for part, own in zip(layout.shares, logits))).sum()
        for slots, way, gradient in zip(layout.slots, ways, torch.autograd.grad(number, points)):
            for position, slot in enumerate(slots):
                if slot >= 0:
                    expected[slot] += float((way * gradient)[0, position].sum())
        assert value == pytest.approx(number.item(), abs=1e-4) and slopes == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("texts", CASES, ids=IDS)
def test_gradient_x_input_is_captums(setting, texts):
    task = setting.task(*texts)
    forward, ids, rest = layer_forward(setting, task)
    expected = LayerGradientXActivation(forward, setting.model.get_input_embeddings()).attribute(ids, additional_forward_args=rest)
    (found,) = explain_by_gradient_input([task], setting.tools)
    assert found.scores == pytest.approx(by_token(task, expected.sum(-1)[0].detach().numpy()), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("unit", ["token", "word", "sentence"])
@pytest.mark.parametrize("texts", CASES, ids=IDS)
def test_occlusion_is_captums(setting, texts, unit):
    """FeatureAblation of groups of token ids. Special tokens make a group of their own, which is left out."""
    task = setting.task(*texts, unit=unit)
    forward, ids, rest = layer_forward(setting, task)
    (slots,) = task.layout.slots
    group = {token: number for number, unit in enumerate(task.units) for token in unit.tokens}
    mask = torch.tensor([[group[slot] if slot >= 0 else len(task.units) for slot in slots.tolist()]])
    with torch.no_grad():
        ablated = FeatureAblation(forward).attribute(ids, setting.tools.absent_id, additional_forward_args=rest, feature_mask=mask)[0].numpy()
    expected = [ablated[list(slots).index(unit.tokens[0])] for unit in task.units]
    (found,) = explain_by_occlusion([task], setting.tools)
    assert found.scores == pytest.approx(np.array(expected), abs=2e-5)


def test_occlusion_of_a_long_text_is_that_of_all_its_windows(setting):
    task = setting.task(LONG, unit="sentence")
    (found,) = explain_by_occlusion([task], setting.tools)
    with torch.no_grad():
        def number(windows):
            logits = torch.cat([setting.model(input_ids=torch.tensor([window.ids])).logits for window in windows])
            return float(setting.pooled_number(task.target, torch.tensor(task.layout.shares, dtype=torch.float32) @ logits[None])[0])

        whole = number(task.layout.windows)
        expected = [whole - number(task.layout.replaced(task.marks([unit]), 0)) for unit in range(len(task.units))]
    assert len(expected) > 20
    assert found.scores == pytest.approx(np.array(expected), abs=2e-5)


def test_shapley_of_few_units_is_exact(setting):
    """captum's figures over all orders, of five words."""
    task = setting.task("Profit rose on strong demand", unit="word")
    forward, ids, rest = layer_forward(setting, task)
    (slots,) = task.layout.slots
    group = {token: number for number, unit in enumerate(task.units) for token in unit.tokens}
    mask = torch.tensor([[group[slot] if slot >= 0 else len(task.units) for slot in slots.tolist()]])
    inside = torch.where(mask < len(task.units), mask, 0)  # special tokens are the same in text and baseline, whoever holds them
    with torch.no_grad():
        values = ShapleyValues(forward).attribute(ids, setting.baseline(task), additional_forward_args=rest, feature_mask=inside)[0].numpy()
    expected = [values[list(slots).index(unit.tokens[0])] for unit in task.units]
    (found,) = explain_by_shapley([task], setting.tools)
    assert len(expected) == 5 and found.errors.tolist() == [0.0] * 5 and found.about == {"samples": 32}
    assert found.scores == pytest.approx(np.array(expected), abs=2e-5)


def test_shapley_estimates_are_as_near_as_they_say(setting):
    """Seven words are few enough for the truth, by all orders; samples below 2^7 make estimates of it, whose 95 % intervals (t of 9 pairs) hold it."""
    task = setting.task("The rating agency cut its bank outlook", unit="word")
    assert len(task.units) == 7
    (exact,) = explain_by_shapley([task], setting.with_tools(samples=128).tools)
    numbers = {}
    for flags in itertools.product((False, True), repeat=7):
        marks = task.marks(np.flatnonzero(~np.array(flags)))
        numbers[flags] = next(setting.tools.pooled([(0, task.layout.replaced(marks, 0))]))[1]
    value = {flags: float(task.target.value(logits[None])[0]) for flags, logits in numbers.items()}
    truth = np.zeros(7)
    for order in itertools.permutations(range(7)):
        flags = [False] * 7
        for player in order:
            before = value[tuple(flags)]
            flags[player] = True
            truth[player] += (value[tuple(flags)] - before) / 5040
    assert exact.scores == pytest.approx(truth, abs=1e-5)
    n_held, n_runs = np.zeros(7), 60
    for seed in range(n_runs):
        (found,) = explain_by_shapley([task], setting.with_tools(samples=108, seed=seed).tools)
        assert found.about["samples"] <= 110 and (found.errors > 0).all()
        assert found.scores.sum() == pytest.approx(truth.sum(), abs=1e-4)
        n_held += np.abs(found.scores - truth) <= 2.306 * found.errors
    assert 0.88 <= n_held.mean() / n_runs <= 0.99


def test_shapley_groups_neighbours_where_units_are_many(setting):
    task = setting.task(LONG, unit="word")
    (found,) = explain_by_shapley([task], setting.with_tools(samples=64).tools)
    assert len(set(found.scores.tolist())) <= 5 < len(task.units) and found.about["groups"] == 5
    marks = np.ones(len(task.layout.ids), dtype=bool)
    ends = dict(setting.tools.pooled([("text", list(task.layout.windows)), ("none", task.layout.replaced(marks, 0))]))
    difference = task.target.value(ends["text"][None]) - task.target.value(ends["none"][None])
    assert found.scores.sum() == pytest.approx(float(difference[0]), abs=1e-4)


@pytest.mark.parametrize("texts", CASES, ids=IDS)
def test_attention_is_that_of_the_model(setting, texts):
    """Raw: the last layer's first row. Rollout: a naive loop over layers, rows and columns."""
    task = setting.task(*texts)
    model = setting.model
    model.set_attn_implementation("eager")
    with torch.no_grad():
        layers = [layer[0].mean(0).double().numpy() for layer in model(**setting.inputs(task), output_attentions=True).attentions]
    n = len(layers[0])
    flow = np.eye(n)
    for layer in layers:
        mixed = [[0.5 * layer[i, j] + 0.5 * (i == j) for j in range(n)] for i in range(n)]
        flow = np.array([[sum(mixed[i][k] * flow[k, j] for k in range(n)) for j in range(n)] for i in range(n)])
    (raw,), (rollout,) = explain_by_raw_attention([task], setting.tools), explain_by_rollout([task], setting.tools)
    assert raw.scores == pytest.approx(by_token(task, layers[-1][0]), abs=1e-6)
    assert rollout.scores == pytest.approx(by_token(task, flow[0]), abs=1e-6)


def test_results_do_not_depend_on_batches(setting):
    tasks = [setting.task(*texts) for texts in CASES]
    whole = explain_by_integrated_gradients(tasks, setting.tools)
    gradients = setting.tools.gradients
    kept, gradients.batch_tokens = gradients.batch_tokens, 40
    try:
        cut = explain_by_integrated_gradients(tasks[::-1], setting.tools)[::-1]
    finally:
        gradients.batch_tokens = kept
    for one, other in zip(whole, cut):
        assert one.scores == pytest.approx(other.scores, rel=1e-3, abs=1e-5)


def test_the_command_offers_every_method():
    assert set(COMMAND_METHODS) == set(METHODS)


def test_bf16_gradients_are_those_of_fp32_but_for_rounding(setting, tiny_model):
    """Within 15 % of what the units' scores come to in absolute terms, on weights as wide as these; MiniLM has 0.8 % in the median, 2.2 % at most of 40 texts."""
    mixed = setting.with_tools(gradients=load_gradients(str(tiny_model), "cpu", None, torch.bfloat16, 1), steps=128)
    tasks = [setting.task(*texts, unit="word") for texts in CASES]
    for one, other in zip(explain_by_integrated_gradients(tasks, setting.with_tools(steps=128).tools), explain_by_integrated_gradients(tasks, mixed.tools)):
        assert 0 < np.abs(one.scores - other.scores).sum() < 0.15 * np.abs(one.scores).sum()
