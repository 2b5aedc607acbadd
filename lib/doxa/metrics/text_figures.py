"""Figures of texts that were written, beside one gold text or several."""

from typing import Any

import numpy as np

from doxa.metrics.bleu_chrf import N_BLEU, Sacre, bleu, chrf, missing_extra
from doxa.metrics.ideographs import holds_ideographs
from doxa.metrics.rouge import rouge_l, rouge_n, tokenize
from doxa.metrics.tallied import Tallied

Gold = str | list[str]
_OWN = ("rouge1", "rouge2", "rougeL", "exact_match")


class TextFigures(Tallied):
    """`rouge1`, `rouge2`, `rougeL` and `exact_match` (0..1, the mean over records of the best of each one's gold texts); where sacreBLEU is
    installed also `bleu` and `chrf` (0..100, of the corpus).

    `tokenizer` is that of sacreBLEU's BLEU: `zh`, each ideograph a token, or `13a`."""

    headline = "rougeL"
    small = ("rougeL", "exact_match")

    def __init__(self, tokenizer: str):
        self.tokenizer = tokenizer
        self._sacre = None if missing_extra() else Sacre(tokenizer)

    def count(self, gold: list[Gold], said: list[dict[str, Any]]) -> np.ndarray:
        """ROUGE-1, -2, -L, exact match, 1, and the counts of sacreBLEU."""
        references, texts = [_texts(own) for own in gold], [entry["text"] for entry in said]
        own = np.array([[*_best(held, text), 1] for held, text in zip(references, texts)], float).reshape(-1, len(_OWN) + 1)
        return np.hstack([own, self._sacre.count(references, texts)]) if self._sacre else own

    def figures(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        n_own = len(_OWN)
        n = sums[:, n_own]
        found = {name: np.divide(sums[:, place], n, out=np.full(len(n), np.nan), where=n > 0) for place, name in enumerate(_OWN)}
        if self._sacre:
            counts = sums[:, n_own + 1 :]
            found |= {"bleu": np.where(n > 0, bleu(counts[:, :N_BLEU]), np.nan), "chrf": np.where(n > 0, chrf(counts[:, N_BLEU:]), np.nan)}
        return found

    def is_right(self, gold: Gold, said: dict[str, Any]) -> bool:
        return any(_is_same(own, said["text"]) for own in _texts(gold))

    def signatures(self, gold: list[Gold]) -> dict[str, str]:
        """How bleu and chrf of these were made, as sacreBLEU signs them; none where it is not installed or there is no gold."""
        return self._sacre.signatures([_texts(own) for own in gold]) if self._sacre and gold else {}


def text_figures(gold: list[Gold]) -> TextFigures:
    """One tokenizer for the whole corpus: that for Chinese where any gold text holds ideographs, as it leaves English nearly as it is."""
    return TextFigures("zh" if any(holds_ideographs(text) for own in gold for text in _texts(own)) else "13a")


def _texts(gold: Gold) -> list[str]:
    return [gold] if isinstance(gold, str) else gold


def _best(references: list[str], text: str) -> np.ndarray:
    given = tokenize(text)
    held = [tokenize(own) for own in references]
    return np.max([(rouge_n(own, given, 1), rouge_n(own, given, 2), rouge_l(own, given), _is_same(reference, text))
                   for own, reference in zip(held, references)], axis=0)


def _is_same(gold: str, said: str) -> bool:
    """But for white space."""
    return gold.split() == said.split()
