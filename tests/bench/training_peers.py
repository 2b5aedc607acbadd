"""The same training by Hugging Face's Trainer. Usage: training_peers.py WAY BASE TRAIN DEV EPOCHS [TEST RATE SEED FIELD]; prints one JSON object.

WAY is `stock` (fp32, padded to 128, as run_classification.py does by default), `dynamic` (fp32, padded to the longest of a batch)
or `grouped` (bf16 autocast, batches of like length): the best that a user who knows the flags gets."""

import json
import os
import sys
import tempfile
import time

os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}

import numpy as np
import torch
from sklearn.metrics import f1_score
from transformers import (
    AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments, set_seed)

MAX_LENGTH, BATCH_SIZE, LEARNING_RATE, SEED = 128, 16, 8e-5, 42
IS_CPU = os.environ.get("BENCH_DEVICE", "cpu") == "cpu"


class Rows(torch.utils.data.Dataset):
    def __init__(self, path: str, tokenizer, labels: list[str], pads: bool, field: str = "label"):
        with open(path, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        self.encoded = tokenizer([row["text"] for row in rows], truncation=True, max_length=MAX_LENGTH, padding="max_length" if pads else False)
        self.labels = [[float(label in row[field]) for label in labels] if isinstance(row[field], list) else labels.index(row[field]) for row in rows]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict:
        return {key: values[i] for key, values in self.encoded.items()} | {"labels": self.labels[i]}


class Clock(TrainerCallback):
    """Seconds since the start and the dev score, at every evaluation."""

    def __init__(self):
        self.started_s, self.seen = time.perf_counter(), []

    def on_evaluate(self, args, state, control, metrics, **more):
        self.seen.append((time.perf_counter() - self.started_s, metrics["eval_f1"]))


def decide(logits: np.ndarray, is_many: bool) -> np.ndarray:
    return (logits > 0).astype(int) if is_many else logits.argmax(axis=1)


def main(way: str, base: str, train_path: str, dev_path: str, n_epochs: str, test_path: str = "", rate: str = str(LEARNING_RATE), seed: str = str(SEED),
         field: str = "label") -> None:
    set_seed(int(seed))
    with open(train_path, encoding="utf-8") as file:
        values = [json.loads(line)[field] for line in file]
    is_many = isinstance(values[0], list)
    labels = sorted({label for value in values for label in (value if is_many else [value])})
    tokenizer = AutoTokenizer.from_pretrained(base)
    train, dev = (Rows(path, tokenizer, labels, way == "stock", field) for path in (train_path, dev_path))
    model = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=len(labels), dtype=torch.float32, ignore_mismatched_sizes=True, problem_type="multi_label_classification" if is_many else "single_label_classification")
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, num_train_epochs=int(n_epochs), per_device_train_batch_size=BATCH_SIZE, per_device_eval_batch_size=32, learning_rate=float(rate),
            warmup_steps=0.1, weight_decay=0.01, eval_strategy="epoch", save_strategy="epoch" if test_path else "no", save_total_limit=1,
            load_best_model_at_end=bool(test_path), metric_for_best_model="f1", seed=int(seed), report_to="none", use_cpu=IS_CPU,
            bf16=way == "grouped", dataloader_pin_memory=not IS_CPU, **({"train_sampling_strategy": "group_by_length"} if way == "grouped" else {}))
        trainer = Trainer(
            model, arguments, train_dataset=train, eval_dataset=dev, data_collator=DataCollatorWithPadding(tokenizer), callbacks=[clock],
            compute_metrics=lambda p: {"f1": f1_score(p.label_ids, decide(p.predictions, is_many), average="macro", zero_division=0)})
        clock.started_s = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - clock.started_s
        found = {"seconds": seconds, "rows_per_s": len(train) * int(n_epochs) / seconds, "evaluations": clock.seen}
        if test_path:
            with open(test_path, encoding="utf-8") as file:
                texts = [json.loads(line)["text"] for line in file]
            model.eval()
            with torch.inference_mode():  # not through Trainer.predict, which gives texts grouped by length back in that order
                logits = [model(**tokenizer(texts[i : i + 32], truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="pt").to(model.device)).logits
                          for i in range(0, len(texts), 32)]
            chosen = decide(torch.cat(logits).cpu().numpy(), is_many)
            found["said"] = [[label for label, on in zip(labels, row) if on] for row in chosen] if is_many else [labels[i] for i in chosen]
            found |= {"labels": labels, "n_parameters": model.num_parameters()}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
