"""Masked language: what an engine keeps of scores, and how tokens are shared out among windows."""

import numpy as np
import pytest
import torch

from doxa.inference.guesses import read_guesses
from doxa.inference.torch_engine import _read_guesses
from doxa.model.kinds.tokenwise import Place, TokenPlaces, gather_tokens
from doxa.text.frame import Hidden, Window
from doxa.text.question import Question

MASK = 4


def test_guesses_equal_scipys_and_are_the_same_on_both_engines():
    from scipy.special import log_softmax

    generator = np.random.default_rng(0)
    logits = generator.normal(scale=4, size=(6, 50)).astype(np.float32)
    logits[1] += 300.0  # overflows a careless exponential
    windows = [Window([1, token, 2], None, 1, Hidden(MASK, (1,))) for token in (7, 49, MASK, 9, MASK, 30)]
    rows, expected = read_guesses(logits, windows), log_softmax(logits.astype(np.float64), axis=1)
    assert rows[:, 0] == pytest.approx([expected[i, window.ids[1]] for i, window in enumerate(windows)], abs=1e-4)
    for i in (2, 4):
        best = np.argsort(-logits[i])[:5]
        assert rows[i, 6:].tolist() == best.tolist() and rows[i, 1:6] == pytest.approx(expected[i, best], abs=1e-5)
    assert not rows[[0, 1, 3, 5], 1:].any()
    assert _read_guesses(torch.from_numpy(logits), windows).numpy() == pytest.approx(rows, abs=1e-4)


def test_each_token_is_in_the_window_where_it_stands_deepest():
    places = TokenPlaces(Question(("x",)), np.stack([np.arange(10), np.arange(1, 11)], axis=1), [Place(1, (slice(0, 6),)), Place(1, (slice(4, 10),))])
    owner, position = places.owners
    assert owner.tolist() == [0] * 5 + [1] * 5
    assert position.tolist() == [1, 2, 3, 4, 5, 2, 3, 4, 5, 6]
    outputs = [np.arange(8.0)[:, None] + 100 * i for i in range(2)]
    assert gather_tokens(outputs, places)[:, 0].tolist() == [1, 2, 3, 4, 5, 102, 103, 104, 105, 106]


def test_a_token_in_no_window_has_none():
    places = TokenPlaces(Question(("x",)), np.zeros((5, 2), int), [Place(1, (slice(0, 1), slice(3, 5)))])
    assert places.owners[0].tolist() == [0, -1, -1, 0, 0] and places.owners[1].tolist() == [1, -1, -1, 2, 3]
