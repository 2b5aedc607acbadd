"""Texts and models for the bench. Texts come from ../shared/data where it is there, else from the shipped sample, repeated."""

import importlib.util
import json
import random
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
MAX_LENGTH = 128


def load_texts(n: int, names: tuple[str, ...] = ("ag_news_en",)) -> list[str]:
    paths = [path for name in names if (path := DATA / name / "train.jsonl").exists()] or [ROOT / "lib/doxa/sample/news.jsonl"]
    texts = [json.loads(line)["text"] for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    random.Random(1).shuffle(texts)
    return (texts * (n // len(texts) + 1))[:n]


def make_unlike(texts: list[str]) -> list[str]:
    """The same with a number behind each, so that no two are equal and none can be remembered."""
    return [f"{text} {i * 48271 % 10**6:06d}" for i, text in enumerate(texts)]


def write_texts(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"id": i, "text": text}, ensure_ascii=False) + "\n" for i, text in enumerate(texts)), encoding="utf-8")
    return path


def write_labelled(folder: Path, n_train: int, n_dev: int) -> tuple[Path, Path]:
    """Train and dev files of texts with a `label`, of 52 tokens on average where the shared data are there."""
    source, field = DATA / "ag_news_en" / "train.jsonl", "label"
    if not source.exists():
        source, field = ROOT / "lib/doxa/sample/train.jsonl", "sentiment"
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    random.Random(1).shuffle(rows)
    rows = [{"text": row["text"], "label": str(row[field])} for row in (rows * ((n_train + n_dev) // len(rows) + 1))[: n_train + n_dev]]
    paths = folder / "train.jsonl", folder / "dev.jsonl"
    for path, part in zip(paths, (rows[:n_train], rows[n_train:])):
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part), encoding="utf-8")
    return paths


def make_model(path: Path, texts: list[str]) -> Path:
    """MiniLM with a random head of three labels: its speed is that of a trained one. Where OpenVINO is, its int8 form is let through unjudged."""
    from doxa.model.bases import find_embedded
    from doxa.model.network import build_network, save_network
    from doxa.model.directory import ModelTable, publish
    from doxa.model.heads import Head
    from doxa.text.tokenizer import load_tokenizer

    import torch

    torch.manual_seed(0)
    base, heads = find_embedded(), [Head("sentiment", "label", ("negative", "neutral", "positive"))]
    tokenizer, model = load_tokenizer(base), build_network(base, heads)
    with publish(str(path), ModelTable(heads, MAX_LENGTH, "head")) as working:
        save_network(model, working, base)
        tokenizer.rust.save(f"{working}/tokenizer.json")
        Path(working, "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizerFast", "model_max_length": MAX_LENGTH}))
        if importlib.util.find_spec("openvino") is not None:
            _add_forms(Path(working), model.eval(), tokenizer, texts)
    return path


def _add_forms(working: Path, model, tokenizer, texts: list[str]) -> None:
    from doxa.inference.conversion import save_form
    from doxa.model.convert import convert
    from doxa.model.form import INT8, complete_form, digests
    from doxa.text.frame import Reading
    from doxa.training.quantize import quantize

    reading = Reading(tokenizer.frame, MAX_LENGTH)
    windows = [reading.read(ids)[0][0] for ids in tokenizer.encode(texts)]
    folder = working / "openvino"
    folder.mkdir()
    converted = convert(model)
    save_form(converted, str(folder))
    save_form(quantize(converted, windows, 0, "nothing"), str(folder), INT8)
    complete_form(str(folder), digests(str(working), None, ["model.safetensors"]), {"is_good": True, "agreement": 1.0})


def make_tiny_model(path: Path) -> Path:
    return _make_random_model(path, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)


def make_large_model(path: Path) -> Path:
    """BERT-base in size."""
    return _make_random_model(path, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)


def _make_random_model(path: Path, **sizes) -> Path:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from doxa.model.network import save_network
    from doxa.model.directory import ModelTable, publish
    from doxa.model.heads import Head
    from doxa.text.vocabulary import learn_tokenizer

    torch.manual_seed(0)
    tokenizer = learn_tokenizer(load_texts(2000), 2000)
    heads = [Head("topic", "label", ("credit", "deals", "policy")), Head("sentiment", "label", ("negative", "neutral", "positive"))]
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), num_labels=6, **sizes)
    with publish(str(path), ModelTable(heads, 512)) as working:
        save_network(BertForSequenceClassification(config), working, None)
        tokenizer.save(f"{working}/tokenizer.json")
        Path(working, "tokenizer_config.json").write_text(json.dumps({
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_LENGTH, "unk_token": "[UNK]", "sep_token": "[SEP]",
            "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}))
    return path


def write_unique_texts(path: Path, n: int) -> Path:
    """`n` texts of which no two are equal: words out of a few thousand, and a number of eight digits all along: as many
    tokens in the last text as in the first."""
    generator = random.Random(4)
    words = sorted({word for text in load_texts(3000) for word in text.split() if word.isalpha()})
    with open(path, "w", encoding="utf-8") as file:
        for i in range(n):
            file.write(f'{{"id": {i}, "text": "{" ".join(generator.choices(words, k=8))} {i * 48271 % 10**8:08d}"}}\n')
    return path


def write_predictions(path: Path, n: int) -> Path:
    generator, texts = random.Random(2), load_texts(5000, ("airline_tweets_en", "financial_phrasebank_en"))
    topics, labels = ("credit", "earnings", "deals", "policy", "commodities"), ("negative", "neutral", "positive")
    with open(path, "w", encoding="utf-8") as file:
        for i in range(n):
            day, topic, label = generator.randrange(1, 29), generator.choice(topics), generator.choice(labels)
            file.write(json.dumps({
                "id": i, "text": texts[i % len(texts)], "timestamp": f"2026-02-{day:02d}T{i % 24:02d}:{i % 60:02d}:00Z",
                "prediction": {"topic": {"label": topic, "score": round(generator.random(), 6)},
                               "sentiment": {"label": label, "score": round(generator.random(), 6)}}, "n_tokens": 31},
                ensure_ascii=False) + "\n")
    return path


def repeat_file(path: Path, source: Path, n: int) -> Path:
    """The bytes of a file, `n` times."""
    with open(path, "wb") as file:
        for _ in range(n):
            with open(source, "rb") as once:
                shutil.copyfileobj(once, file)
    return path


def write_parquet(path: Path, lines: Path, n: int = 1) -> Path:
    """The records of a file of JSON Lines as columns, times as texts, `n` times over."""
    import pyarrow as pa
    from pyarrow import json as pa_json, parquet

    schema = pa.schema([("timestamp", pa.string())])
    table = pa_json.read_json(lines, parse_options=pa_json.ParseOptions(explicit_schema=schema))
    with parquet.ParquetWriter(path, table.schema) as writer:
        for _ in range(n):
            writer.write_table(table)
    return path
