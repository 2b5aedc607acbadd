"""Shapley values by sampled orders (Castro, Gomez and Tejada 2009), each with its reverse (Mitchell et al. 2022)."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

import numpy as np

from doxa.explaining.task import Evidence, Sought, Tools

LEAST_PAIRS = 8  # orders and their reverses: fewer tell no standard error


@dataclass
class Game:
    """The players are groups of neighbouring units; `orders` (O, G) come in pairs of an order and its reverse, None where all
    coalitions are looked at. `numbers` holds for every coalition (the bytes of G flags) the number that it gives."""

    groups: list[np.ndarray]
    orders: np.ndarray | None
    numbers: dict[bytes, float]


def explain_by_shapley(tasks: list[Sought], tools: Tools) -> list[Evidence]:
    """A unit's score is its average part of f(text) - f(all units hidden), over the orders in which units may come in.

    Exact where all coalitions of the units are at most `samples`; else an unbiased estimate of at most about `samples` evaluations,
    with its standard error over pairs of orders. Of more units than that allows for, neighbours are grouped and share their
    group's score, and its standard error, evenly; `about` then tells how many groups there are."""
    games = [_arrange(task, tools) for task in tasks]
    for (t, coalition), number in tools.numbers(_coalitions(tasks, games, tools)):
        games[t].numbers[coalition] = number
    return [_conclude(task, game) for task, game in zip(tasks, games)]


def _arrange(task: Sought, tools: Tools) -> Game:
    units = task.read_units()
    if len(units) <= np.log2(tools.samples):
        groups = [units[i : i + 1] for i in range(len(units))]
        return Game(groups, None, {flags.tobytes(): np.nan for flags in _all_coalitions(len(groups))})
    most = max(2, tools.samples // (2 * LEAST_PAIRS) + 1)
    groups = np.array_split(units, min(most, len(units)))
    random = tools.random(task.layout)
    n_pairs = max(2, tools.samples // (2 * (len(groups) - 1)))
    forward = np.array([random.permutation(len(groups)) for _ in range(n_pairs)])
    orders = np.stack([forward, forward[:, ::-1]], axis=1).reshape(2 * n_pairs, -1)
    return Game(groups, orders, {flags.tobytes(): np.nan for order in orders for flags in _prefixes(order)})


def _coalitions(tasks: list[Sought], games: list[Game], tools: Tools) -> Iterator:
    for t, (task, game) in enumerate(zip(tasks, games)):
        for coalition in list(game.numbers):
            hidden = [group for group, is_in in zip(game.groups, np.frombuffer(coalition, bool)) if not is_in]
            marks = task.marks(unit for group in hidden for unit in group)
            yield (t, coalition), task, task.layout.replaced(marks, tools.absent_id)


def _conclude(task: Sought, game: Game) -> Evidence:
    scores, errors = np.zeros(len(task.units)), np.zeros(len(task.units))
    if game.orders is None:
        values, spread, about = _exact(game), np.zeros(len(game.groups)), {"samples": len(game.numbers)}
    else:
        parts = np.array([_parts(order, game) for order in game.orders])  # (O, G)
        pairs = parts.reshape(-1, 2, len(game.groups)).mean(axis=1)
        values, spread = pairs.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs))
        about = {"samples": len(game.numbers)}
    for group, value, error in zip(game.groups, values, spread):
        scores[group], errors[group] = value / len(group), error / len(group)
    if len(game.groups) < sum(map(len, game.groups)):
        about["groups"] = len(game.groups)
    return Evidence(scores, errors, about)


def _parts(order: np.ndarray, game: Game) -> np.ndarray:
    """What every player adds when it comes in, in this order."""
    numbers = [game.numbers[flags.tobytes()] for flags in _prefixes(order)]
    parts = np.empty(len(order))
    parts[order] = np.diff(numbers)
    return parts


def _exact(game: Game) -> np.ndarray:
    n = len(game.groups)
    values = np.zeros(n)
    for flags in _all_coalitions(n):
        before = game.numbers[flags.tobytes()]
        for player in np.flatnonzero(~flags):
            with_player = flags.copy()
            with_player[player] = True
            values[player] += (game.numbers[with_player.tobytes()] - before) / (n * comb(n - 1, int(flags.sum())))
    return values


def _prefixes(order: np.ndarray) -> Iterator[np.ndarray]:
    """Nobody, the first, the first two, ... all, as flags (G,)."""
    flags = np.zeros(len(order), dtype=bool)
    yield flags.copy()
    for player in order:
        flags[player] = True
        yield flags.copy()


def _all_coalitions(n: int) -> np.ndarray:
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)  # (2^n, n)
