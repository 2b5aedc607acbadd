"""The data sets of kinds.py by stock Hugging Face code: AutoModelFor..., AdamW, a linear schedule with warm-up, dynamic padding, the stock loss.

What is read and said follows the example scripts of transformers (run_glue, run_ner, run_qa, run_swag); the loop stands for Trainer's with
the flags of a user who knows them: bf16, batches of like length, the best epoch on dev kept."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForMultipleChoice, AutoModelForQuestionAnswering, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification,
    AutoModelForTokenClassification, AutoTokenizer, BartConfig, get_linear_schedule_with_warmup, set_seed)
from transformers.trainer_pt_utils import get_length_grouped_indices

from kinds_data import SETS, gold_of, texts_of
from kinds_measures import measure

BATCH_SIZE, WARMUP, WEIGHT_DECAY, MAX_GRAD_NORM = 16, 0.1, 0.01, 1.0
STRIDE, N_BEST, MOST_ANSWER_TOKENS = 128, 20, 30  # of run_qa
IGNORED = -100


class Way:
    """One kind. `features` makes what is taught of records, `say` what the model says of them."""

    auto_class: Any = AutoModelForSequenceClassification

    def __init__(self, name: str, tokenizer: Any, train: list[dict]):
        self.spec, self.tokenizer, self.labels = SETS[name], tokenizer, self.find_labels(gold_of(name, train))

    def find_labels(self, gold: list) -> list[str]:
        return []

    def settings(self) -> dict[str, Any]:
        return {"num_labels": len(self.labels)}

    def encode(self, rows: list[dict]) -> dict[str, list]:
        return self.tokenizer(*([row[field] for row in rows] for field in self.spec.fields), truncation=True, max_length=self.spec.max_length)

    def features(self, rows: list[dict]) -> list[dict]:
        encoded = self.encode(rows)
        return [self.inputs_of(encoded, i) | {"labels": self.target(row[self.spec.head])} for i, row in enumerate(rows)]

    def inputs_of(self, encoded: dict[str, list], i: int) -> dict:
        return {key: encoded[key][i] for key in self.tokenizer.model_input_names if key in encoded}

    def target(self, gold: Any) -> Any:
        raise NotImplementedError

    def collate(self, batch: list[dict]) -> dict[str, torch.Tensor]:
        padded = self.tokenizer.pad([{key: values for key, values in row.items() if key in self.tokenizer.model_input_names} for row in batch],
                                    return_tensors="pt")
        return dict(padded) | {key: torch.tensor([row[key] for row in batch]) for key in batch[0] if key not in self.tokenizer.model_input_names}

    def run(self, model: Any, features: list[dict]) -> list[Any]:
        """The output for each batch of features, in order, without what is taught."""
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            batches = [self.collate(features[i : i + 2 * BATCH_SIZE]) for i in range(0, len(features), 2 * BATCH_SIZE)]
            return [model(**{key: values for key, values in batch.items() if key in self.tokenizer.model_input_names}) for batch in batches]

    def logits(self, model: Any, rows: list[dict]) -> list[np.ndarray]:
        encoded = self.encode(rows)
        return [row for output in self.run(model, [self.inputs_of(encoded, i) for i in range(len(rows))]) for row in output.logits.float().numpy()]

    def say(self, model: Any, rows: list[dict]) -> list:
        raise NotImplementedError


def pad_labels(batch: list[dict], n: int) -> list[dict]:
    return [row | {"labels": row["labels"] + [IGNORED] * (n - len(row["labels"]))} if "labels" in row else row for row in batch]


class LabelWay(Way):
    def find_labels(self, gold: list[str]) -> list[str]:
        return sorted(set(gold))

    def target(self, gold: str) -> int:
        return self.labels.index(gold)

    def say(self, model: Any, rows: list[dict]) -> list[str]:
        return [self.labels[int(row.argmax())] for row in self.logits(model, rows)]


class LabelsWay(Way):
    def find_labels(self, gold: list[list[str]]) -> list[str]:
        return sorted({label for row in gold for label in row})

    def settings(self) -> dict[str, Any]:
        return {"num_labels": len(self.labels), "problem_type": "multi_label_classification"}

    def target(self, gold: list[str]) -> list[float]:
        return [float(label in gold) for label in self.labels]

    def say(self, model: Any, rows: list[dict]) -> list[list[str]]:
        return [[label for label, logit in zip(self.labels, row) if logit > 0] for row in self.logits(model, rows)]


class TagsWay(Way):
    """The first piece of each token is taught and read, as run_ner does; a token that was cut off is O."""

    auto_class = AutoModelForTokenClassification

    def find_labels(self, gold: list[list[str]]) -> list[str]:
        return sorted({tag for tags in gold for tag in tags})

    def encode(self, rows: list[dict]) -> Any:
        return self.tokenizer([row["tokens"] for row in rows], truncation=True, max_length=self.spec.max_length, is_split_into_words=True)

    def features(self, rows: list[dict]) -> list[dict]:
        encoded = self.encode(rows)
        return [self.inputs_of(encoded, i) | {"labels": self.place_tags(encoded.word_ids(i), row["tags"])} for i, row in enumerate(rows)]

    def place_tags(self, word_ids: list[int | None], tags: list[str]) -> list[int]:
        return [IGNORED if word is None or word_ids[at - 1] == word else self.labels.index(tags[word]) for at, word in enumerate(word_ids)]

    def collate(self, batch: list[dict]) -> dict[str, torch.Tensor]:
        return super().collate(pad_labels(batch, max(len(row["input_ids"]) for row in batch)))

    def say(self, model: Any, rows: list[dict]) -> list[list[str]]:
        encoded, said = self.encode(rows), [["O"] * len(row["tokens"]) for row in rows]
        for i, logits in enumerate(self.logits(model, rows)):
            word_ids = encoded.word_ids(i)
            for at, word in enumerate(word_ids):
                if word is not None and word_ids[at - 1] != word:
                    said[i][word] = self.labels[int(logits[at].argmax())]
        return said


class SpanWay(Way):
    """Windows of long contexts, the best pair of start and end over all of them, as run_qa does."""

    auto_class = AutoModelForQuestionAnswering

    def settings(self) -> dict[str, Any]:
        return {}

    def encode(self, rows: list[dict]) -> Any:
        return self.tokenizer([row["question"].strip() for row in rows], [row["context"] for row in rows], truncation="only_second",
                              max_length=self.spec.max_length, stride=STRIDE, return_overflowing_tokens=True, return_offsets_mapping=True)

    def features(self, rows: list[dict]) -> list[dict]:
        encoded = self.encode(rows)
        return [self.inputs_of(encoded, i) | self.place_answer(encoded, i, rows[row]["answers"][0])
                for i, row in enumerate(encoded["overflow_to_sample_mapping"])]

    def place_answer(self, encoded: Any, i: int, answer: dict) -> dict[str, int]:
        """Its first and last token; [CLS] where it is not whole in the window."""
        start, end, offsets = answer["start"], answer["start"] + len(answer["text"]), encoded["offset_mapping"][i]
        inside = [at for at in self.context_of(encoded, i) if offsets[at][1] > start and offsets[at][0] < end]
        is_whole = inside and offsets[inside[0]][0] <= start and offsets[inside[-1]][1] >= end
        return {"start_positions": inside[0] if is_whole else 0, "end_positions": inside[-1] if is_whole else 0}

    def context_of(self, encoded: Any, i: int) -> list[int]:
        return [at for at, part in enumerate(encoded.sequence_ids(i)) if part == 1]

    def say(self, model: Any, rows: list[dict]) -> list[str]:
        encoded = self.encode(rows)
        outputs = self.run(model, [self.inputs_of(encoded, i) for i in range(len(encoded["input_ids"]))])
        starts, ends = ([row for output in outputs for row in output[key].float().numpy()] for key in ("start_logits", "end_logits"))
        said, best = [""] * len(rows), [-math.inf] * len(rows)
        for i, row in enumerate(encoded["overflow_to_sample_mapping"]):
            context = set(self.context_of(encoded, i))
            for start in np.argsort(-starts[i])[:N_BEST]:
                for end in np.argsort(-ends[i])[:N_BEST]:
                    if {start, end} <= context and start <= end < start + MOST_ANSWER_TOKENS and starts[i][start] + ends[i][end] > best[row]:
                        best[row] = starts[i][start] + ends[i][end]
                        said[row] = rows[row]["context"][encoded["offset_mapping"][i][start][0] : encoded["offset_mapping"][i][end][1]]
        return said


class ChoiceWay(Way):
    """Every choice beside the text, as run_swag does."""

    auto_class = AutoModelForMultipleChoice

    def settings(self) -> dict[str, Any]:
        return {}

    def features(self, rows: list[dict]) -> list[dict]:
        features = []
        for row in rows:
            encoded = self.tokenizer([row["text"]] * len(row["choices"]), row["choices"], truncation="only_first", max_length=self.spec.max_length)
            features.append({"choices": [self.inputs_of(encoded, i) for i in range(len(row["choices"]))], "labels": row["label"]})
        return features

    def collate(self, batch: list[dict]) -> dict[str, torch.Tensor]:
        n_choices = len(batch[0]["choices"])
        padded = super().collate([choice for row in batch for choice in row["choices"]])
        shaped = {key: values.view(len(batch), n_choices, -1) for key, values in padded.items()}  # (B * C, T) -> (B, C, T)
        return shaped | {"labels": torch.tensor([row["labels"] for row in batch])}

    def say(self, model: Any, rows: list[dict]) -> list[int]:
        return [int(row.argmax()) for output in self.run(model, self.features(rows)) for row in output.logits.float().numpy()]


class TextWay(Way):
    auto_class = AutoModelForSeq2SeqLM

    def settings(self) -> dict[str, Any]:
        return {}

    def target(self, gold: str) -> list[int]:
        """Without the decoder's start, which the model puts before it."""
        return self.tokenizer(gold, truncation=True, max_length=self.spec.max_length)["input_ids"][1:]

    def collate(self, batch: list[dict]) -> dict[str, torch.Tensor]:
        return super().collate(pad_labels(batch, max((len(row["labels"]) for row in batch if "labels" in row), default=0)))

    def say(self, model: Any, rows: list[dict]) -> list[str]:
        encoded, said = self.encode(rows), []
        for i in range(0, len(rows), 4 * BATCH_SIZE):
            batch = self.collate([self.inputs_of(encoded, j) for j in range(i, min(i + 4 * BATCH_SIZE, len(rows)))])
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                ids = model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens=self.spec.max_length,
                                     num_beams=1, do_sample=False)
            said += self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return said


WAYS = {"label": LabelWay, "labels": LabelsWay, "tags": TagsWay, "span": SpanWay, "choice": ChoiceWay, "text": TextWay}


def tune(name: str, base: str, train: list[dict], dev: list[dict], rate: float, seed: int) -> tuple[Way, Any, float]:
    """The way, the model of the epoch that is best on dev, and its figure there."""
    spec, tokenizer = SETS[name], AutoTokenizer.from_pretrained(base)
    way = WAYS[spec.kind](name, tokenizer, train)
    set_seed(seed)
    model = way.auto_class.from_pretrained(base, dtype=torch.float32, **way.settings())
    features = way.features(train)
    lengths = [len(row["input_ids"]) if "input_ids" in row else max(len(choice["input_ids"]) for choice in row["choices"]) for row in features]
    n_steps = spec.n_epochs * math.ceil(len(features) / BATCH_SIZE)
    matrices, others = ([values for values in model.parameters() if (values.ndim > 1) == is_matrix] for is_matrix in (True, False))
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}], lr=rate, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(WARMUP * n_steps), n_steps)
    best, best_figure = None, -math.inf
    for _ in range(spec.n_epochs):
        model.train()
        order = get_length_grouped_indices(lengths, BATCH_SIZE)
        for i in range(0, len(order), BATCH_SIZE):
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(**way.collate([features[j] for j in order[i : i + BATCH_SIZE]])).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        model.eval()
        figure = measure(spec.kind, gold_of(name, dev), way.say(model, dev))[spec.measure]
        if figure > best_figure:
            best, best_figure = copy.deepcopy(model.state_dict()), figure
    model.load_state_dict(best)
    return way, model.eval(), best_figure


def make_base(folder: Path, name: str, train: list[dict], seed: int) -> str:
    """The directory that both sides start from."""
    from doxa.model.bases import find_embedded
    from doxa.model.network import build_scratch
    from doxa.model.heads import Head
    from doxa.text.tokenizer import TextTokenizer, write_tokenizer
    from doxa.text.vocabulary import learn_tokenizer

    base = SETS[name].base
    if base == "minilm":
        return find_embedded()
    path = folder / base
    if not path.exists():
        torch.manual_seed(seed)
        texts = [text for row in train for text in texts_of(name, row)]
        tokenizer = TextTokenizer(learn_tokenizer(texts), 512)
        size = tokenizer.rust.get_vocab_size()
        network = build_tiny_translator(size) if base == "made" else build_scratch(size, [Head("any", "label", ("a", "b"))]).base_model
        network.save_pretrained(path)
        write_tokenizer(tokenizer, str(path), 512)
    return str(path)


def build_tiny_translator(n_tokens: int) -> Any:
    """Two layers of encoder and two of decoder, 128 wide, of BART's architecture; ids of special tokens are those that learn_tokenizer gives."""
    config = BartConfig(vocab_size=n_tokens, d_model=128, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
                        encoder_ffn_dim=512, decoder_ffn_dim=512, max_position_embeddings=128, pad_token_id=0, bos_token_id=2, eos_token_id=3,
                        decoder_start_token_id=2, forced_eos_token_id=3)
    return AutoModelForSeq2SeqLM.from_config(config)
