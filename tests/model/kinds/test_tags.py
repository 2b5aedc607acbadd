"""Tagging: units, paths, places in windows; numbers against naive loops and transformers' own way."""

import itertools

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

from doxa.errors import RecordError
from doxa.model.heads import Head
from doxa.model.kinds.table import KINDS
from doxa.model.kinds.tags import Units, best_path
from doxa.model.kinds.tokenwise import IGNORED, Place, TokenPlaces, gather_tokens
from doxa.records.record import Record
from doxa.records.text_fields import TextFields
from doxa.text.frame import Reading
from doxa.text.question import Layout, Question
from doxa.text.segments import find_pieces, join_tokens
from doxa.text.tokenizer import TextTokenizer
from doxa.text.vocabulary import learn_tokenizer
from doxa.training.softmax import SoftmaxTask

TAGS = KINDS["tags"]
LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
HEAD = Head("tags", "tags", LABELS)
TEXTS = ["Alice met Bob's aunt in New York City on 10:30, e\u0301tude!", "阿里巴巴在杭州开会，股价上涨了。", "🎉👩‍👩‍👧 Ｆｕｌｌ width\r\nand CRLF", "wholly uncommonlylongword here"]


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(learn_tokenizer(TEXTS, vocabulary_size=200), 512)


def ask(fields: dict, text_fields=TextFields()):
    return TAGS.read_question(Record("t", 1, None, fields), text_fields)


def test_best_path_is_the_likeliest_well_formed_one():
    generator = np.random.default_rng(3)
    for n in (1, 2, 4):
        for _ in range(30):
            scores = generator.normal(size=(n, len(LABELS)))
            well_formed = [path for path in itertools.product(range(len(LABELS)), repeat=n)
                           if all(not LABELS[tag].startswith("I-") or (i and LABELS[path[i - 1]][2:] == LABELS[tag][2:]) for i, tag in enumerate(path))]
            best = max(well_formed, key=lambda path: sum(scores[i, tag] for i, tag in enumerate(path)))
            assert tuple(best_path(scores, LABELS)) == best


def test_pieces_and_joined_tokens_keep_every_character():
    for text in TEXTS:
        pieces = [text[start:end] for start, end in find_pieces(text)]
        assert "".join(pieces) == "".join(text.split())
    text, spans = join_tokens(["EU", "rejects", "德", "国", "A", "股", "", "call"])
    assert text == "EU rejects德国A股 call".replace("股 ", "股")
    assert [text[start:end] for start, end in spans] == ["EU", "rejects", "德", "国", "A", "股", "", "call"]


def test_first_tokens_are_those_of_a_naive_search(tokenizer):
    for text in TEXTS:
        layout, = TAGS.lay_out([ask({"text": text})], tokenizer, Reading(tokenizer.frame, 512))
        offsets = layout.about.offsets
        for (start, end), first in zip(find_pieces(text), layout.about.first_tokens(find_pieces(text))):
            naive = next((i for i, (a, b) in enumerate(offsets) if a < end and b > start), -1)
            assert first == naive


def test_targets_are_those_of_transformers_word_ids(tokenizer):
    """The usual way: the first token of each word has its tag, all others are ignored."""
    words = "Alice met Bob in New York City".split()
    tags = ["B-PER", "O", "B-PER", "O", "B-LOC", "I-LOC", "I-LOC"]
    question = ask({"tokens": words})
    layout, = TAGS.lay_out([question], tokenizer, Reading(tokenizer.frame, 512))
    lesson, = TAGS.teach(question, layout, TAGS.read_gold(tags), HEAD)
    stock = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer.rust.to_str()))(words, is_split_into_words=True)
    seen, wanted = set(), []
    for word in stock.word_ids():
        wanted.append(IGNORED if word is None or word in seen else LABELS.index(tags[word]))
        seen.add(word)
    assert lesson.windows[0].ids == stock["input_ids"]
    assert lesson.target.tolist() == wanted


def test_the_loss_is_that_of_the_stock_network(tokenizer):
    torch.manual_seed(0)
    config = BertConfig(vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=len(LABELS))
    model = BertForTokenClassification(config).eval()
    pairs = [({"tokens": ["Alice", "met", "Bob"]}, ["B-PER", "O", "B-PER"]), ({"tokens": list("阿里在杭州")}, ["B-PER", "I-PER", "O", "B-LOC", "I-LOC"])]
    lessons = []
    for fields, tags in pairs:
        question = ask(fields)
        layout, = TAGS.lay_out([question], tokenizer, Reading(tokenizer.frame, 512))
        lessons += TAGS.teach(question, layout, tags, HEAD)
    _, compute = SoftmaxTask(lessons, TAGS.stock, "labels", 0).batch(model, np.arange(2))
    length = max(len(lesson.windows[0].ids) for lesson in lessons)
    ids = torch.tensor([lesson.windows[0].ids + [0] * (length - len(lesson.windows[0].ids)) for lesson in lessons])
    labels = torch.tensor([lesson.target.tolist() + [IGNORED] * (length - len(lesson.target)) for lesson in lessons])
    stock = model(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss
    assert compute().item() == pytest.approx(stock.item(), rel=1e-5)


@pytest.mark.parametrize("max_length", [8, 13, 512])
def test_entities_stand_where_they_are_in_the_text_however_it_is_cut(tokenizer, max_length):
    """Outputs that name each token by its own characters: the entities are what a search of the text finds."""
    text = "🎉 Alice met\r\nBob, e\u0301tude 在杭州 Alice. " * 4
    question = ask({"text": text})
    layout, = TAGS.lay_out([question], tokenizer, Reading(tokenizer.frame, max_length))
    names = {"Alice": "B-PER", "Bob": "B-PER", "杭": "B-LOC", "州": "I-LOC"}
    wanted = [(start, end, names[text[start:end]]) for start, end in find_pieces(text) if text[start:end] in names]
    firsts = dict(zip(layout.about.first_tokens([(start, end) for start, end, _ in wanted]).tolist(), [tag for *_, tag in wanted]))
    logits = np.zeros((layout.about.n_tokens, len(LABELS)))
    for token in range(len(logits)):
        logits[token, LABELS.index(firsts.get(token, "O"))] = 9.0
    outputs = []
    for window, place in zip(layout.windows, layout.about.places):
        output = np.full((len(window.ids), len(LABELS)), -50.0)
        output[place.at : place.at + len(place.positions())] = logits[place.positions()]
        outputs.append(output)
    assert np.array_equal(gather_tokens(outputs, layout.about), logits)
    entities = TAGS.answer([layout], outputs, [HEAD], False)[0]["tags"]["entities"]
    assert [(text[e["start"] : e["end"]], e["label"]) for e in entities] == [("Alice", "PER"), ("Bob", "PER"), ("杭州", "LOC"), ("Alice", "PER")] * 4
    assert all(text[e["start"] : e["end"]] == e["text"] and 0.99 < e["score"] <= 1 for e in entities)
    assert (len(layout.windows) > 1) == (max_length < 100) and not layout.is_cut


def test_a_token_is_read_where_it_has_most_context(tokenizer):
    layout, = TAGS.lay_out([ask({"text": "met " * 20})], tokenizer, Reading(tokenizer.frame, 10))
    outputs = [np.full((len(window.ids), 1), float(i)) for i, window in enumerate(layout.windows)]
    best = {}
    for i, place in enumerate(layout.about.places):
        positions = place.positions().tolist()
        for at, position in enumerate(positions):
            margin = min(at, len(positions) - 1 - at)
            if margin > best.get(position, (-1, None))[0]:
                best[position] = (margin, float(i))
    assert gather_tokens(outputs, layout.about)[:, 0].tolist() == [best[i][1] for i in range(layout.about.n_tokens)]


def test_gold_in_other_schemes_and_forms():
    tags = ["S-PER", "O", "B-LOC", "E-LOC"]
    assert TAGS.read_gold(tags) == tags
    assert TAGS.read_gold('[{"start": 0, "end": 5, "label": "PER", "text": "Alice"}]') == [{"start": 0, "end": 5, "label": "PER"}]
    assert TAGS.read_gold("") is None
    for bad in (3, "PER", [1], [{"start": 5, "end": 5, "label": "x"}], [{"start": -1, "end": 5, "label": "x"}], [{"start": 0, "end": 5}], '["B-'):
        with pytest.raises(ValueError):
            TAGS.read_gold(bad)


@pytest.mark.parametrize("tags, learnt", [
    (["S-PER", "O", "B-LOC", "E-LOC"], ["B-PER", "O", "B-LOC", "I-LOC"]), (["I-PER", "O", "I-LOC", "I-LOC"], ["B-PER", "O", "B-LOC", "I-LOC"]),
    (["B-LOC", "I-PER", "O", "I-LOC"], ["B-LOC", "B-PER", "O", "B-LOC"])])
def test_tags_of_any_scheme_are_learnt_as_bio_and_a_span_begins_where_one_goes_on_with_nothing(tags, learnt, tokenizer):
    question = ask({"tokens": ["Alice", "in", "New", "York"]})
    layout, = TAGS.lay_out([question], tokenizer, Reading(tokenizer.frame, 512))
    assert TAGS.decide_head("tags", [tags]).labels == LABELS
    lesson, = TAGS.teach(question, layout, tags, HEAD)
    assert [LABELS[lesson.target[1 + first]] for first in layout.about.first_tokens(question.more.spans)] == learnt


def test_entities_become_tags_of_the_pieces_that_they_touch(tokenizer):
    question = ask({"text": "Alice's New York"})
    layout, = TAGS.lay_out([question], tokenizer, Reading(tokenizer.frame, 512))
    gold = [{"start": 8, "end": 16, "label": "LOC"}, {"start": 0, "end": 3, "label": "PER"}]
    lesson, = TAGS.teach(question, layout, gold, HEAD)
    firsts = layout.about.first_tokens(question.more.spans)
    assert [LABELS[lesson.target[1 + first]] for first in firsts] == ["B-PER", "O", "O", "B-LOC", "I-LOC"]


@pytest.mark.parametrize("fields, code", [
    ({"tokens": [1]}, "bad_tokens"), ({"tokens": {}}, "bad_tokens"), ({"tokens": '["a"'}, "bad_tokens"), ({"tokens": []}, "empty_text"), ({"tokens": ["", " "]}, "empty_text"), ({"text": " "}, "empty_text"),
    ({}, "missing_field"), ({"text": 5}, "not_text")])
def test_records_that_hold_no_text(fields, code):
    with pytest.raises(RecordError) as error:
        ask(fields)
    assert error.value.code == code


def test_gold_that_does_not_fit_its_record():
    question = ask({"tokens": ["a", "b"]})
    for gold in (["O"], [{"start": 0, "end": 99, "label": "x"}]):
        with pytest.raises(ValueError):
            TAGS.check(question, gold)
    with pytest.raises(ValueError, match="tokens"):
        TAGS.check(ask({"text": "a b"}), ["O", "O"])


def test_how_labels_of_another_model_are_read():
    for labels, settings in [(("LABEL_0", "LABEL_1"), {"scheme": "plain"}), (("O", "B-PER", "I-PER"), {"scheme": "IOB1"}), (("O", "B", "I"), {"scheme": "IOB1"}),
                             (("O", "B-PER", "I-PER", "E-PER", "S-PER"), {})]:
        assert TAGS.adopt(Head("ner", "tags", labels), "anywhere").settings == settings


@pytest.mark.parametrize("likeliest, tags", [
    (["S-PER", "O", "B-PER", "E-PER"], ["B-PER", "O", "B-PER", "I-PER"]), (["I-PER", "I-PER", "O", "I-PER"], ["B-PER", "I-PER", "O", "B-PER"])])
def test_other_schemes_are_told_in_bio(likeliest, tags):
    labels = ("O", *sorted(set(likeliest) - {"O"}))
    spans = [(i, i + 1) for i in range(4)]
    places = TokenPlaces(Question(("abcd",), more=Units(spans, True)), np.array(spans), [Place(0, (slice(0, 4),))])
    logits = 9.0 * np.array([[label == tag for label in labels] for tag in likeliest])
    found = TAGS.answer([Layout([None], 4, False, places)], [logits], [Head("ner", "tags", labels)], False)[0]["ner"]
    assert found["tags"] == tags and len(found["entities"]) == 2
