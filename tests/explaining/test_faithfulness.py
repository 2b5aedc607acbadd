"""Faithfulness beside a naive reading of DeYoung et al. (2020), on a model whose every figure is known."""

import numpy as np
import pytest

from doxa.explaining.faithfulness import measure_faithfulness
from doxa.explaining.layout import lay_out
from doxa.explaining.target import Target
from doxa.explaining.task import Evidence, Task, Tools
from doxa.explaining.units import Unit
from doxa.model.heads import Head
from doxa.text.frame import Frame, Reading

FRAME = Frame((1,), (2,), (1,), (2,), (2,), 1)
HEADS = {"label": Head("h", "label", ("no", "yes")), "number": Head("h", "number")}


class Additive:
    """A model in whose eyes token i adds i % 7 - 3 to the logit of yes, whatever stands beside it. `asked` keeps the texts it saw."""

    def __init__(self, n_outputs):
        self.n_outputs, self.asked = n_outputs, []

    def compute(self, windows):
        self.asked += [tuple(window.ids) for window in windows]
        value = [sum(i % 7 - 3 for i in window.ids if i >= 10) / 5 for window in windows]
        return np.array([[0.0, v][-self.n_outputs:] for v in value]), 0


def make(kind, n_units=12, seed=0):
    """A text of two tokens a unit, ids from 10 on."""
    ids = np.random.default_rng(seed).integers(10, 60, 2 * n_units).tolist()
    head, reading = HEADS[kind], Reading(FRAME, 512)
    units = [Unit(3 * i, 3 * i + 2, (2 * i, 2 * i + 1)) for i in range(n_units)]
    model = Additive(head.n_outputs)
    task = Task(lay_out(ids, None, reading), units, n_units, Target(head, slice(0, head.n_outputs), None if kind == "number" else 1))
    return task, Tools(model, reading, 0), ids


def score(ids, kind):
    value = sum(i % 7 - 3 for i in ids) / 5
    return value if kind == "number" else 1 / (1 + np.exp(-value))


@pytest.mark.parametrize("kind", HEADS)
def test_it_is_what_the_paper_says(kind):
    task, tools, ids = make(kind)
    pairs = [tuple(ids[2 * i : 2 * i + 2]) for i in range(12)]
    scores = np.array([sum(i % 7 - 3 for i in pair) for pair in pairs], float)
    (seen,) = measure_faithfulness([task], [Evidence(scores)], tools)
    order = sorted(range(12), key=lambda i: -(abs(scores[i]) if kind == "number" else scores[i]))
    size = abs if kind == "number" else float
    comprehensiveness, sufficiency = [], []
    for share in (0.01, 0.05, 0.1, 0.2, 0.5):
        top = set(order[: max(1, round(share * 12))])
        comprehensiveness.append(size(score(ids, kind) - score([i for u in range(12) if u not in top for i in pairs[u]], kind)))
        sufficiency.append(size(score(ids, kind) - score([i for u in range(12) if u in top for i in pairs[u]], kind)))
    assert seen["comprehensiveness"] == pytest.approx(np.mean(comprehensiveness))
    assert seen["sufficiency"] == pytest.approx(np.mean(sufficiency))


def test_the_truth_beats_chance_and_its_opposite_does_not():
    better = {"comprehensiveness": 0, "sufficiency": 0}
    for seed in range(30):
        task, tools, ids = make("label", seed=seed)
        truth = np.array([ids[2 * i] % 7 + ids[2 * i + 1] % 7 - 6 for i in range(12)], float)
        (good,), (bad,) = (measure_faithfulness([task], [Evidence(sign * truth)], tools) for sign in (1, -1))
        assert {key: good[key] for key in good if "random" in key} == {key: bad[key] for key in bad if "random" in key}
        better["comprehensiveness"] += int(good["comprehensiveness"] > good["random_comprehensiveness"]) + int(bad["comprehensiveness"] < bad["random_comprehensiveness"])
        better["sufficiency"] += int(good["sufficiency"] < good["random_sufficiency"]) + int(bad["sufficiency"] > bad["random_sufficiency"])
    assert better["comprehensiveness"] >= 57 and better["sufficiency"] >= 57


def test_random_scores_are_no_better_than_the_random_orders():
    """Over 400 texts the mean gain of scores that say nothing is 0, within 3.5 standard errors."""
    generator, gains = np.random.default_rng(5), []
    for seed in range(400):
        task, tools, _ = make("label", seed=seed)
        (seen,) = measure_faithfulness([task], [Evidence(generator.normal(size=12))], tools)
        gains.append((seen["comprehensiveness"] - seen["random_comprehensiveness"], seen["sufficiency"] - seen["random_sufficiency"]))
    gains = np.array(gains)
    assert (np.abs(gains.mean(axis=0)) < 3.5 * gains.std(axis=0) / 20).all()


def test_words_are_taken_out_not_replaced():
    task, tools, ids = make("label", n_units=2)
    measure_faithfulness([task], [Evidence(np.array([1.0, 0.0]))], tools)
    assert set(tools.memory.asked) == {(1, *ids, 2), (1, *ids[2:], 2), (1, *ids[:2], 2)}


def test_one_word_and_no_word():
    task, tools, ids = make("label", n_units=1)
    (seen,) = measure_faithfulness([task], [Evidence(np.array([1.0]))], tools)
    assert seen["sufficiency"] == 0 and seen["comprehensiveness"] == pytest.approx(score(ids, "label") - 0.5)
    nothing = Task(task.layout, [Unit(0, 1, ())], 1, task.target)
    assert measure_faithfulness([nothing], [Evidence(np.array([1.0]))], tools) == [None]
