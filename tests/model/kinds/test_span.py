"""Answering: spans against every span there is, targets against the text, the loss against the stock network."""

import unicodedata

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForQuestionAnswering

from doxa.errors import DoxaError, RecordError
from doxa.model.heads import Head
from doxa.model.kinds.table import KINDS
from doxa.records.record import Record
from doxa.records.text_fields import TextFields
from doxa.text.frame import Reading
from doxa.text.tokenizer import TextTokenizer
from doxa.text.vocabulary import learn_tokenizer
from doxa.training.softmax import SoftmaxTask

SPAN = KINDS["span"]
QUESTION = "Who bought the bank? 谁收购了银行？"
CONTEXT = "🎉 In 2019 the é́tude fund\r\nbought it. 阿里巴巴在杭州收购了银行。 Ｆｕｌｌ width names stay."


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(learn_tokenizer([QUESTION, CONTEXT], vocabulary_size=200), 512)


def head(may_be_none=False, most_tokens=6, temperature=1.0) -> Head:
    return Head("answers", "span", temperature=temperature, settings={"may_be_none": may_be_none, "most_tokens": most_tokens})


def ask(fields=None):
    return SPAN.read_question(Record("t", 1, None, fields or {"question": QUESTION, "context": CONTEXT}), TextFields())


def lay_out(tokenizer, max_length=512, policy="windows"):
    return SPAN.lay_out([ask()], tokenizer, Reading(tokenizer.frame, max_length, policy))[0]


def every_span(layout, outputs, most_tokens, temperature):
    """(first, last) -> score, by trying all: in a window the sum of start and end, of several windows the best."""
    found, alone = {}, []
    for output, place in zip(outputs, layout.about.places):
        positions = place.positions()
        for a in range(len(positions)):
            for b in range(a, min(len(positions), a + most_tokens)):
                score = (output[place.at + a, 0] + output[place.at + b, 1]) / temperature
                alone.append(score)
                key = (positions[a], positions[b])
                found[key] = max(score, found.get(key, -np.inf))
    return found, alone


@pytest.mark.parametrize("max_length", [42, 512])
@pytest.mark.parametrize("may_be_none", [False, True])
def test_the_answer_is_the_best_of_all_spans(tokenizer, max_length, may_be_none):
    generator = np.random.default_rng(5)
    layout = lay_out(tokenizer, max_length)
    assert (len(layout.windows) > 1) == (max_length == 42)
    for trial in range(20):
        outputs = [generator.normal(scale=2, size=(len(window.ids), 2)) for window in layout.windows]
        if may_be_none and trial % 2:
            for output in outputs:
                output[0] = 8.0
        entry = SPAN.answer([layout], outputs, [head(may_be_none, temperature=1.7)], False)[0]["answers"]
        spans, alone = every_span(layout, outputs, 6, 1.7)
        nothing = min(output[0].sum() / 1.7 for output in outputs)
        total = np.exp([*alone, nothing] if may_be_none else alone).sum()
        (first, last), best = max(spans.items(), key=lambda item: item[1])
        if may_be_none and nothing > best:
            assert entry["answer"] is None
            assert entry["score"] == pytest.approx(np.exp(nothing) / total, abs=1e-6)
            continue
        start, end = layout.about.offsets[first, 0], layout.about.offsets[last, 1]
        while unicodedata.combining(CONTEXT[end : end + 1] or " "):  # a mark stays with its letter, though it is no part of the token
            end += 1
        assert (entry["answer"]["start"], entry["answer"]["end"]) == (start, end)
        assert entry["answer"]["text"] == CONTEXT[start:end]
        assert entry["score"] == pytest.approx(np.exp(best) / total, abs=1e-6)


@pytest.mark.parametrize("answer", ["阿里巴巴", "2019", "é́tude fund\r\nbought", "🎉", "Ｆｕｌｌ", "银行"])
@pytest.mark.parametrize("max_length", [42, 512])
def test_targets_hold_the_answer(tokenizer, answer, max_length):
    gold = SPAN.read_gold([{"text": answer, "start": CONTEXT.index(answer)}])
    SPAN.check(ask(), gold)
    layout = lay_out(tokenizer, max_length)
    lessons = SPAN.teach(ask(), layout, gold, head())
    texts = set()
    for lesson, place in zip(lessons, layout.about.places):
        if tuple(lesson.target) != (0, 0):
            first, last = place.positions()[np.array(lesson.target) - place.at]
            texts.add(CONTEXT[layout.about.offsets[first, 0] : layout.about.offsets[last, 1]])
    assert texts == {answer}


def test_windows_keep_the_question_and_framing_of_the_tokenizer(tokenizer):
    layout = lay_out(tokenizer)
    encoding = tokenizer.rust.encode(QUESTION, CONTEXT)
    assert layout.windows[0].ids == encoding.ids and layout.windows[0].type_ids == encoding.type_ids
    assert layout.n_tokens == len(encoding.ids)
    for window in lay_out(tokenizer, 42).windows:
        assert window.ids[:18] == encoding.ids[:18] and len(window.ids) <= 42


def test_the_loss_is_that_of_the_stock_network(tokenizer):
    torch.manual_seed(0)
    model = BertForQuestionAnswering(BertConfig(vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)).eval()
    layout = lay_out(tokenizer)
    lesson, = SPAN.teach(ask(), layout, SPAN.read_gold([{"text": "2019", "start": CONTEXT.index("2019")}]), head())
    _, compute = SoftmaxTask([lesson], SPAN.stock, "tokens", 0).batch(model, np.arange(1))
    ids, types = torch.tensor([lesson.windows[0].ids]), torch.tensor([lesson.windows[0].type_ids])
    start, end = (torch.tensor([position]) for position in lesson.target)
    stock = model(input_ids=ids, token_type_ids=types, start_positions=start, end_positions=end).loss
    assert compute().item() == pytest.approx(stock.item(), rel=1e-5)


def test_forms_of_gold():
    wanted = [{"text": "x", "start": 3}]
    for value in ([{"text": "x", "start": 3}], [{"text": "x", "answer_start": 3}], {"text": ["x"], "answer_start": [3]}, '[{"text": "x", "start": 3}]', wanted[0]):
        assert SPAN.read_gold(value) == wanted
    assert SPAN.read_gold([]) == [] and SPAN.read_gold({"text": [], "answer_start": []}) == [] and SPAN.read_gold(None) is None
    for bad in ("x", 3, [{"text": "x"}], [{"text": "", "start": 0}], [{"text": "x", "start": -1}], ["x"], {"text": ["x"]},
                {"text": ["x"], "answer_start": []}, {"text": ["x"], "answer_start": 3}, {"text": ["x"], "answer_start": None}):
        with pytest.raises(ValueError):
            SPAN.read_gold(bad)
    with pytest.raises(ValueError, match="does not"):
        SPAN.check(ask(), [{"text": "Alibaba", "start": 3}])
    with pytest.raises(DoxaError):
        SPAN.decide_head("answers", [[], None])
    assert SPAN.decide_head("answers", [[], wanted]).settings["may_be_none"] and not SPAN.decide_head("answers", [wanted, None]).settings["may_be_none"]


def test_records_are_read_by_the_usual_names():
    assert ask().texts == (QUESTION, CONTEXT)
    assert ask({"text": "q", "text_pair": "c"}).texts == ("q", "c")
    assert ask({"text": "a headline", "question": "q", "context": "c"}).texts == ("q", "c")
    for fields, code in (({"question": "q"}, "missing_field"), ({"question": "q", "context": ""}, "empty_text"), ({"question": 3, "context": "c"}, "not_text")):
        with pytest.raises(RecordError) as error:
            ask(fields)
        assert error.value.code == code


def test_a_window_of_outputs_that_are_not_finite_is_no_answer(tokenizer):
    layout = lay_out(tokenizer)
    assert SPAN.answer([layout], [np.full((len(layout.windows[0].ids), 2), np.nan)], [head()], False) == [None]
