"""One line that says how figures were made, in the manner of sacreBLEU (Post 2018)."""

from collections.abc import Sequence
from typing import Any

from doxa import __version__
from doxa.evaluation.rows import HeadRows
from doxa.evaluation.seen import Seen
from doxa.metrics.bootstrap import MOST_ROWS


def sign(rows: HeadRows, seen: Seen, settings: Any, more: Sequence[str] = ()) -> str:
    """Head, data and model fingerprint, what averages go over, how scores are judged, `more`, how intervals are drawn, version."""
    resampling, bag = settings.resampling, f"+bag{MOST_ROWS}" if rows.n > MOST_ROWS else ""
    parts = [f"head:{rows.head}", f"n:{rows.n}", f"data:{seen.fingerprint}", f"model:{'+'.join(rows.models) or 'unstamped'}"]
    parts += [f"where:{condition}" for condition in settings.conditions]
    return " ".join([*parts, *rows.signed(), *more, f"ci:bootstrap{resampling.n}{bag}-biascorrected-expanded-percentile95+wilson95-of-shares", f"seed:{resampling.seed}", f"doxa:{__version__}"])
