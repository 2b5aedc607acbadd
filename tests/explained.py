"""Explained records of which the truth is known: words come and speak by given laws, texts independent of each other."""

from collections.abc import Iterator

import numpy as np

from doxa.records.record import Record


def explained(i: int, scores: dict[str, float], label: str = "negative", head: str = "sentiment", **more) -> Record:
    """A record whose words have these scores."""
    tokens, place = [], 0
    for word, score in scores.items():
        tokens.append({"text": word, "start": place, "end": place + len(word), "score": score})
        place += len(word) + 1
    entry = {"label": label, "score": 0.9, "runner_up": {"label": "neutral", "score": 0.1}, "method": "integrated-gradients", "unit": "word", "tokens": tokens}
    return Record("made", i + 1, None, {"id": f"t{i}", "text": " ".join(scores), "explanation": {head: entry | more}})


def draw_texts(generator: np.random.Generator, n: int, shares: np.ndarray, means: np.ndarray, deviation: float = 0.5) -> Iterator[Record]:
    """n texts; word w<j> is in a text with chance shares[j], and then says means[j] in the mean, skewed to the right."""
    for i in range(n):
        there = np.flatnonzero(generator.random(len(shares)) < shares)
        noise = deviation * (generator.exponential(size=len(there)) - 1)
        yield explained(i, {f"w{j}": float(means[j] + noise[k]) for k, j in enumerate(there)})
