"""One line that says how figures were made, in the manner of sacreBLEU (Post 2018)."""

from typing import Any

from doxa import __version__
from doxa.evaluation.intake import Seen
from doxa.evaluation.rows import HeadRows
from doxa.metrics.bootstrap import MOST_ROWS, N_RESAMPLES
from doxa.metrics.score_figures import LEAST_SCORE, N_BINS


def sign(rows: HeadRows, seen: Seen, settings: Any) -> str:
    """Head, data and model fingerprint, what averages go over, how scores are judged, how intervals are drawn, version."""
    bag = f"+bag{MOST_ROWS}" if rows.n > MOST_ROWS else ""
    parts = [f"head:{rows.head}", f"n:{rows.n}", f"data:{seen.fingerprint}", f"model:{'+'.join(rows.models) or 'unstamped'}"]
    parts += [f"where:{condition}" for condition in settings.conditions]
    if rows.kind != "number":
        parts += ["labels:gold|predicted", "undefined:0"]
    if rows.kind == "label" and rows.n:
        parts.append(f"ece:{N_BINS}")
    if rows.scores is not None:
        parts += [f"clip:{LEAST_SCORE:g}", "auc:one-vs-rest"]
    return " ".join([*parts, f"ci:bootstrap{N_RESAMPLES}{bag}-percentile95", f"seed:{settings.seed}", f"doxa:{__version__}"])
