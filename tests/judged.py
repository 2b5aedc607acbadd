"""Predictions whose gold is known, made up for tests of evaluate and compare."""

import json

import numpy as np

LABELS = ("negative", "neutral", "positive")
SOURCES = ("wire", "forum", "blog")


def judged(n: int, seed: int = 0, right: float = 0.8, with_scores: bool = False, with_ids: bool = True, draw: int | None = None) -> list[dict]:
    """N records with gold `sentiment` (by `seed` alone) and a prediction of it that is right with a chance of `right`; forum
    posts less often. `draw` changes the predictions and leaves the texts."""
    chance, gold_chance = np.random.default_rng([seed, 1 if draw is None else draw]), np.random.default_rng(seed)
    records = []
    for i in range(n):
        gold, source = gold_chance.choice(3, p=(0.3, 0.5, 0.2)), SOURCES[gold_chance.integers(3)]
        n_tokens = int(gold_chance.integers(4, 100))
        is_right = chance.random() < right - 0.2 * (source == "forum")
        said = gold if is_right else (gold + 1 + chance.integers(2)) % 3
        scores = chance.dirichlet(np.ones(3))
        best = scores.argmax()
        scores[[said, best]] = scores[[best, said]]
        scores = np.round(scores, 6)
        entry = {"label": LABELS[said], "score": float(scores[said])}
        if with_scores:
            entry["scores"] = dict(zip(LABELS, scores.tolist()))
        records.append(({"id": f"r{i}"} if with_ids else {}) | {
            "text": f"text {i}", "source": source, "sentiment": LABELS[gold], "prediction": {"sentiment": entry}, "n_tokens": n_tokens})
    return records


def lines(records: list[dict]) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)
