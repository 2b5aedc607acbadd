"""make bench: doxa and its peers side by side, in one run, on the same input. Ratios count, not seconds."""

import argparse
import functools
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))

from inputs import (DATA, ROOT, load_texts, make_large_model, make_model, make_tiny_model, make_unlike, repeat_file, write_labelled, write_parquet,
                    write_predictions, write_texts, write_unique_texts)

BIN = ROOT / "bin"
PEERS = Path(__file__).with_name("peers.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little input, under a minute")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be repeated")
    parser.add_argument("--output", default="bench.json", help="where the figures go as JSON")
    options = parser.parse_args()
    figures = {"machine": describe_machine(), "command": " ".join(sys.argv)}
    print(figures["machine"])
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as where the environment is active: commands and peers start alike
    with tempfile.TemporaryDirectory(prefix="doxa-bench-cache-") as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        run_parts(options, figures)
    Path(options.output).write_text(json.dumps(figures, indent=2) + "\n")


def run_parts(options: argparse.Namespace, figures: dict) -> None:
    chosen = options.only or (QUICK_PARTS if options.quick else [name for name in PARTS if name != "gpu"])
    for name, part in PARTS.items():
        if name in chosen:
            with tempfile.TemporaryDirectory(prefix="doxa-bench-") as folder:
                figures[name] = part(Path(folder), options.quick)


def describe_machine() -> str:
    from doxa.device.cpu import cpu_flags, usable_cores

    flags = sorted(cpu_flags() & {"avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8"})
    names = ("torch", "transformers", "openvino", "nncf", "onnxruntime", "sentence-transformers", "pyarrow", "duckdb")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names if _is_installed(name))
    return f"{usable_cores()} cores, {' '.join(flags)}; Python {sys.version.split()[0]}, {versions}"


def _is_installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def bench_predict(folder: Path, is_quick: bool) -> dict:
    n = 600 if is_quick else 6000
    texts = load_texts(n)
    path, few = write_texts(folder / "texts.jsonl", texts), write_texts(folder / "few.jsonl", texts[:200])
    model = shared_model()
    rates = {f"doxa predict, {precision}": timed([BIN / "predict", "--model", model, "--precision", precision], path, n)
             for precision in (("int8",) if is_quick else ("int8", "bf16", "fp32"))}
    peers = {f"transformers pipeline, batch {size}": f"pipeline:{size}" for size in (1, 8, 32)}
    if not is_quick:
        peers |= {"sentence-transformers, fp32": "sentence-transformers:fp32", "sentence-transformers, bf16": "sentence-transformers:bf16",
                  "ONNX Runtime dynamic int8, engine alone on our batches": "onnxruntime:int8",
                  "OpenVINO fp32, engine alone on our batches": "openvino:fp32",
                  "OpenVINO bf16, engine alone on our batches": "openvino:bf16",
                  "OpenVINO int8, engine alone on our batches": "openvino:int8"}
    rates |= {label: run_peer(peer, model, few if is_quick else path) for label, peer in peers.items()}
    gemm, flops, tokens = (run_peer(peer, model, few if is_quick else path) for peer in ("gemm:bf16", "flops", "tokens"))
    print(f"\npredict: {n} texts of {tokens:.0f} tokens on average, cut at 128; MiniLM-L6 classifier; rows/s, doxa as a whole process")
    best_pipeline = max(rate for label, rate in rates.items() if "pipeline" in label)
    show(rates, best_pipeline, "pipeline")
    shares = {label: rate * flops / gemm for label, rate in rates.items() if rate and label.startswith("doxa")}
    print(f"  bf16 matrix products run at {gemm / 1e9:.0f} GFLOP/s; of that, counting real tokens only: "
          + ", ".join(f"{label.removeprefix('doxa predict, ')} {share:.2f}" for label, share in shares.items()))
    return {"rows_per_s": rates, "tokens_per_text": tokens, "bf16_gemm_flops": gemm, "share_of_gemm": shares}


@functools.cache
def shared_model() -> Path:
    """One model for all parts, in the cache folder of this run."""
    return make_model(Path(os.environ["XDG_CACHE_HOME"]) / "model", load_texts(600))


def bench_start(folder: Path, is_quick: bool) -> dict:
    texts = load_texts(1)
    one, model = write_texts(folder / "one.jsonl", texts[:1]), shared_model()
    n_runs = 3 if is_quick else 7
    seconds = {f"doxa predict, {precision}": fastest([BIN / "predict", "--model", model, "--precision", precision], one, n_runs)
               for precision in ("int8", "bf16")}
    seconds["a script that calls pipeline once"] = fastest([sys.executable, PEERS, "pipeline once", model, one], one, n_runs)
    seconds["a bare tokenizers + OpenVINO script, model cache on"] = fastest([sys.executable, PEERS, "openvino once", model, one], one, n_runs)
    print("\nstart: one record, whole process, best of several, seconds")
    for label, value in seconds.items():
        print(f"  {label:68} {value:8.3f}   {seconds['a script that calls pipeline once'] / value:6.2f} x less than pipeline")
    return {"seconds": seconds}


def bench_agreement(folder: Path, is_quick: bool) -> dict:
    """Labels of the cheaper precisions beside fp32, on models trained here and real test sets."""
    from sklearn.metrics import f1_score

    figures = {}
    for name, base in (("financial_phrasebank_en", "minilm"), ("airline_tweets_en", "minilm")):
        if not (DATA / name / "test.jsonl").exists():
            print(f"\nagreement: {name} is not there; left out")
            continue
        model = folder / name
        subprocess.run([BIN / "finetune", "--base", base, "--head", "label", "--dev", DATA / name / "dev.jsonl", "--output", model, "--quiet",
                        DATA / name / "train.jsonl"], check=True, stdout=subprocess.DEVNULL)
        test = [json.loads(line) for line in (DATA / name / "test.jsonl").read_text(encoding="utf-8").splitlines()]
        said = {}
        for precision in ("fp32", "bf16", "int8"):
            done = subprocess.run([BIN / "predict", "--model", model, "--precision", precision, "-q", DATA / name / "test.jsonl"], capture_output=True)
            if done.returncode == 0:
                said[precision] = [json.loads(line)["prediction"]["label"]["label"] for line in done.stdout.splitlines()]
        gold = [record["label"] for record in test]
        print(f"\nagreement: {name}, {len(gold)} test records")
        figures[name] = {}
        for precision, labels in said.items():
            agreement = sum(a == b for a, b in zip(labels, said["fp32"])) / len(gold)
            score = f1_score(gold, labels, average="macro")
            figures[name][precision] = {"agreement": agreement, "macro_f1": score}
            print(f"  {precision:6} agrees with fp32 on {agreement:.2%}, macro-F1 {score:.4f}")
        if "int8" not in said:
            print("  int8   left out by its guard on dev")
    return figures


def bench_explain(folder: Path, is_quick: bool, model: Path | None = None) -> dict:
    """Integrated gradients of 32 steps, one text at a time as transformers-interpret takes them, and in batches; whole processes in turn."""
    n = 20 if is_quick else 200
    path, model = write_texts(folder / "texts.jsonl", load_texts(n)), model or shared_model()
    explain = [BIN / "explain", "--model", model, "--device", bench_device(), "--no-faithfulness"]
    contenders = {"doxa explain": [*explain, "--steps", "32"], "doxa explain, fp32": [*explain, "--steps", "32", "--precision", "fp32"],
                  "doxa explain, its own steps": explain,
                  "captum, one text at a time, fp32": [sys.executable, PEERS, "captum:32", model, path],
                  "captum, one text at a time, 50 steps": [sys.executable, PEERS, "captum:50", model, path]}
    runs = take_turns(contenders, path, 1)
    unit = runs["captum, one text at a time, fp32"]
    print(f"\nexplain: integrated gradients, 32 steps unless said, {n} texts of {run_peer('tokens', model, path):.0f} tokens on average; whole processes in turn")
    for label, run in runs.items():
        print(f"  {label:40} {n / run['seconds']:8.2f} texts/s ({unit['seconds'] / run['seconds']:5.2f} x captum)   {run['cpu_seconds']:7.1f} s of CPU "
              f"({unit['cpu_seconds'] / run['cpu_seconds']:5.2f} x)   peak {run['peak_bytes'] / 1e6:5.0f} MB")
    return {"runs": runs, "texts": n}


def bench_report(folder: Path, is_quick: bool) -> dict:
    """Whole processes in turn, so that what else the machine does falls on all alike; report also looks for repeats and examples.
    Of one million records the start is most of it, so the same are counted ten times over as JSON Lines, a hundred times as Parquet."""
    n, n_runs = (100_000, 3) if is_quick else (1_000_000, 5)
    lines = write_predictions(folder / "predictions.jsonl", n)
    columns = write_parquet(folder / "predictions.parquet", lines)
    jq = count_with_jq(lines, n)
    figures = {"JSON Lines": compare_counting(lines, "JSON Lines", n, n_runs, jq), "Parquet": compare_counting(columns, "Parquet", n, n_runs)}
    if not is_quick:
        many = repeat_file(folder / "many.jsonl", lines, 10)
        figures["JSON Lines, ten times"] = compare_counting(many, "JSON Lines", 10 * n, 2, jq)
        many.unlink()
        many = write_parquet(folder / "many.parquet", lines, 100)
        figures["Parquet, a hundred times"] = compare_counting(many, "Parquet", 100 * n, 2)
    return figures


def count_with_jq(path: Path, n: int) -> float | None:
    """Records per second of one run, which it holds on input of any length; None where there is no jq."""
    if not shutil.which("jq"):
        return None
    counts = "reduce inputs as $r ({}; .[$r.prediction.topic.label + $r.timestamp[:10] + $r.prediction.sentiment.label] += 1)"
    return n / measure(["jq", "-nc", counts, path], path)[0]


def compare_counting(path: Path, name: str, n: int, n_runs: int, jq: float | None = None) -> dict:
    report = [BIN / "report", "--to", "json"]
    contenders = {"doxa report": [*report, path], "doxa report --examples 0": [*report, "--examples", "0", path],
                  "duckdb, the same counts": [sys.executable, PEERS, "duckdb once", path, path]}
    if name == "JSON Lines":
        contenders["doxa report from a pipe"] = report
    runs = take_turns(contenders, path, n_runs)
    loop = run_peer("duckdb", path, path)
    print(f"\nreport: {n} records of {name}, {path.stat().st_size / 1e6:.0f} MB; best of {n_runs} whole processes in turn")
    unit = runs["duckdb, the same counts"]
    for label, run in runs.items():
        print(f"  {label:40} {n / run['seconds']:12,.0f} records/s   {run['seconds']:6.2f} s ({unit['seconds'] / run['seconds']:5.2f} x duckdb)   "
              f"{run['cpu_seconds']:6.2f} s of CPU ({unit['cpu_seconds'] / run['cpu_seconds']:5.2f} x)   peak {run['peak_bytes'] / 1e6:5.0f} MB")
    if loop:
        print(f"  {'duckdb, its query alone, warm':40} {loop:12,.0f} records/s")
    if jq:
        times = ", ".join(f"{n / run['seconds'] / jq:.1f} for {label}" for label, run in runs.items() if label.startswith("doxa"))
        print(f"  {'jq, the counts alone, of the first part':40} {jq:12,.0f} records/s   times its speed: {times}")
    return {"runs": runs, "duckdb_query_records_per_s": loop, "jq_records_per_s": jq}


def take_turns(contenders: dict[str, list], stdin: Path, n_runs: int) -> dict[str, dict]:
    """Best seconds, CPU seconds (user and system) and highest peak of each; one run of each after the other."""
    runs: dict[str, list] = {label: [] for label in contenders}
    for _ in range(n_runs):
        for label, command in contenders.items():
            runs[label].append(measure_all(command, stdin))
    return {label: {"seconds": min(run[0] for run in of_one), "cpu_seconds": min(run[2] for run in of_one), "peak_bytes": max(run[1] for run in of_one)}
            for label, of_one in runs.items()}


def bench_scale(folder: Path, is_quick: bool) -> dict:
    model = make_tiny_model(folder / "tiny")
    measure([BIN / "predict", "--model", model], write_unique_texts(folder / "few.jsonl", 10))  # keeps the form, for which torch is loaded
    figures = []
    print("\nscale: predict with a random two-layer model, unique texts")
    for n in ((20_000, 100_000) if is_quick else (100_000, 1_000_000, 10_000_000)):
        path = write_unique_texts(folder / "many.jsonl", n)
        seconds, peak_bytes = measure([BIN / "predict", "--model", model], path)
        figures.append({"records": n, "peak_bytes": peak_bytes, "rows_per_s": n / seconds})
        print(f"  {n:>10,} records: peak {peak_bytes / 1e6:7.1f} MB ({peak_bytes / figures[0]['peak_bytes']:.3f} of the first), "
              f"{n / seconds:9,.0f} rows/s ({n / seconds / figures[0]['rows_per_s']:.3f})", flush=True)
        path.unlink()
    return {"runs": figures}


def bench_training(folder: Path, is_quick: bool) -> dict:
    """Training with evaluation after every epoch: rows/s, and seconds to a dev score that all reach."""
    from doxa.model.bases import find_embedded

    return race_trainers(folder, "MiniLM-L6", find_embedded(), *((320, 200, 1) if is_quick else (1200, 400, 2)))


def race_trainers(folder: Path, name: str, base: str | Path, n_train: int, n_dev: int, n_epochs: int) -> dict:
    train, dev = write_labelled(folder, n_train, n_dev)
    finetune = [BIN / "finetune", "--base", base, "--head", "label", "--dev", dev, "--max-length", 128, "--num-train-epochs", n_epochs, "--learning-rate", 8e-5,
                "--device", bench_device(), "--no-openvino", "--force", "-o", folder / "out", train]
    seconds, _ = measure(finetune, train)
    rows = [json.loads(line) for line in (folder / "out" / "training.jsonl").read_text().splitlines()]
    evaluations = [(row["seconds"], row["dev_score"]) for row in rows if "dev_score" in row]
    runs = {"doxa finetune": {"seconds": rows[-1]["seconds"], "rows_per_s": n_train * n_epochs / rows[-1]["seconds"], "evaluations": evaluations,
                              "process_seconds": seconds}}
    for label, way in (("Trainer, stock: fp32, padded to 128", "stock"), ("Trainer, fp32, dynamic padding", "dynamic"),
                       ("Trainer, bf16, dynamic padding, grouped by length", "grouped")):
        done = subprocess.run([sys.executable, PEERS.with_name("training_peers.py"), way, base, train, dev, str(n_epochs)], capture_output=True, text=True)
        if done.returncode:
            print(f"{label}: not measured ({(done.stderr.strip().splitlines() or ['failed'])[-1]})")
        else:
            runs[label] = json.loads(done.stdout.splitlines()[-1])
    goal = 0.98 * min(max(score for _, score in run["evaluations"]) for run in runs.values())
    print(f"\ntraining on {bench_device()}: {name}, {n_train} texts, {n_epochs} epochs, batches of 16; rows/s with evaluation, best dev macro-F1, seconds to {goal:.3f}")
    for label, run in runs.items():
        run["seconds_to_goal"] = next(seconds for seconds, score in run["evaluations"] if score >= goal)
        print(f"  {label:52} {run['rows_per_s']:8.1f}   {runs['doxa finetune']['rows_per_s'] / run['rows_per_s']:5.2f} x slower   "
              f"{max(score for _, score in run['evaluations']):.4f}   {run['seconds_to_goal']:7.1f} s")
    return {"goal": goal, "runs": runs}


def bench_device() -> str:
    """Where ours and the peers, which read the variable themselves, compute."""
    return os.environ.get("BENCH_DEVICE", "cpu")


def bench_gpu(folder: Path, is_quick: bool) -> dict:
    """On a CUDA device: MiniLM, and a model of BERT-base size with random weights. Predicting, training, explaining."""
    from doxa.model.bases import find_embedded

    import torch

    os.environ["BENCH_DEVICE"] = "cuda"
    figures: dict = {"device": torch.cuda.get_device_name(0)}
    print(f"\ngpu: {figures['device']}")
    n, n_few, n_runs = (20_000, 4_000, 1) if is_quick else (100_000, 8_000, 2)
    texts = make_unlike(load_texts(n))
    path, few = write_texts(folder / "texts.jsonl", texts), write_texts(folder / "few.jsonl", texts[:n_few])
    large = make_large_model(folder / "BERT-base in size, random weights")
    for model in (shared_model(), large):
        predict = [BIN / "predict", "--model", model, "--precision", "bf16"]
        rates = {f"doxa predict, bf16, {k} workers": n / fastest([*predict, "--device", "cuda", "--workers", k], path, n_runs) for k in (1, 4, 8)}
        rates |= {f"transformers pipeline, batch {size}": run_peer(f"pipeline:{size}", model, few) for size in (32, 128, 512)}
        rates["sentence-transformers, bf16"] = run_peer("sentence-transformers:bf16", model, few)
        name, tokens = "MiniLM-L6" if model != large else large.name, run_peer("tokens", model, few)
        print(f"\npredict: {name}, {n} texts of {tokens:.0f} tokens on average; rows/s, doxa as a whole process")
        show(rates, max(rate or 0 for label, rate in rates.items() if "pipeline" in label), "pipeline")
        figures[f"predict, {name}"] = {"rows_per_s": rates, "tokens_per_text": tokens}
    n_train, n_dev = (1200, 400) if is_quick else (4800, 400)
    for name, base in (("MiniLM-L6", find_embedded()), (large.name, large)):
        figures[f"training, {name}"] = race_trainers(folder, name, base, n_train, n_dev, 2)
        figures[f"explain, {name}"] = bench_explain(folder, is_quick, shared_model() if base != large else large)
    return figures


def timed(command: list, stdin: Path, n: int) -> float:
    """Records a second of the best of three runs, as for every contender: the first one also warms caches."""
    return n / fastest(command, stdin, 3)


def fastest(command: list, stdin: Path, n_runs: int) -> float:
    return min(measure(command, stdin)[0] for _ in range(n_runs))


def measure(command: list, stdin: Path) -> tuple[float, int]:
    """Seconds and peak resident bytes of one process that reads `stdin` through a pipe, as `cat FILE |` does."""
    return measure_all(command, stdin)[:2]


def measure_all(command: list, stdin: Path) -> tuple[float, int, float]:
    """The same with the process's CPU seconds, user and system."""
    started_s = time.monotonic()
    cat = subprocess.Popen(["cat", str(stdin)], stdout=subprocess.PIPE)
    process = subprocess.Popen([str(part) for part in command], stdin=cat.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
    cat.stdout.close()
    watch = threading.Thread(target=lambda: peaks.append(watch_peak(process.pid)))
    peaks: list[int] = []
    watch.start()
    _, status, usage = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started_s
    watch.join()
    cat.wait()
    if code:
        sys.exit(f"bench: {command} ended with {code}")
    return seconds, peaks[0], usage.ru_utime + usage.ru_stime


def watch_peak(pid: int) -> int:
    """Peak resident bytes, asked for until the process ends: what wait4 reports counts the parent's memory from before exec."""
    peak = 0
    while True:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
        except (OSError, IndexError, ValueError):
            return peak
        time.sleep(0.05)


def run_peer(name: str, model: Path, texts: Path) -> float | None:
    done = subprocess.run([sys.executable, PEERS, name, model, texts], capture_output=True, text=True)
    if done.returncode:
        print(f"{name}: not measured ({(done.stderr.strip().splitlines() or ['failed'])[-1]})")
        return None
    return float(done.stdout.split()[-1])


def show(rates: dict[str, float | None], unit: float | None, name: str) -> None:
    for label, rate in rates.items():
        if rate:
            print(f"  {label:68} {rate:12,.0f}" + (f"   {rate / unit:6.2f} x {name}" if unit else ""))


PARTS = {"predict": bench_predict, "start": bench_start, "agreement": bench_agreement, "explain": bench_explain, "report": bench_report, "scale": bench_scale,
         "training": bench_training, "gpu": bench_gpu}
QUICK_PARTS = ("predict", "start", "report")

if __name__ == "__main__":
    main()
