"""The decision layer: how the scores of every head are read, fitted on the dev set."""

from dataclasses import dataclass, replace

import numpy as np

from doxa.metrics.calibration import (
    expected_calibration_error, fit_temperature, fit_temperature_many, fit_thresholds, out_of_fold)
from doxa.model.heads import Head, head_slices, probabilities

LEAST_LABELLED = 50  # among fewer dev records a temperature is noise


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error of a head's scores on dev: as they came, and with a temperature fitted on other folds."""

    head: str
    temperature: float
    ece_before: float
    ece_after: float


def calibrate(heads: list[Head], logits: np.ndarray, targets: list[np.ndarray], target_precision: float | None = None
              ) -> tuple[list[Head], list[Calibration], np.ndarray]:
    """Fit temperature and thresholds of every head on dev logits (N, C).

    Returns the heads with them, what the temperatures gained, and logits (N, C) by which every text is decided at
    threshold 0.5 as parameters fitted on the other folds decide it: figures from those do not flatter. Heads with fewer
    than LEAST_LABELLED labelled records stay as they are.
    """
    fitted, told, honest = [], [], logits.astype(np.float64).copy()
    for head, part, target in zip(heads, head_slices(heads), targets):
        rows = np.flatnonzero(~np.isnan(target if target.ndim == 1 else target[:, 0]))
        if head.kind == "number" or len(rows) < LEAST_LABELLED:
            fitted.append(head)
            continue
        head, calibration, decided = calibrate_head(head, head.kind, logits[rows][:, part].astype(np.float64), target[rows], target_precision)
        honest[rows, part] = decided
        fitted.append(head)
        told.append(calibration)
    return fitted, told, honest


def calibrate_head(head: Head, reading: str, logits: np.ndarray, gold: np.ndarray, target_precision: float | None = None
                   ) -> tuple[Head, Calibration, np.ndarray]:
    """The head with temperature and thresholds for logits (N, C) and gold; `reading` is `labels` for sigmoids, `label` for softmax.
    The logits that come back decide as parameters of the other folds do."""
    is_many, read = reading == "labels", replace(head, kind=reading)
    fit = fit_temperature_many if is_many else fit_temperature
    temperature = fit(logits, gold)
    after = out_of_fold(lambda rows: fit(logits[rows], gold[rows]),
                        lambda found, rows: probabilities(logits[rows] / found, read), len(gold))
    calibration = Calibration(head.name, temperature, _error(is_many, probabilities(logits, read), gold), _error(is_many, after, gold))
    head = replace(head, temperature=temperature)
    if not is_many:
        return head, calibration, logits
    scores = probabilities(logits / temperature, read)
    head = replace(head, thresholds=fit_thresholds(scores, gold, target_precision))
    decided = out_of_fold(lambda rows: np.array(fit_thresholds(scores[rows], gold[rows], target_precision)),
                          lambda thresholds, rows: np.where(scores[rows] >= thresholds, 20.0, -20.0), len(gold))
    return head, calibration, decided


def _error(is_many: bool, scores: np.ndarray, gold: np.ndarray) -> float:
    if is_many:
        return expected_calibration_error(scores.ravel(), gold.ravel() > 0.5)
    return expected_calibration_error(scores.max(axis=1), scores.argmax(axis=1) == gold)
