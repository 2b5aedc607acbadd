"""Which values a figure can have, known by its name."""

import math

_RANGES = {"matthews": (-1.0, 1.0), "pearson": (-1.0, 1.0), "spearman": (-1.0, 1.0), "r2": (-math.inf, 1.0), "mae": (0.0, math.inf), "rmse": (0.0, math.inf),
           "log_loss": (0.0, math.inf), "hamming_loss": (0.0, 1.0), "brier": (0.0, 2.0), "perplexity": (1.0, math.inf), "bleu": (0.0, 100.0), "chrf": (0.0, 100.0)}
_SHARES = frozenset({"accuracy", "precision", "recall", "f1", "auc", "match", "jaccard", "error", "mrr", "ndcg", "rouge1", "rouge2", "rougeL"})


def range_of(figure: str) -> tuple[float, float] | None:
    """The least and the greatest value; None for a name that is no figure's. Averages and parts end like the figure itself: macro_f1,
    no_answer_accuracy."""
    if figure in _RANGES:
        return _RANGES[figure]
    name = figure.partition("_at_")[0]
    return (0.0, 1.0) if name == "average_precision" or name.rpartition("_")[2] in _SHARES else None


def between(least: float, greatest: float) -> str:
    """A range in words, one end of which may be open."""
    if math.isinf(greatest):
        return f"never below {least:g}"
    return f"never above {greatest:g}" if math.isinf(least) else f"from {least:g} to {greatest:g}"
