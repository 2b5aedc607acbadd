"""The figures of a head's rows, on the rows and on resamples of them."""

from dataclasses import dataclass

import numpy as np

from doxa.errors import UsageError
from doxa.evaluation.rows import HeadRows
from doxa.metrics import label_figures, number_figures, score_figures
from doxa.metrics.bootstrap import draw_cells, draw_rows
from doxa.metrics.label_figures import Tally


@dataclass
class Measured:
    """Figures by name, (1 + R) values each: of the rows, then of the resamples; `exact` the figure of all rows, which differs from the
    first value where a bag stood for them. `by_label` maps a name to (1 + R, K) and its exact values (K)."""

    exact: dict[str, float]
    values: dict[str, np.ndarray]
    exact_by_label: dict[str, np.ndarray]
    values_by_label: dict[str, np.ndarray]


HIGHER_IS_WORSE = {"log_loss", "brier", "calibration_error", "mae", "rmse"}
HEADLINE = {"label": "macro_f1", "labels": "macro_f1", "number": "mae"}
SMALL = {"label": ("accuracy", "macro_f1"), "labels": ("exact_match", "macro_f1"), "number": ("mae", "spearman")}  # of a slice


def measure(rows: HeadRows, seed: int = 0, with_scores: bool = True) -> Measured:
    """All figures of a head; those of scores only where asked for and every row has them."""
    return measure_both([rows], seed, with_scores)[0]


def measure_both(sides: list[HeadRows], seed: int = 0, with_scores: bool = True) -> list[Measured]:
    """The same of several predictions of the same rows, resampled alike; their gold and labels are the same."""
    found = [Measured({}, {}, {}, {}) for _ in sides]
    first = sides[0]
    if first.kind == "label":
        cells, draws = draw_cells(np.stack([first.gold, *(side.said for side in sides)], axis=1), seed)
        for measured, tally in zip(found, label_figures.tally_drawn(cells, draws, len(first.labels))):
            _add_label_figures(measured, tally)
    needs_rows = first.kind != "label" or with_scores and any(_has_confidence(side) for side in sides)
    if needs_rows:
        draws = draw_rows(first.strata(), seed)
        all_rows, once = np.arange(first.n), np.ones((1, first.n))
        for measured, side in zip(found, sides):
            is_whole = len(draws.rows) == first.n
            for rows, weights, is_exact in ((draws.rows, draws.weights, is_whole), *(() if is_whole else ((all_rows, once, True),))):
                _add_row_figures(measured, side.take(rows), weights, is_exact, with_scores, len(weights) > 1)
    return found


def _has_confidence(rows: HeadRows) -> bool:
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


def _add_row_figures(measured: Measured, rows: HeadRows, weights: np.ndarray, is_exact: bool, with_scores: bool, is_resampled: bool) -> None:
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


def _score_figures(rows: HeadRows, weights: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
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


def check_metrics(names: tuple[str, ...], heads: list[HeadRows]) -> None:
    """Raise UsageError for a name that is a figure of none of the heads."""
    known = list(dict.fromkeys(name for rows in heads for name in measure(rows.take(np.arange(min(rows.n, 2)))).exact)) if names else []
    for name in names:
        if name not in known:
            raise UsageError(f"--metric {name}: the heads have no such figure; there are: {', '.join(known)}")
