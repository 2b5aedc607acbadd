"""Figures of evaluations in words, the same in every format."""

from typing import Any

from doxa.evaluation.figures import Evaluation, HeadEvaluation
from doxa.evaluation.mistakes import Mistake
from doxa.metrics.classification import Estimate
from doxa.records.quantity import quantity

MOST_LABELS = 60
MOST_PAIRS = 15
TEXT_CHARACTERS = 300
MOST_NUMBERS = 10  # of a list; those of a vector tell nobody anything
TITLES = {"macro_f1": "macro F1", "micro_f1": "micro F1", "weighted_f1": "weighted F1", "samples_f1": "samples F1", "samples_jaccard": "samples Jaccard", "hamming_loss": "Hamming loss", "matthews": "Matthews correlation",
          "log_loss": "log loss", "brier": "Brier", "roc_auc": "ROC AUC", "average_precision": "average precision",
          "calibration_error": "calibration error", "exact_match": "exact match", "mae": "MAE", "rmse": "RMSE", "r2": "R2",
          "pearson": "Pearson", "spearman": "Spearman"}
AVERAGES = ("macro", "micro", "weighted", "samples")
_ASIDE = {"score", "scores", "model", "start", "end", "tags"}  # members of an entry that do not say what was answered
_CAPITALS = {"f1": "F1", "mrr": "MRR", "ndcg": "nDCG", "bleu": "BLEU", "chrf": "chrF", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}
SLICINGS = {"length": "length in tokens, else characters"}


def title_of(figure: str) -> str:
    return TITLES.get(figure) or " ".join(_CAPITALS.get(word, word) for word in figure.split("_"))


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
    told = quantity(evaluation.n_records, "record")
    return told + (f", {n_errors:,} of them {'carries' if n_errors == 1 else 'carry'} an error ({', '.join(evaluation.errors)})" if n_errors else "")


def is_told_alone(figure: str) -> bool:
    """Whether a figure stands by itself; precision and recall of an average over labels stand beside their F1."""
    average, _, name = figure.partition("_")
    return average not in AVERAGES or name not in ("precision", "recall")


def figures_alone(head: HeadEvaluation) -> list[str]:
    """The figures that stand by themselves; without a table of labels all do."""
    return [name for name in head.figures if not head.labels or is_told_alone(name)]


def averages_of(head: HeadEvaluation) -> list[tuple[str, dict[str, Estimate]]]:
    """Name of an average over all labels, and its figures. A micro average of one label each is the accuracy, and left out."""
    figures, found = head.figures, []
    for average in AVERAGES:
        if f"{average}_f1" in figures and (average != "micro" or head.kind != "label"):
            own = {name: figures[f"{average}_{name}"] for name in ("precision", "recall", "f1") if f"{average}_{name}" in figures}
            own |= {name: figures[name] for name in ("roc_auc", "average_precision") if average == "macro" and name in figures}
            found.append((average, own))
    return found


def confused_pairs(head: HeadEvaluation) -> list[tuple[int, str, str, int]]:
    """Number of records, gold and predicted label, and how many hold the gold label: the most frequent confusion first."""
    labels = [label.label for label in head.labels]
    pairs = [(n, labels[i], labels[j], sum(row)) for i, row in enumerate(head.confusion)
             for j, n in enumerate(row) if n and i != j]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))


def value_words(value: Any) -> str:
    """A gold value or what was said, whatever its kind: of an entry only what was answered, of its parts the text and the label."""
    if isinstance(value, list):
        if len(value) > MOST_NUMBERS and all(isinstance(own, (int, float)) for own in value):
            return f"{len(value):,} numbers"
        return ", ".join(map(value_words, value)) or "(none)"
    if isinstance(value, dict):
        return _entry_words(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "(none)"}[value]
    return number(value) if isinstance(value, float) else str(value)


def _entry_words(entry: dict[str, Any]) -> str:
    told = {key: value for key, value in entry.items() if key not in _ASIDE}
    text, label = told.get("text"), told.get("label")
    if text is None and "start" in entry and "end" in entry:
        text = f"{entry['start']}\N{EN DASH}{entry['end']}"
    if text is not None:
        return value_words(text) + (f" ({label})" if label is not None else "")
    if len(told) > 1 and all(isinstance(value, (int, float)) for value in told.values()):
        return ", ".join(f"{key} {value_words(value)}" for key, value in told.items())
    return ", ".join(map(value_words, told.values())) or ", ".join(f"{key} {value_words(value)}" for key, value in entry.items()) or "(none)"


def record_words(found: Mistake) -> str:
    """By its id, or its place in the input."""
    return found.id if found.id is not None else f"#{found.place}"
