"""make bench: doxa and its peers side by side, in one run, on the same input. Ratios count, not seconds.

Texts come from ../shared/data where it is there, else from the shipped sample, repeated.
"""

import argparse
import importlib.metadata
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "bin"
sys.path.insert(0, str(ROOT / "lib"))
PEERS = Path(__file__).with_name("peers.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little input, under a minute or two")
    parser.add_argument("--only", choices=("predict", "report", "memory"), help="one part alone")
    options = parser.parse_args()
    parts = {"predict": bench_predict, "report": bench_report, "memory": bench_memory}
    print(describe_machine())
    for name, part in parts.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="doxa-bench-") as folder:
                part(Path(folder), options.quick)


def describe_machine() -> str:
    from doxa.device.cpu import cpu_flags, usable_cores

    flags = sorted(cpu_flags() & {"avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8"})
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers", "pyarrow", "duckdb"))
    return f"{usable_cores()} cores, {' '.join(flags)}; Python {sys.version.split()[0]}, {versions}"


def bench_predict(folder: Path, is_quick: bool) -> None:
    texts = load_texts(1000 if is_quick else 6000)
    path, few = folder / "texts.jsonl", folder / "few.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    few.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[:200]))
    model = folder / "model"
    make_model(model)
    best = max(("pipeline-1", "pipeline-8", "pipeline-32"), key=lambda peer: run_peer(peer, model, few) or 0.0)
    rows = [(best, timed([sys.executable, PEERS, best, model, path], path, len(texts)))]
    rows += [(f"doxa predict, {precision}", timed([BIN / "predict", "--model", model, "--precision", precision], path, len(texts)))
             for precision in ("auto", "fp32")]
    rows += [(peer, timed([sys.executable, PEERS, peer, model, path], path, len(texts)))
             for peer in ("sentence-transformers-bf16",)]
    print(f"\npredict: {len(texts)} texts, MiniLM-L6 classifier, rows/s of whole processes, their start included")
    show(rows, rows[0][1], "pipeline")


def bench_report(folder: Path, is_quick: bool) -> None:
    n = 100_000 if is_quick else 1_000_000
    path = folder / "predictions.jsonl"
    write_predictions(path, n)
    rows = [("doxa report, whole process", timed([BIN / "report", "--to", "json"], path, n)),
            ("duckdb read_json of the file, same counts", run_peer("duckdb", path, path)),
            ("duckdb read_json of the file, counts and time range, whole process", timed([sys.executable, PEERS, "duckdb-process", path, path], path, n))]
    if shutil.which("jq"):
        counts = "reduce inputs as $r ({}; .[$r.prediction.topic.label + $r.timestamp[:10] + $r.prediction.sentiment.label] += 1)"
        rows.append(("jq, the counts alone", timed(["jq", "-nc", counts], path, n)))
    else:
        print("jq is not installed; left out")
    print(f"\nreport: {n} JSON Lines records, {path.stat().st_size / 1e6:.0f} MB, records/s")
    show(rows, rows[0][1], "doxa report")


def bench_memory(folder: Path, is_quick: bool) -> None:
    model = folder / "tiny"
    make_tiny_model(model)
    sizes = (20_000, 100_000) if is_quick else (50_000, 1_000_000)
    peaks = []
    print("\npredict, constant memory (a random two-layer model)")
    for n in sizes:
        path = folder / "many.jsonl"
        write_texts(path, n)
        seconds, peak_bytes = measure([BIN / "predict", "--model", model], path)
        peaks.append(peak_bytes)
        print(f"  {n:>9,} records: peak {peak_bytes / 1e6:7.1f} MB, {n / seconds:9,.0f} rows/s")
        path.unlink()
    print(f"  ratio of the peaks {peaks[1] / peaks[0]:.3f}")


def load_texts(n: int) -> list[str]:
    real = ROOT.parent / "shared" / "data" / "airline_tweets_en" / "train.jsonl"
    news = ROOT.parent / "shared" / "data" / "financial_phrasebank_en" / "train.jsonl"
    paths = [path for path in (real, news) if path.exists()] or [ROOT / "lib/doxa/sample/news.jsonl"]
    texts = [json.loads(line)["text"] for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    print(f"texts: {', '.join(path.parent.name for path in paths)}")
    random.Random(1).shuffle(texts)
    return (texts * (n // len(texts) + 1))[:n]


def make_model(path: Path) -> None:
    """MiniLM with a random head of three labels: its speed is that of a trained one."""
    from doxa.model.bases import find_embedded
    from doxa.model.classifier import build_classifier, save_classifier
    from doxa.model.directory import ModelTable, publish
    from doxa.model.heads import Head
    from doxa.text.tokenizer import load_tokenizer

    base, heads = find_embedded(), [Head("sentiment", "label", ("negative", "neutral", "positive"))]
    with publish(str(path), ModelTable(heads, 512)) as working:
        save_classifier(build_classifier(base, heads), working, base)
        load_tokenizer(base).rust.save(f"{working}/tokenizer.json")


def make_tiny_model(path: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from doxa.model.classifier import save_classifier
    from doxa.model.directory import ModelTable, publish
    from doxa.model.heads import Head
    from doxa.text.vocabulary import learn_tokenizer

    torch.manual_seed(0)
    tokenizer = learn_tokenizer(load_texts(2000), 2000)
    heads = [Head("topic", "label", ("credit", "deals", "policy")), Head("sentiment", "label", ("negative", "neutral", "positive"))]
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=64, num_labels=6)
    with publish(str(path), ModelTable(heads, 512)) as working:
        save_classifier(BertForSequenceClassification(config), working, None)
        tokenizer.save(f"{working}/tokenizer.json")


def write_texts(path: Path, n: int) -> None:
    texts = load_texts(5000)
    with open(path, "w", encoding="utf-8") as file:
        for i in range(n):
            file.write(json.dumps({"id": i, "text": texts[i % len(texts)]}, ensure_ascii=False) + "\n")


def write_predictions(path: Path, n: int) -> None:
    generator, texts = random.Random(2), load_texts(5000)
    topics, labels = ("credit", "earnings", "deals", "policy", "commodities"), ("negative", "neutral", "positive")
    with open(path, "w", encoding="utf-8") as file:
        for i in range(n):
            day, topic, label = generator.randrange(1, 29), generator.choice(topics), generator.choice(labels)
            file.write(json.dumps({
                "id": i, "text": texts[i % len(texts)], "timestamp": f"2026-02-{day:02d}T{i % 24:02d}:{i % 60:02d}:00Z",
                "prediction": {"topic": {"label": topic, "score": round(generator.random(), 6)},
                               "sentiment": {"label": label, "score": round(generator.random(), 6)}}, "n_tokens": 31},
                ensure_ascii=False) + "\n")


def timed(command: list, stdin: Path, n: int) -> float:
    """Records a second of the best of three runs, as for every contender: the first one also warms caches."""
    return n / min(measure(command, stdin)[0] for _ in range(3))


def measure(command: list, stdin: Path) -> tuple[float, int]:
    """Seconds and peak resident bytes of one process that reads `stdin` through a pipe, as `cat FILE |` does."""
    started_s = time.monotonic()
    cat = subprocess.Popen(["cat", str(stdin)], stdout=subprocess.PIPE)
    process = subprocess.Popen([str(part) for part in command], stdin=cat.stdout, stdout=subprocess.DEVNULL,
                               env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
    cat.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    cat.wait()
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"bench: {command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - started_s, usage.ru_maxrss * 1024


def run_peer(name: str, model: Path, texts: Path) -> float | None:
    done = subprocess.run([sys.executable, PEERS, name, model, texts], capture_output=True, text=True)
    if done.returncode:
        print(f"{name}: not measured ({(done.stderr.strip().splitlines() or ['failed'])[-1]})")
        return None
    return float(done.stdout.split()[-1])


def show(rows: list[tuple[str, float | None]], unit: float | None, name: str) -> None:
    for label, rate in rows:
        if rate:
            print(f"  {label:68} {rate:12,.0f}" + (f"   {rate / unit:6.2f} x {name}" if unit else ""))


if __name__ == "__main__":
    main()
