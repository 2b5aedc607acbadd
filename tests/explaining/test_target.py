"""The number that is explained, and its slope."""

import numpy as np
import pytest

from doxa.explaining.target import Target, choose_labels, label_scores
from doxa.model.heads import Head, read_logits

HEADS = {"label": Head("h", "label", ("a", "b", "c"), temperature=2.5), "labels": Head("h", "labels", ("a", "b", "c"), 0.7, (0.5, 0.9, 0.2)),
         "number": Head("h", "number"), "single": Head("h", "label", ("only",))}
LOGITS = np.random.default_rng(3).normal(size=(20, 5)) * 4


def targets(kind):
    head = HEADS[kind]
    return [Target(head, slice(1, 1 + head.n_outputs), label) for label in ([None] if kind == "number" else range(head.n_outputs))]


@pytest.mark.parametrize("kind", HEADS)
def test_slope_is_the_derivative(kind):
    for target in targets(kind):
        slope, step = target.slope(LOGITS), 1e-6
        for column in range(5):
            moved = LOGITS.copy()
            moved[:, column] += step
            assert (target.value(moved) - target.value(LOGITS)) / step == pytest.approx(slope[:, column], abs=1e-5)


@pytest.mark.parametrize("kind", ["label", "labels", "number"])
def test_the_score_is_what_predict_says(kind):
    head, part = HEADS[kind], slice(1, 1 + HEADS[kind].n_outputs)
    said = [row["h"] for row in read_logits(LOGITS[:, part], [head], with_scores=True)]
    for target in targets(kind):
        scores = target.score(target.value(LOGITS))
        expected = [row["score"] if kind == "number" else row["scores"][head.labels[target.label]] for row in said]
        assert scores == pytest.approx(np.array(expected), abs=1e-6)
        assert [label_scores(row, head, part)[target.label or 0] for row in LOGITS] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["label", "labels"])
def test_the_labels_are_those_that_predict_says(kind):
    head, part = HEADS[kind], slice(1, 4)
    for row, logits in zip(read_logits(LOGITS[:, part], [head], with_scores=True), LOGITS):
        chosen = [head.labels[i] for i in choose_labels(label_scores(logits, head, part), head)]
        said = [row["h"]["label"]] if kind == "label" else row["h"]["labels"] or [max(row["h"]["scores"], key=row["h"]["scores"].get)]
        assert chosen == said
