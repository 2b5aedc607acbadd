"""Loss, schedules, batches, splits and labels against plain references."""

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix
from transformers import get_scheduler

from doxa.errors import DoxaError, RecordError
from doxa.model.heads import Head
from doxa.text.question import Question
from doxa.training.evaluation import compare_methods, count_confusion, dev_scores
from doxa.training.examples import Example, LabelledSet, split_dev
from doxa.training.labels import HeadRequest, decide_heads, encode_targets, parse_heads, read_value
from doxa.training.loss import Objective
from doxa.training.schedule import SCHEDULES, grouped_batches, learning_rates

HEADS = [Head("topic", "label", ("a", "b", "c")), Head("tags", "labels", ("x", "y")), Head("rating", "number")]


def test_loss_equals_a_naive_loop():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 6, generator=generator)
    topic = torch.tensor([0, 1, 2, float("nan"), 1, float("nan"), 0, 2])
    tags = torch.randint(0, 2, (8, 2), generator=generator).float()
    tags[2:4] = float("nan")
    rating = torch.randn(8, generator=generator)
    rating[5] = float("nan")
    topics, tagged, rated = [], [], []
    for row in range(8):
        if not torch.isnan(topic[row]):
            topics.append(-torch.log_softmax(logits[row, :3], 0)[int(topic[row])])
        if not torch.isnan(tags[row, 0]):
            p = torch.sigmoid(logits[row, 3:5])
            tagged += list(-(tags[row] * torch.log(p) + (1 - tags[row]) * torch.log(1 - p)))
        if not torch.isnan(rating[row]):
            rated.append((logits[row, 5] - rating[row]) ** 2)
    units = (np.log(3), np.log(2), 1.0)  # what a guess without knowledge costs
    expected = sum(torch.stack(part).mean() * np.mean(units) / unit for part, unit in zip((topics, tagged, rated), units))
    assert Objective(HEADS)(logits, [topic, tags, rating]).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_batch_without_labels_has_a_zero_gradient():
    logits = torch.randn(2, 6, requires_grad=True)
    nothing = torch.full((2,), float("nan"))
    loss = Objective(HEADS)(logits, [nothing, torch.full((2, 2), float("nan")), nothing])
    loss.backward()
    assert loss.item() == 0 and (logits.grad == 0).all()


def test_confusions_equal_scikit_learn():
    generator = np.random.default_rng(0)
    topics, said = generator.integers(0, 4, 200).astype(float), generator.integers(0, 3, 200).astype(float)  # 3: a label training never saw
    topics[:20] = np.nan
    expected = confusion_matrix(topics[20:], said[20:], labels=range(4))
    found = count_confusion(HEADS[0], topics, said)
    assert found == {"labels": ["a", "b", "c"], "counts": expected[:3, :3].tolist(), "unseen": expected[3, :3].tolist()}
    tags, tagged = (generator.random((200, 2)) < 0.4).astype(float), (generator.random((200, 2)) < 0.3).astype(float)
    tags[:20] = np.nan
    assert count_confusion(HEADS[1], tags, tagged) == {"labels": ["x", "y"], "counts": multilabel_confusion_matrix(tags[20:], tagged[20:]).tolist()}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_equal_transformers(name):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=7, num_training_steps=50)
    for step in range(50):
        assert learning_rates(name, 1.0, 50, 7)(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        scheduler.step()


def test_grouped_batches_hold_each_example_once_and_alike_in_length():
    lengths = np.random.default_rng(0).integers(5, 200, 3001).tolist()
    batches = grouped_batches(lengths, 16, np.random.default_rng(1))
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(3001))
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.15 * sum(lengths)
    again = grouped_batches(lengths, 16, np.random.default_rng(2))
    assert [batch.tolist() for batch in again] != [batch.tolist() for batch in batches]


def test_split_is_stratified_and_keeps_texts_apart():
    examples = [Example(f"f:{i}", Question((f"text {i // 2}",)), ("abc"[0 if i < 600 else 1 if i < 900 else 2],)) for i in range(1000)]
    train, dev = split_dev(LabelledSet(examples), 0.1, seed=1)
    assert len(train.examples) + len(dev.examples) == 1000
    assert not {e.texts for e in train.examples} & {e.texts for e in dev.examples}
    counts = {label: sum(e.values == (label,) for e in dev.examples) for label in "abc"}
    assert counts["a"] in range(58, 63) and counts["b"] in range(28, 33) and counts["c"] in range(8, 13)
    assert [e.place for e in split_dev(LabelledSet(examples), 0.1, seed=1)[1].examples] == [e.place for e in dev.examples]


@pytest.mark.parametrize("kind, value, expected", [
    (None, "a", "a"), (None, True, "true"), (None, 3, 3.0), (None, ["a", "b", "a"], ["a", "b"]), (None, None, None), (None, "", None),
    ("label", 3, "3"), ("number", "3.5", 3.5), ("labels", '["a"]', ["a"])])
def test_values(kind, value, expected):
    assert read_value(HeadRequest("f", kind), value) == expected


@pytest.mark.parametrize("kind, value", [("number", "many"), ("number", "inf"), ("label", ["a"]), ("labels", "a"), (None, {"a": 1}), ("labels", [1])])
def test_values_that_no_head_can_hold(kind, value):
    with pytest.raises(RecordError):
        read_value(HeadRequest("f", kind), value)


def test_heads_are_decided_by_the_data():
    heads = decide_heads(parse_heads(("topic", "tags:multi", "rating")), [["b", "a", None] * 9, [["x"], ["y"], []] * 9, [1.0, 2.5, None] * 9])
    assert heads == [Head("topic", "label", ("a", "b")), Head("tags", "labels", ("x", "y")), Head("rating", "number")]
    with pytest.raises(DoxaError, match="one value only"):
        decide_heads(parse_heads(("topic",)), [["a"] * 5])


def test_targets():
    assert np.array_equal(encode_targets(HEADS[0], ["c", None, "unseen"]), [2, np.nan, 3], equal_nan=True)
    assert np.array_equal(encode_targets(HEADS[1], [["y"], None, []]), [[0, 1], [np.nan, np.nan], [0, 0]], equal_nan=True)


def test_figures_of_numbers_equal_scikit_learn():
    from sklearn.metrics import mean_absolute_error, r2_score

    generator = np.random.default_rng(0)
    gold = generator.normal(size=80)
    predicted = gold + generator.normal(scale=0.3, size=80)
    figures = compare_methods(HEADS[2], gold, {"model": predicted, "tfidf": gold * 0, "majority": gold * 0})
    assert figures.scores["model"]["MAE"].value == pytest.approx(mean_absolute_error(gold, predicted))
    assert figures.scores["model"]["R2"].value == pytest.approx(r2_score(gold, predicted))
    assert figures.lead.low > 0
    logits = np.zeros((80, 6))
    logits[:, 5] = predicted
    nothing = np.full(80, np.nan)
    assert dev_scores(logits, [nothing, np.full((80, 2), np.nan), gold], HEADS)["rating"] == pytest.approx(r2_score(gold, predicted))


@pytest.mark.parametrize("kind", ["label", "labels"])
def test_no_mistake_on_a_small_dev_set_is_no_certainty(kind):
    """Of twelve records, four of each label, the intervals are Wilson's and what follows from them, where resamples know of no mistake."""
    head, gold = Head("h", kind, ("a", "b", "c")), np.repeat([0.0, 1.0, 2.0], 4)
    gold = gold if kind == "label" else np.eye(3)[gold.astype(int)]
    found = compare_methods(head, gold, {"model": gold, "tfidf": gold}).scores["model"]
    share, mean = found.values()
    assert (share.value, share.low, share.high) == (1.0, pytest.approx(12 / (12 + 1.959964**2), abs=1e-6), 1.0)
    of_label = 4 / (4 + 1.959964**2)
    assert mean.low == pytest.approx(1 - (1 - 2 * of_label / (1 + of_label)) / 3**0.5, abs=1e-6) and mean.high == 1.0


def test_no_interval_goes_beyond_what_a_figure_can_be():
    """One mistake in forty bends the resamples upwards: moved off by that, the interval would end above 1."""
    gold = np.repeat(np.arange(3.0), (30, 8, 2))
    said = gold.copy()
    said[-1] = 0.0
    found = compare_methods(HEADS[0], gold, {"model": said, "tfidf": said}).scores["model"]
    assert 0.5 < found["macro-F1"].low < found["macro-F1"].value < found["macro-F1"].high <= 1.0
    numbers = compare_methods(HEADS[2], gold, {"model": gold + 0.01, "tfidf": gold}).scores["model"]
    assert numbers["MAE"].low >= 0.0 and numbers["R2"].high <= 1.0


def test_a_dev_set_without_any_label_tells_nothing_of_them():
    nothing = np.zeros((9, 2))
    found = compare_methods(HEADS[1], nothing, {"model": nothing, "tfidf": nothing}).scores["model"]
    assert (found["macro-F1"].low, found["macro-F1"].high) == (0.0, 1.0) and found["exact match"].value == 1.0 > found["exact match"].low > 0.6
