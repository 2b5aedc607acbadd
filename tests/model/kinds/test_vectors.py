"""Vectors: what is read in a record, how windows become one vector, and whose pooling is understood."""

import json

import numpy as np
import pytest

from doxa.errors import DoxaError, RecordError
from doxa.model.heads import Head
from doxa.model.kinds.table import KINDS, foreign_head
from doxa.model.kinds.vector import ENCODER, pool_windows
from doxa.model.sentence_modules import read_pooling, write_modules
from doxa.records.record import Record
from doxa.records.text_fields import TextFields
from doxa.text.frame import Window
from doxa.text.question import Layout

VECTOR = KINDS["vector"]


def texts_of(fields: dict, **names) -> tuple[str, ...]:
    return VECTOR.read_question(Record("f", 1, None, fields), TextFields(**names)).texts


@pytest.mark.parametrize("fields, names, expected", [
    ({"text": "a"}, {}, ("a",)),
    ({"text": "a", "text_pair": "b"}, {}, ("a", "b")),
    ({"text": "a", "text_pair": None}, {}, ("a",)),
    ({"text": "a", "sentence1": "x", "sentence2": "y"}, {}, ("a",)),
    ({"sentence1": "x", "sentence2": "y"}, {}, ("x", "y")),
    ({"query": "q", "passage": "p"}, {"text": "sentence1", "text_pair": "sentence2"}, ("q", "p")),  # taught with other names
    ({"text": "a"}, {"text": "sentence1", "text_pair": "sentence2"}, ("a",)),
    ({"sentence1": "x"}, {"text": "sentence1", "text_pair": "sentence2"}, ("x",)),
    ({"title": "t", "text": "a", "text_pair": "b"}, {"text": "title", "is_given": True}, ("t",)),
    ({"q": "x", "p": "y"}, {"text": "q", "text_pair": "p", "is_given": True}, ("x", "y")),
    ({"q": "x"}, {"text": "q", "text_pair": "p", "is_given": True}, ("x",)),
])
def test_one_text_or_two(fields, names, expected):
    assert texts_of(fields, **names) == expected


@pytest.mark.parametrize("fields, code", [({"body": "a"}, "missing_field"), ({"text": "a", "text_pair": ""}, "empty_text"), ({"text": 3}, "not_text")])
def test_what_is_no_text_is_an_error(fields, code):
    with pytest.raises(RecordError) as error:
        texts_of(fields)
    assert error.value.code == code


@pytest.mark.parametrize("value, expected", [(None, None), ("", None), (0, 0.0), (True, 1.0), ("false", 0.0), (" TRUE", 1.0), ("3.5", 3.5), (-2, -2.0)])
def test_gold(value, expected):
    assert VECTOR.read_gold(value) == expected


@pytest.mark.parametrize("value", ["same", [1], {"a": 1}, float("inf"), "nan", 10**400])
def test_what_does_not_say_how_alike(value):
    with pytest.raises(ValueError, match="how alike"):
        VECTOR.read_gold(value)


@pytest.mark.parametrize("gold", [[0.0, 0.0], [3.5, 3.5]])
def test_pairs_of_one_value_cannot_be_learnt(gold):
    with pytest.raises(DoxaError, match="everywhere"):
        VECTOR.decide_head("v", gold)
    assert VECTOR.decide_head("v", [1.0, 1.0]) == VECTOR.decide_head("v", [None, None]) == VECTOR.decide_head("v", [None, 0.0]) == Head("v", "vector")


def test_windows_are_averaged_by_their_tokens():
    generator = np.random.default_rng(0)
    outputs = generator.normal(size=(4, 5)).astype(np.float32)
    outputs /= np.linalg.norm(outputs, axis=1, keepdims=True)
    windows = [Window([0], None, weight) for weight in (10, 10, 4, 7)]
    (first, second), (alone, none) = pool_windows([Layout(windows[:3], 9, about=1), Layout(windows[3:], 9, about=1)], outputs)
    mean = (10 * outputs[1] + 4 * outputs[2]) / 14
    assert second == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert first == pytest.approx(outputs[0], abs=1e-6) and alone == pytest.approx(outputs[3], abs=1e-6) and none is None


def test_a_vector_that_is_not_finite_is_none():
    outputs = np.array([[1.0, 0], [np.nan, 0]])
    said = VECTOR.answer([Layout([Window([0], None, 1)], 1, about=1)] * 2, outputs, [Head("v", "vector")], False)
    assert said == [{"v": {"vector": [1.0, 0.0]}}, None]


@pytest.mark.parametrize("architecture, kind", [
    ("BertModel", "vector"), ("XLMRobertaModel", "vector"), ("BertForMaskedLM", "mask"), ("BertForSequenceClassification", "label"),
    ("BertForTokenClassification", "tags")])
def test_the_kind_of_a_model_of_others(architecture, kind):
    assert foreign_head({"architectures": [architecture], "id2label": {"0": "a", "1": "b"}}, "h").kind == kind


@pytest.mark.parametrize("architecture", ["GPT2LMHeadModel", "GPT2DoubleHeadsModel", "T5EncoderModel", "EncoderDecoderModel", "MarianMTModel", "BertForMaskedLM"])
def test_what_is_no_plain_encoder(architecture):
    assert not ENCODER.is_named(architecture)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_what_is_written_is_read(pooling, tmp_path):
    write_modules(str(tmp_path), 32, 128, pooling)
    (tmp_path / "config.json").write_text("{}")
    assert read_pooling(str(tmp_path)) == pooling
    head = VECTOR.adopt(Head("v", "vector"), str(tmp_path))
    assert VECTOR.stock_for({}, head).pooling == pooling and (head.settings == {}) == (pooling == "mean")


@pytest.mark.parametrize("modules, pooling, message", [
    (["Transformer", "Pooling", "Dense"], {"pooling_mode_mean_tokens": True}, "a module Dense"),
    (["Transformer", "Pooling"], {"pooling_mode": "lasttoken"}, "pooled by lasttoken"),
    (["Transformer", "Pooling"], {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, "pooled by mean and max"),
    (["Transformer", "Pooling"], {}, "pooled by nothing"), (["Transformer", 3], {}, "damaged")])
def test_vectors_that_are_made_otherwise_are_refused(modules, pooling, message, tmp_path):
    (tmp_path / "modules.json").write_text(json.dumps([{"path": "1_Pooling", "type": name if name == 3 else f"a.b.{name}"} for name in modules]))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps(pooling))
    with pytest.raises(DoxaError, match=message):
        read_pooling(str(tmp_path))


def test_the_spelling_of_later_versions(tmp_path):
    (tmp_path / "modules.json").write_text('[{"path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"}]')
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text('{"embedding_dimension": 32, "pooling_mode": "cls", "include_prompt": true}')
    assert read_pooling(str(tmp_path)) == "cls"


def test_an_encoder_with_a_decoder_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"is_encoder_decoder": true}')
    with pytest.raises(DoxaError, match="encoder alone"):
        VECTOR.adopt(Head("v", "vector"), str(tmp_path))
