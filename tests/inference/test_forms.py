"""The form that OpenVINO runs: equal to torch for every kind of head, kept, stale, damaged, read-only; int8 behind its guard."""

import json
import os
import shutil
import stat

import numpy as np
import pytest
import torch
from transformers import (AlbertConfig, AlbertForSequenceClassification, BertConfig, BertForSequenceClassification, DistilBertConfig,
                          DistilBertForSequenceClassification, ElectraConfig, ElectraForSequenceClassification, RobertaConfig,
                          RobertaForSequenceClassification)

from conftest import TEXTS
from doxa.inference.loading import Request, load_labeller
from doxa.text.question import Question
from doxa.model.network import save_network
from doxa.model.directory import ModelTable, publish
from doxa.model.first_token import first_token_only, shorten_last_layer
from doxa.model.heads import Head
from doxa.text.vocabulary import learn_tokenizer
from shell import run

HEADS = [Head("topic", "label", ("a", "b", "c")), Head("tags", "labels", ("x", "y"), thresholds=(0.4, 0.6)), Head("rating", "number")]
SMALL = {"vocab_size": 600, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "num_labels": 6,
         "max_position_embeddings": 100, "pad_token_id": 0, "initializer_range": 0.5}
KINDS = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**SMALL)),
    "roberta": lambda: RobertaForSequenceClassification(RobertaConfig(**SMALL, type_vocab_size=1)),
    "electra": lambda: ElectraForSequenceClassification(ElectraConfig(**SMALL, embedding_size=16)),
    "albert": lambda: AlbertForSequenceClassification(AlbertConfig(**SMALL, embedding_size=16)),
    "distilbert": lambda: DistilBertForSequenceClassification(DistilBertConfig(
        vocab_size=600, dim=32, n_layers=2, n_heads=2, hidden_dim=64, num_labels=6, max_position_embeddings=100, initializer_range=0.5)),
}


def make_model(directory, kind: str = "bert", seed: int = 3, texts=TEXTS, **other):
    """A model directory; `texts` teach the tokenizer, and `other` is what a BERT of SMALL has in place of that."""
    torch.manual_seed(seed)
    model = BertForSequenceClassification(BertConfig(**SMALL | other)) if other else KINDS[kind]()
    with publish(str(directory), ModelTable(HEADS, 90)) as working:
        save_network(model, working, None)
        learn_tokenizer(texts, 600).save(f"{working}/tokenizer.json")
    return directory


def label(directory, **request):
    labeller, reasons = load_labeller(Request(str(directory), "cpu", with_scores=True, **request))
    questions = [Question((text,)) for text in TEXTS] + [Question((TEXTS[0] * 30,))]
    return labeller.label(questions).entries, reasons


def scores(entries) -> np.ndarray:
    rows = []
    for entry in entries:
        prediction = entry["prediction"]
        rows.append([*prediction["topic"]["scores"].values(), *prediction["tags"]["scores"].values(), prediction["rating"]["score"]])
    return np.array(rows)


@pytest.mark.parametrize("kind", ["bert", "albert", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("roberta", "electra", "distilbert"))])
def test_engines_are_equal_over_every_head_kind(kind, tmp_path):
    directory = make_model(tmp_path / "model", kind)
    plain, _ = label(directory, engine="torch", precision="fp32")
    fast, reasons = label(directory, engine="openvino", precision="fp32")
    assert scores(fast) == pytest.approx(scores(plain), abs=2e-5, rel=1e-5)
    assert [e["prediction"]["tags"]["labels"] for e in fast] == [e["prediction"]["tags"]["labels"] for e in plain]
    assert any("openvino" in reason for reason in reasons)


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_the_short_last_layer_is_exact(kind):
    torch.manual_seed(3)
    model = KINDS[kind]().eval()
    ids = torch.randint(1, 600, (4, 20))
    mask = torch.ones_like(ids)
    mask[1:, 13:] = 0
    with torch.inference_mode():
        expected = model(input_ids=ids, attention_mask=mask).logits
        assert shorten_last_layer(model)
        assert model(input_ids=ids, attention_mask=mask).logits == pytest.approx(expected, abs=1e-5)
        assert model(input_ids=ids).logits == pytest.approx(without_mask(kind, ids), abs=1e-5)


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_gradients_through_the_short_last_layer_are_exact(kind):
    """Dropout off: what the head's loss tells every weight is the same, and the layer is whole again afterwards. In double precision: some gradients (of the
    keys' biases) are 0 but for rounding."""
    torch.manual_seed(3)
    model = KINDS[kind]().double().eval()
    ids = torch.randint(1, 600, (4, 20))
    mask = torch.ones_like(ids)
    mask[1:, 13:] = 0

    def gradients():
        model.zero_grad()
        model(input_ids=ids, attention_mask=mask).logits.square().sum().backward()
        return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}

    expected, states = gradients(), model(input_ids=ids, output_hidden_states=True).hidden_states[-1].shape
    with first_token_only(model):
        found = gradients()
        assert model.base_model(input_ids=ids).last_hidden_state.shape[1] == 1
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert (gradient - expected[name]).abs().max() <= 1e-10 * max(1.0, expected[name].abs().max()), name
    assert model(input_ids=ids, output_hidden_states=True).hidden_states[-1].shape == states


def without_mask(kind, ids):
    torch.manual_seed(3)
    return KINDS[kind]().eval()(input_ids=ids).logits


@pytest.mark.parametrize("kind", ["albert", "distilbert"])
def test_other_architectures_keep_their_last_layer(kind):
    assert not shorten_last_layer(KINDS[kind]())


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A model directory with its form, made by a first prediction. One layer: what is kept, and when it is made again, does not depend on how many there are."""
    directory = make_model(tmp_path_factory.mktemp("kept") / "model", num_hidden_layers=1)
    label(directory)
    assert sorted(os.listdir(directory / "openvino")) == ["form.json", "model.bin", "model.xml"]
    return directory


@pytest.fixture
def kept(first, tmp_path, monkeypatch):
    """A copy of that model directory; no compiled one in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return shutil.copytree(first, tmp_path / "model")


def test_a_kept_form_is_taken_as_it_is(kept, monkeypatch):
    monkeypatch.setattr("doxa.inference.conversion.make_form", lambda *_: pytest.fail("converted again"))
    label(kept)


@pytest.mark.parametrize("name, at", [("model.bin", 100), pytest.param("model.xml", 50, marks=pytest.mark.slow), pytest.param("form.json", 5, marks=pytest.mark.slow)])
def test_a_damaged_form_is_made_again(kept, name, at):
    expected = scores(label(kept)[0])
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    data = bytearray((kept / "openvino" / name).read_bytes())
    data[at] ^= 0x20
    (kept / "openvino" / name).write_bytes(data)
    assert scores(label(kept)[0]) == pytest.approx(expected, abs=1e-6)
    assert (kept / "openvino" / name).read_bytes() != data


def test_a_form_of_other_weights_is_made_again(kept, tmp_path):
    other = make_model(tmp_path / "other", seed=9, num_hidden_layers=1)
    expected = scores(label(other, engine="torch", precision="fp32")[0])
    shutil.rmtree(other / "openvino", ignore_errors=True)
    shutil.copytree(kept / "openvino", other / "openvino")
    assert scores(label(other, precision="fp32")[0]) == pytest.approx(expected, abs=2e-5)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_directory_still_works(kept):
    shutil.rmtree(kept / "openvino")
    kept.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert label(kept)[0]


def test_a_directory_that_takes_no_files_still_works(kept, monkeypatch):
    shutil.rmtree(kept / "openvino")
    monkeypatch.setattr("doxa.model.form.tempfile.mkdtemp", lambda **_: (_ for _ in ()).throw(PermissionError(13, "no")))
    assert label(kept)[0] and not (kept / "openvino").exists()


def test_a_damaged_cache_is_compiled_again(kept):
    expected = label(kept, precision="fp32")[0]
    blobs = list((kept.parent / "cache" / "doxa" / "compiled").glob("*.blob"))
    assert len(blobs) == 1
    for blob in blobs:
        data = bytearray(blob.read_bytes())
        for at in range(len(data) // 2, len(data) // 2 + 400):
            data[at] ^= 0xFF
        blob.write_bytes(data)
    assert label(kept, precision="fp32")[0] == expected


def test_a_broken_conversion_is_noticed(tmp_path, monkeypatch):
    """A form that gives other logits is never used: torch takes over and says why; asked for by name it is an error."""
    directory = make_model(tmp_path / "model", num_hidden_layers=1)
    monkeypatch.setattr("doxa.model.convert.shorten_last_layer", lambda model: model.classifier.weight.data.mul_(1.5))
    entries, reasons = label(directory)
    assert any("engine torch" in reason and "other logits" in reason for reason in reasons)
    assert not (directory / "openvino").exists()
    monkeypatch.undo()
    expected = label(directory, engine="torch")[0]
    assert entries == expected


# --- int8, through finetune


WORDS = {"good": "profit growth strong rise gain win".split(), "bad": "loss fall weak debt cut fraud".split(), "even": "flat stable same hold wait".split()}
OTHERS = "bank share firm market day".split()


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A model that finetune wrote with 240 dev records, from a base of one layer that reads each of the words as a token."""
    folder = tmp_path_factory.mktemp("int8")
    make_model(folder / "base", texts=[" ".join(words) for words in (*WORDS.values(), OTHERS)], num_hidden_layers=1, initializer_range=0.05)
    generator = np.random.default_rng(5)

    def write(name, n):
        with open(folder / name, "w") as file:
            for i in range(n):
                mood = list(WORDS)[i % 3]
                text = " ".join([*generator.choice(WORDS[mood], 5), *generator.choice(OTHERS, 4)])
                file.write(json.dumps({"text": f"{text} {i}", "mood": mood}) + "\n")

    write("train.jsonl", 240)
    write("dev.jsonl", 240)
    done = run("finetune", "--base", folder / "base", "--head", "mood", "--dev", folder / "dev.jsonl", "--output", folder / "out", "--seed", 2,
               "--learning-rate", 5e-3, "--num-train-epochs", 6, folder / "train.jsonl", timeout=300)
    assert done.code == 0, done.err
    return folder, done


def test_int8_is_kept_with_what_the_guard_saw(learnt):
    folder, done = learnt
    table = json.loads((folder / "out" / "openvino" / "form.json").read_text())["int8"]
    assert table["held_out"] == 240 and table["is_good"] and table["agreement"] >= 0.995
    assert "int8 form kept" in done.err and "━" not in done.out.decode() and "nncf" not in done.err.lower()
    labels = {}
    for precision in ("int8", "fp32"):
        said = run("predict", "--model", folder / "out", "--precision", precision, "-v", folder / "dev.jsonl")
        assert said.code == 0 and f"precision {precision}" in said.err
        labels[precision] = [json.loads(line)["prediction"]["mood"] for line in said.lines]
    agreement = np.mean([a["label"] == b["label"] for a, b in zip(*labels.values())])
    assert agreement == pytest.approx(table["heads"]["mood"]["agreement"], abs=1e-9)
    assert labels["int8"] != labels["fp32"]  # the scores: it really is another arithmetic


def test_a_quantised_model_that_lost_its_labels_is_left_out(learnt):
    from doxa.training.guard import judge

    generator = np.random.default_rng(0)
    heads, plain = [Head("mood", "label", ("a", "b", "c"))], generator.normal(size=(400, 3))
    gold = plain.argmax(axis=1).astype(float)
    assert judge(heads, [gold], plain, plain)["is_good"]
    turned = plain.copy()
    turned[:3] = -turned[:3]  # three of 400: 0.75 %
    verdict = judge(heads, [gold], plain, turned)
    assert not verdict["is_good"] and verdict["heads"]["mood"]["agreement"] == pytest.approx(0.9925)
    low, high = verdict["heads"]["mood"]["interval"]
    assert low < 0.9925 < high


def test_no_int8_and_too_few_dev_records_say_so(learnt, tmp_path):
    folder, _ = learnt
    short = tmp_path / "dev.jsonl"
    short.write_text("".join((folder / "dev.jsonl").read_text().splitlines(keepends=True)[:30]))
    arguments = ("finetune", "--base", folder / "base", "--head", "mood", "--max-steps", 1, folder / "train.jsonl")
    done = run(*arguments, "--dev", short, "--output", tmp_path / "a")
    assert done.code == 0 and "30 dev records are too few" in done.err
    done = run(*arguments, "--dev", folder / "dev.jsonl", "--output", tmp_path / "b", "--no-int8")
    assert done.code == 0 and not (tmp_path / "b" / "openvino" / "int8.xml").exists()
    assert (tmp_path / "b" / "openvino" / "model.xml").exists()
