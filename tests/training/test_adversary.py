"""Adversarial steps against written-out references on a toy without hooks."""

import pytest
import torch
from torch import nn

from doxa.training.adversary import Adversary

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.embeddings, self.hidden, self.out = nn.Embedding(9, 5), nn.Linear(5, 6), nn.Linear(6, 2)

    def forward(self, ids, delta=None):
        vectors = self.embeddings(ids)
        vectors = vectors if delta is None else vectors + delta
        mean = (torch.tanh(self.hidden(vectors)) * MASK[:, :, None]).sum(1) / MASK.sum(1, keepdim=True)
        return self.out(mean)


IDS, GOLD = torch.tensor([[1, 2, 3, 0], [4, 5, 0, 0]]), torch.tensor([0, 1])


def loss_of(model, delta=None):
    return nn.functional.cross_entropy(model(IDS, delta), GOLD)


def unit(gradient):
    gradient = gradient * MASK[:, :, None]
    return torch.stack([row / row.norm() for row in gradient])


def sizes(model, epsilon):
    """Epsilon of each text in units of the mean norm of its tokens' embeddings."""
    norms = model.embeddings(IDS).detach().norm(dim=-1)
    return [epsilon * float(norms[row][MASK[row] == 1].mean()) for row in range(2)]


def times(values, unit_rows):
    return torch.stack([value * row for value, row in zip(values, unit_rows)])


def into_ball(delta, epsilon):
    return torch.stack([row if row.norm() <= size else row * size / row.norm() for row, size in zip(delta, epsilon)])


def gradient_at(model, delta):
    delta = delta.clone().requires_grad_()
    return torch.autograd.grad(loss_of(model, delta), delta)[0]


def gradients(model, losses):
    return torch.autograd.grad(sum(losses), list(model.parameters()))


def zero():
    return torch.zeros(2, 4, 5)


def fgm(model, epsilon):
    return [loss_of(model), loss_of(model, times(sizes(model, epsilon), unit(gradient_at(model, zero()))))]


def pgd(model, epsilon):
    delta, ball = zero(), sizes(model, epsilon)
    for _ in range(3):
        delta = into_ball(delta + 0.4 * times(ball, unit(gradient_at(model, delta))), ball)
    return [loss_of(model), loss_of(model, delta)]


def freelb(model, epsilon):
    torch.manual_seed(11)
    ball = sizes(model, epsilon)
    delta = times(ball, (torch.rand(2, 4, 5) * 2 - 1) * MASK[:, :, None] / (MASK.sum(1)[:, None, None] * 5).sqrt())
    losses = []
    for _ in range(3):
        losses.append(loss_of(model, delta) / 3)
        delta = into_ball(delta + 0.4 * times(ball, unit(gradient_at(model, delta))), ball)
    return losses


@pytest.mark.parametrize("reference", [fgm, pgd, freelb])
@pytest.mark.parametrize("epsilon", [0.1, 2.0])
def test_gradients_equal_the_reference(reference, epsilon):
    model = Toy()
    expected = gradients(model, reference(model, epsilon))
    torch.manual_seed(11)
    Adversary(reference.__name__, epsilon).backward(model.embeddings, MASK, lambda: loss_of(model))
    for parameter, gradient in zip(model.parameters(), expected):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6), (parameter.grad - gradient).abs().max()


@pytest.mark.parametrize("name", ["fgm", "pgd", "freelb"])
def test_the_disturbance_is_gone_afterwards(name):
    model = Toy()
    before = loss_of(model).item()
    told = Adversary(name, 1.0).backward(model.embeddings, MASK, lambda: loss_of(model))
    assert loss_of(model).item() == before
    assert told == pytest.approx(before) or name == "freelb"
