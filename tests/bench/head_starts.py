"""How a head start over few and many texts bears the defaults of scratch and of a base: macro-F1 on held-out texts. Usage: head_starts.py RESULTS.jsonl [SEEDS].

Texts without labels are those of the Chinese sets in the shared data beside the checkout, as many as SIZES says. Every run is appended to RESULTS, and left out when
it is there. On 2 cores it takes hours."""

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from few_labels import write_few
from inputs import DATA, ROOT
from study import tune_and_predict
from doxa.training.defaults import default_epochs

NAME, LABELS = "waimai_10k_zh", (300, 1000, 0)  # 0: all
SIZES = (2_000, 10_000, 39_000)
WAYS = {"scratch": ("3e-4", "10", True), "base": ("8e-5", "1", False)}  # rate, head factor, whether epochs are those of scratch


def unlabelled_texts() -> list[str]:
    """Different texts of all Chinese sets but the test and dev texts of the one that is learnt."""
    held_out = {json.loads(line)["text"] for part in ("dev", "test") for line in (DATA / NAME / f"{part}.jsonl").open(encoding="utf-8")}
    texts = {text for path in sorted(DATA.glob("*_zh/train.jsonl")) for line in path.open(encoding="utf-8") if isinstance(text := json.loads(line).get("text"), str)}
    found = sorted(texts - held_out)
    random.Random(0).shuffle(found)
    return found


def make_encoder(folder: Path, texts: list[str]) -> Path:
    parts = write_few(folder, NAME, 1000, 1)
    parts["unlabelled"].write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")
    command = [ROOT / "bin/finetune", "--quiet", "--base", "scratch", "--head", "label:label", "--dev", parts["dev"], "--max-length", "128", "--no-openvino", "--seed", "1",
               "--unlabelled", parts["unlabelled"], "--head-start", "mlm", "--self-training-rounds", "0", "--num-train-epochs", "1", "-o", folder / "start", parts["train"]]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return folder / "start" / "encoder"


def main(results: str, n_seeds: str = "3") -> None:
    path = Path(results)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["size"], row["labels"], row["way"], row["seed"]) for row in rows}
    texts = unlabelled_texts()
    for size in SIZES:
        with tempfile.TemporaryDirectory() as started:
            encoder = make_encoder(Path(started), texts[:size])
            for seed, n_labels, way in itertools.product(range(1, int(n_seeds) + 1), LABELS, WAYS):
                if (size, n_labels, way, seed) in done:
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    parts = write_few(Path(folder), NAME, n_labels, seed) if n_labels else {part: DATA / NAME / f"{part}.jsonl" for part in ("train", "dev", "test")}
                    n = n_labels or sum(1 for _ in parts["train"].open())
                    rate, factor, is_scratch = WAYS[way]
                    flags = ("--seed", seed, "--learning-rate", rate, "--head-lr-factor", factor, "--num-train-epochs", default_epochs(is_scratch, n, 16, 2))
                    rows.append({"size": size, "labels": n_labels, "way": way, "seed": seed} | tune_and_predict(Path(folder), NAME, parts, encoder, flags))
                with path.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print("| texts without labels | labels | as scratch | as a base |\n|---|---|---|---|")
    for size, n_labels in itertools.product(SIZES, LABELS):
        cells = [", ".join(f"{100 * row['macro_f1']:.1f}" for row in rows if (row["size"], row["labels"], row["way"]) == (size, n_labels, way)) for way in WAYS]
        print(f"| {size:,} | {n_labels or 'all'} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main(*sys.argv[1:])
