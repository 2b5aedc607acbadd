"""Texts to explanations: lay them out, label them, explain the label, judge the explanation. Knows nothing of records."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from doxa.errors import RecordError
from doxa.explaining.entry import build_entry, entry_types
from doxa.explaining.faithfulness import measure_faithfulness
from doxa.explaining.layout import Layout, lay_out
from doxa.explaining.methods import METHODS
from doxa.explaining.target import Target, choose_labels, label_scores
from doxa.explaining.task import Task, Tools
from doxa.explaining.units import Unit, cut_units
from doxa.model.heads import Head, head_slices
from doxa.records.record import Record
from doxa.text.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Wanted:
    """What to explain: which heads, a label instead of the predicted one (None), by which method, in which units, and whether with what
    rules say beside it."""

    heads: tuple[str, ...]
    label: str | None = None
    method: str | None = None  # what suits the kind of head
    unit: str = "word"
    with_faithfulness: bool = True
    with_rules: bool = False


class Explainer:
    """`heads` are all heads of the model, side by side in its outputs; `wanted.heads` those that are explained."""

    def __init__(self, wanted: Wanted, tools: Tools, heads: list[Head], tokenizer: TextTokenizer, second_field: str | None = None,
                 text_field: str = "text"):
        self.wanted, self.tools, self.tokenizer, self.second_field, self.text_field = wanted, tools, tokenizer, second_field, text_field
        self.heads = [(head, outputs) for head, outputs in zip(heads, head_slices(heads)) if head.name in wanted.heads]
        self._targets: dict[tuple[str, int | None], Target] = {}

    def read(self, record: Record) -> tuple[str, ...]:
        """The text of a record, or both of a pair. Raises RecordError."""
        return tuple(record.get_texts(self.text_field, self.second_field))

    def arrow_type(self) -> dict[str, pa.DataType]:
        """The Arrow type of `explanation`."""
        wanted = self.wanted
        return entry_types([head for head, _ in self.heads], wanted.method, self.second_field is not None, wanted.with_faithfulness, wanted.with_rules)

    def explain(self, questions: list[tuple[str, ...]]) -> list[dict[str, Any] | RecordError]:
        """Return for every text, or pair of texts, one entry per head, or what is wrong with it."""
        answers: list[Any] = [None] * len(questions)
        layouts: dict[int, tuple[Layout, list[Unit], int]] = {}
        for position, parts in enumerate(self._encode(questions)):
            try:
                layouts[position] = self._lay_out(questions[position], parts)
            except RecordError as error:
                answers[position] = error
        tasks, owners = [], []
        for position, logits in self.tools.pooled((position, list(layout.windows)) for position, (layout, _, _) in layouts.items()):
            if not np.isfinite(logits).all():
                answers[position] = RecordError("non_finite", "the model gave a score that is no finite number")
                continue
            answers[position] = {}
            for head, outputs in self.heads:
                scores = label_scores(logits, head, outputs)
                for label in self._labels(scores, head):
                    tasks.append(Task(*layouts[position], self._target(head, outputs, label)))
                    owners.append((position, scores))
        evidence = METHODS[self.wanted.method].explain(tasks, self.tools)
        judged = measure_faithfulness(tasks, evidence, self.tools) if self.wanted.with_faithfulness else [None] * len(tasks)
        for task, found, faithfulness, (position, scores) in zip(tasks, evidence, judged, owners):
            if not isinstance(answers[position], dict):
                continue
            if not np.isfinite(found.scores).all():
                answers[position] = RecordError("non_finite", "the explanation holds a score that is no finite number")
                continue
            entry = build_entry(task, found, faithfulness, scores, questions[position], self.second_field, self.wanted.method, self.wanted.unit)
            if task.target.head.kind == "labels":
                answers[position].setdefault(task.target.head.name, {"labels": []})["labels"].append(entry)
            else:
                answers[position][task.target.head.name] = entry
        return answers

    def _encode(self, questions: list[tuple[str, ...]]) -> list[list[tuple[list[int], list[tuple[int, int]]]]]:
        encoded = iter(self.tokenizer.encode_with_offsets([text for texts in questions for text in texts]))
        return [[next(encoded) for _ in texts] for texts in questions]

    def _lay_out(self, texts: tuple[str, ...], parts: list[tuple[list[int], list[tuple[int, int]]]]) -> tuple[Layout, list[Unit], int]:
        """The layout, the units of all texts with tokens counted through, and how many units are the first text's."""
        ids = [ids for ids, _ in parts]
        if not ids[0]:
            raise RecordError("empty_text", "the text holds nothing that the tokenizer reads")
        layout = lay_out(ids[0], ids[1] if len(ids) > 1 else None, self.tools.reading)
        units = cut_units(texts[0], parts[0][1], self.wanted.unit)
        n_first = len(units)
        if len(texts) > 1:
            units += [Unit(unit.start, unit.end, tuple(layout.n_first + token for token in unit.tokens))
                      for unit in cut_units(texts[1], parts[1][1], self.wanted.unit)]
        return layout, units, n_first

    def _labels(self, scores: np.ndarray, head: Head) -> list[int | None]:
        return choose_labels(scores, head) if self.wanted.label is None else [head.labels.index(self.wanted.label)]

    def _target(self, head: Head, outputs: slice, label: int | None) -> Target:
        return self._targets.setdefault((head.name, label), Target(head, outputs, label))
