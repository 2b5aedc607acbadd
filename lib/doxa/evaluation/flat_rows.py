"""Rows of a head of one label, of many labels, or of a number: as numpy arrays."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.evaluation.rows import HeadRows, Measured
from doxa.metrics import label_figures, number_figures, score_figures
from doxa.metrics.bootstrap import Resampling, draw_cells, draw_rows
from doxa.metrics.classification import Estimate
from doxa.metrics.intervals import wilson
from doxa.metrics.label_figures import Tally
from doxa.metrics.score_figures import LEAST_SCORE, N_BINS

OF_SCORES = frozenset({"log_loss", "brier", "calibration_error", "roc_auc", "average_precision"})
HIGHER_IS_WORSE = frozenset({"log_loss", "brier", "calibration_error", "hamming_loss", "mae", "rmse"})
_HEADLINE = {"label": "macro_f1", "labels": "macro_f1", "number": "mae"}
_SMALL = {"label": ("accuracy", "macro_f1"), "labels": ("exact_match", "macro_f1"), "number": ("mae", "spearman")}


@dataclass(kw_only=True)
class FlatRows(HeadRows):
    """`gold` and `said` are label ids (N,) of a head of one label, 0/1 (N, K) of one of many, and numbers (N,).

    `labels` (K) are those that occur in gold, prediction or scores. `scores` (N, K) are those of all labels, None unless every record
    has them. With `has_odd_scores` some were outside of 0..1, and all are left out; `n_unscored` lack a score that others have; where `is_of_two` the
    scores of the other label were taken for what is left to 1;
    `doubts` say what else is wrong with scores."""

    labels: list[str]
    gold: np.ndarray
    said: np.ndarray
    scores: np.ndarray | None
    has_odd_scores: bool = False
    n_unscored: int = 0
    is_of_two: bool = False
    doubts: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        return _HEADLINE[self.kind]

    @property
    def small(self) -> tuple[str, ...]:
        return _SMALL[self.kind]

    @property
    def is_label_once_a_row(self) -> bool:
        return True

    @property
    def lower_is_better(self) -> frozenset[str]:
        return HIGHER_IS_WORSE

    @classmethod
    def measure_all(cls, sides: list["FlatRows"], resampling: Resampling, with_scores: bool) -> list[Measured]:
        first = sides[0]
        found = [Measured({}, {}, {}, {}, tuple(first.labels), first.n) for _ in sides]
        if first.kind == "label":
            cells, draws = draw_cells(np.stack([first.gold, *(side.said for side in sides)], axis=1), resampling)
            for measured, tally in zip(found, label_figures.tally_drawn(cells, draws, len(first.labels))):
                _add_label_figures(measured, tally)
        needs_rows = first.kind != "label" or with_scores and any(_has_confidence(side) for side in sides)
        if needs_rows:
            draws = draw_rows(first.strata(), resampling)
            all_rows, once = np.arange(first.n), np.ones((1, first.n))
            for measured, side in zip(found, sides):
                is_whole = len(draws.rows) == first.n
                for rows, weights, is_exact in ((draws.rows, draws.weights, is_whole), *(() if is_whole else ((all_rows, once, True),))):
                    _add_row_figures(measured, side.take(rows), weights, is_exact, with_scores, len(weights) > 1)
        return found

    def take(self, rows: np.ndarray) -> "FlatRows":
        return replace(self, gold=self.gold[rows], said=self.said[rows], score=self.score[rows],
                       scores=None if self.scores is None else self.scores[rows], records=self.records[rows], slices={}, slice_names={})

    def support(self) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        if self.kind == "number":
            return (), np.empty(0), np.empty(0)
        return tuple(self.labels), self.count(self.gold), self.count(self.said)

    def count(self, side: np.ndarray) -> np.ndarray:
        """How many rows of gold or prediction have each label (K)."""
        return np.bincount(side, minlength=len(self.labels)) if self.kind == "label" else side.sum(axis=0)

    def confusion(self) -> np.ndarray | None:
        if self.kind != "label":
            return None
        n_labels = len(self.labels)
        return np.bincount(self.gold * n_labels + self.said, minlength=n_labels**2).reshape(n_labels, n_labels)

    def gold_value(self, row: int) -> str | float | list[str]:
        return self._value(self.gold, row)

    def said_value(self, row: int) -> str | float | list[str]:
        return self._value(self.said, row)

    def _value(self, side: np.ndarray, row: int) -> str | float | list[str]:
        if self.kind == "number":
            return float(side[row])
        return self.labels[side[row]] if self.kind == "label" else [self.labels[i] for i in np.flatnonzero(side[row])]

    def one_hot(self) -> np.ndarray:
        """The gold labels (N, K) as 0/1."""
        return self.gold if self.kind == "labels" else np.arange(len(self.labels)) == self.gold[:, None]

    def strata(self) -> np.ndarray:
        """What a sample of the rows should hold some of each: gold labels; of many, the rarest of a row."""
        if self.kind == "label":
            return self.gold
        if self.kind == "number" or not self.gold.size:
            return np.zeros(self.n, int)
        rarest_first = np.argsort(self.gold.sum(axis=0), kind="stable")
        return np.where(self.gold.any(axis=1), self.gold[:, rarest_first].argmax(axis=1) + 1, 0)

    def is_right(self) -> np.ndarray | None:
        if self.kind == "number":
            return None
        return (self.gold == self.said) if self.kind == "label" else (self.gold == self.said).all(axis=1)

    def n_changed(self, other: "FlatRows", figure: str) -> int | None:
        if self.kind == "number" or figure in OF_SCORES:  # by how much they differ matters as well
            return None
        is_other = self.said != other.said
        return int((is_other if self.kind == "label" else is_other.any(axis=1)).sum())

    def differs(self, other: "FlatRows") -> np.ndarray:
        differs = self.gold != other.gold
        return differs if differs.ndim == 1 else differs.any(axis=1)

    def match(self, other: "FlatRows") -> tuple["FlatRows", "FlatRows"]:
        """Both with the labels of either, in one order."""
        if self.kind == "number":
            return self, other
        labels = self.labels + [label for label in other.labels if label not in set(self.labels)]
        return self._relabel(labels), other._relabel(labels)

    def _relabel(self, labels: list[str]) -> "FlatRows":
        place = np.array(pc.index_in(pa.array(self.labels, pa.string()), pa.array(labels, pa.string())).to_numpy(zero_copy_only=False), int)
        scores = None
        if self.scores is not None:
            scores = np.zeros((self.n, len(labels)))
            scores[:, place] = self.scores
        if self.kind == "label":
            return replace(self, labels=labels, gold=place[self.gold], said=place[self.said], scores=scores)
        gold, said = (np.zeros((self.n, len(labels)), bool) for _ in range(2))
        gold[:, place], said[:, place] = self.gold, self.said
        return replace(self, labels=labels, gold=gold, said=said, scores=scores)

    def losses(self, old: "FlatRows", most: int) -> list[tuple[int, float]]:
        """Of numbers those whose error grew most, by how much."""
        if self.kind == "number":
            weights = np.abs(self.said - self.gold) - np.abs(old.said - old.gold)
        else:
            weights = np.where(old.is_right() & ~self.is_right(), np.nan_to_num(self.score, nan=0.0) + 1e-9, 0.0)
        rows = np.argsort(-weights, kind="stable")[:most]
        return [(row, float(weights[row])) for row in rows.tolist() if weights[row] > 0]

    def signed(self) -> list[str]:
        parts = ["labels:gold|predicted", "undefined:0"] if self.kind != "number" else []
        parts += [f"ece:{N_BINS}"] if self.kind == "label" and self.n else []
        return parts + ([f"clip:{LEAST_SCORE:g}", "auc:one-vs-rest"] if self.scores is not None else [])

    def remarks(self, figures: dict[str, Estimate]) -> list[str]:
        told = list(self.doubts)
        if self.kind == "label" and figures["accuracy"].value == 1.0:
            told.append("without a single mistake, resampling cannot tell how many there may be: "
                        f"95 % sure is an accuracy of at least {wilson(self.n, self.n)[0]:.3f} (Wilson)")
        if self.is_of_two:
            told.append("log loss, Brier, ROC AUC and average precision take the score of the other label for what is left to 1: that is so where the model knows "
                        "these two alone (predict --scores tells)")
        if self.has_odd_scores:
            told.append("some scores are no numbers from 0 to 1, so figures of scores are left out")
        elif 0 < self.n_unscored < self.n and ("log_loss" not in figures or self.kind == "label" and "calibration_error" not in figures):
            told.append(f"{self.n_unscored:,} of {self.n:,} records {'has' if self.n_unscored == 1 else 'have'} no score for what is said, or not those of all labels: "
                        "figures that need them, which are over all records, are left out")
        elif "log_loss" not in figures and self.kind != "number":
            told.append("log loss, Brier, ROC AUC and average precision need the scores of all labels: predict --scores")
        return told


def _has_confidence(rows: FlatRows) -> bool:
    return rows.kind == "label" and not np.isnan(rows.score).any()


def _add_label_figures(measured: Measured, tally: Tally) -> None:
    figures = {"accuracy": label_figures.accuracy(tally)} | label_figures.averages(tally) | {"matthews": label_figures.matthews(tally)}
    _keep(measured, figures, label_figures.label_scores(tally), True, True)


def _keep(measured: Measured, figures: dict, by_label: dict, is_exact: bool, is_resampled: bool) -> None:
    for values, exact, resampled in ((figures, measured.exact, measured.values), (by_label, measured.exact_by_label, measured.values_by_label)):
        for name, found in values.items():
            if is_exact:
                exact[name] = found[0]
            if is_resampled:
                resampled[name] = found


def _add_row_figures(measured: Measured, rows: FlatRows, weights: np.ndarray, is_exact: bool, with_scores: bool, is_resampled: bool) -> None:
    figures, by_label = {}, {}
    if rows.kind == "number":
        figures = number_figures.number_figures(rows.gold, rows.said, weights)
    elif rows.kind == "labels":
        tally = label_figures.tally_many(rows.gold, rows.said, weights)
        figures, by_label = label_figures.averages(tally), label_figures.label_scores(tally)
        figures |= label_figures.sample_averages(rows.gold, rows.said, weights)
    elif _has_confidence(rows):
        figures["calibration_error"] = score_figures.calibration_error(rows.score, rows.is_right(), weights)
    if with_scores and rows.scores is not None:
        own, ranks = _score_figures(rows, weights)
        figures, by_label = figures | own, by_label | ranks
    _keep(measured, figures, by_label, is_exact, is_resampled)


def _score_figures(rows: FlatRows, weights: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    gold, scores = rows.one_hot(), rows.scores
    if rows.kind == "label":
        figures = {"log_loss": score_figures.log_loss(scores[np.arange(rows.n), rows.gold], weights),
                   "brier": score_figures.brier(scores, gold, weights)}
    else:
        figures = {"log_loss": score_figures.log_loss_many(scores, gold, weights), "brier": score_figures.brier_many(scores, gold, weights)}
    ranked = [score_figures.rank_figures(scores[:, i], gold[:, i].astype(bool), weights) for i in range(len(rows.labels))]
    areas, precisions = (np.stack(values, axis=1) for values in zip(*ranked))  # (R, K)
    with np.errstate(invalid="ignore"):
        figures |= {"roc_auc": _mean_defined(areas), "average_precision": _mean_defined(precisions)}
    return figures, {"roc_auc": areas, "average_precision": precisions}


def _mean_defined(values: np.ndarray) -> np.ndarray:
    """The mean over the labels for which it is defined (R); NaN where it is for none."""
    n = (~np.isnan(values)).sum(axis=1)
    return np.divide(np.nansum(values, axis=1), n, out=np.full(len(values), np.nan), where=n > 0)
