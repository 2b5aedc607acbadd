"""What an output layer learns of features that stay as they are: a linear probe (Alain and Bengio 2017)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from doxa.text.frame import Window
from doxa.training.loss import Objective

MOST_ROWS = 20_000  # that are learnt from
INVERSE_RIDGE = 0.01  # scikit-learn's C, for features of variance 1
MOST_ITERATIONS, AT_ONCE = 100, 10
LEAST_DEVIATION = 0.01  # of the root mean square: less is the rounding of bf16, and is not blown up


@dataclass(frozen=True)
class Probe:
    """`windows` are what the features are of; each has `n_rows` of them, a row for the window or one for every token. Each of `objectives` is of one
    head, and has its targets for all rows: (N,) or (N, labels), NaN where there is no label."""

    windows: list[Window]
    n_rows: list[int]
    objectives: list[Objective]
    targets: list[torch.Tensor]

    def sample(self, most: int = MOST_ROWS) -> "Probe":
        """The same of windows drawn at random, as many as have at most so many rows; all where they have no more."""
        if sum(self.n_rows) <= most:
            return self
        order, sizes = np.random.default_rng(0).permutation(len(self.windows)), np.array(self.n_rows)
        is_chosen = np.zeros(len(sizes), bool)
        is_chosen[order[np.cumsum(sizes[order]) <= most]] = True
        rows = torch.from_numpy(np.repeat(is_chosen, sizes))
        return Probe([window for window, is_in in zip(self.windows, is_chosen) if is_in], sizes[is_chosen].tolist(), self.objectives,
                     [target[rows] for target in self.targets])


def fit_probe(objective: Objective, features: np.ndarray, targets: torch.Tensor, has_bias: bool, is_stopped: Callable[[], bool] = lambda: False
              ) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Weights (outputs, D) and bias (outputs) by which features (N, D), a row for every target, answer best; without columns, the bias alone.

    Minimises the objective, as a sum over rows, and |w|^2 / (2 INVERSE_RIDGE) of the weights for features of mean 0 and variance 1, by L-BFGS
    (Liu and Nocedal 1989). Without a bias features keep their mean. None where `is_stopped` says so."""
    (head,) = objective.heads
    known = ~torch.isnan(targets if targets.dim() == 1 else targets[:, 0])
    rows, gold = torch.from_numpy(features).float()[known], targets[known]
    mean = rows.mean(dim=0) if has_bias else torch.zeros(rows.shape[1])
    size = rows.square().mean(dim=0).sqrt()
    deviation = torch.maximum((rows - mean).square().mean(dim=0).sqrt(), LEAST_DEVIATION * size).clamp(min=1e-6)
    rows = (rows - mean) / deviation
    weight, bias = torch.zeros(head.n_outputs, rows.shape[1], requires_grad=True), torch.zeros(head.n_outputs, requires_grad=has_bias)
    # The objective is a mean over rows, and over labels where each is a question of its own.
    ridge = 0.5 / (INVERSE_RIDGE * max(len(rows), 1) * (head.n_outputs if head.kind == "labels" else 1))
    free = [parameter for parameter in (weight, bias) if parameter.requires_grad and parameter.numel()]
    if not free:  # a decoder's outputs have no bias
        return weight.detach(), bias
    optimizer = torch.optim.LBFGS(free, max_iter=AT_ONCE, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = objective(rows @ weight.T + bias, [gold]) + ridge * weight.square().sum()
        loss.backward()
        return loss

    for _ in range(MOST_ITERATIONS // AT_ONCE):
        if is_stopped():
            return None
        optimizer.step(closure)
    weight = weight.detach() / deviation
    return weight, bias.detach() - weight @ mean
