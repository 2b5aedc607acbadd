"""Perplexity: how surprised a model is by texts."""

from typing import Any

import numpy as np

from doxa.metrics.tallied import Tallied


class LikelihoodFigures(Tallied):
    """`perplexity`: exp of minus the mean log-likelihood (natural) of all tokens together, so that a long text counts for more; of
    tokens masked one at a time it is the pseudo-perplexity of Salazar et al. (2020). From 1, less is better."""

    headline = "perplexity"
    small = ("perplexity",)
    lower_is_better = frozenset({"perplexity"})

    def count(self, gold: list[Any], said: list[dict[str, Any]]) -> np.ndarray:
        """Log-likelihood and tokens; no gold is needed."""
        return np.array([[entry["log_likelihood"], entry["n_tokens"]] for entry in said], float).reshape(-1, 2)

    def figures(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"perplexity": perplexity(*sums.T)}

    def is_right(self, gold: Any, said: dict[str, Any]) -> bool:
        """Always: a likelihood is high or low, never wrong."""
        return True


def perplexity(log_likelihood: np.ndarray, n_tokens: np.ndarray) -> np.ndarray:
    """Of sums (R each) in nats; NaN where there is no token, infinite where it is past all doubles."""
    mean = np.divide(log_likelihood, n_tokens, out=np.full(len(n_tokens), np.nan), where=n_tokens > 0)
    with np.errstate(over="ignore"):
        return np.exp(-mean)
