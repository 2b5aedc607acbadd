"""Every kind of head beside its peers: ours, stock Hugging Face code with the same base and budget, and simple ways.
Usage: kinds.py RESULTS.jsonl [SIDES [SEEDS [SET...]]], where SIDES are simple,stock,ours.

Every run is appended to RESULTS, and left out when it is there: it can be stopped and goes on. It needs the shared data beside the checkout.
Both sides have the same texts, epochs, batch and longest window; the stock code also both Hugging Face's own learning rate and that of
finetune for the first seed, and the one that is better on dev from then on. Every side is judged by the same figures (kinds_measures.py)."""

import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))

from inputs import ROOT
from kinds_data import SETS, gold_of, read_part, write_parts
from kinds_measures import measure
from kinds_simple import simple_ways
from study import run_timed

STOCK_RATE = 5e-5
NAME_IN_EVALUATE = {"entity_f1": "f1", "exact": "exact_match"}  # where it is another
OUR_RATE = {"minilm": 8e-5, "scratch": 3e-4, "made": 3e-4}  # of doxa.training.defaults


def run_simple(name: str, parts: dict[str, Path], seed: int) -> Iterator[dict]:
    train, test = read_part(parts["train"]), read_part(parts["test"])
    for way, say in simple_ways(name).items():
        started_s = time.process_time()
        said = say(name, train, test, seed)
        yield {"side": "simple", "way": way, "seconds": time.process_time() - started_s, **measure(SETS[name].kind, gold_of(name, test), said)}


def run_stock(name: str, parts: dict[str, Path], seed: int, folder: Path, rate: float) -> Iterator[dict]:
    from kinds_stock import make_base, tune

    train, dev, test = (read_part(parts[part]) for part in ("train", "dev", "test"))
    base = make_base(folder, name, train, seed)
    started_s = time.process_time()
    way, model, dev_figure = tune(name, base, train, dev, rate, seed)
    seconds = time.process_time() - started_s
    yield {"side": "stock", "way": f"{rate:g}", "seconds": seconds, "dev": dev_figure,
           **measure(SETS[name].kind, gold_of(name, test), way.say(model, test))}


def run_ours(name: str, parts: dict[str, Path], seed: int, folder: Path) -> Iterator[dict]:
    """Through the command line. What evaluate says of the same predictions is kept beside it, and told of where it differs."""
    from kinds_stock import make_base

    spec, out, said_path = SETS[name], folder / "out", folder / "said.jsonl"
    base, rate = make_base(folder, name, read_part(parts["train"]), seed), OUR_RATE[spec.base]
    fields = zip(("--text-field", "--text-pair-field"), spec.fields) if spec.kind in ("label", "labels") else ()
    flags = [text for pair in fields for text in pair]
    _, seconds = run_timed([
        ROOT / "bin/finetune", "--quiet", "--base", base, "--head", f"{spec.head}:{spec.kind}", "--dev", parts["dev"],
        "--max-length", spec.max_length, "--num-train-epochs", spec.n_epochs, "--learning-rate", rate, "--seed", seed,
        "--no-openvino", "--force", "-o", out, *flags, parts["train"]])
    said, _ = run_timed([ROOT / "bin/predict", "--quiet", "--model", out, *flags, parts["test"]])
    said_path.write_text(said, encoding="utf-8")
    judged, _ = run_timed([ROOT / "bin/evaluate", "--quiet", "--to", "json", *flags[:2], said_path])
    figure = json.loads(judged)["heads"][spec.head]["figures"][NAME_IN_EVALUATE.get(spec.measure, spec.measure)]["value"]
    entries = [json.loads(line)["prediction"][spec.head] for line in said.splitlines()]
    yield {"side": "ours", "way": f"{rate:g}", "seconds": seconds, "evaluate": figure,
           **measure(spec.kind, gold_of(name, read_part(parts["test"])), [read_entry(spec.kind, entry) for entry in entries])}


def read_entry(kind: str, entry: dict) -> Any:
    """What an entry of `prediction` says, as `measure` takes it."""
    if kind == "span":
        return entry["answer"] and entry["answer"]["text"]
    return entry[{"label": "label", "labels": "labels", "tags": "tags", "choice": "index", "text": "text"}[kind]]


def rates_of(name: str) -> tuple[float, float]:
    return OUR_RATE[SETS[name].base], STOCK_RATE


def better_rate(name: str, rows: list[dict]) -> str:
    """The way of the stock side that is best on dev with the first seed, of those that have run."""
    found = {row["way"]: row["dev"] for row in rows if row["set"] == name and row["side"] == "stock" and row["seed"] == 1}
    return max(found, key=found.__getitem__, default="")


def main(results: str, sides: str = "simple,stock,ours", n_seeds: str = "2", *sets: str) -> None:
    """A round for each rate of the stock code: the other sides run in the first; from the second seed on, rounds of the worse rate are left out."""
    path = Path(results)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for seed, i_rate, name in itertools.product(range(1, int(n_seeds) + 1), (0, 1), sets or SETS):
        done, way = {(row["side"], row["way"]) for row in rows if row["set"] == name and row["seed"] == seed}, f"{rates_of(name)[i_rate]:g}"
        with tempfile.TemporaryDirectory() as folder:
            folder, parts = Path(folder), write_parts(Path(folder), name, seed)
            sizes = {f"n_{part}": len(read_part(file)) for part, file in parts.items()}
            runs = [run_simple(name, parts, seed)] if "simple" in sides and not done >= {("simple", way) for way in simple_ways(name)} else []
            runs += [run_ours(name, parts, seed, folder)] if "ours" in sides and i_rate == 0 and not any(side == "ours" for side, _ in done) else []
            is_wanted = "stock" in sides and ("stock", way) not in done and (seed == 1 or way == better_rate(name, rows))
            runs += [run_stock(name, parts, seed, folder, rates_of(name)[i_rate])] if is_wanted else []
            for run in runs:
                try:
                    for row in run:
                        rows.append({"set": name, "seed": seed, **sizes, **row})
                        with path.open("a") as file:
                            file.write(json.dumps(rows[-1], ensure_ascii=False) + "\n")
                        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
                except RuntimeError as error:  # a command of ours failed: the others go on, and the table has a gap
                    print(f"kinds: {name}, seed {seed}: {error}", file=sys.stderr, flush=True)
    show(rows)


def show(rows: list[dict]) -> None:
    """A Markdown table: means x 100 and spread (sample standard deviation) over the seeds; learning rate and mean CPU seconds of training."""
    print("| data set, base (training / test texts, epochs) | figure | simple | stock Hugging Face | doxa |\n|---|---|---|---|---|")
    for name, spec in SETS.items():
        of_set = [row for row in rows if row["set"] == name]
        cells, sizes = [], next((f"{row['n_train']} / {row['n_test']}" for row in of_set), "not run")
        for side in ("simple", "stock", "ours"):
            ways = [better_rate(name, rows)] if side == "stock" else list(dict.fromkeys(row["way"] for row in of_set if row["side"] == side))
            found = [[row for row in of_set if row["side"] == side and row["way"] == way] for way in ways]
            cells.append("; ".join(describe(group, spec.measure) for group in found if group))
        print(f"| {name}, {spec.base} ({sizes}, {spec.n_epochs}) | {spec.measure} | " + " | ".join(cells) + " |")
    for row in rows:
        if "evaluate" in row and abs(row["evaluate"] - row[SETS[row["set"]].measure]) > 1e-6:
            print(f"\n{row['set']}, seed {row['seed']}: evaluate says {row['evaluate']:.6f}, not {row[SETS[row['set']].measure]:.6f}")
    print(f"\nSeeds: {sorted({row['seed'] for row in rows})}")


def describe(rows: list[dict], figure: str) -> str:
    scores, way = [100 * row[figure] for row in rows], rows[0]["way"]
    mean = f"{np.mean(scores):.1f}" + (f" ± {np.std(scores, ddof=1):.1f}" if len(scores) > 1 else "")
    return f"{way} {mean}" if rows[0]["side"] == "simple" else f"{mean} ({way}, {np.mean([row['seconds'] for row in rows]):.0f} s)"


if __name__ == "__main__":
    main(*sys.argv[1:])
