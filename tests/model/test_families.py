"""Every family of FAMILIES as a base: its token ids, its training, and its predictions against stock transformers, text by text."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from families import FAMILIES, POSITIONS, build_base
from scipy.special import softmax

from doxa.errors import DoxaError
from doxa.inference.loading import Request, load_predictor
from doxa.model.heads import Head
from doxa.records.record import Record
from doxa.records.text_fields import TextFields
from doxa.text.padding import read_pad_id
from doxa.text.question import Question
from doxa.text.tokenizer import load_tokenizer, read_max_length
from doxa.training.adversary import Adversary
from doxa.training.optimizer import make_optimizer

QUICK = ("bart",)  # an encoder-decoder by pairs of bytes; encoders and decoders are in test_family_kinds.py
FAMILY = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES]
WITH_TYPES = ("bert", "electra", "ernie", "albert")  # that have embeddings for the first and the second text
# Ways to train that meet an architecture's own names and layers.
WAYS = {
    "fgm": dict(adversary=Adversary("fgm", 1.0)), "freelb": dict(adversary=Adversary("freelb", 1.0)), "mlm": dict(head_start="mlm", head_start_epochs=1),
    "checkpointing": dict(has_gradient_checkpointing=True), "lora": dict(peft="lora", peft_rank=2, keeps_adapter=True),
    "adalora": dict(peft="adalora", peft_rank=2, keeps_adapter=True), "adapter": dict(peft="adapter", peft_rank=4, keeps_adapter=True)}
WAYS_OF = [("t5", "fgm"), ("bart", "freelb"), ("bart", "mlm"), ("deberta-v3", "mlm"), ("qwen3", "checkpointing"), ("t5", "checkpointing"), ("gpt2", "lora"),
           ("albert", "lora"), ("llama", "lora"), ("t5", "lora"), ("gpt2", "adalora"), ("mpnet", "adapter")]
REFUSED = {("mpnet", "checkpointing"): "transformers has none for mpnet", ("gpt2", "adapter"): "use --peft lora", ("gpt2", "mlm"): "no mask token"}

HARD = ("Profit rose 12%!", "利润上升了12%，股价涨停🚀", "e\u0301clair caf\u00e9 CAFÉ", "👩‍👩‍👧‍👦 family", "tab\there\nline\r\nend  two   three ", "ﬁnance ①②③ Ｆｕｌｌ　ｗｉｄｔｈ",
        "नमस्ते مرحبا שלום", "don't re-enter U.S.A. $3.50", " a space before", "a\u200bb\u200dc\ufeffd", "x" * 150)
MARKS = ("[CLS]", "[SEP]", "[PAD]", "[MASK]", "<s>", "</s>", "<pad>", "<mask>", "<unk>", "<|endoftext|>", "<|im_end|>", "<|begin_of_text|>", "<|end_of_text|>")
TEXTS = (*HARD, *(f"results {mark} again {mark}" for mark in MARKS), "good gain rally " * 3, "bad loss " * 30, "好" * 90)


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return cache(lambda family: build_base(family, root / family))


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_equal_autotokenizer(base, family):
    from transformers import AutoTokenizer

    ours, theirs = load_tokenizer(str(base(family))), AutoTokenizer.from_pretrained(base(family))
    encoded = ours.encode(TEXTS)
    assert [ours.frame.single(ids) for ids in encoded] == theirs(list(TEXTS))["input_ids"]
    expected = theirs(list(TEXTS), list(TEXTS[::-1]), return_token_type_ids=True)
    for first, second, ids, types in zip(encoded, encoded[::-1], expected["input_ids"], expected["token_type_ids"]):
        assert ours.frame.pair(first, second) == (ids, types if any(types) else None)
    plain = encoded[: len(HARD)]  # those that hold no special token of their own
    for first, second in zip(plain, plain[::-1]):
        assert ours.frame.unframe(ours.frame.single(first)) == first
        assert ours.frame.unframe_pair(*ours.frame.pair(first, second)) == (first, second)


def records(n: int, is_pair: bool) -> list[dict]:
    generator = np.random.default_rng(3)
    made = []
    for i in range(n):
        is_good = bool(generator.random() < 0.5)
        words = generator.choice(("good gain rally growth relief great" if is_good else "bad loss crash slump default poor").split(), generator.integers(2, 9))
        made.append({"text": " ".join(words), "mood": "good" if is_good else "bad", "rating": 20.0 + 3.0 * is_good} | ({"context": "the year"[: 3 + i % 6]} if is_pair else {}))
    return made


def train(base_folder, output, is_pair: bool = False, **more) -> list[str]:
    """Fine-tune as the command does, two heads of two kinds; return what was told."""
    from doxa.training.examples import Example, LabelledSet
    from doxa.training.finetune import finetune
    from doxa.training.plan import Listener, Plan

    names = ("text", "context") if is_pair else ("text",)
    made = [Example(f"r:{i}", Question(tuple(record[name] for name in names)), (record["mood"], record["rating"])) for i, record in enumerate(records(48, is_pair))]
    told: list[str] = []
    loop = {"num_train_epochs": 2, "per_device_train_batch_size": 8, "seed": 1, "layerwise_lr_decay": 0.9}
    plan = Plan(str(base_folder), str(output), 1e-3, None, "cpu", "fp32", False, **{"loop": loop} | more)
    was = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        finetune(plan, [Head("mood", "label", ("bad", "good")), Head("rating", "number")], LabelledSet(made[:40], fields=TextFields(*names)), LabelledSet(made[40:]), LabelledSet(),
                 Listener(told.append, told.append, lambda progress: None, lambda rows: ""))
    finally:
        torch.use_deterministic_algorithms(was[0], warn_only=was[1])
    return told


def predict(model, engine: str, asked: list[dict]) -> tuple[list[dict], list[str]]:
    predictor, _, reasons = load_predictor(Request(str(model), "cpu", engine, "fp32", with_scores=True))
    outcomes = predictor.predict_window([Record("t", i, b"", record) for i, record in enumerate(asked)])
    assert not any(outcome.error for outcome in outcomes)
    return [outcome.added["prediction"] for outcome in outcomes], reasons


def stock_outputs(model, asked: list[dict], max_length: int) -> list[np.ndarray]:
    """What transformers alone makes of each text, one at a time, as its own tokenizer reads it; None for one that is too long."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    network, info = AutoModelForSequenceClassification.from_pretrained(model, output_loading_info=True)
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    assert network.dtype == torch.float32
    network, tokenizer = network.eval(), AutoTokenizer.from_pretrained(model)
    assert ("token_type_ids" in tokenizer.model_input_names) == (network.config.model_type in WITH_TYPES)
    found = []
    for record in asked:
        inputs = tokenizer(record["text"], record.get("context"), return_tensors="pt")
        with torch.inference_mode():
            found.append(network(**inputs).logits[0].double().numpy() if inputs["input_ids"].shape[1] <= max_length else None)
    batch = [record for record, outputs in zip(asked, found) if outputs is not None][:4]  # and it can pad by itself
    inputs = tokenizer([record["text"] for record in batch], [record["context"] for record in batch] if "context" in asked[0] else None,
                       padding=True, padding_side="right", return_tensors="pt")
    with torch.inference_mode():
        assert np.abs(network(**inputs).logits.numpy() - np.array([outputs for outputs in found if outputs is not None][:4])).max() < 1e-3
    return found


def check(base_folder, output, is_pair: bool) -> None:
    train(base_folder, output, is_pair)
    asked = [{"text": text} | ({"context": TEXTS[-1 - i]} if is_pair else {}) for i, text in enumerate(TEXTS)]
    said, _ = predict(output, "torch", asked)
    table = json.loads((output / "doxa.json").read_text())
    expected = stock_outputs(output, asked, table["reading"]["max_length"])
    assert sum(outputs is not None for outputs in expected) >= (15 if is_pair else 20)
    for prediction, outputs in zip(said, expected):
        if outputs is not None:
            assert list(prediction["mood"]["scores"].values()) == pytest.approx(softmax(outputs[:2] / table["heads"][0]["temperature"]), abs=2e-5)
            assert prediction["rating"]["score"] == pytest.approx(outputs[2], abs=1e-3)
    assert len({prediction["mood"]["score"] for prediction in said}) > len(said) // 2
    converted, reasons = predict(output, "openvino", asked)
    assert any("engine openvino" in reason for reason in reasons)
    for ours, theirs in zip(said, converted):
        assert ours["mood"]["scores"] == pytest.approx(theirs["mood"]["scores"], abs=1e-3) and ours["rating"]["score"] == pytest.approx(theirs["rating"]["score"], abs=5e-2)
        assert ours["mood"]["label"] == theirs["mood"]["label"] or abs(ours["mood"]["score"] - 0.5) < 1e-3


@pytest.mark.parametrize("family", FAMILY)
def test_trains_and_gives_what_stock_gives(base, family, tmp_path):
    check(base(family), tmp_path / "out", is_pair=False)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_pairs_give_what_stock_gives(base, family, tmp_path):
    check(base(family), tmp_path / "out", is_pair=True)


@pytest.mark.slow
@pytest.mark.parametrize("family, way", WAYS_OF)
def test_ways_to_train(base, family, way, tmp_path):
    """With few weights trained, a fresh process has compared the logits, and so it says."""
    train(base(family), tmp_path / "out", **WAYS[way])
    asked = [{"text": text} for text in TEXTS]
    expected = stock_outputs(tmp_path / "out", asked, POSITIONS) if way != "adapter" else []
    for prediction, outputs in zip(predict(tmp_path / "out", "torch", asked)[0], expected):
        assert outputs is None or prediction["rating"]["score"] == pytest.approx(outputs[2], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("family, way", REFUSED)
def test_ways_that_a_family_has_not_are_refused_in_words(base, family, way, tmp_path):
    with pytest.raises(DoxaError, match=REFUSED[family, way]):
        train(base(family), tmp_path / "out", **WAYS[way])
    assert not (tmp_path / "out").exists()


def test_gradients_of_an_encoder_decoder_are_refused_in_words(base, tmp_path):
    from doxa.errors import UsageError
    from doxa.explaining.gradients import load_gradients
    from doxa.model.network import build_network, save_network

    save_network(build_network(str(base("t5")), [Head("mood", "label", ("bad", "good"))]), str(tmp_path), str(base("t5")))
    with pytest.raises(UsageError, match="t5 does not; take --method occlusion"):
        load_gradients(str(tmp_path), "cpu", None, None, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_and_padding(base, family):
    folder = str(base(family))
    config = json.loads((base(family) / "config.json").read_text())
    assert read_max_length(folder) == (512 if family == "mt5" else POSITIONS)
    pad_id = read_pad_id(folder, config)
    assert load_tokenizer(folder).rust.id_to_token(pad_id).lower() in ("[pad]", "<pad>", "<|endoftext|>", "<|end_of_text|>")
    assert config.get("pad_token_id") in (None, pad_id)


def test_padding_is_no_token_that_ends_texts(base, tmp_path):
    """Nor one that the model has no embedding for: the unknown token is left."""
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_file(str(base("llama") / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <|end_of_text|>", special_tokens=[("<|end_of_text|>", 1)])
    tokenizer.add_special_tokens(["<|my_pad|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    config = {"model_type": "llama", "vocab_size": tokenizer.get_vocab_size(), "eos_token_id": [1, 2], "pad_token_id": -1}
    assert read_pad_id(str(tmp_path), config) == tokenizer.token_to_id("<|my_pad|>")
    assert read_pad_id(str(tmp_path), config | {"vocab_size": tokenizer.get_vocab_size() - 1}) == 2
    (tmp_path / "tokenizer_config.json").write_text('{"pad_token": {"content": "<|begin_of_text|>"}}')
    assert read_pad_id(str(tmp_path), config) == 0


@pytest.mark.parametrize("family", ["electra", "albert", "mpnet", "t5", "bart", "gpt2", "llama"])
def test_learning_rates_fall_from_the_heads_to_the_embeddings(base, family):
    from doxa.model.network import build_network

    model = build_network(str(base(family)), [Head("mood", "label", ("bad", "good"))])
    groups = make_optimizer(model, 1.0, 0.0, layerwise_decay=0.5, head_factor=8.0).param_groups
    factor = {id(parameter): group["lr_factor"] for group in groups for parameter in group["params"]}
    by_name = {name: factor[id(parameter)] for name, parameter in model.named_parameters()}
    n_layers = {"albert": 1, "t5": 4, "bart": 4}.get(family, 2)
    assert factor[id(model.get_input_embeddings().weight)] == min(by_name.values()) == 0.5 ** (n_layers + 1)
    assert {value for name, value in by_name.items() if name.startswith(("score", "classif"))} == {8.0}
    assert {0.5 ** (i + 1) for i in range(n_layers)} <= set(by_name.values())
    if family in ("t5", "bart"):
        below, above = ([value for name, value in by_name.items() if part in name and "embed" not in name] for part in (".encoder.", ".decoder."))
        assert max(below) < min(above)


def test_a_class_that_builds_another_tokenizer_is_set_aside(tmp_path):
    """transformers' DeBERTa class would leave full-width letters as they are; the file, which the base was pretrained with, folds them."""
    from tokenizers import Tokenizer, normalizers
    from transformers import AutoTokenizer

    from doxa.model.network import build_network
    from doxa.training.stock_tokenizer import align_stock_tokenizer

    folder = build_base("deberta-v3", tmp_path / "base")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.save(str(folder / "tokenizer.json"))
    text = "Ｔｈｅ　ｂａｎｋ ﬁne"
    assert AutoTokenizer.from_pretrained(folder)(text)["input_ids"] != tokenizer.encode(text).ids
    remarks = align_stock_tokenizer(str(folder), load_tokenizer(str(folder)), build_network(str(folder), [Head("rating", "number")]), [])
    assert len(remarks) == 1 and "DebertaV2Tokenizer reads texts otherwise" in remarks[0]
    stock = AutoTokenizer.from_pretrained(folder)
    assert stock(text)["input_ids"] == tokenizer.encode(text).ids and stock.pad_token == "[PAD]"
    assert stock.model_input_names == ["input_ids", "attention_mask"]  # it has no embeddings for types


def test_what_openvino_cannot_run_goes_to_torch_for_a_stated_reason(tiny_model, tmp_path, monkeypatch):
    import shutil

    import doxa.model.convert as convert

    shutil.copytree(tiny_model, tmp_path / "model", ignore=shutil.ignore_patterns("openvino"))
    monkeypatch.setattr(convert, "MOST_DIFFERENCE", -1.0)  # whatever it computes, it is not equal enough
    said, reasons = predict(tmp_path / "model", "auto", [{"text": "good"}])
    assert said and any(reason.startswith("engine torch: OpenVINO computes other logits for this bert") for reason in reasons)
    with pytest.raises(DoxaError, match="OpenVINO computes other logits for this bert"):
        predict(tmp_path / "model", "openvino", [{"text": "good"}])
