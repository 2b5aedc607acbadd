"""An explanation as the object that goes into a record."""

from typing import Any

import numpy as np
import pyarrow as pa

from doxa.explaining.task import Evidence, Task
from doxa.model.heads import SCORE_DIGITS, Head

DIGITS = 6


def build_entry(task: Task, evidence: Evidence, faithfulness: dict[str, float] | None, scores: np.ndarray, texts: tuple[str, ...],
                second_field: str | None, method: str, unit: str) -> dict[str, Any]:
    """What explains one label, or one number: the label with its score and the best other one, and every unit with its characters.

    `scores` (labels,) are those of the head; the units are those of the first text, then those of the second, named by `second_field`."""
    target, entry = task.target, {}
    if target.label is not None:
        entry["label"] = target.head.labels[target.label]
    entry["score"] = round(float(scores[target.label or 0]), SCORE_DIGITS)
    if target.head.kind == "label" and len(scores) > 1:
        others = scores.copy()
        others[target.label] = -1.0
        best = int(others.argmax())
        entry["runner_up"] = {"label": target.head.labels[best], "score": round(float(scores[best]), SCORE_DIGITS)}
    entry |= {"method": method, "unit": unit, "tokens": _units(task, evidence, texts, second_field)}
    entry |= {name: significant(value) if isinstance(value, float) else value for name, value in evidence.about.items()}
    if faithfulness is not None:
        entry["faithfulness"] = {name: significant(value) for name, value in faithfulness.items()}
    return entry


def _units(task: Task, evidence: Evidence, texts: tuple[str, ...], second_field: str | None) -> list[dict[str, Any]]:
    found = []
    for i, unit in enumerate(task.units):
        text = texts[1] if i >= task.n_first_units else texts[0]
        entry = {"text": text[unit.start : unit.end], "start": unit.start, "end": unit.end, "score": significant(evidence.scores[i])}
        if evidence.errors is not None:
            entry["standard_error"] = significant(evidence.errors[i])
        if i >= task.n_first_units:
            entry["field"] = second_field
        found.append(entry)
    return found


def significant(value: float) -> float:
    """Rounded to 6 significant digits."""
    return float(f"{value:.{DIGITS}g}") + 0.0  # no -0.0


def entry_types(heads: list[Head], method: str, has_pairs: bool, with_faithfulness: bool, with_rules: bool) -> dict[str, pa.DataType]:
    """The Arrow type of `explanation`."""
    unit = [("text", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())]
    unit += [("standard_error", pa.float64())] if method == "shapley" else []
    unit += [("field", pa.string())] if has_pairs else []
    about = {"integrated-gradients": [("steps", pa.int64()), ("delta", pa.float64())], "shapley": [("samples", pa.int64())]}.get(method, [])
    rest = [("method", pa.string()), ("unit", pa.string()), ("tokens", pa.list_(pa.struct(unit))), *about]
    names = ("comprehensiveness", "sufficiency", "random_comprehensiveness", "random_sufficiency")
    rest += [("faithfulness", pa.struct([(name, pa.float64()) for name in names]))] if with_faithfulness else []
    label, score = ("label", pa.string()), ("score", pa.float64())
    match = pa.struct([("text", pa.string()), ("start", pa.int64()), ("end", pa.int64())])
    rules = [("rules", pa.list_(pa.struct([("name", pa.string()), label, ("agrees", pa.bool_()), ("matches", pa.list_(match))])))] if with_rules else []
    by_kind = {"number": pa.struct([score, *rest]), "labels": pa.struct([("labels", pa.list_(pa.struct([label, score, *rest]))), *rules]),
               "label": pa.struct([label, score, ("runner_up", pa.struct([label, score])), *rest, *rules])}
    return {"explanation": pa.struct([(head.name, by_kind[head.kind]) for head in heads])}
