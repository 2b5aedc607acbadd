"""What others do with the same input; prints rows/s of the loop alone. Usage: peers.py NAME MODEL TEXTS."""

import json
import sys
import time


def main(name: str, model: str, path: str) -> float:
    if name.startswith("duckdb"):
        return count_with_duckdb(path)
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    run = classify_with_pipeline if name.startswith("pipeline") else encode_with_sentence_transformers
    return run(name.rpartition("-")[2], model, texts)


def classify_with_pipeline(batch_size: str, model: str, texts: list[str]) -> float:
    from transformers import pipeline

    classify = pipeline("text-classification", model=model, device="cpu")
    classify(texts[:32], batch_size=int(batch_size), truncation=True)
    started_s = time.monotonic()
    n = len(classify(texts, batch_size=int(batch_size), truncation=True))
    return n / (time.monotonic() - started_s)


def encode_with_sentence_transformers(precision: str, model: str, texts: list[str]) -> float:
    import torch
    from sentence_transformers import SentenceTransformer, models

    encoder = models.Transformer(model)
    sentences = SentenceTransformer(modules=[encoder, models.Pooling(encoder.get_word_embedding_dimension())], device="cpu")
    if precision == "bf16":
        sentences = sentences.to(torch.bfloat16)
    sentences.encode(texts[:32], convert_to_numpy=False)
    started_s = time.monotonic()
    sentences.encode(texts, convert_to_numpy=False, show_progress_bar=False)
    return len(texts) / (time.monotonic() - started_s)


def count_with_duckdb(path: str) -> float:
    import duckdb

    started_s = time.monotonic()
    query = f"""select prediction.topic.label, timestamp::date, prediction.sentiment.label, count(*)
        from read_json('{path}', format='newline_delimited') group by all"""
    total = sum(row[-1] for row in duckdb.connect().execute(query).fetchall())
    return total / (time.monotonic() - started_s)


if __name__ == "__main__":
    print(main(*sys.argv[1:4]))
