"""BLEU (Papineni et al. 2002) and chrF (Popović 2015) as sacreBLEU has them (Post 2018), from counts of segments that can be summed.

sacreBLEU counts; figures of many sums at once are made here by its formulas."""

import importlib
from importlib.util import find_spec
from typing import Any

import numpy as np

N_BLEU, N_CHRF = 10, 18  # numbers per segment
_ORDERS = 4
_BETA_SQUARED = 4.0


def missing_extra() -> str | None:
    """What to tell people where sacreBLEU is not installed."""
    return None if find_spec("sacrebleu") else "bleu and chrf are left out, since they need a library that is not installed: pip install 'doxa[text]'"


class Sacre:
    """sacreBLEU with one tokenizer. Raises ImportError where it is not installed."""

    def __init__(self, tokenizer: str):
        metrics = importlib.import_module("sacrebleu.metrics")
        self._bleu, self._chrf = metrics.BLEU(tokenize=tokenizer, force=True), metrics.CHRF()

    def count(self, gold: list[list[str]], said: list[str]) -> np.ndarray:
        """Counts (N, N_BLEU + N_CHRF) of each text beside its references, of which there is at least one."""
        if not said:
            return np.zeros((0, N_BLEU + N_CHRF))
        streams = _streams(gold)
        return np.hstack([np.array(metric._extract_corpus_statistics(said, streams), float) for metric in (self._bleu, self._chrf)])

    def signatures(self, gold: list[list[str]]) -> dict[str, str]:
        """How the figures were made, in sacreBLEU's own words."""
        found = {}
        for name, metric in (("bleu", self._bleu), ("chrf", self._chrf)):
            metric._cache_references(_streams([[""] * len(own) for own in gold]))  # it signs how many there are, whatever they say
            found[name] = metric.get_signature().format()
        return found


def bleu(sums: np.ndarray) -> np.ndarray:
    """0..100 (R) of sums (R, N_BLEU): length said and of the nearest references, n-grams right, and n-grams, of 1 to 4 tokens.

    Orders without a hit are smoothed by halving (NIST's way, `exp`); 0 where nothing is right or an order has no n-gram at all."""
    said, gold, right, all_ = sums[:, 0], sums[:, 1], sums[:, 2 : 2 + _ORDERS], sums[:, 2 + _ORDERS : N_BLEU]
    is_defined = (right > 0).any(axis=1) & (all_ > 0).all(axis=1)
    halvings = np.cumsum(right <= 0, axis=1)
    precision = np.where(right > 0, right, 0.5**halvings) / np.where(all_ > 0, all_, 1.0)
    brevity = np.minimum(0.0, 1 - gold / np.where(said > 0, said, 1.0))
    return np.where(is_defined, 100 * np.exp(brevity + np.log(precision).mean(axis=1)), 0.0)


def chrf(sums: np.ndarray) -> np.ndarray:
    """0..100 (R) of sums (R, N_CHRF): n-grams said, of gold, and in both, of each of 1 to 6 characters; F2 of the mean precision and
    recall over the orders that both have."""
    said, gold, both = sums.reshape(len(sums), -1, 3).transpose(2, 0, 1)
    counts = (said > 0) & (gold > 0)
    n = np.maximum(1, counts.sum(axis=1))
    precision, recall = (np.divide(both, part, out=np.zeros_like(both), where=counts).sum(axis=1) / n for part in (said, gold))
    weighted = _BETA_SQUARED * precision + recall
    return 100 * np.divide((1 + _BETA_SQUARED) * precision * recall, weighted, out=np.zeros(len(sums)), where=weighted > 0)


def _streams(gold: list[list[str]]) -> list[list[Any]]:
    """The first references of all, the second ones, ..., None where one has no more."""
    return [[own[place] if place < len(own) else None for own in gold] for place in range(max(map(len, gold), default=1))]
