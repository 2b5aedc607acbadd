"""Choosing: scores against the stock network over (B, K, T), the loss too."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMultipleChoice

from doxa.errors import RecordError
from doxa.inference.torch_engine import TorchEngine
from doxa.model.heads import Head
from doxa.model.kinds.table import KINDS
from doxa.records.record import Record
from doxa.records.text_fields import TextFields
from doxa.text.frame import Reading
from doxa.text.tokenizer import TextTokenizer
from doxa.text.vocabulary import learn_tokenizer
from doxa.training.softmax import SoftmaxTask

CHOICE = KINDS["choice"]
RECORDS = [{"text": "他做事总是#idiom#，从不拖延。", "choices": ["雷厉风行", "拖泥带水", "画蛇添足"]}, {"text": "The bank", "choices": ["fails", "rises and rises again"]}]


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(learn_tokenizer([text for record in RECORDS for text in (record["text"], *record["choices"])], vocabulary_size=200), 128)


@pytest.fixture(scope="module")
def model() -> BertForMultipleChoice:
    torch.manual_seed(0)
    return BertForMultipleChoice(BertConfig(vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                                            max_position_embeddings=128, initializer_range=0.5)).eval()


def ask(fields):
    return CHOICE.read_question(Record("t", 1, None, fields), TextFields())


def stock_logits(model, tokenizer, record, **more):
    """As the stock example does it: one (1, K, T) batch of text and choice, padded."""
    rows = [tokenizer.rust.encode(record["text"], choice) for choice in record["choices"]]
    length = max(len(row.ids) for row in rows)
    pad = lambda values: values + [0] * (length - len(values))
    inputs = {"input_ids": [pad(row.ids) for row in rows], "token_type_ids": [pad(row.type_ids) for row in rows], "attention_mask": [pad(row.attention_mask) for row in rows]}
    return model(**{name: torch.tensor([values]) for name, values in inputs.items()}, **more)


def test_scores_and_loss_are_those_of_the_stock_network(tokenizer, model):
    questions = [ask(record) for record in RECORDS]
    layouts = CHOICE.lay_out(questions, tokenizer, Reading(tokenizer.frame, 128))
    engine = TorchEngine(model, torch.device("cpu"), 128, stock=CHOICE.stock)
    outputs = engine.compute([window for layout in layouts for window in layout.windows])
    lessons = []
    for record, question, layout, said in zip(RECORDS, questions, layouts, CHOICE.answer(layouts, outputs, [Head("right", "choice")], True)):
        scores = stock_logits(model, tokenizer, record).logits.softmax(-1)[0].tolist()
        entry = said["right"]
        assert entry["scores"] == pytest.approx(scores, abs=2e-6)
        assert entry["index"] == int(np.argmax(scores)) and entry["text"] == record["choices"][entry["index"]] and entry["score"] == max(entry["scores"])
        lessons += CHOICE.teach(question, layout, 1, Head("right", "choice"))
    _, compute = SoftmaxTask(lessons, CHOICE.stock, "windows", 0).batch(model, np.arange(2))
    stock = np.mean([stock_logits(model, tokenizer, record, labels=torch.tensor([1])).loss.item() for record in RECORDS])
    assert compute().item() == pytest.approx(stock, rel=1e-5)


def test_a_long_text_is_read_in_windows_for_every_choice(tokenizer):
    layout, = CHOICE.lay_out([ask({"text": "bank " * 60, "choices": ["fails", "rises"]})], tokenizer, Reading(tokenizer.frame, 32))
    _, (first, second) = layout.about
    assert first > 1 and second > 1 and len(layout.windows) == first + second
    outputs = [np.array([float(i)]) for i in range(len(layout.windows))]
    means = [np.average(range(at, at + n), weights=[w.weight for w in layout.windows[at : at + n]]) for at, n in ((0, first), (first, second))]
    entry = CHOICE.answer([layout], outputs, [Head("right", "choice")], True)[0]["right"]
    assert entry["scores"] == pytest.approx((np.exp(means) / np.exp(means).sum()).tolist(), abs=1e-6)


def test_gold_by_place_or_text():
    question = ask(RECORDS[0])
    for value, place in ((2, 2), ("2", 2), ("画蛇添足", 2)):
        gold = CHOICE.read_gold(value)
        CHOICE.check(question, gold)
        assert CHOICE.teach(question, CHOICE.lay_out([question], *_tools())[0], gold, Head("h", "choice"))[0].target == place
    numbers = ask({"text": "1 + 1", "choices": ["1", "2", "0"]})
    for value, place in (("2", 1), (2, 2)):
        assert CHOICE.teach(numbers, CHOICE.lay_out([numbers], *_tools())[0], CHOICE.read_gold(value), Head("h", "choice"))[0].target == place
    for value in (3, "别的"):
        with pytest.raises(ValueError):
            CHOICE.check(question, CHOICE.read_gold(value))
    for value in (-1, 1.0, True, ["a"], None):
        with pytest.raises(ValueError):
            CHOICE.read_gold(value)


def _tools():
    tokenizer = TextTokenizer(learn_tokenizer([*RECORDS[0]["choices"], RECORDS[0]["text"], "1 + 2 0"], vocabulary_size=100), 128)
    return tokenizer, Reading(tokenizer.frame, 128)


@pytest.mark.parametrize("fields, code", [
    ({"text": "a"}, "missing_field"), ({"text": "a", "choices": "b"}, "bad_choices"), ({"text": "a", "choices": ["b"]}, "bad_choices"),
    ({"text": "a", "choices": ["b", ""]}, "bad_choices"), ({"text": "a", "choices": ["b", 3]}, "bad_choices"), ({"text": "", "choices": ["b", "c"]}, "empty_text"),
    ({"text": "a", "choices": '["b"'}, "bad_choices")])
def test_records_that_hold_no_choice(fields, code):
    with pytest.raises(RecordError) as error:
        ask(fields)
    assert error.value.code == code


@pytest.mark.parametrize("choices, told", [([], "no text"), (["b"], "one text"), (["b", " "], "an empty text"), (["b", None], "null"), (["b", 3], "a number")])
def test_what_is_wrong_with_choices_is_told(choices, told):
    with pytest.raises(RecordError, match=f"holds {told};"):
        ask({"text": "a", "choices": choices})
