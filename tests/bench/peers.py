"""What others do with the same input; prints rows/s of the loop alone, or FLOP/s. Usage: peers.py NAME MODEL TEXTS."""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))

from inputs import MAX_LENGTH

DEVICE = os.environ.get("BENCH_DEVICE", "cpu")
N_RUNS = 3  # the best counts, as for doxa


def best(run, n: int) -> float:
    rates = []
    for _ in range(N_RUNS):
        started_s = time.perf_counter()
        run()
        rates.append(n / (time.perf_counter() - started_s))
    return max(rates)


def read_texts(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def classify_with_pipeline(batch_size: str, model: str, path: str) -> float:
    from transformers import pipeline

    texts = read_texts(path)
    classify = pipeline("text-classification", model=model, device=DEVICE)
    classify(texts[:32], batch_size=int(batch_size), truncation=True, max_length=MAX_LENGTH)
    started_s = time.perf_counter()
    classify(texts, batch_size=int(batch_size), truncation=True, max_length=MAX_LENGTH)
    return len(texts) / (time.perf_counter() - started_s)


def encode_with_sentence_transformers(precision: str, model: str, path: str) -> float:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    texts = read_texts(path)
    encoder = modules.Transformer(model, max_seq_length=MAX_LENGTH)
    sentences = SentenceTransformer(modules=[encoder, modules.Pooling(encoder.get_embedding_dimension())], device=DEVICE)
    if precision == "bf16":
        sentences = sentences.to(torch.bfloat16)
    sentences.encode(texts[:32], convert_to_numpy=False)
    started_s = time.perf_counter()
    sentences.encode(texts, convert_to_numpy=False, show_progress_bar=False)
    return len(texts) / (time.perf_counter() - started_s)


def sorted_batches(model: str, path: str) -> list[dict]:
    """Our own batches, laid out: the peers that follow are timed on nothing but their engine."""
    from doxa.inference.engine import pad
    from doxa.text.batching import padded_length, plan_batches
    from doxa.text.frame import Reading
    from doxa.text.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(model)
    reading = Reading(tokenizer.frame, MAX_LENGTH, "head")
    windows = [reading.read(ids)[0][0] for ids in tokenizer.encode(read_texts(path))]
    plan = plan_batches([padded_length(len(window.ids), MAX_LENGTH) for window in windows], 1024)
    return [pad([windows[i] for i in batch], 0, MAX_LENGTH) for batch in plan]


def run_openvino(precision: str, model: str, path: str) -> float:
    """The stock model converted as OpenVINO's guide does it, at its better number of streams."""
    import openvino
    import torch
    from transformers import AutoModelForSequenceClassification

    batches = sorted_batches(model, path)
    example = {name: torch.from_numpy(array[:2]) for name, array in batches[0].items()}
    converted = openvino.convert_model(AutoModelForSequenceClassification.from_pretrained(model).eval(), example_input=example)
    names = list(example)
    if precision == "int8":
        import nncf

        data = nncf.Dataset(batches[:: max(1, len(batches) // 60)], lambda batch: [batch[name] for name in names])
        converted = nncf.quantize(converted, data, model_type=nncf.ModelType.TRANSFORMER)
    n = sum(len(batch["input_ids"]) for batch in batches)
    rates = []
    for n_streams in (1, os.cpu_count() or 1):
        compiled = openvino.Core().compile_model(converted, "CPU", {
            "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16", "NUM_STREAMS": str(n_streams)})
        queue = openvino.AsyncInferQueue(compiled, n_streams)

        def run() -> None:
            for batch in batches:
                queue.start_async([batch[name] for name in names])
            queue.wait_all()

        rates.append(best(run, n))
    return max(rates)


def run_onnxruntime(precision: str, model: str, path: str) -> float:
    import tempfile

    import onnxruntime
    import torch
    from onnxruntime.quantization import quantize_dynamic
    from transformers import AutoModelForSequenceClassification

    batches = sorted_batches(model, path)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    stock = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager").eval()
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.onnx"
        torch.onnx.export(stock, tuple(torch.from_numpy(batches[0][name][:2]) for name in names), file, input_names=names, dynamo=False,
                          dynamic_axes={name: {0: "batch", 1: "length"} for name in names}, opset_version=17)
        if precision == "int8":
            quantize_dynamic(file, f"{folder}/int8.onnx")
            file = f"{folder}/int8.onnx"
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    wanted = [entry.name for entry in session.get_inputs()]
    n = sum(len(batch["input_ids"]) for batch in batches)
    return best(lambda: [session.run(None, {name: batch[name] for name in wanted}) for batch in batches], n)


def gemm_rate(precision: str, *_) -> float:
    """FLOP/s of square products of torch, all cores: what the hardware gives to whoever asks well."""
    import torch

    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    rates = []
    for size in (1024, 2048, 4096):
        first, second = torch.randn(size, size).to(kind), torch.randn(size, size).to(kind)
        first @ second
        rates.append(best(lambda: [first @ second for _ in range(max(1, (4096 // size) ** 3 // 4))], 2 * size**3 * max(1, (4096 // size) ** 3 // 4)))
    return max(rates)


def count_flops(_: str, model: str, path: str) -> float:
    """FLOP a text on average, real tokens only: F(n) = L(24 d^2 n + 4 d n^2) + 2 d^2 + 2 d C."""
    config = json.loads(Path(model, "config.json").read_text())
    layers, width, n_labels = config["num_hidden_layers"], config["hidden_size"], len(config["id2label"])
    lengths = [int(n) for batch in sorted_batches(model, path) for n in batch["attention_mask"].sum(axis=1)]
    return sum(layers * (24 * width**2 * n + 4 * width * n**2) + 2 * width**2 + 2 * width * n_labels for n in lengths) / len(lengths)


def count_tokens(_: str, model: str, path: str) -> float:
    lengths = [int(n) for batch in sorted_batches(model, path) for n in batch["attention_mask"].sum(axis=1)]
    return sum(lengths) / len(lengths)


def count_with_duckdb(_: str, model: str, path: str) -> float:
    import duckdb

    n = duckdb.connect().execute(f"select count(*) from {_duckdb_table(path)}").fetchall()[0][0]
    return best(lambda: duckdb.connect().execute(_duckdb_counts(path)).fetchall(), n)


def count_with_duckdb_once(_: str, model: str, path: str) -> float:
    import duckdb

    duckdb.connect().execute(_duckdb_counts(path)).fetchall()
    return 0.0


def _duckdb_counts(path: str) -> str:
    return f"""select prediction.topic.label, timestamp::date, prediction.sentiment.label, count(*) from {_duckdb_table(path)} group by all"""


def _duckdb_table(path: str) -> str:
    return f"read_json('{path}', format='newline_delimited')" if path.endswith(".jsonl") else f"read_parquet('{path}')"


def call_pipeline_once(_: str, model: str, path: str) -> float:
    from transformers import pipeline

    pipeline("text-classification", model=model, device="cpu")(read_texts(path)[:1])
    return 0.0


def call_openvino_once(_: str, model: str, path: str) -> float:
    """The least that a script needs: tokenizers and OpenVINO on a saved model, its model cache on."""
    import numpy as np
    import openvino
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(f"{model}/tokenizer.json").encode(read_texts(path)[0]).ids[:MAX_LENGTH]
    core = openvino.Core()
    core.set_property({"CACHE_DIR": f"{Path(path).parent}/cache"})
    array = np.array([ids], np.int64)
    core.compile_model(f"{model}/openvino/model.xml", "CPU")([array, np.ones_like(array), np.zeros_like(array)])
    return 0.0


def explain_with_captum(steps: str, model: str, path: str) -> float:
    """Integrated gradients as transformers-interpret's SequenceClassificationExplainer takes them: label, attribution and delta of one text after the other;
    its own number of steps is 50."""
    import torch
    from captum.attr import LayerIntegratedGradients
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    classifier, tokenizer = AutoModelForSequenceClassification.from_pretrained(model).eval().to(DEVICE), AutoTokenizer.from_pretrained(model)
    gradients = LayerIntegratedGradients(lambda ids, mask: classifier(input_ids=ids, attention_mask=mask).logits, classifier.get_input_embeddings())
    texts = read_texts(path)
    started_s = time.monotonic()
    for text in texts:
        encoded = tokenizer(text, truncation=True, max_length=MAX_LENGTH, return_tensors="pt", return_special_tokens_mask=True).to(DEVICE)
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        baseline = torch.where(encoded["special_tokens_mask"] == 1, ids, tokenizer.pad_token_id)
        with torch.no_grad():
            label = int(classifier(input_ids=ids, attention_mask=mask).logits.argmax())
        gradients.attribute(ids, baseline, target=label, additional_forward_args=mask, n_steps=int(steps), return_convergence_delta=True)
    return len(texts) / (time.monotonic() - started_s)


PEERS = {"captum": explain_with_captum, "pipeline": classify_with_pipeline, "sentence-transformers": encode_with_sentence_transformers, "openvino": run_openvino,
         "onnxruntime": run_onnxruntime, "gemm": gemm_rate, "flops": count_flops, "tokens": count_tokens, "duckdb": count_with_duckdb,
         "duckdb once": count_with_duckdb_once, "pipeline once": call_pipeline_once, "openvino once": call_openvino_once}

if __name__ == "__main__":
    name, _, variant = sys.argv[1].partition(":")
    print(PEERS[name](variant, *sys.argv[2:4]))
