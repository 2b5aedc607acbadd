"""Figures of evaluations in words, the same in every format."""

from doxa.evaluation.figures import Evaluation, HeadEvaluation
from doxa.evaluation.mistakes import Mistake
from doxa.metrics.classification import Estimate

MOST_LABELS = 60
MOST_PAIRS = 15
TEXT_CHARACTERS = 300
TITLES = {"macro_f1": "macro F1", "micro_f1": "micro F1", "weighted_f1": "weighted F1", "samples_f1": "samples F1", "matthews": "Matthews correlation",
          "log_loss": "log loss", "brier": "Brier", "roc_auc": "ROC AUC", "average_precision": "average precision",
          "calibration_error": "calibration error", "exact_match": "exact match", "mae": "MAE", "rmse": "RMSE", "r2": "R2",
          "pearson": "Pearson", "spearman": "Spearman", "f1": "F1"}
SLICINGS = {"length": "length in tokens, else characters"}


def title_of(figure: str) -> str:
    return TITLES.get(figure, figure.replace("_", " "))


def number(value: float) -> str:
    size = abs(value)
    if 1e-9 < size < 0.0005:
        return f"{value:.1e}"  # an error in a small unit; below is rounding
    return f"{value:.3f}" if size < 1000 else f"{value:,.1f}" if size < 1e9 else f"{value:.3e}"


def bounds(found: Estimate) -> str:
    """The interval: `0.838 to 0.883`."""
    return f"{number(found.low)} to {number(found.high)}"


def counts_line(evaluation: Evaluation) -> str:
    n_errors = sum(evaluation.errors.values())
    if not evaluation.n_records:
        return "no records"
    told = f"{evaluation.n_records:,} records"
    return told + (f", {n_errors:,} of them carry an error ({', '.join(evaluation.errors)})" if n_errors else "")


def is_told_alone(figure: str) -> bool:
    """Whether a figure stands by itself; precision and recall stand beside their F1."""
    return not figure.endswith(("precision", "recall")) or figure == "average_precision"


def confused_pairs(head: HeadEvaluation) -> list[tuple[int, str, str, int]]:
    """Number of records, gold and predicted label, and how many hold the gold label: the most frequent confusion first."""
    labels = [label.label for label in head.labels]
    pairs = [(n, labels[i], labels[j], sum(row)) for i, row in enumerate(head.confusion[: len(labels)])
             for j, n in enumerate(row[: len(labels)]) if n and i != j]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))


def value_words(value: str | float | list[str]) -> str:
    return (", ".join(value) or "(none)") if isinstance(value, list) else number(value) if isinstance(value, float) else value


def record_words(found: Mistake) -> str:
    """By its id, or its place in the input."""
    return found.id if found.id is not None else f"#{found.place}"
