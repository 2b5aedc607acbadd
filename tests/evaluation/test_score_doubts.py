"""evaluate tells of scores that cannot be those behind a label, however they come, and of none that a model gives."""

import io
import json

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from judged import judged, lines
from shell import run

SUMS, LOWER, UNKNOWN = "the scores do not add up to 1", "the label is not the one with the highest score", "the gold label is not among those that have scores"


def notes(data: bytes, *args) -> list[str]:
    done = run("evaluate", "--to", "json", *args, stdin=data)
    assert (done.code, done.err) == (0, "")
    return [note for note in json.loads(done.out)["notes"] if "score" in note]


def doubtful() -> list[dict]:
    records = judged(60, with_scores=True)
    for i, record in enumerate(records[:9]):
        entry = record["prediction"]["sentiment"]
        if i < 3:
            entry["scores"] = {label: round(score / 2, 6) for label, score in entry["scores"].items()}
        elif i < 7:
            entry["label"] = min(entry["scores"], key=entry["scores"].get)
            entry["score"] = entry["scores"][entry["label"]]
            entry |= {"by": "rule:one"} if i in (4, 5) else {}
        else:
            record["sentiment"] = "mixed"
    return records


def as_csv(records: list[dict]) -> bytes:
    rows = []
    for record in records:
        entry = record["prediction"]["sentiment"]
        rows.append({"id": record["id"], "text": record["text"], "sentiment": record["sentiment"], "prediction.sentiment.label": entry["label"],
                     "prediction.sentiment.score": entry["score"], "prediction.sentiment.by": entry.get("by", "")}
                    | {f"prediction.sentiment.scores.{label}": score for label, score in entry["scores"].items()})
    sink = io.BytesIO()
    pyarrow.csv.write_csv(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


def as_parquet(records: list[dict]) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), sink)
    return sink.getvalue()


@pytest.mark.parametrize("write, args", [(lines, ()), (lambda records: lines(records) + b"\n", ()), (as_csv, ("--from", "csv")), (as_parquet, ())])
def test_each_fault_is_counted_once_whatever_the_format(write, args):
    told = notes(write(doubtful()), *args)
    assert [(note.partition(" record")[0], fault) for note, fault in zip(told, (SUMS, LOWER, UNKNOWN)) if fault in note] == [
        ('head "sentiment": in 3', SUMS), ('head "sentiment": in 2', LOWER), ('head "sentiment": in 2', UNKNOWN)]


def test_what_a_model_gives_is_not_doubted():
    assert notes(lines(judged(60, with_scores=True))) == []


@pytest.mark.parametrize("digits, is_told", [(2, False), (6, True)])
def test_many_scores_may_be_rounded(digits, is_told):
    """With 2 digits the sums lie up to 0.03 from 1, which the same scores with 6 digits may not."""
    generator, records = np.random.default_rng(5), []
    for i in range(20):
        scores = generator.dirichlet(np.full(60, 0.3))
        scores = scores.round(digits) * (1.03 if is_told and i == 7 else 1.0)
        scores = {f"i{k}": round(score, digits) for k, score in enumerate(scores.tolist())}
        label = max(scores, key=scores.get)
        records.append({"text": "t", "intent": label, "prediction": {"intent": {"label": label, "score": scores[label], "scores": scores}}})
    sums = [abs(sum(record["prediction"]["intent"]["scores"].values()) - 1) for record in records]
    assert (max(sums) > 0.01) == (digits == 2 or is_told)
    assert [note.partition(":")[2] for note in notes(lines(records)) if SUMS in note] == ([f" in 1 record {SUMS}"] if is_told else [])
