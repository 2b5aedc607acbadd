"""An explanation as the object that goes into a record."""

from typing import Any

import numpy as np
import pyarrow as pa

from doxa.explaining.task import Evidence, Task
from doxa.explaining.units import Unit
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
    if target.head.kind == "labels":
        entry["threshold"] = round((target.head.thresholds or [0.5] * len(target.head.labels))[target.label], SCORE_DIGITS)
    if target.head.kind == "label" and len(scores) > 1:
        others = scores.copy()
        others[target.label] = -1.0
        best = int(others.argmax())
        entry["runner_up"] = {"label": target.head.labels[best], "score": round(float(scores[best]), SCORE_DIGITS)}
    entry |= {"method": method, "unit": unit, "tokens": _units(task, evidence, texts, second_field)}
    entry |= {name: significant(value) if isinstance(value, float) else value for name, value in evidence.about.items()}
    return entry | judged_entry(faithfulness)


def judged_entry(faithfulness: dict[str, float] | None) -> dict[str, Any]:
    return {} if faithfulness is None else {"faithfulness": {name: significant(value) for name, value in faithfulness.items()}}


def _units(task: Task, evidence: Evidence, texts: tuple[str, ...], second_field: str | None) -> list[dict[str, Any]]:
    return [scored_unit(unit, texts[1], evidence, i) | {"field": second_field} if i >= task.n_first_units else scored_unit(unit, texts[0], evidence, i)
            for i, unit in enumerate(task.units)]


def scored_unit(unit: Unit, text: str, evidence: Evidence, number: int) -> dict[str, Any]:
    """A unit of a text with its score, that of this number in the evidence."""
    entry = {"text": text[unit.start : unit.end], "start": unit.start, "end": unit.end, "score": significant(evidence.scores[number])}
    return entry if evidence.errors is None else entry | {"standard_error": significant(evidence.errors[number])}


def significant(value: float) -> float:
    """Rounded to 6 significant digits."""
    return float(f"{value:.{DIGITS}g}") + 0.0  # no -0.0


def entry_types(heads: list[Head], method: str, has_pairs: bool, with_faithfulness: bool, with_rules: bool) -> dict[str, pa.DataType]:
    """The Arrow type of `explanation`."""
    rest = evidence_types(method, [("field", pa.string())] if has_pairs else [])
    rest += faithfulness_type() if with_faithfulness else []
    label, score = ("label", pa.string()), ("score", pa.float64())
    match = pa.struct([("text", pa.string()), ("start", pa.int64()), ("end", pa.int64())])
    rules = [("rules", pa.list_(pa.struct([("name", pa.string()), label, ("agrees", pa.bool_()), ("matches", pa.list_(match))])))] if with_rules else []
    by_kind = {"number": pa.struct([score, *rest]), "labels": pa.struct([("labels", pa.list_(pa.struct([label, score, ("threshold", pa.float64()), *rest]))), *rules]),
               "label": pa.struct([label, score, ("runner_up", pa.struct([label, score])), *rest, *rules])}
    return {"explanation": pa.struct([(head.name, by_kind[head.kind]) for head in heads])}


def faithfulness_type() -> list[tuple[str, pa.DataType]]:
    names = ("comprehensiveness", "sufficiency", "random_comprehensiveness", "random_sufficiency")
    return [("faithfulness", pa.struct([(name, pa.float64()) for name in names]))]


def evidence_types(method: str, of_unit: list[tuple[str, pa.DataType]]) -> list[tuple[str, pa.DataType]]:
    """The members that say how a method found what; `of_unit` are those of a unit that name its text."""
    unit = [("text", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())]
    unit += [("standard_error", pa.float64())] if method == "shapley" else []
    about = {"integrated-gradients": [("steps", pa.int64()), ("difference", pa.float64()), ("delta", pa.float64())], "shapley": [("samples", pa.int64()), ("groups", pa.int64())]}.get(method, [])
    return [("method", pa.string()), ("unit", pa.string()), ("tokens", pa.list_(pa.struct(unit + of_unit))), *about]
