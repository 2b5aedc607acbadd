"""Figures of the heads on the dev set, beside what simple methods reach."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from doxa.metrics.bootstrap import Correction, draw_cells, draw_rows, estimate
from doxa.metrics.classification import Estimate, confusion_matrix, macro_f1_many, macro_f1_weighted
from doxa.metrics.figure_range import range_of
from doxa.metrics.intervals import wilson
from doxa.metrics.label_figures import accuracy, averages, tally_drawn, tally_labels
from doxa.metrics.label_intervals import bounds_of_averages
from doxa.model.heads import Head, head_slices, probabilities


@dataclass(frozen=True)
class HeadFigures:
    """One row of the closing table.

    `scores` maps a method (model, tfidf, majority) to its figures (name -> Estimate); `lead` is the model's
    figure that counts most less that of `rival` (TF-IDF where it is empty) on the same resampled rows, None where nothing is there to compare with."""

    head: str
    kind: str
    support: int
    scores: dict[str, dict[str, Estimate]]
    lead: Estimate | None
    rival: str = ""
    lower_is_better: bool = False


def decide(logits: np.ndarray, heads: list[Head]) -> list[np.ndarray]:
    """Decisions of every head from logits (N, C): label ids (N,), 0/1 (N, labels) or numbers (N,)."""
    decisions = []
    for head, part in zip(heads, head_slices(heads)):
        own = logits[:, part] / head.temperature
        if head.kind == "label":
            decisions.append(own.argmax(axis=1).astype(float))
        elif head.kind == "labels":
            decisions.append((probabilities(own, head) >= np.array(head.thresholds or [0.5] * len(head.labels))).astype(float))
        else:
            decisions.append(own[:, 0].astype(float))
    return decisions


def dev_scores(logits: np.ndarray, targets: list[np.ndarray], heads: list[Head]) -> dict[str, float]:
    """Macro-F1 (numbers: 1 - MSE / variance) of every head that has a labelled row; their mean chooses the best epoch."""
    return {head.name: head_score(head, target, decision) for head, decision, target in zip(heads, decide(logits, heads), targets)
            if _labelled(target).any()}


def head_score(head: Head, target: np.ndarray, decision: np.ndarray) -> float:
    """Macro-F1 (numbers: 1 - MSE / variance) of decisions over the labelled rows, of which there is at least one."""
    rows = _labelled(target)
    gold, said = target[rows], decision[rows]
    if head.kind == "label":
        tally = tally_labels(gold.astype(int), said.astype(int), np.ones((1, len(gold))), len(head.labels) + 1)
        return float(averages(tally)["macro_f1"][0])
    if head.kind == "labels":
        return macro_f1_many(gold, said)
    return 1.0 - float(np.mean((said - gold) ** 2) / max(np.var(gold), 1e-12))


def compare_methods(head: Head, target: np.ndarray, decisions: dict[str, np.ndarray]) -> HeadFigures:
    """Figures of several methods on the labelled dev rows, with 95 % intervals. `model` and `tfidf` are required."""
    rows = _labelled(target)
    gold, methods, n = target[rows], list(decisions), int(rows.sum())
    if head.kind == "label":
        cells, draws = draw_cells(np.stack([gold, *(decisions[m][rows] for m in methods)], axis=1).astype(int))
        tallies = tally_drawn(cells, draws, len(head.labels) + 1)  # one more: labels training never saw
        figures = np.stack([(accuracy(tally), averages(tally)["macro_f1"]) for tally in tallies])
        names, counts = ("accuracy", "macro-F1"), [(tally.hits[0], tally.held[0], tally.said[0]) for tally in tallies]
    else:
        weights = draw_rows(np.zeros(len(gold), int), most=len(gold)).weights
        compute = _many_figures if head.kind == "labels" else _number_figures
        figures = np.stack([compute(gold, decisions[m][rows], weights) for m in methods])
        names, counts = ("exact match", "macro-F1") if head.kind == "labels" else ("MAE", "R2"), []
        if head.kind == "labels":
            counts = [((gold * said).sum(axis=0), gold.sum(axis=0), said.sum(axis=0)) for said in (decisions[m][rows] for m in methods)]
    scores = {method: {name: estimate(values[0], values, n, Correction.BIAS, _within(name)) for name, values in zip(names, figure)}
              for method, figure in zip(methods, figures)}
    for method, own in zip(methods, counts):  # resamples of a good method's rows are nearly alike
        share, mean = (scores[method][name] for name in names)
        ends = bounds_of_averages(*own).get("macro_f1", (0.0, 1.0))  # of labels that nothing holds and nothing was given, nothing is known
        scores[method] = {names[0]: Estimate(share.value, *wilson(round(share.value * n), n)), names[1]: mean.widened(*ends)}
    difference = figures[methods.index("model")][1] - figures[methods.index("tfidf")][1]
    return HeadFigures(head.name, head.kind, n, scores, estimate(difference[0], difference, n))


def compare_resampled(head: Head, support: int, figures: dict[str, dict[str, np.ndarray]], names: tuple[str, ...], lower_is_better: bool = False) -> HeadFigures:
    """The figures of several methods, `model` among them, on the same resamples (1 + R each, the first as the rows are); the last of `names` is the one that
    counts. `lead` is the model's less that of the best other method, None where it is alone: a method for which that figure is not defined is left out."""
    headline = names[-1]
    figures = {method: values for method, values in figures.items() if method == "model" or not np.isnan(values[headline][0])}
    scores = {method: {name: estimate(values[name][0], values[name], support, Correction.BIAS, _within(name)) for name in names if name in values} for method, values in figures.items()}
    others = [method for method in figures if method != "model"]
    if not others:
        return HeadFigures(head.name, head.kind, support, scores, None)
    rival = max(others, key=lambda method: (-1.0 if lower_is_better else 1.0) * figures[method][headline][0])
    difference = figures["model"][headline] - figures[rival][headline]
    return HeadFigures(head.name, head.kind, support, scores, estimate(difference[0], difference, support), rival, lower_is_better)


def count_confusion(head: Head, target: np.ndarray, decision: np.ndarray) -> dict[str, Any]:
    """How often what was decided is what is held, over the labelled rows, as plain JSON: `labels` (K) and `counts`, gold by decided.

    A head of one label has `counts` (K, K), and `unseen` (K) for gold labels that training never saw. A head of many has
    `counts` (K, 2, 2): per label no and yes."""
    rows = _labelled(target)
    gold, said, n_labels = target[rows], decision[rows], len(head.labels)
    if head.kind == "label":
        counts = confusion_matrix(gold, said, n_labels)[:, :n_labels].tolist()
        return {"labels": list(head.labels), "counts": counts[:n_labels], "unseen": counts[n_labels]}
    pairs = [np.bincount((2 * gold[:, i] + said[:, i]).astype(int), minlength=4).reshape(2, 2).tolist() for i in range(n_labels)]
    return {"labels": list(head.labels), "counts": pairs}


def _within(name: str) -> tuple[float, float] | None:
    """What a figure of this name, as the closing table spells it, can be."""
    return range_of(name) or range_of(name.lower().replace("-", "_").replace(" ", "_"))


def _labelled(target: np.ndarray) -> np.ndarray:
    return ~np.isnan(target if target.ndim == 1 else target[:, 0])


def _many_figures(gold: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Exact match and macro-F1 (2, R) of 0/1 matrices under row weights (R, N)."""
    n = weights.sum(axis=1)
    exact = weights @ (gold == predicted).all(axis=1) / n
    return np.stack([exact, macro_f1_weighted(gold, predicted, weights)])


def _number_figures(gold: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean absolute error and R2 (2, R) under row weights (R, N)."""
    n = weights.sum(axis=1)
    mean = weights @ gold / n
    variance = np.maximum(weights @ gold**2 / n - mean**2, 1e-12)
    return np.stack([weights @ np.abs(gold - predicted) / n, 1.0 - (weights @ (gold - predicted) ** 2 / n) / variance])
