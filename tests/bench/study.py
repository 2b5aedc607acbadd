"""Ways to fine-tune, side by side: macro-F1 on held-out texts, CPU seconds, trained parameters. Usage: study.py RESULTS.jsonl [SEEDS [SET...]].

Every run is appended to RESULTS, and left out when it is there: the study can be stopped and goes on, and several of it share the
work by sets. The table is printed at the end. It needs the shared data beside the checkout; peers run with the same texts,
epochs, rate, batch and precision. What is timed is the CPU time of the whole process, which bears company on the machine."""

import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))

from doxa.training.defaults import default_epochs
from inputs import DATA, ROOT

# name -> field, kind, language, training texts, labels
SETS = {"financial_phrasebank_en": ("label", "label", "en", 600, 3), "airline_tweets_en": ("label", "label", "en", 600, 3),
        "banking77_en": ("label", "label", "en", 1200, 77), "ag_news_en": ("label", "label", "en", 600, 4),
        "fin_news_topics_zh": ("labels", "multi", "zh", 1200, 16), "waimai_10k_zh": ("label", "label", "zh", 1200, 2)}
WAYS = {"plain": (), "LoRA": ("--peft", "lora"), "AdaLoRA": ("--peft", "adalora"), "adapter": ("--peft", "adapter"),
        "FGM": ("--adversarial", "fgm"), "FreeLB": ("--adversarial", "freelb")}
N_DEV, N_TEST = 200, 1000
LEAST_TIMES = 20  # rarer labels of several a text are slips of the source
RATE = {"en": 8e-5, "zh": 3e-4}


def n_epochs(name: str) -> int:
    """What finetune takes by itself."""
    _, _, language, n_train, n_labels = SETS[name]
    return default_epochs(language == "zh", n_train, 16, n_labels)


def write_parts(folder: Path, name: str, seed: int, n_train: int = 0) -> dict[str, Path]:
    """Training texts drawn by the seed, as many as the table says unless told; dev and test are the same for all."""
    field, n_train = SETS[name][0], n_train or SETS[name][3]
    paths = {}
    files = {part: [json.loads(line) for line in (DATA / name / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()]
             for part in ("train", "dev", "test")}
    if isinstance(files["train"][0][field], list):
        counts = Counter(label for row in files["train"] for label in row[field])
        for row in (row for rows in files.values() for row in rows):
            row[field] = [label for label in row[field] if counts[label] >= LEAST_TIMES]
    for part, size, draw in (("train", n_train, seed), ("dev", N_DEV, 0), ("test", N_TEST, 0)):
        rows = [{"text": row["text"], field: row[field]} for row in files[part] if row.get(field)]
        random.Random(draw).shuffle(rows)
        paths[part] = folder / f"{part}.jsonl"
        paths[part].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows[:size]), encoding="utf-8")
    return paths


def read_gold(path: Path, field: str) -> list:
    return [json.loads(line)[field] for line in path.read_text(encoding="utf-8").splitlines()]


def macro_f1(gold: list, said: list, labels: list[str]) -> float:
    """Over the labels of the training texts."""
    if isinstance(gold[0], list):
        gold, said = (np.array([[label in row for label in labels] for row in rows], dtype=int) for rows in (gold, said))
        return float(f1_score(gold, said, average="macro", zero_division=0))
    return float(f1_score(gold, said, labels=labels, average="macro", zero_division=0))


def run_ours(folder: Path, name: str, parts: dict[str, Path], way: str, seed: int) -> dict:
    field, _, language, *_ = SETS[name]
    base = "minilm" if language == "en" else make_scratch(folder, parts["train"], field, seed)
    rate = ("--learning-rate", RATE[language]) if way in ("plain", "FGM", "FreeLB") else ()
    return tune_and_predict(folder, name, parts, base, ("--num-train-epochs", n_epochs(name), "--seed", seed, *rate, *WAYS[way]))


def tune_and_predict(folder: Path, name: str, parts: dict[str, Path], base: str | Path, flags: tuple) -> dict:
    """What finetune's model says of the test texts, and what it took."""
    field, kind, *_ = SETS[name]
    out = folder / "out"
    command = [ROOT / "bin/finetune", "--quiet", "--base", base, "--head", f"{field}:{kind}", "--dev", parts["dev"], "--max-length", "128", "--no-openvino",
               "--force", "-o", out, *flags, parts["train"]]
    table, cpu_seconds = run_timed(command)
    table = table.splitlines()[0]
    predicted = subprocess.run([ROOT / "bin/predict", "--quiet", "--model", out, parts["test"]], check=True, capture_output=True, text=True).stdout
    said = [json.loads(line)["prediction"][field] for line in predicted.splitlines()]
    labels = [head["labels"] for head in json.loads((out / "doxa.json").read_text())["heads"]][0]
    said = [row["labels"] if kind == "multi" else row["label"] for row in said]
    trained = int(table.split("(")[1].split(" ")[0].replace(",", "")) / 1e6 if "(" in table else table.split(" M")[0].split(", ")[-1]
    return {"macro_f1": macro_f1(read_gold(parts["test"], field), said, labels), "cpu_seconds": cpu_seconds, "trained_millions": float(trained)}


def run_timed(command: list) -> tuple[str, float]:
    """What it prints, and the CPU seconds it and its children take."""
    before = cpu_seconds_of_children()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-600:])
    return done.stdout, cpu_seconds_of_children() - before


def cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def make_scratch(folder: Path, train: Path, field: str, seed: int) -> Path:
    """What `--base scratch` starts from, as a directory that the peer reads too."""
    import torch

    from doxa.model.network import build_scratch
    from doxa.model.heads import Head
    from doxa.text.tokenizer import TextTokenizer, write_tokenizer
    from doxa.text.vocabulary import learn_tokenizer

    path = folder / "scratch"
    if not path.exists():
        torch.manual_seed(seed)
        tokenizer = TextTokenizer(learn_tokenizer(read_gold(train, "text")), 512)
        build_scratch(tokenizer.rust.get_vocab_size(), [Head("any", "label", ("a", "b"))]).base_model.save_pretrained(path)
        write_tokenizer(tokenizer, str(path), 512)
    return path


def run_trainer(folder: Path, name: str, parts: dict[str, Path], seed: int) -> dict:
    from doxa.model.bases import find_embedded

    field, _, language, *_ = SETS[name]
    base = find_embedded() if language == "en" else make_scratch(folder, parts["train"], field, seed)
    printed, cpu_seconds = run_timed([sys.executable, Path(__file__).with_name("training_peers.py"), "grouped", base, parts["train"], parts["dev"],
                                      n_epochs(name), parts["test"], RATE[language], seed, field])
    found = json.loads(printed.splitlines()[-1])
    return {"macro_f1": macro_f1(read_gold(parts["test"], field), found["said"], found["labels"]), "cpu_seconds": cpu_seconds,
            "trained_millions": found["n_parameters"] / 1e6}


def run_linear(name: str, parts: dict[str, Path]) -> dict:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import FeatureUnion
    from sklearn.preprocessing import MultiLabelBinarizer

    field, kind, language, *_ = SETS[name]
    started_s = time.process_time()
    characters = TfidfVectorizer(analyzer="char_wb" if language == "en" else "char", ngram_range=(2, 4) if language == "en" else (1, 3), sublinear_tf=True)
    features = FeatureUnion([("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)), ("characters", characters)]) if language == "en" else characters
    x, gold = features.fit_transform(read_gold(parts["train"], "text")), read_gold(parts["train"], field)
    model, binarizer = LogisticRegression(C=10, max_iter=1000, class_weight="balanced"), MultiLabelBinarizer()
    model = OneVsRestClassifier(model) if kind == "multi" else model
    labels = sorted({label for row in gold for label in (row if kind == "multi" else [row])})
    model.fit(x, binarizer.fit_transform(gold) if kind == "multi" else gold)
    said = model.predict(features.transform(read_gold(parts["test"], "text")))
    said = [list(row) for row in binarizer.inverse_transform(said)] if kind == "multi" else list(said)
    return {"macro_f1": macro_f1(read_gold(parts["test"], field), said, labels), "cpu_seconds": time.process_time() - started_s, "trained_millions": 0.0}


def main(results: str, n_seeds: str = "3", *sets: str) -> None:
    """The default beside the peers first, for every set and seed; then the other ways."""
    path = Path(results)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["set"], row["way"], row["seed"]) for row in rows}
    others = [way for way in WAYS if way != "plain"]
    for ways in (["TF-IDF", "Trainer", "plain"], others):
        for seed, (name, (_, _, language, *_)) in itertools.product(range(1, int(n_seeds) + 1), {name: SETS[name] for name in sets or SETS}.items()):
            with tempfile.TemporaryDirectory() as folder:
                parts = write_parts(Path(folder), name, seed)
                for way in ways:
                    # Frozen random weights are no base: the ways that train few weights are for pretrained ones.
                    if (name, way, seed) in done or language == "zh" and "--peft" in WAYS.get(way, ()):
                        continue
                    found = (run_linear(name, parts) if way == "TF-IDF" else run_trainer(Path(folder), name, parts, seed) if way == "Trainer"
                             else run_ours(Path(folder), name, parts, way, seed))
                    rows.append({"set": name, "way": way, "seed": seed, **found})
                    with path.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    show(rows)


def show(rows: list[dict]) -> None:
    """A Markdown table: mean macro-F1 x 100 and spread (sample standard deviation) over the seeds, mean CPU seconds."""
    ways = ["TF-IDF", "Trainer", *WAYS]
    print("| data set (training texts) | " + " | ".join(ways) + " |\n|---|" + "---|" * len(ways))
    for name, (_, _, _, n_train, _) in SETS.items():
        cells = []
        for way in ways:
            found = [row for row in rows if row["set"] == name and row["way"] == way]
            scores = [100 * row["macro_f1"] for row in found]
            spread = f" ± {np.std(scores, ddof=1):.1f}" if len(scores) > 1 else ""
            cells.append(f"{np.mean(scores):.1f}{spread} ({np.mean([row['cpu_seconds'] for row in found]):.0f} s)" if found else "")
        print(f"| {name} ({n_train}) | " + " | ".join(cells) + " |")
    trained = {way: next((row["trained_millions"] for row in rows if row["way"] == way and row["trained_millions"]), 0.0) for way in ways}
    print("\nTrained parameters, millions: " + ", ".join(f"{way} {millions:.2f}" for way, millions in trained.items() if millions))
    print(f"Seeds: {sorted({row['seed'] for row in rows})}")


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main(*sys.argv[1:])
