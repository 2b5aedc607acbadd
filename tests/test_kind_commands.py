"""Kinds of heads through the commands: finetune, predict, stock Hugging Face loading, both engines, formats, faults."""

import ast
import json
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import make_tiny_model
from shell import ROOT, Done, environment, run

from doxa.model.kinds.table import KINDS

WHO = ("alice", "bob", "carol", "王芳", "李伟")
WHERE = ("paris", "berlin", "lima", "北京", "杭州")
VERBS = ("visited", "left", "likes", "went to", "talks of")
FLAGS = ("--num-train-epochs", 12, "--learning-rate", 3e-3, "--per-device-train-batch-size", 8, "--no-int8", "--quiet")


@dataclass
class Trained:
    """A tiny model of a kind, what was learnt from, and what its head is called."""

    directory: Path
    records: list[dict]
    head: str


def lines(records: list[dict]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def said(done: Done, head: str) -> list[dict]:
    assert done.code == 0, done.err
    return [json.loads(line)["prediction"][head] for line in done.lines]


def make_tags(n: int) -> list[dict]:
    draw, records = random.Random(n), []
    for _ in range(n):
        who, where = draw.choice(WHO), draw.choice(WHERE)
        words = [(who, "B-PER"), *((verb, "O") for verb in draw.choice(VERBS).split()), ("new", "B-LOC"), (where, "I-LOC"), (".", "O")]
        records.append({"tokens": [word for word, _ in words], "tags": [tag for _, tag in words]})
    return records


def make_spans(n: int) -> list[dict]:
    draw, records = random.Random(n), []
    for i in range(n):
        who, where = draw.choice(WHO), draw.choice(WHERE)
        context = f"😀 {who} {draw.choice(VERBS)} {where}."
        asked = i % 3
        gold = [[{"text": who, "start": 2}], [{"text": where, "start": context.index(where)}], []][asked]
        records.append({"question": ("who?", "where?", "when?")[asked], "context": context, "answers": gold})
    return records


def make_choices(n: int) -> list[dict]:
    draw, records = random.Random(n), []
    for _ in range(n):
        choices = [draw.choice(WHERE), draw.choice(WHERE), draw.choice(WHO)]
        draw.shuffle(choices)
        records.append({"text": "who?", "choices": choices, "right": next(i for i, choice in enumerate(choices) if choice in WHO)})
    return records


MAKE = {"tags": (make_tags, "tags"), "span": (make_spans, "answers"), "choice": (make_choices, "right")}
STOCK = {"tags": "AutoModelForTokenClassification", "span": "AutoModelForQuestionAnswering", "choice": "AutoModelForMultipleChoice"}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    texts = [" ".join((*WHO, *WHERE, *VERBS, "new . who? where? when? 😀"))] * 3
    return make_tiny_model(tmp_path_factory.mktemp("bases") / "tiny", texts=texts, spread=0.05)


@pytest.fixture(scope="module", params=list(MAKE))
def trained(request, base, tmp_path_factory) -> Trained:
    make, field = MAKE[request.param]
    folder, records = tmp_path_factory.mktemp(request.param), make(96)
    (folder / "train.jsonl").write_bytes(lines(records))
    (folder / "dev.jsonl").write_bytes(lines(make(60)))
    done = run("finetune", "--base", base, "--head", f"{field}:{request.param}", "--dev", folder / "dev.jsonl", "--output", folder / "model", *FLAGS, folder / "train.jsonl")
    assert done.code == 0, done.err
    return Trained(folder / "model", make(40), field)


@pytest.fixture(scope="module")
def predicted(trained) -> list[dict]:
    """What predict says of its records."""
    return said(run("predict", "--model", trained.directory, stdin=lines(trained.records)), trained.head)


def kind_of(trained: Trained) -> str:
    return json.loads((trained.directory / "doxa.json").read_text())["heads"][0]["kind"]


def is_right(kind: str, record: dict, entry: dict) -> bool:
    if kind == "tags":
        return entry["tags"] == record["tags"]
    if kind == "choice":
        return entry["index"] == record["right"] and entry["text"] == record["choices"][entry["index"]]
    gold = record["answers"]
    return entry["answer"] is None if not gold else entry["answer"] is not None and entry["answer"]["text"] == gold[0]["text"]


def test_what_can_be_learnt_is_learnt(trained, predicted):
    right = [is_right(kind_of(trained), record, entry) for record, entry in zip(trained.records, predicted, strict=True)]
    assert np.mean(right) > 0.95
    table = json.loads((trained.directory / "doxa.json").read_text())
    model = table["dev"]["heads"][0]["scores"]["model"]
    assert all(estimate["value"] > 0.95 for estimate in model.values())
    assert 0.05 < table["heads"][0]["temperature"] < 20 and table["heads"][0]["temperature"] != 1.0


def test_offsets_are_those_of_the_records_own_text(trained):
    if kind_of(trained) == "choice":
        pytest.skip("a choice has no offsets")
    text = "😀👩‍👩‍👧 é́ new\u3000\r\n" * 30 + "alice visited new paris."
    record = {"text": text} if kind_of(trained) == "tags" else {"question": "who?", "context": text}
    entry, = said(run("predict", "--model", trained.directory, stdin=lines([record])), trained.head)
    found = entry["entities"] if kind_of(trained) == "tags" else [entry["answer"]] if entry["answer"] else []
    assert all(text[span["start"] : span["end"]] == span["text"] for span in found)
    assert kind_of(trained) != "tags" or ("alice", "PER") in {(span["text"], span["label"]) for span in found}


@pytest.mark.slow
def test_both_engines_and_any_neighbours_say_the_same(trained):
    given = lines(trained.records)
    plain = said(run("predict", "--model", trained.directory, "--precision", "fp32", "--scores", stdin=given), trained.head)
    for flags in (("--engine", "torch"), ("--engine", "openvino"), ("--engine", "torch", "--batch-tokens", 1)):
        other = said(run("predict", "--model", trained.directory, "--precision", "fp32", "--scores", *flags, stdin=given), trained.head)
        assert [without_scores(entry) for entry in other] == [without_scores(entry) for entry in plain], flags
        assert list(numbers(other)) == pytest.approx(list(numbers(plain)), abs=2e-4)


def without_scores(entry):
    if isinstance(entry, dict):
        return {key: without_scores(value) for key, value in entry.items() if key not in ("score", "scores")}
    return [without_scores(value) for value in entry] if isinstance(entry, list) else entry


def numbers(entry):
    if isinstance(entry, dict):
        for key, value in entry.items():
            yield from numbers(value) if key not in ("start", "end", "index") else ()
    elif isinstance(entry, list):
        for value in entry:
            yield from numbers(value)
    elif isinstance(entry, float):
        yield entry


def test_stock_hugging_face_loads_it_and_decides_alike(trained):
    import torch
    import transformers

    kind = kind_of(trained)
    model = getattr(transformers, STOCK[kind]).from_pretrained(trained.directory).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained.directory)
    entries = said(run("predict", "--model", trained.directory, "--precision", "fp32", stdin=lines(trained.records)), trained.head)
    for record, entry in zip(trained.records[:15], entries):
        with torch.inference_mode():
            if kind == "tags":
                encoding = tokenizer(record["tokens"], is_split_into_words=True, return_tensors="pt")
                best = model(**encoding).logits[0].argmax(-1).tolist()
                words = encoding.word_ids()
                tags = [model.config.id2label[best[words.index(word)]] for word in range(len(record["tokens"]))]
                assert entry["tags"] == tags  # well-formed here, so that the best path is the best of each
            elif kind == "choice":
                encoding = tokenizer([record["text"]] * 3, record["choices"], padding=True, return_tensors="pt")
                assert model(**{name: value[None] for name, value in encoding.items()}).logits[0].argmax() == entry["index"]
            else:
                encoding = tokenizer(record["question"], record["context"], return_tensors="pt", return_offsets_mapping=True)
                offsets = encoding.pop("offset_mapping")[0].tolist()
                output = model(**encoding)
                start, end = int(output.start_logits[0].argmax()), int(output.end_logits[0].argmax())
                text = record["context"][offsets[start][0] : offsets[end][1]] if start else None
                assert (entry["answer"] and entry["answer"]["text"]) == text


@pytest.mark.parametrize("labels", [("O", "B-PER", "I-PER", "B-LOC", "I-LOC"), ("O", "I-PER", "I-LOC", "B-LOC")], ids=["both", "as CoNLL-2003"])
def test_a_tagger_that_doxa_did_not_write_opens_entities_as_its_pipeline_does(labels, tmp_path):
    import torch
    from transformers import BertConfig, BertForTokenClassification, pipeline

    from doxa.text.vocabulary import learn_tokenizer

    words = [*WHO[:3], *WHERE[:3], "visited", "left", "likes", "talks"]
    tokenizer = learn_tokenizer([" ".join(words)] * 3)
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                        max_position_embeddings=128, pad_token_id=0, initializer_range=1.0, id2label=dict(enumerate(labels)), label2id={n: i for i, n in enumerate(labels)})
    with torch.random.fork_rng():
        torch.manual_seed(5)
        BertForTokenClassification(config).save_pretrained(tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 128, "unk_token": "[UNK]", '
                                                    '"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}')
    draw = random.Random(2)
    texts = [" ".join(draw.choices(words, k=9)) for _ in range(60)]
    stock, n_opened = pipeline("ner", str(tmp_path), aggregation_strategy="simple", device="cpu"), 0
    plain = pipeline("ner", str(tmp_path), device="cpu", ignore_labels=[])
    entries = said(run("predict", "--model", tmp_path, "--precision", "fp32", "-q", stdin=lines([{"text": text} for text in texts])), "label")
    for text, entry in zip(texts, entries):
        assert [(e["start"], e["end"], e["label"]) for e in entry["entities"]] == [(e["start"], e["end"], e["entity_group"]) for e in stock(text)]
        assert [e["score"] for e in entry["entities"]] == pytest.approx([float(e["score"]) for e in stock(text)], abs=1e-4)
        tags = ["O", *(token["entity"] for token in plain(text))]
        n_opened += sum(after[0] == "I" and before[1:] != after[1:] for before, after in zip(tags, tags[1:]))
    assert n_opened > 30


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv"])
def test_predictions_in_columnar_formats_hold_the_same(trained, predicted, tmp_path, suffix):
    import pyarrow.csv
    import pyarrow.ipc
    import pyarrow.parquet

    path = tmp_path / f"out.{suffix}"
    done = run("predict", "--model", trained.directory, "--output", path, stdin=lines(trained.records))
    assert done.code == 0, done.err
    if suffix == "csv":
        rows = pyarrow.csv.read_csv(path).to_pylist()
        key = {"tags": "entities", "span": "answer", "choice": "index"}[kind_of(trained)]
        cells = [{name: value for name, value in row.items() if name.startswith(f"prediction.{trained.head}.{key}")} for row in rows]
        assert all(cells) and len(cells) == len(predicted)
        return
    table = pyarrow.parquet.read_table(path) if suffix == "parquet" else pyarrow.ipc.open_stream(path).read_all()
    seen = [row["prediction"][trained.head] for row in table.to_pylist()]
    assert [without_nulls(entry) for entry in seen] == [without_nulls(entry) for entry in predicted]


def without_nulls(entry):
    return {key: value for key, value in entry.items() if value is not None}


def test_a_record_that_does_not_hold_what_is_asked_is_an_error_in_its_place(trained):
    broken = {"tags": {"tokens": "x"}, "span": {"question": "who?"}, "choice": {"text": "who?", "choices": []}}[kind_of(trained)]
    done = run("predict", "--model", trained.directory, stdin=lines([broken, trained.records[0]]) + b"{broken\n")
    assert done.code == 3
    first, second, third = map(json.loads, done.lines)
    assert first["error"]["message"] and "prediction" in second and third["error"]["code"] == "not_json"


def test_what_belongs_to_other_kinds_is_refused_in_one_line(trained, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text('[rules.r]\nhead = "%s"\nlabel = "O"\nfirm = true\nany = ["a"]\n' % trained.head)
    for command in (("explain", "--rules", rules, "--model", trained.directory), ("predict", "--rules", rules, "--model", trained.directory)):
        done = run(*command, stdin=lines(trained.records[:1]))
        assert done.code == 2 and done.out == b"" and done.err.count("\n") == 1 and "label" in done.err, done.err


FAULTS = [
    (("--head", "tags:tags", "--head", "topic"), [], "train one for each"),
    (("--head", "tags:nothing"), [], "there are: label, labels, number"),
    (("--head", "tags:tags", "--class-weights", "balanced"), make_tags(6), "--class-weights is for heads of label"),
    (("--head", "tags:tags", "--target-precision", 0.9), make_tags(6), "--target-precision is for heads of label"),
    (("--head", "tags:tags"), [{"tokens": ["a"], "tags": ["O"]}] * 9, "holds no entity"),
    (("--head", "tags:tags"), [{"tokens": ["a"], "tags": ["O", "O"]}] * 9, "2 tags for 1 tokens"),
    (("--head", "answers:span"), [{"question": "q", "context": "c", "answers": [{"text": "d", "start": 0}]}] * 9, "where it does not"),
    (("--head", "right:choice"), [{"text": "q", "choices": ["a", "b"], "right": 2}] * 9, "none of the 2 choices"),
    (("--head", "tags:tags"), [{"tokens": ["a"], "tag": ["O"]}] * 9, 'has "tokens" and a tag for each of them, or a text and a list of its entities {start, end, label} in field "tags"'),
    (("--head", "answers:span"), [{"question": "q", "context": "c"}] * 9, 'has "question", "context" and a list of answers {text, start} in field "answers"'),
    (("--head", "right:choice"), [{"text": "q", "choices": ["a", "b"]}] * 9, 'has a text, "choices" and the right one, its place from 0 or its text, in field "right"'),
    (("--head", "reply:text"), [{"text": "q"}] * 9, 'has a text and what is to be written for it in field "reply"'),
    (("--head", "tags:tags"), [{"words": ["a"], "tags": ["O"]}] * 9, 'fields "tokens" and "text" are missing; name the field of a text with --text-field'),
]


@pytest.mark.parametrize("flags, records, message", FAULTS)
def test_faults_of_finetune_are_one_line(base, tmp_path, flags, records, message):
    done = run("finetune", "--base", base, *flags, "--output", tmp_path / "out", stdin=lines(records or make_tags(6)))
    assert done.code in (1, 2) and message in done.err.split("\n")[-2], done.err
    assert not (tmp_path / "out").exists()


def test_a_kind_that_is_added_to_the_table_works_in_every_command(base, tmp_path):
    """finetune, predict, evaluate and compare with a kind that no file of the library knows: see another_kind.py."""
    draw = random.Random(1)
    texts = [" ".join([*draw.choices(VERBS, k=draw.randint(1, 4)), draw.choice(WHO), *draw.choices(VERBS, k=2)]) for _ in range(96)]
    records = [{"id": i, "text": text, "who": min(text.index(name) for name in WHO if name in text)} for i, text in enumerate(texts)]
    train, told = tmp_path / "train.jsonl", tmp_path / "1.out"
    train.write_bytes(lines(records))
    commands = [["finetune", "--base", base, "--head", "who:pointer", "--output", tmp_path / "model", *FLAGS, train], ["predict", "--model", tmp_path / "model", train],
                ["evaluate", "--to", "json", told], ["compare", told, told],
                ["predict", "--model", tmp_path / "model", "--output", tmp_path / "out.parquet", train]]
    asked = json.dumps([[str(part) for part in command] for command in commands])
    done = subprocess.run([sys.executable, ROOT / "tests" / "another_kind.py", tmp_path, asked], capture_output=True, env=environment())
    assert done.returncode == 0, done.stderr
    found = [json.loads(line)["prediction"]["who"]["character"] for line in told.read_bytes().splitlines()]
    assert np.mean([character == record["who"] for character, record in zip(found, records, strict=True)]) > 0.9
    figures = json.loads((tmp_path / "2.out").read_bytes())["heads"]["who"]
    assert figures["kind"] == "pointer" and figures["figures"]["hit_rate"]["value"] > 0.9
    assert b"hit rate" in (tmp_path / "3.out").read_bytes() and (tmp_path / "out.parquet").exists()


def test_no_file_but_a_kinds_own_asks_for_it_by_name():
    """What a kind does is in its file; the table alone names it. (label, labels and number are older than the table.)"""
    own = {"tags", "span", "choice", "vector"} & set(KINDS)  # text and mask are words of other things as well
    for path in (ROOT / "lib" / "doxa").rglob("*.py"):
        if path.parent.name == "kinds":
            continue
        compared = {constant.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Compare)
                    for constant in ast.walk(node) if isinstance(constant, ast.Constant) and isinstance(constant.value, str)}
        assert not compared & own, f"{path.name} compares with the name of a kind: {compared & own}"


def test_the_help_and_the_readme_name_every_kind():
    words = (ROOT / "lib" / "doxa" / "commands" / "finetune.py").read_text(encoding="utf-8")
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Kinds of heads")[1].split("\n## ")[0]
    for name in KINDS:
        assert f"| `{name}`" in table and re.search(rf"\b{name}\b", words), name
