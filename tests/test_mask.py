"""Heads of kind mask: figures against stock transformers, blanks, training, engines."""

import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

from conftest import TEXTS
from doxa.inference.loading import Request, load_labeller
from doxa.model.kinds.mask import MASKED
from doxa.model.network import load_network, save_network
from doxa.text.question import Question
from doxa.training.adaptation import _Bottleneck
from masked_bases import make_bert, make_roberta
from shell import run

BLANKS = ("The bank [MASK] aside more [MASK] for loans.", "公司第三季度利润[MASK]比增长", "<mask> rose twelve percent")


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return make_bert(tmp_path_factory.mktemp("bases") / "bert")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory) -> Path:
    return make_roberta(tmp_path_factory.mktemp("bases") / "roberta")


def lines(texts) -> bytes:
    return b"".join(json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n" for text in texts)


def ask(model: Path, texts, engine: str = "torch", **settings) -> list[dict]:
    """What predict adds to records of these texts."""
    labeller, _ = load_labeller(Request(str(model), device="cpu", engine=engine, precision="fp32", n_cores=2, head_name=None, **settings))
    return labeller.label([Question((text,)) for text in texts]).entries


def entries(model: Path, texts, engine: str = "torch", **settings) -> list[dict]:
    """Their only head's entries."""
    return [next(iter(added["prediction"].values())) for added in ask(model, texts, engine, **settings)]


def naive_likelihood(model, tokenizer, text: str) -> tuple[float, int]:
    """Each token masked in a pass of its own."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    total, n = 0.0, 0
    for place in range(1, ids.shape[1] - 1):
        shown = ids.clone()
        shown[0, place] = tokenizer.mask_token_id
        with torch.inference_mode():
            scores = model(input_ids=shown).logits[0, place].log_softmax(dim=0)
        if ids[0, place] != tokenizer.mask_token_id:
            total, n = total + scores[ids[0, place]].item(), n + 1
    return total, n


@pytest.mark.parametrize("base", ["bert", "roberta"])
def test_the_likelihood_equals_a_loop_over_all_positions(base, request):
    directory = request.getfixturevalue(base)
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(directory).eval(), AutoTokenizer.from_pretrained(directory)
    texts = [TEXTS[0], TEXTS[8], "Profit [MASK] twelve".replace("[MASK]", tokenizer.mask_token)]
    for text, entry in zip(texts, entries(directory, texts)):
        total, n = naive_likelihood(model, tokenizer, text)
        assert entry["n_tokens"] == n and entry["log_likelihood"] == pytest.approx(total, abs=1e-4)
        assert entry["perplexity"] == pytest.approx(math.exp(-total / n), rel=1e-5)
        assert ("fills" in entry) == (tokenizer.mask_token in text)


@pytest.mark.parametrize("base", ["bert", "roberta"])
def test_blanks_are_filled_as_the_pipeline_fills_them(base, request):
    directory = request.getfixturevalue(base)
    fill = pipeline("fill-mask", str(directory), device="cpu")
    texts = [text for text in BLANKS if "[MASK]" in text]
    for text, entry in zip(texts, entries(directory, texts)):
        fills = entry["fills"]
        assert [text[fill["start"] : fill["end"]] for fill in fills] == ["[MASK]"] * text.count("[MASK]")
        expected = fill(text.replace("[MASK]", fill.tokenizer.mask_token))
        for found, wanted in zip(fills, expected if isinstance(expected[0], list) else [expected], strict=True):
            assert [candidate["text"] for candidate in found["candidates"]] == [each["token_str"] for each in wanted]
            assert [candidate["score"] for candidate in found["candidates"]] == pytest.approx([each["score"] for each in wanted], abs=2e-6)


def test_a_mask_is_one_by_the_tokenizers_own_name_or_by_that_of_bert(bert, roberta):
    assert "fills" not in entries(bert, BLANKS[2:])[0]
    own, other = entries(roberta, [BLANKS[2], "[MASK] rose twelve percent"])
    assert own == other and own["fills"][0]["start"] == 0


def test_a_text_of_a_blank_alone_has_no_perplexity(bert):
    entry = entries(bert, ["[MASK]"])[0]
    assert (entry["perplexity"], entry["log_likelihood"], entry["n_tokens"]) == (None, 0.0, 0) and len(entry["fills"][0]["candidates"]) == 5


def test_a_long_text_counts_every_token_once(bert):
    text = " ".join(TEXTS[:8])
    tokenizer = AutoTokenizer.from_pretrained(bert)
    n = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert n > 64
    assert entries(bert, [text])[0]["n_tokens"] == n
    (added,) = ask(bert, [text], long_policy="head")
    assert added["truncated"] is True and added["prediction"]["label"]["n_tokens"] == 62


def test_windows_of_the_same_tokens_ask_for_different_ones(bert):
    entry = entries(bert, ["bank " * 150])[0]
    assert entry["n_tokens"] == 150 * len(AutoTokenizer.from_pretrained(bert)("bank", add_special_tokens=False)["input_ids"])


def test_engines_and_batches_agree(bert):
    texts = [*TEXTS, *BLANKS, " ".join(TEXTS[:8])]
    plain = entries(bert, texts)
    for found in (entries(bert, texts, "openvino"), entries(bert, texts, batch_tokens=64), [entries(bert, [text])[0] for text in texts[-3:]]):
        for one, other in zip(plain[-len(found):], found, strict=True):
            assert other["log_likelihood"] == pytest.approx(one["log_likelihood"], abs=2e-4)
            assert [[c["text"] for c in fill["candidates"]] for fill in other.get("fills", [])] == [
                [c["text"] for c in fill["candidates"]] for fill in one.get("fills", [])]


@pytest.mark.slow
def test_the_command_writes_the_same_to_json_lines_and_parquet(bert, tmp_path):
    flags = ("--model", bert, "--head", "words", "--engine", "torch", "--precision", "fp32", "-q")
    plain = run("predict", *flags, stdin=lines(BLANKS))
    done = run("predict", *flags, "-o", tmp_path / "out.parquet", stdin=lines(BLANKS))
    assert (plain.code, done.code) == (0, 0), plain.err + done.err
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    for row, line, entry in zip(rows, plain.lines, entries(bert, BLANKS), strict=True):
        assert json.loads(line)["prediction"] == {"words": entry}
        assert {key: value for key, value in row["prediction"]["words"].items() if value is not None} == entry


@pytest.fixture(scope="module")
def trained(bert, tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.jsonl").write_bytes(lines(TEXTS * 4))
    (folder / "dev.jsonl").write_bytes(lines(TEXTS[::3]))
    done = run("finetune", "--base", bert, "--head", "text:mask", "--dev", folder / "dev.jsonl", "-o", folder / "out", "--num-train-epochs", 6,
               "--learning-rate", 2e-3, "--device", "cpu", "--precision", "fp32", folder / "train.jsonl")
    assert done.code == 0, done.err
    return folder / "out", done.err + done.out.decode()


def test_training_lowers_perplexity_and_the_directory_is_stock(trained, bert):
    output, said = trained
    assert "unigram" in said and "perplexity" in said
    before, after = (entries(model, TEXTS) for model in (bert, output))
    assert sum(entry["log_likelihood"] for entry in after) > sum(entry["log_likelihood"] for entry in before) + 50
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(output).eval(), AutoTokenizer.from_pretrained(output)
    assert after[0]["log_likelihood"] == pytest.approx(naive_likelihood(model, tokenizer, TEXTS[0])[0], abs=1e-4)


def test_the_dev_figure_is_that_of_predict(trained):
    output, _ = trained
    figures = json.loads((output / "doxa.json").read_text())["dev"]["heads"][0]
    said = entries(output, TEXTS[::3])
    expected = math.exp(-sum(entry["log_likelihood"] for entry in said) / sum(entry["n_tokens"] for entry in said))
    assert figures["scores"]["model"]["perplexity"]["value"] == pytest.approx(expected, rel=1e-4) and figures["lower_is_better"]


@pytest.mark.slow
def test_a_head_start_of_the_same_kind_is_refused(bert, tmp_path):
    done = run("finetune", "--base", bert, "--head", "text:mask", "--head-start", "mlm", "-o", tmp_path / "out", stdin=lines(TEXTS * 2))
    assert done.code == 2 and "--head-start mlm" in done.err


def test_adapters_in_a_model_of_shared_weights_survive_the_disk(bert, tmp_path):
    model = AutoModelForMaskedLM.from_pretrained(bert).eval()
    _Bottleneck(model, 4, [])
    for parameter in model.parameters():
        parameter.data.add_(0.01)
    save_network(model, str(tmp_path), None)
    ids = torch.tensor([[2, 20, 21, 3]])
    with torch.inference_mode():
        assert torch.equal(load_network(str(tmp_path), stock=MASKED)(ids).logits, model(ids).logits)
