"""What tags, answers, choices, vectors and written texts are explained by, beside stock networks that are shown the hidden words one by one."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TEXTS
from scipy.special import logit, logsumexp
from shell import run

from doxa.explaining.claims import ClaimExplainer
from doxa.explaining.explainer import Wanted
from doxa.explaining.loading import load_explainer
from doxa.explaining.marking import find_tokens
from doxa.inference.loading import Request
from doxa.model.directory import ModelTable, publish
from doxa.model.heads import Head
from doxa.model.kinds.table import KINDS
from doxa.model.kinds.tokenwise import gather_tokens
from doxa.model.network import auto_class, build_scratch, save_network
from doxa.records.record import Record
from doxa.text.tokenizer import TextTokenizer, write_tokenizer
from doxa.text.vocabulary import learn_tokenizer, learn_writing_tokenizer

HEADS = {
    "tags": Head("h", "tags", ("O", "B-ORG", "I-ORG", "B-LOC", "I-LOC"), temperature=2.0),
    "span": Head("h", "span", temperature=2.0, settings={"may_be_none": True, "most_tokens": 8}),
    "choice": Head("h", "choice", temperature=2.0),
    "vector": Head("h", "vector"),
    "text": Head("h", "text", settings={"prompt": "say: {text} now", "max_new_tokens": 6}),
}
RECORDS = {
    "tags": {"tokens": ["The", "bank", "of", "杭州", "sets", "aside", "😀", "money"]},
    "span": {"question": "Who sets money aside?", "context": TEXTS[0] + " " + TEXTS[4] + " 贷款违约率上升。"},
    "choice": {"text": TEXTS[1], "choices": [TEXTS[2], TEXTS[3], TEXTS[2]]},
    "vector": {"text": TEXTS[1], "text_pair": TEXTS[9]},
    "text": {"text": TEXTS[5]},
}
LONG = {
    "tags": {"text": " ".join(TEXTS * 3)}, "span": {"question": TEXTS[0], "context": " ".join(TEXTS * 3)},
    "choice": {"text": " ".join(TEXTS * 2), "choices": [TEXTS[2], " ".join(TEXTS)]}, "vector": {"text": " ".join(TEXTS * 2), "text_pair": " ".join(TEXTS)},
    "text": {"text": " ".join(TEXTS)},
}


SMALL = {
    "bert": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128},
    "bart": {"d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128},
}


def make_model(kind, directory):
    """Random weights of a fixed seed, wide enough that words count."""
    tokenizer = learn_writing_tokenizer(TEXTS) if KINDS[kind].writes else learn_tokenizer(TEXTS, vocabulary_size=600)
    with torch.random.fork_rng():
        torch.manual_seed(11)
        config = build_scratch(tokenizer.get_vocab_size(), [HEADS[kind]], 128).config
        config.update(SMALL[config.model_type])
        model = auto_class(KINDS[kind].stock).from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(6.0)
    with publish(str(directory), ModelTable([HEADS[kind]], 128)) as working:
        save_network(model, working, None)
        write_tokenizer(TextTokenizer(tokenizer, 128), working, 128)
    return directory


@pytest.fixture(scope="module", params=HEADS)
def known(request, tmp_path_factory):
    """The kind, its explainer in fp32, and the directory."""
    directory = make_model(request.param, tmp_path_factory.mktemp("claims") / request.param)
    asked = Request(str(directory), "cpu", "torch", "fp32", text_pair_field="text_pair" if request.param == "vector" else None)
    stream, _, _ = load_explainer(asked, Wanted((), unit="token"), 32, 512, 0, None)
    return request.param, stream.explainer, directory


def ask(explainer, fields):
    return explainer.read(Record("t", 1, None, fields))


def with_long(explainer, policy):
    return replace(explainer.tools.reading, policy=policy)


@pytest.mark.parametrize("policy", ["windows", "head", "head-tail"])
@pytest.mark.parametrize("records", [RECORDS, LONG])
def test_every_token_of_the_texts_is_found_in_the_windows(known, records, policy):
    """Put back in its place, each gives the windows that the kind makes of the real tokens, and stands for its own characters."""
    kind, explainer, _ = known
    question, _ = ask(explainer, records[kind])
    reading = with_long(explainer, policy)
    (layout,) = KINDS[kind].lay_out([question], explainer.tokenizer, reading)
    found, marker = find_tokens(KINDS[kind], question, layout.windows, explainer.tokenizer, reading)
    n_special = 0
    for window, slots in zip(layout.windows, found.slots):
        assert len(window.ids) == len(slots)
        assert [found.ids[slot] for slot in slots if slot >= 0] == [id_ for id_, slot in zip(window.ids, slots) if slot >= 0]
        n_special += int((slots < 0).sum())
    assert 0 < n_special < 60 * len(layout.windows)
    for i, text in enumerate(question.texts):
        own = [place for place, owner in enumerate(marker.owners) if owner == i]
        encode = explainer.tokenizer.encode_literally if kind == "text" else explainer.tokenizer.encode_with_offsets
        plain, offsets = encode([text])[0]
        assert "".join(text[slice(*marker.offsets[place])] for place in own).split() == "".join(text[start:end] for start, end in offsets).split()
        if kind != "text":
            assert found.ids[own].tolist() == plain


def stock_number(kind, directory, question, windows, said):
    """What the entry says, in nats, by a stock network alone."""
    import transformers

    head = HEADS[kind]
    stock = KINDS[kind].stock_of(head, json.loads((directory / "config.json").read_text()))
    model = getattr(transformers, stock.auto_class).from_pretrained(directory).eval()
    assert isinstance(model, transformers.PreTrainedModel) and auto_class(stock)

    def inputs(window):
        ids = torch.tensor([window.ids])
        types = {"token_type_ids": torch.tensor([window.type_ids])} if window.type_ids else {}
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)} | types

    with torch.no_grad():
        if kind == "tags":
            logits = model(**inputs(windows[0])).logits[0].numpy() / head.temperature
            tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
            encoded = tokenizer(question.texts[0], return_offsets_mapping=True)["offset_mapping"]
            units = [span for span in question.more.spans if span[0] < said["end"] and said["start"] < span[1]]
            rows = [next(i for i, (start, end) in enumerate(encoded) if start < end and start <= unit[0] < end) for unit in units]
            own = [i for i, tag in enumerate(head.labels) if tag[2:] == said["label"]]
            rest = [i for i in range(5) if i not in own]
            return float(np.mean([logsumexp(logits[row, own]) - logsumexp(logits[row, rest]) for row in rows]))
        if kind == "choice":
            scores = np.array([float(model(**{name: tensor[:, None] for name, tensor in inputs(window).items()}).logits) for window in windows]) / head.temperature
            return float(scores[said["index"]] - logsumexp(np.delete(scores, said["index"])))
        if kind == "vector":
            first, second = (torch.nn.functional.normalize(model(**inputs(window)).last_hidden_state.mean(dim=1), dim=1)[0] for window in windows)
            return float(first @ second)
        if kind == "text":
            written = torch.tensor([said["ids"]])
            losses = model(**inputs(windows[0]), labels=written).loss
            return -float(losses)
        output = model(**inputs(windows[0]))
        starts, ends = output.start_logits[0].numpy() / head.temperature, output.end_logits[0].numpy() / head.temperature
        encoded = transformers.AutoTokenizer.from_pretrained(directory)(*question.texts, return_offsets_mapping=True)
        context = [i for i, sequence in enumerate(encoded.sequence_ids()) if sequence == 1]
        spans = {(a, b): starts[a] + ends[b] for a in context for b in context if a <= b < a + 8}
        spans[None] = starts[0] + ends[0]
        key = None
        if said["answer"]:
            touched = [i for i in context if encoded["offset_mapping"][i][0] < said["answer"]["end"] and encoded["offset_mapping"][i][1] > said["answer"]["start"]]
            key = (touched[0], touched[-1])
        return float(spans.pop(key) - logsumexp(list(spans.values())))


def test_occlusion_is_what_a_stock_network_loses_without_each_token(known):
    kind, explainer, directory = known
    question, fields = ask(explainer, RECORDS[kind])
    (answer,) = explainer.explain([(question, fields)])
    entries = answer["h"]["entities"] if kind == "tags" else [answer["h"]]
    assert entries
    (layout,) = KINDS[kind].lay_out([question], explainer.tokenizer, explainer.tools.reading)
    outputs = explainer.tools.memory.compute(layout.windows)[0]
    found, marker = find_tokens(KINDS[kind], question, layout.windows, explainer.tokenizer, explainer.tools.reading)
    for entry in entries:
        said = entry | ({"ids": outputs[0][:, 0].astype(int).tolist()} if kind == "text" else {})
        whole = stock_number(kind, directory, question, layout.windows, said)
        if kind in ("span", "choice") and 0.001 < entry["score"] < 0.999:
            assert whole == pytest.approx(logit(entry["score"]), abs=2e-2)
        assert len(entry["tokens"]) == len(found.ids)
        for place in {0, 3, len(found.ids) // 2, len(found.ids) - 1}:
            hidden = [replace(window, ids=[0 if slot == place else id_ for id_, slot in zip(window.ids, slots)]) for window, slots in zip(layout.windows, found.slots)]
            expected = whole - stock_number(kind, directory, question, hidden, said)
            assert entry["tokens"][place]["score"] == pytest.approx(expected, abs=2e-4), (kind, place)
        assert len({token["score"] for token in entry["tokens"]}) > 2


@pytest.mark.parametrize("known", ["tags"], indirect=True)
def test_entities_of_a_text_in_many_windows_are_explained_by_those_that_tell_of_them(known):
    """The same as by all windows: what stands outside of them changes nothing."""
    kind, explainer, _ = known
    question, fields = ask(explainer, {"text": " ".join(TEXTS)})
    some = ClaimExplainer(replace(explainer.wanted, label="LOC", with_faithfulness=False), explainer.tools, HEADS[kind], explainer.tokenizer, explainer.fields)
    (answer,) = some.explain([(question, fields)])
    (layout,) = KINDS[kind].lay_out([question], explainer.tokenizer, explainer.tools.reading)
    found, _ = find_tokens(KINDS[kind], question, layout.windows, explainer.tokenizer, explainer.tools.reading)
    assert len(layout.windows) > 1

    def number(entity, windows):
        logits = gather_tokens(explainer.tools.memory.compute(windows)[0], layout.about) / HEADS[kind].temperature
        units = [span for span in question.more.spans if span[0] < entity["end"] and entity["start"] < span[1]]
        own = np.array([tag[2:] == entity["label"] for tag in HEADS[kind].labels])
        return np.mean([logsumexp(logits[token, own]) - logsumexp(logits[token, ~own]) for token in layout.about.first_tokens(units)])

    entities = answer["h"]["entities"]
    n_silent = 0
    for entity in entities[:: max(1, len(entities) // 6)]:
        whole, place = number(entity, layout.windows), next(i for i, token in enumerate(entity["tokens"]) if token["end"] > entity["start"])
        for token in {0, place, place + 3, len(found.ids) // 2, len(found.ids) - 1} & set(range(len(found.ids))):
            absent = np.zeros(len(found.ids), bool)
            absent[token] = True
            expected = whole - number(entity, found.replaced(absent, 0))
            assert entity["tokens"][token]["score"] == pytest.approx(expected, abs=1e-4)
            n_silent += entity["tokens"][token]["score"] == 0
    assert n_silent > 5


def explain_first(kind, explainer):
    """The first claim of the kind's record: its question, its entry, the windows, what the entry says with what was written, and the tokens in the windows."""
    question, fields = ask(explainer, RECORDS[kind])
    (answer,) = explainer.explain([(question, fields)])
    entry = answer["h"]["entities"][0] if kind == "tags" else answer["h"]
    (layout,) = KINDS[kind].lay_out([question], explainer.tokenizer, explainer.tools.reading)
    outputs = explainer.tools.memory.compute(layout.windows)[0]
    said = entry | ({"ids": outputs[0][:, 0].astype(int).tolist()} if kind == "text" else {})
    found, _ = find_tokens(KINDS[kind], question, layout.windows, explainer.tokenizer, explainer.tools.reading)
    return question, entry, layout, said, found


def test_claims_are_judged_by_what_a_stock_network_loses_without_their_best_words_and_with_them_alone(known):
    """Hidden by the mask token: the method hid them by padding."""
    kind, explainer, directory = known
    question, entry, layout, said, found = explain_first(kind, explainer)
    mask = explainer.tokenizer.mask_id()
    assert mask
    n = len(found.ids)
    order = np.argsort([-token["score"] for token in entry["tokens"]], kind="stable").tolist()

    def number(absent):
        return stock_number(kind, directory, question, [replace(window, ids=[mask if slot in absent else id_ for id_, slot in zip(window.ids, slots)])
                                                        for window, slots in zip(layout.windows, found.slots)], said)

    whole, tops = number(set()), [max(1, round(share * n)) for share in (0.01, 0.05, 0.1, 0.2, 0.5)]
    assert entry["faithfulness"]["comprehensiveness"] == pytest.approx(np.mean([whole - number(set(order[:top])) for top in tops]), abs=5e-4)
    assert entry["faithfulness"]["sufficiency"] == pytest.approx(np.mean([whole - number(set(order[top:])) for top in tops]), abs=5e-4)


def test_shapley_shares_out_what_all_words_together_give(known):
    kind, explainer, directory = known
    words = ClaimExplainer(replace(explainer.wanted, method="shapley", unit="word"), explainer.tools, HEADS[kind], explainer.tokenizer, explainer.fields)
    question, entry, layout, said, found = explain_first(kind, words)
    nothing = [replace(window, ids=[0 if slot >= 0 else id_ for id_, slot in zip(window.ids, slots)]) for window, slots in zip(layout.windows, found.slots)]
    expected = stock_number(kind, directory, question, layout.windows, said) - stock_number(kind, directory, question, nothing, said)
    assert sum(token["score"] for token in entry["tokens"]) == pytest.approx(expected, abs=1e-3)


def test_words_stand_where_they_are_in_their_own_text(known):
    kind, _, directory = known
    flags = ("--text-pair-field", "text_pair") if kind == "vector" else ()
    done = run("explain", "--model", directory, "--engine", "torch", *flags, stdin=(json.dumps(RECORDS[kind]) + "\n").encode())
    assert done.code == 0, done.err
    record = json.loads(done.lines[0])
    entries = record["explanation"]["h"]
    for entry in entries["entities"] if kind == "tags" else [entries]:
        assert entry["method"] == "occlusion" and entry["unit"] == "word" and len(entry["faithfulness"]) == 4
        for token in entry["tokens"]:
            text = record.get(token["field"]) if "field" in token else record.get("question", record.get("text"))
            text = text[token["index"]] if "index" in token else "The bank of杭州sets aside 😀 money" if kind == "tags" else text
            assert text[token["start"] : token["end"]] == token["text"]


@pytest.mark.parametrize("known, to", [("tags", "parquet"), ("choice", "csv"), *(pytest.param(kind, "parquet", marks=pytest.mark.slow) for kind in ("span", "text", "vector"))],
                         indirect=["known"])
def test_explanations_come_in_every_format(known, tmp_path, to):
    kind, _, directory = known
    done = run("explain", "--model", directory, "--engine", "torch", "--to", to, "--output", tmp_path / f"out.{to}", stdin=(json.dumps(RECORDS[kind]) + "\n").encode())
    assert done.code == 0, done.err
    again = run("predict", "--model", directory, "--engine", "torch", tmp_path / f"out.{to}")
    assert again.code == 0 and b"explanation" in again.out, again.err


def test_a_page_shows_every_claim_in_its_text(known, tmp_path):
    kind, _, directory = known
    flags = ("--text-pair-field", "text_pair") if kind == "vector" else ()
    lines = (json.dumps(RECORDS[kind] | {"id": "one"}) + "\n").encode()
    done = run("explain", "--model", directory, "--engine", "torch", *flags, "--output", tmp_path / "why.html", stdin=lines)
    assert done.code == 0, done.err
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert 1 <= page.count("<article") == page.count("id <bdi>one") and "not of the shape" not in page and "have no place" not in page and "holds no text" not in page
    again = run("explain", "--model", directory, "--engine", "torch", *flags, "--to", "csv", "--output", tmp_path / "why.csv", stdin=lines)
    assert again.code == 0, again.err
    done = run("explain", *flags, "--to", "html", tmp_path / "why.csv")
    assert done.code == 0 and done.out.decode().split("<main>")[1].split("<footer>")[0] == page.split("<main>")[1].split("<footer>")[0]


@pytest.mark.parametrize("known", ["span"], indirect=True)
def test_what_a_kind_does_not_have_is_refused_in_one_line(known):
    kind, _, directory = known
    for flags, message in ((("--method", "integrated-gradients"), "takes --method occlusion or shapley"), (("--label", "X"), "no such label"),
                           (("--rules", "rules.toml"), "are for heads of label and labels")):
        done = run("explain", "--model", directory, *flags, stdin=(json.dumps(RECORDS[kind]) + "\n").encode())
        assert done.code == 2 and message in done.err and done.err.count("\n") == 1 and not done.out, done.err


@pytest.mark.parametrize("known", ["tags"], indirect=True)
def test_only_entities_of_a_label_are_explained_where_it_is_named(known):
    kind, explainer, directory = known
    done = run("explain", "--model", directory, "--engine", "torch", "--label", "ORG", stdin=(json.dumps(RECORDS[kind]) + "\n").encode())
    assert done.code == 0, done.err
    assert {entry["label"] for entry in json.loads(done.lines[0])["explanation"]["h"]["entities"]} <= {"ORG"}


@pytest.mark.parametrize("known", ["vector"], indirect=True)
def test_a_vector_alone_claims_nothing(known):
    kind, _, directory = known
    done = run("explain", "--model", directory, "--engine", "torch", stdin=b'{"text": "alone"}\n' + (json.dumps(RECORDS[kind]) + "\n").encode())
    first, second = map(json.loads, done.lines)
    assert done.code == 3 and first["error"]["code"] == "nothing_to_explain" and "explanation" in second
