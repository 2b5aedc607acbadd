"""The data sets of kinds.py as records: training texts drawn by a seed, dev and test the same for all seeds."""

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inputs import DATA

LEAST_TIMES = 20  # rarer labels of several a text are slips of the source
N_AROUND = 25  # characters left on each side of a blank
BLANK = "#idiom#"
WORDS = ("bank loan rate gold bond oil fund stock price market debt tax yield trade card branch client deal risk report euro dollar "
         "利率 债券 股票 基金 黄金 原油 银行 贷款 外汇 期货 市场 风险 公司 政策 监管 投资 收益 价格").split()


@dataclass(frozen=True)
class Set:
    """`n_train`, `n_dev` and `n_test` are the most texts that are taken. `fields` are those of one text or of the two of a pair."""

    kind: str
    head: str
    base: str  # minilm, scratch (an encoder with random weights and its own vocabulary) or made (an encoder and a decoder of that sort)
    n_train: int
    n_epochs: int
    max_length: int
    measure: str  # what chooses the best epoch and stands in the table
    fields: tuple[str, ...] = ("text",)
    n_dev: int = 300
    n_test: int = 1500


SETS = {
    "rte_en": Set("label", "label", "minilm", 1000, 5, 128, "accuracy", ("text_a", "text_b")),
    "ocnli_zh": Set("label", "label", "scratch", 1738, 6, 128, "accuracy", ("text_a", "text_b")),
    "atec_finance_pairs_zh": Set("label", "label", "scratch", 6000, 5, 128, "macro_f1", ("text_a", "text_b")),
    "banking77_en": Set("label", "label", "minilm", 8988, 3, 64, "accuracy", n_dev=500, n_test=3079),
    "nlupp_multi_intent_en": Set("labels", "labels", "minilm", 1957, 6, 64, "micro_f1"),
    "fin_news_topics_zh": Set("labels", "labels", "scratch", 3000, 5, 128, "micro_f1"),
    "wnut17_ner_en": Set("tags", "tags", "minilm", 3394, 3, 128, "entity_f1", ("tokens",)),
    "cluener_zh": Set("tags", "tags", "scratch", 3000, 6, 64, "entity_f1", ("tokens",)),
    "xquad_en": Set("span", "answers", "minilm", 735, 4, 384, "f1", ("question", "context"), 64),
    "chid_choice_zh": Set("choice", "label", "scratch", 1506, 4, 72, "accuracy", ("text",), 200),
    "reversal": Set("text", "target", "made", 4000, 8, 32, "exact", ("text",), 200, 500),
}


def write_parts(folder: Path, name: str, seed: int) -> dict[str, Path]:
    spec, paths = SETS[name], {}
    sizes = {"train": spec.n_train, "dev": spec.n_dev, "test": spec.n_test}
    files = make_reversals(sizes) if name == "reversal" else {part: list(prepare(name, read_rows(name, part))) for part in sizes}
    if spec.kind == "labels":
        counts = Counter(label for row in files["train"] for label in row[spec.head])
        for row in (row for rows in files.values() for row in rows):
            row[spec.head] = [label for label in row[spec.head] if counts[label] >= LEAST_TIMES]
    for part, rows in files.items():
        random.Random(seed if part == "train" else 0).shuffle(rows)
        paths[part] = folder / f"{part}.jsonl"
        paths[part].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows[: sizes[part]]), encoding="utf-8")
    return paths


def read_rows(name: str, part: str) -> list[dict]:
    path = DATA / name / f"{part}.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()]


def prepare(name: str, rows: list[dict]) -> Iterator[dict]:
    """The fields that are read. Of a text with a blank what is around it is left: it is this that tells, and the rest would be cut anyhow."""
    spec = SETS[name]
    for row in rows:
        record = {field: row[field] for field in (*spec.fields, spec.head)}
        if spec.kind == "choice":
            at = row["text"].index(BLANK)
            record["text"] = row["text"][max(0, at - N_AROUND) : at + len(BLANK) + N_AROUND]
            record["choices"] = row["choices"]
        yield record


def make_reversals(sizes: dict[str, int]) -> dict[str, list[dict]]:
    """Texts of three to five words and the same words from the last to the first; no text is in two parts."""
    draw, seen = random.Random(7), set()
    while len(seen) < sum(sizes.values()):
        seen.add(" ".join(draw.choices(WORDS, k=draw.randint(3, 5))))
    texts = sorted(seen)
    draw.shuffle(texts)
    rows = iter({"text": text, "target": " ".join(reversed(text.split()))} for text in texts)
    return {part: [next(rows) for _ in range(size)] for part, size in sizes.items()}


def read_part(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def gold_of(name: str, rows: list[dict]) -> list:
    return [row[SETS[name].head] for row in rows]


def texts_of(name: str, row: dict) -> list[str]:
    """The texts of a record from which a vocabulary is learnt."""
    values = [row[field] for field in (*SETS[name].fields, *(("choices",) if "choices" in row else ()))]
    return [text for value in values for text in ([value] if isinstance(value, str) else value)]


def split_words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)
