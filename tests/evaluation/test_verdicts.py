"""Verdicts of compare: none that could never come, none by another figure than was asked for."""

import numpy as np
import pytest
from judged import judged, lines

from doxa.errors import DoxaError, UsageError
from doxa.evaluation.compare import Settings, compare_all
from doxa.evaluation.intake import read_evidence
from doxa.records.columns import read_columns
from doxa.records.flat_schema import Wanted
from doxa.records.reader import Source


@pytest.fixture
def compare(tmp_path):
    def compare_records(*sets: list[dict], **settings):
        seen = []
        for records in sets:
            path = tmp_path / "predicted.jsonl"
            path.write_bytes(lines(records))
            seen.append(read_evidence(read_columns(Source((str(path),)), Wanted(gold={})), keep_texts=True))
        return compare_all(seen, list("abcdefghijklmnopqrstuvwxyzABCDEF"[: len(sets)]), Settings(**settings))

    return compare_records


def test_more_deciding_figures_than_resamples_can_tell_are_refused(compare):
    good, bad = judged(300, right=1.0, draw=1), judged(300, right=0.3, draw=2)
    assert len(compare(good, bad, bad, alpha=0.005, n_resamples=1000).worse) == 2
    with pytest.raises(UsageError, match="--resamples 1000: .* at --alpha 0.005 whether any of 3 deciding figures.* give more than 1200"):
        compare(good, bad, bad, bad, alpha=0.005, n_resamples=1000)


def test_resamples_grow_with_what_decides(compare):
    """Thirty figures decide, one of which is worse: 1,000 resamples could not tell, those that are taken do, and no other is accused."""
    good, bad = judged(60, right=0.95, draw=1), judged(60, right=0.2, draw=2)
    found = compare(good, *[good] * 29, bad)
    assert [pair.new for pair, _, _ in found.worse] == [found.pairs[-1].new]
    assert "paired-bootstrap3000-" in found.signature and "holm:30" in found.signature
    assert "paired-bootstrap1000-" in compare(good, bad).signature
    assert "paired-bootstrap10000-" in compare(good, bad, alpha=0.0005).signature


def test_a_metric_that_one_side_lacks_is_refused(compare):
    old, new = judged(60, draw=1, with_scores=True), judged(60, draw=2)
    with pytest.raises(DoxaError, match='--metric log_loss is not defined for head "sentiment" in b;'):
        compare(old, new, metrics=("log_loss",))
    [head] = compare(old, new, metrics=("accuracy",)).pairs[0].heads
    assert [figure.name for figure in head.figures if figure.verdict] == ["accuracy"]


@pytest.mark.parametrize("margin", [np.nan, np.inf])
def test_a_margin_is_a_finite_number(margin):
    with pytest.raises(UsageError, match="give a finite number"):
        Settings(margin=margin)


def test_labels_that_some_row_holds_are_compared(compare):
    """Of heads of many labels: those held though neither side says them, and not those that are only said."""
    records = [{"id": i, "text": "t", "tags": ["a", "b", "held"], "prediction": {"tags": {"labels": ["a", "b"]}}} for i in range(20)]
    said = [record | {"prediction": {"tags": {"labels": ["a", "b", "said"]}}} for record in records]
    [head] = compare(records, said).pairs[0].heads
    assert {figure.name for figure in head.labels} == {"a", "b", "held"}


def test_the_signature_tells_the_conditions(compare):
    assert "where:source=wire" in compare(judged(30, draw=1), judged(30, draw=2), conditions=("source=wire",)).signature
