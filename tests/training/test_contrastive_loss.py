"""Losses of pairs against loops that spell them out."""

import math

import numpy as np
import pytest
import torch

from doxa.model.kinds.kind import Lesson
from doxa.model.kinds.vector import ENCODER
from doxa.text.frame import Window
from doxa.training.contrastive_loss import SCALE, ContrastiveTask, in_batch_loss, order_loss


def unit(n: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(n, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


def make_task(pairs, golds) -> ContrastiveTask:
    """Pairs of names of texts."""
    ids = {}
    lessons = [Lesson([Window([2, ids.setdefault(name, 10 + len(ids)), 3], None, 1) for name in pair], gold) for pair, gold in zip(pairs, golds)]
    return ContrastiveTask(lessons, ENCODER, False, 0)


def naive_in_batch(first, second, pairs, golds, all_pairs, all_golds) -> float:
    """By names of texts, one alike pair and one direction after the other."""
    alike = {frozenset(pair) for pair, gold in zip(all_pairs, all_golds) if gold is None or gold == 1}
    hard = [float(a @ b) for a, b, gold in zip(first, second, golds) if gold == 0]
    losses = []
    for side, (queries, candidates) in enumerate(((first, second), (second, first))):
        for i, gold in enumerate(golds):
            if gold == 0:
                continue
            query, target = pairs[i][side], pairs[i][1 - side]
            own = float(queries[i] @ candidates[i])
            others = [float(queries[i] @ candidates[j]) for j, pair in enumerate(pairs)
                      if j != i and pair[1 - side] not in (query, target) and frozenset((query, pair[1 - side])) not in alike]
            losses.append(-math.log(math.exp(SCALE * own) / sum(math.exp(SCALE * cosine) for cosine in [own, *others, *hard])))
    return sum(losses) / len(losses)


PAIRS = [("a", "b"), ("c", "d"), ("a", "e"), ("f", "b"), ("a", "g"), ("h", "c"), ("i", "j"), ("k", "l"), ("e", "m")]
GOLDS = [1, None, 1, 1, 0, 1, 0, 1, 1]


def test_the_in_batch_loss_equals_a_loop_over_names():
    task = make_task(PAIRS, GOLDS)
    part = np.array([0, 1, 2, 4, 5, 6, 7])  # what (f, b) and (e, m) say holds although they are in no batch
    first, second = unit(len(part), 1), unit(len(part), 2)
    found = in_batch_loss(first, second, torch.tensor([GOLDS[i] != 0 for i in part]), torch.from_numpy(task.known(part)))
    pairs, golds = [PAIRS[i] for i in part], [GOLDS[i] for i in part]
    assert found.item() == pytest.approx(naive_in_batch(first, second, pairs, golds, PAIRS, GOLDS), rel=1e-12)


def test_what_equals_a_text_or_its_pair_is_no_negative_and_a_hard_negative_is():
    task = make_task(PAIRS, GOLDS)
    forward, backward = task.known(np.arange(len(PAIRS)))
    assert forward[0].tolist() == [True, False, True, True, False, False, False, False, False]  # a: b, e and the b of f, not g
    assert forward[1].tolist() == [False, True, False, False, False, True, False, False, False]  # c: d, and c itself
    assert backward[0].tolist() == [True, False, True, True, True, False, False, False, False]  # b: its a, wherever it stands, and f
    assert not forward[7][[0, 1, 2]].any()


def test_a_hard_negative_weighs_by_its_own_cosine():
    first, second = unit(3, 3), unit(3, 4)
    is_alike, known = torch.tensor([True, True, False]), torch.ones(2, 3, 3, dtype=torch.bool)  # no candidate but their own
    near, far = (in_batch_loss(first, torch.cat([second[:2], sign * first[2:]]), is_alike, known).item() for sign in (1, -1))
    cosines = (first * second).sum(dim=1)[:2].tolist()
    for found, cosine in ((near, 1.0), (far, -1.0)):
        assert found == pytest.approx(sum(math.log(1 + math.exp(SCALE * (cosine - own))) for own in cosines) / 2, rel=1e-9)


def test_a_batch_without_an_alike_pair_has_no_gradient_but_zero():
    first, second = unit(2, 5).requires_grad_(), unit(2, 6)
    loss = in_batch_loss(first, second, torch.tensor([False, False]), torch.zeros(2, 2, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and not first.grad.any()


@pytest.mark.parametrize("scale", [1.0, 37.0])
def test_the_order_loss_equals_a_loop_whatever_the_scale_of_gold(scale):
    first, second = unit(7, 7), unit(7, 8)
    gold = torch.tensor([0.1, 0.5, 0.5, 0.9, 0.0, 1.0, 0.5]) * scale - 3
    cosines = (first * second).sum(dim=1).tolist()
    terms = [math.exp(SCALE * (cosines[j] - cosines[i])) for i in range(7) for j in range(7) if gold[i] > gold[j]]
    assert order_loss(first, second, gold).item() == pytest.approx(math.log(1 + sum(terms)), rel=1e-12)
    assert order_loss(first, second, torch.ones(7)).item() == 0
