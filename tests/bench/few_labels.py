"""What texts without labels give where labels are few: macro-F1 on held-out texts. Usage: few_labels.py RESULTS.jsonl [SEEDS].

Every run is appended to RESULTS, and left out when it is there. It needs the shared data beside the checkout."""

import itertools
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from study import run_linear, tune_and_predict, write_parts

SETS = {"waimai_10k_zh": "scratch", "financial_phrasebank_en": "minilm"}  # data set -> base
SIZES = (100, 300, 1000)
N_UNLABELLED = 2000
WAYS = {"plain": (), "head start": ("--head-start", "mlm"), "self-training": ("--self-training-rounds", "2"),
        "both": ("--head-start", "mlm", "--self-training-rounds", "2")}


def write_few(folder: Path, name: str, size: int, seed: int) -> dict[str, Path]:
    """The first texts of a training set drawn by the seed, and others of it without their labels."""
    parts = write_parts(folder, name, seed, SIZES[-1] + N_UNLABELLED)
    lines = parts["train"].read_text(encoding="utf-8").splitlines(keepends=True)
    parts["train"].write_text("".join(lines[:size]), encoding="utf-8")
    parts["unlabelled"] = folder / "unlabelled.jsonl"
    parts["unlabelled"].write_text("".join(json.dumps({"text": json.loads(line)["text"]}) + "\n" for line in lines[SIZES[-1] :]), encoding="utf-8")
    return parts


def main(results: str, n_seeds: str = "5") -> None:
    path = Path(results)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["set"], row["size"], row["way"], row["seed"]) for row in rows}
    for name, seed, size in itertools.product(SETS, range(1, int(n_seeds) + 1), SIZES):
        with tempfile.TemporaryDirectory() as folder:
            parts = write_few(Path(folder), name, size, seed)
            for way in ("TF-IDF", *WAYS):
                if (name, size, way, seed) in done:
                    continue
                unlabelled = ("--unlabelled", parts["unlabelled"]) if WAYS.get(way) else ()
                found = (run_linear(name, parts) if way == "TF-IDF" else
                         tune_and_predict(Path(folder), name, parts, SETS[name], ("--seed", seed, *unlabelled, *WAYS[way])))
                rows.append({"set": name, "size": size, "way": way, "seed": seed, **found})
                with path.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    show(rows)


def show(rows: list[dict]) -> None:
    """A Markdown table: mean macro-F1 x 100 over the seeds and its spread; of what is compared with plain, the mean difference and its 95 % interval."""
    print("| data set, base, labels | " + " | ".join(("TF-IDF", *WAYS)) + " |\n|---|" + "---|" * (1 + len(WAYS)))
    for name, size in itertools.product(SETS, SIZES):
        cells, plain = [], {}
        for way in ("TF-IDF", *WAYS):
            scores = {row["seed"]: 100 * row["macro_f1"] for row in rows if (row["set"], row["size"], row["way"]) == (name, size, way)}
            plain = scores if way == "plain" else plain
            gains = [scores[seed] - plain[seed] for seed in scores if seed in plain] if way not in ("TF-IDF", "plain") else []
            cells.append((f"{np.mean(list(scores.values())):.1f} ± {np.std(list(scores.values()), ddof=1):.1f}" if len(scores) > 1 else "")
                         + (f" ({describe(gains)})" if len(gains) > 1 else ""))
        print(f"| {name}, {SETS[name]}, {size} | " + " | ".join(cells) + " |")


def describe(gains: list[float]) -> str:
    """Mean of paired differences with Student's interval."""
    from scipy.stats import t

    half = t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** 0.5
    return f"{np.mean(gains):+.1f} [{np.mean(gains) - half:+.1f}, {np.mean(gains) + half:+.1f}]"


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main(*sys.argv[1:])
