"""Reading of logits against scipy; tables and manifests."""

import json

import numpy as np
import pytest
from scipy.special import expit, softmax

from doxa.errors import DoxaError
from doxa.model.directory import ModelTable, check_free, publish, read_table
from doxa.model.heads import Head, output_names, read_logits

HEADS = [Head("topic", "label", ("a", "b", "c"), temperature=2.0), Head("tags", "labels", ("x", "y"), thresholds=(0.2, 0.9)), Head("rating", "number")]


def test_scores_equal_scipy():
    logits = np.random.default_rng(0).normal(scale=5, size=(200, 6)).astype(np.float32)
    logits[0, 0] = 800.0  # overflows a careless exponential
    for row, prediction in zip(logits.astype(np.float64), read_logits(logits, HEADS, with_scores=True)):
        expected = softmax(row[:3] / 2.0)
        assert list(prediction["topic"]["scores"].values()) == pytest.approx(expected, abs=1e-6)
        assert prediction["topic"]["label"] == "abc"[expected.argmax()]
        assert prediction["topic"]["score"] == pytest.approx(expected.max(), abs=1e-6)
        chosen = expit(row[3:5])
        assert list(prediction["tags"]["scores"].values()) == pytest.approx(chosen, abs=1e-6)
        assert prediction["tags"]["labels"] == [label for label, p, t in zip("xy", chosen, (0.2, 0.9)) if p >= t]
        assert prediction["rating"]["score"] == pytest.approx(row[5], abs=1e-6)


def test_scores_only_of_what_is_said():
    prediction = read_logits(np.array([[1.0, 2, 3, 5, -5, 0]]), HEADS)[0]
    assert prediction["topic"].keys() == {"label", "score"} and prediction["tags"]["scores"].keys() == {"x"}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_none(value):
    logits = np.zeros((3, 6))
    logits[1, 4] = value
    assert [prediction is None for prediction in read_logits(logits, HEADS)] == [False, True, False]


def test_output_names():
    assert output_names(HEADS) == ["topic=a", "topic=b", "topic=c", "tags=x", "tags=y", "rating"]
    assert output_names(HEADS[:1]) == ["a", "b", "c"]


def test_table_survives_the_disk(tmp_path):
    table = ModelTable(HEADS, 256, "head", "body", "title", {"base": "minilm"})
    with publish(str(tmp_path / "m"), table) as working:
        (tmp_path / working / "model.safetensors").write_bytes(b"weights")
    read = read_table(str(tmp_path / "m"))
    assert (read.heads, read.max_length, read.long_policy, read.text_field, read.text_pair_field) == (HEADS, 256, "head", "body", "title")
    assert read.about["base"] == "minilm"


def test_a_failed_publication_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), publish(str(tmp_path / "m"), ModelTable(HEADS, 8)):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_a_later_format_is_refused(tmp_path):
    with publish(str(tmp_path / "m"), ModelTable(HEADS, 8)):
        pass
    path = tmp_path / "m" / "doxa.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(DoxaError, match="newer doxa"):
        read_table(str(tmp_path / "m"))


def test_check_free(tmp_path):
    check_free(str(tmp_path / "new"), False)
    (tmp_path / "full").mkdir()
    check_free(str(tmp_path / "full"), False)
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(DoxaError, match="--force"):
        check_free(str(tmp_path / "full"), False)
    with pytest.raises(DoxaError, match="no such folder"):
        check_free(str(tmp_path / "no" / "where"), False)
