"""Perplexity against the definition, token by token."""

import numpy as np
import pytest

from doxa.metrics.likelihood_figures import LikelihoodFigures


def test_perplexity_is_of_all_tokens_together():
    chances = [np.array([0.5, 0.25, 0.125]), np.array([0.9]), np.array([0.01, 0.02])]
    said = [{"perplexity": 1.0, "log_likelihood": float(np.log(own).sum()), "n_tokens": len(own)} for own in chances]
    judge = LikelihoodFigures()
    assert judge.total([None] * 3, said) == {"perplexity": pytest.approx(np.prod(np.concatenate(chances)) ** (-1 / 6))}
    assert judge.headline in judge.lower_is_better and judge.is_right(None, said[0])


def test_a_uniform_guess_is_as_perplex_as_there_are_words():
    assert LikelihoodFigures().total([None], [{"log_likelihood": -7 * np.log(21128), "n_tokens": 7}])["perplexity"] == pytest.approx(21128)


def test_no_token_and_no_hope():
    found = LikelihoodFigures().figures(np.array([[0.0, 0.0], [-1e6, 1.0]]))["perplexity"]
    assert np.isnan(found[0]) and np.isinf(found[1])
