"""finetune and predict of heads that write, at the command line."""

import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from shell import run
from writers import make_writer

from doxa.errors import UsageError
from doxa.inference.loading import Request, load_labeller
from doxa.model.kinds.table import KINDS
from doxa.records.text_fields import TextFields
from doxa.text.question import Question
from doxa.training.examples import LabelledSet
from doxa.training.plan import Plan
from doxa.training.writing import Writing

WORDS = ("loan", "rate", "bank", "fund", "bond", "cash", "debt", "gain")


def write_records(path: Path, records: list[dict]) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def read_records(out: bytes) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> Path:
    """One or two words, to be copied."""
    texts = [*WORDS, *(f"{first} {second}" for first in WORDS for second in WORDS)]
    return write_records(tmp_path_factory.mktemp("copies") / "copies.jsonl", [{"id": i, "text": text, "reply": text} for i, text in enumerate(texts)])


@pytest.fixture(scope="module")
def copier(tmp_path_factory, copies) -> tuple[Path, str]:
    """A model that learnt to copy, and what finetune said."""
    folder = tmp_path_factory.mktemp("copier")
    base = make_writer(folder / "base", "bart", [" ".join(WORDS)] * 2, width=64, spread=0.1)
    done = run("finetune", "--base", base, "--head", "reply:text", "--dev", copies, "--output", folder / "out", "--learning-rate", "5e-3", "--num-train-epochs", 25,
               "--per-device-train-batch-size", 8, "--precision", "fp32", copies)
    assert done.code == 0, done.err
    return folder / "out", done.out.decode() + done.err


def test_a_tiny_base_learns_to_copy(copier, copies):
    model, said = copier
    done = run("predict", "--model", model, "--precision", "fp32", copies)
    assert done.code == 0, done.err
    records = read_records(done.out)
    right = [record["prediction"]["reply"]["text"] == record["reply"] for record in records]
    assert sum(right) >= 0.95 * len(right)
    assert all(record["prediction"]["reply"]["score"] >= 1 for record in records)
    assert "exact match" in said and "rougeL" in said and "perplexity 1." in said and "lead" in said


def test_stock_transformers_writes_the_same(copier, copies):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(copier[0]), AutoTokenizer.from_pretrained(copier[0])
    records = read_records(run("predict", "--model", copier[0], "--precision", "fp32", copies).out)[:12]
    for record in records:
        ids = tokenizer(record["text"], return_tensors="pt", return_token_type_ids=False)
        assert tokenizer.decode(model.generate(**ids)[0], skip_special_tokens=True) == record["prediction"]["reply"]["text"]
    told = json.loads((copier[0] / "generation_config.json").read_text())
    assert tokenizer.convert_ids_to_tokens([told["bos_token_id"], *told["eos_token_id"], told["pad_token_id"]]) == ["<s>", "</s>", "<pad>"]
    table = json.loads((copier[0] / "doxa.json").read_text())
    assert table["heads"][0]["settings"] == {"prompt": "{text}", "max_new_tokens": told["max_new_tokens"]}
    assert table["dev"]["perplexity"]["reply"]["value"] < 2


THREE = ("loan bank", "fund bond", "loan bank")


def write(model: Path, texts=THREE, **settings) -> list[str]:
    """As predict does, in this process."""
    labeller, _ = load_labeller(Request(str(model), device="cpu", precision="fp32", settings=settings))
    return [entry["prediction"]["reply"]["text"] for entry in labeller.label([Question((text,)) for text in texts]).entries]


def test_manners_of_writing(copier):
    plain = write(copier[0])
    assert plain == list(THREE)
    assert write(copier[0], beams=3) == plain
    assert write(copier[0], stop=[" b"]) == ["loan", "fund", "loan"]
    short = write(copier[0], max_new_tokens=2)
    assert all(whole.startswith(text) and text != whole for text, whole in zip(short, plain))
    drawn = write(copier[0], sample=True, temperature=5.0, seed=1)
    assert drawn == write(copier[0], sample=True, temperature=5.0, seed=1) != write(copier[0], sample=True, temperature=5.0, seed=2)
    assert drawn[0] == drawn[2] != "loan bank"
    assert write(copier[0], sample=True, temperature=5.0, seed=1, top_p=0.01) == plain


def test_flags_say_the_manner_and_a_text_met_again_is_answered_from_memory(copier):
    lines = "".join(json.dumps({"text": text}) + "\n" for text in THREE).encode()
    done = run("predict", "--model", copier[0], "--precision", "fp32", "-v", "--sample", "--temperature", 4, "--top-p", 0.95, "--seed", 9, "--max-new-tokens", 5,
               "--stop", "x", "--stop", "q", stdin=lines)
    assert done.code == 0, done.err
    expected = write(copier[0], sample=True, temperature=4.0, top_p=0.95, seed=9, max_new_tokens=5, stop=["x", "q"])
    assert [record["prediction"]["reply"]["text"] for record in read_records(done.out)] == expected
    assert "1 of 3 windows had been computed before" in done.err
    assert "engine torch: it writes token by token" in done.err


@pytest.mark.slow
def test_workers_and_resume_write_the_same(copier, copies, tmp_path):
    alone = run("predict", "--model", copier[0], "--precision", "fp32", copies)
    done = run("predict", "--model", copier[0], "--precision", "fp32", "--workers", 2, copies)
    assert (done.code, done.out) == (0, alone.out)
    output, partial = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    command = ("predict", "--model", copier[0], "--precision", "fp32", "--resume", "--output", output)
    assert run(*command, "--max-errors", 0, stdin=b'{"text": 3}\n').code == 1
    partial.write_bytes(b"".join(alone.out.splitlines(keepends=True)[:40]))
    refused = run(*command, "--beams", 2, copies)
    assert refused.code == 1 and "other flags" in refused.err
    done = run(*command, copies)
    assert done.code == 0 and "going on after 40 records" in done.err
    assert output.read_bytes() == alone.out


def test_other_models_do_not_write(tiny_model):
    done = run("predict", "--model", tiny_model, "--max-new-tokens", 5, stdin=b'{"text": "a"}\n')
    assert done.code == 2 and "--max-new-tokens is for heads of text" in done.err and "has one of label" in done.err


@pytest.mark.parametrize("flags, message", [
    (("--temperature", "2"), "--temperature goes with --sample"), (("--top-p", "0.5"), "--top-p goes with --sample"),
    (("--seed", "5"), "--seed goes with --sample"), (("--sample", "--beams", "2"), "do not go together"), (("--stop", ""), "not empty"),
    (("--engine", "openvino"), "run by torch"), (("--precision", "int8"), "run by torch")])
def test_flags_that_do_not_go_together(copier, flags, message):
    done = run("predict", "--model", copier[0], *flags, stdin=b'{"text": "a"}\n')
    assert done.code == 2 and message in done.err


@pytest.mark.parametrize("policy", ["windows", "head", "error"])
def test_long_texts(copier, policy):
    labeller, _ = load_labeller(Request(str(copier[0]), device="cpu", long_policy=policy))
    [entry] = labeller.label([Question((" ".join(WORDS * 40),))]).entries
    if policy == "error":
        assert entry.code == "too_long_text"
    else:
        assert entry["truncated"] is True and entry["n_tokens"] > 128 and entry["prediction"]["reply"]["text"]


@pytest.mark.slow
def test_a_decoder_learns_by_its_chat_template(tmp_path, copies):
    """With lora, the embeddings, which are the outputs as well, stay those of the base; several gold texts are all learnt."""
    from safetensors.torch import load_file

    base = make_writer(tmp_path / "base", "qwen2", [" ".join(WORDS)] * 2, width=64, spread=0.1)
    records = [{"text": text, "reply": [text.upper(), text]} for text in WORDS[:6]]
    train = write_records(tmp_path / "train.jsonl", records)
    done = run("finetune", "--base", base, "--head", "reply:text", "--dev", train, "--output", tmp_path / "out", "--peft", "lora", "--gradient-checkpointing",
               "--label-smoothing-factor", 0.1, "--num-train-epochs", 2, "--learning-rate", "1e-2", train)
    assert done.code == 0, done.err
    assert "gives the same logits" in done.out.decode()
    before, after = (load_file(path / "model.safetensors") for path in (base, tmp_path / "out"))
    assert before.keys() == after.keys()
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved and all("_proj.weight" in name for name in moved)
    settings = json.loads((tmp_path / "out" / "doxa.json").read_text())["heads"][0]["settings"]
    assert settings["prompt"] == "<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    [record] = read_records(run("predict", "--model", tmp_path / "out", stdin=b'{"text": "loan"}\n').out)
    assert record["n_tokens"] > 8 and isinstance(record["prediction"]["reply"]["text"], str)
    foreign = run("predict", "--model", base, "--head", "reply", "--max-new-tokens", 4, stdin=b'{"text": "loan"}\n')
    assert foreign.code == 0 and "was not written by doxa" in foreign.err
    assert read_records(foreign.out)[0]["n_tokens"] == record["n_tokens"]


@pytest.mark.parametrize("flags, message", [
    (("--head", "reply:text", "--prompt", "say"), "it stands once"), (("--head", "reply:label", "--prompt", "{text}?"), "--prompt is for heads of text"),
    (("--head", "reply:text", "--head", "id:number"), "shares its model with no other head")])
def test_requests_that_make_no_sense(tmp_path, copies, flags, message):
    done = run("finetune", *flags, "--base", "scratch", "--output", tmp_path / "out", copies)
    assert done.code == 2 and message in done.err


@pytest.mark.slow
def test_flags_that_heads_of_text_have_no_use_for(tmp_path, copies):
    done = run("finetune", "--head", "reply:text", "--adversarial", "fgm", "--base", "scratch", "--output", tmp_path / "out", copies)
    assert done.code == 2 and "--adversarial is for encoders" in done.err


@pytest.mark.parametrize("given, message", [
    ({"focal_gamma": 2.0}, "--focal-gamma is for heads of label"), ({"class_weights": "balanced"}, "--class-weights is for heads of label"),
    ({"head_start": "mlm"}, "--head-start is for encoders"), ({"n_rounds": 1}, "--self-training-rounds is for heads of label")])
def test_plans_that_heads_of_text_have_no_use_for(given, message):
    with pytest.raises(UsageError, match=message):
        Writing.check(SimpleNamespace(kind=KINDS["text"], train=LabelledSet()), Plan("scratch", "out", **given))


def test_a_second_text_is_refused():
    with pytest.raises(UsageError, match="reads one text"):
        Writing.check(SimpleNamespace(kind=KINDS["text"], train=LabelledSet(fields=TextFields("a", "b"))), Plan("scratch", "out"))


@pytest.mark.slow
def test_from_nothing_it_learns_to_turn_texts_round(tmp_path):
    generator = random.Random(1)

    def make(n: int) -> list[dict]:
        texts = [[generator.choice("0123456789abcdefghij") for _ in range(generator.randint(5, 8))] for _ in range(n)]
        return [{"text": " ".join(text), "reply": " ".join(reversed(text))} for text in texts]

    train, dev, test = (write_records(tmp_path / f"{name}.jsonl", make(n)) for name, n in (("train", 3000), ("dev", 200), ("test", 500)))
    done = run("finetune", "--base", "scratch", "--head", "reply:text", "--dev", dev, "--drop-leaks", "--num-train-epochs", 4, "--output", tmp_path / "out", train,
               timeout=900)
    assert done.code == 0, done.err
    records = read_records(run("predict", "--model", tmp_path / "out", test).out)
    known = {record["text"] for record in read_records(train.read_bytes())}
    held_out = [record for record in records if record["text"] not in known]
    assert len(held_out) > 450
    assert sum(record["prediction"]["reply"]["text"] == record["reply"] for record in held_out) > 0.99 * len(held_out)
