"""How faithful each method of explain is, on models that are fine-tuned here: explanations.py FOLDER [SET...]

Models and texts are kept in FOLDER, and used again when they are there. It needs the shared data beside the checkout. For every
method the mean over the test texts, with a 95 % interval (Student's t over texts), of comprehensiveness minus that of random words
(more is better) and of sufficiency minus that of random words (less is better), both in points of the label's score x 100."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))

from inputs import ROOT
from study import SETS, write_parts

DEFAULT_SETS = ("financial_phrasebank_en", "airline_tweets_en", "waimai_10k_zh")
WAYS = {"integrated gradients": ("--method", "integrated-gradients"), "integrated gradients from mask": ("--baseline", "mask"),
        "gradient x input": ("--method", "gradient-x-input"), "occlusion": ("--method", "occlusion"),
        "occlusion by mask": ("--method", "occlusion", "--baseline", "mask"), "Shapley sampling": ("--method", "shapley"),
        "attention rollout": ("--method", "attention-rollout"), "raw attention": ("--method", "raw-attention")}
N_TEXTS = 200


def main() -> None:
    folder, *names = sys.argv[1:]
    for name in names or DEFAULT_SETS:
        model, texts = prepare(Path(folder) / name, name)
        print(f"\n{name}: {N_TEXTS} texts\n{'method':32} comprehensiveness        sufficiency              texts/s with faithfulness")
        for way, flags in WAYS.items():
            started_s = time.monotonic()
            done = subprocess.run([ROOT / "bin" / "explain", "--model", model, *flags, "-q", texts], capture_output=True)
            seconds = time.monotonic() - started_s
            if done.returncode:
                print(f"{way:32} not measured: {done.stderr.decode().strip()}")
                continue
            judged = [next(iter(json.loads(line)["explanation"].values()))["faithfulness"] for line in done.stdout.splitlines()]
            gains = [mean_and_half([100 * (row[kind] - row[f"random_{kind}"]) for row in judged]) for kind in ("comprehensiveness", "sufficiency")]
            print(f"{way:32} " + " ".join(f"{mean:+8.1f} ± {half:4.1f}         " for mean, half in gains) + f"{len(judged) / seconds:8.1f}", flush=True)


def prepare(folder: Path, name: str) -> tuple[Path, Path]:
    """A model of `name` and its first test texts."""
    folder.mkdir(parents=True, exist_ok=True)
    model, texts = folder / "model", folder / "texts.jsonl"
    field, _, language, *_ = SETS[name]
    parts = write_parts(folder, name, seed=0)
    if not model.exists():
        subprocess.run([ROOT / "bin" / "finetune", "--base", "minilm" if language == "en" else "scratch", "--head", field, "--dev", parts["dev"],
                        "-q", "-o", model, parts["train"]], check=True, stdout=subprocess.DEVNULL)
    lines = parts["test"].read_text(encoding="utf-8").splitlines(keepends=True)
    texts.write_text("".join(lines[:N_TEXTS]), encoding="utf-8")
    return model, texts


def mean_and_half(values: list[float]) -> tuple[float, float]:
    """The mean and half the width of its 95 % interval."""
    return float(np.mean(values)), float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    main()
