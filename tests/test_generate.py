"""finetune and predict of heads that write, at the command line."""

import json
import random
from pathlib import Path

import pytest
from shell import run
from writers import make_writer

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
    assert "exact_match" in said and "rougeL" in said and "perplexity 1." in said and "lead" in said


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


def test_flags_of_generation(copier):
    lines = b'{"text": "loan bank"}\n{"text": "fund bond"}\n{"text": "loan bank"}\n'

    def predict(*flags) -> list[str]:
        done = run("predict", "--model", copier[0], "--precision", "fp32", *flags, stdin=lines)
        assert done.code == 0, done.err
        return [record["prediction"]["reply"]["text"] for record in read_records(done.out)]

    plain = predict()
    assert plain == ["loan bank", "fund bond", "loan bank"]
    assert predict("--beams", 3) == plain
    assert predict("--stop", " b") == ["loan", "fund", "loan"]
    assert all(len(text) < len(whole) for text, whole in zip(predict("--max-new-tokens", 3), plain))
    drawn = predict("--sample", "--temperature", 5, "--seed", 1)
    assert drawn == predict("--sample", "--temperature", 5, "--seed", 1) != predict("--sample", "--temperature", 5, "--seed", 2)
    assert drawn[0] == drawn[2] != "loan bank"


def test_a_text_met_again_is_answered_from_memory(copier):
    done = run("predict", "--model", copier[0], "-v", stdin=b'{"text": "loan bank"}\n{"text": "fund bond"}\n{"text": "loan bank"}\n')
    assert "1 of 3 windows had been computed before" in done.err
    assert "engine torch: it writes token by token" in done.err


def test_workers_and_resume_write_the_same(copier, copies, tmp_path):
    output = tmp_path / "out.jsonl"
    alone = run("predict", "--model", copier[0], "--precision", "fp32", copies)
    done = run("predict", "--model", copier[0], "--precision", "fp32", "--workers", 2, copies)
    assert (done.code, done.out) == (0, alone.out)
    stopped = run("predict", "--model", copier[0], "--precision", "fp32", "--resume", "--max-errors", 0, "--output", output,
                  stdin=copies.read_bytes()[:2000].rsplit(b"\n", 1)[0] + b'\n{"text": 3}\n')
    assert stopped.code == 1 and Path(f"{output}.partial").exists()
    first = Path(f"{output}.partial").read_bytes().splitlines()
    (tmp_path / "two.jsonl").write_bytes(copies.read_bytes())
    done = run("predict", "--model", copier[0], "--precision", "fp32", "--resume", "--output", output, "--beams", 2, tmp_path / "two.jsonl")
    assert done.code != 0 and first, "what was written in another manner does not go on"


@pytest.mark.parametrize("flags, message", [
    (("--beams", "2"), "--beams is for heads of text"), (("--sample",), "--sample is for heads of text"), (("--stop", "x"), "--stop is for heads of text"),
    (("--max-new-tokens", "5"), "--max-new-tokens is for heads of text")])
def test_other_models_do_not_write(tiny_model, flags, message):
    done = run("predict", "--model", tiny_model, *flags, stdin=b'{"text": "a"}\n')
    assert done.code == 2 and message in done.err and "has one of label" in done.err


@pytest.mark.parametrize("flags, message", [
    (("--temperature", "2"), "--temperature goes with --sample"), (("--top-p", "0.5"), "--top-p goes with --sample"),
    (("--seed", "5"), "--seed goes with --sample"), (("--sample", "--beams", "2"), "do not go together"), (("--stop", ""), "not empty"),
    (("--engine", "openvino"), "run by torch"), (("--precision", "int8"), "run by torch")])
def test_flags_that_do_not_go_together(copier, flags, message):
    done = run("predict", "--model", copier[0], *flags, stdin=b'{"text": "a"}\n')
    assert done.code == 2 and message in done.err


def test_long_texts(copier):
    line = json.dumps({"text": " ".join(WORDS * 40)}).encode() + b"\n"
    [record] = read_records(run("predict", "--model", copier[0], stdin=line).out)
    assert record["truncated"] is True and record["n_tokens"] > 128 and record["prediction"]["reply"]["text"]
    done = run("predict", "--model", copier[0], "--long", "error", stdin=line)
    assert read_records(done.out)[0]["error"]["code"] == "too_long_text"


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


@pytest.mark.parametrize("flags, message", [
    (("--focal-gamma", 2), "--focal-gamma is for heads of label"), (("--adversarial", "fgm"), "--adversarial is for encoders"),
    (("--head-start", "mlm"), "--head-start is for encoders")])
def test_flags_that_heads_of_text_have_no_use_for(tmp_path, copies, flags, message):
    done = run("finetune", "--head", "reply:text", *flags, "--base", "scratch", "--output", tmp_path / "out", copies)
    assert done.code == 2 and message in done.err


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
