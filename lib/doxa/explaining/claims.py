"""What heads of other kinds than labels and numbers say of a record, explained claim by claim: an entity, an answer, a choice, a likeness."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from doxa.errors import RecordError
from doxa.explaining.entry import evidence_types, faithfulness_type, judged_entry, scored_unit
from doxa.explaining.explainer import Wanted
from doxa.explaining.faithfulness import measure_faithfulness
from doxa.explaining.marking import Marker, find_tokens
from doxa.explaining.methods import METHODS
from doxa.explaining.task import Evidence, Sought, Tools
from doxa.explaining.units import Unit, cut_units
from doxa.model.heads import Head
from doxa.model.kinds.table import kind_of
from doxa.records.text_fields import TextFields
from doxa.text.frame import Window
from doxa.text.question import Layout, Question
from doxa.text.tokenizer import TextTokenizer


@dataclass(frozen=True, eq=False)
class Claim(Sought):
    """One thing that an entry of `prediction` says, in the windows that tell of it. `owners` tells of every unit which of the question's texts it is of,
    `weigh` makes the claim's number of the windows' outputs; `wrote` are the tokens that a model which writes has written."""

    owners: list[int]
    said: dict[str, Any]
    question: Question
    weigh: Callable[[Sequence[np.ndarray]], float]
    wrote: list[int] | None

    @property
    def written(self) -> list[int] | None:
        return self.wrote

    def number(self, windows: list[Window], outputs: Sequence[np.ndarray]) -> float:
        return self.weigh(outputs)

    def without(self, absent: np.ndarray, tools: Tools) -> list[Window]:
        return self.layout.replaced(absent, tools.judge_id)


class ClaimExplainer:
    """Explains by methods that need nothing but outputs. The model has one head, which is of a kind that `is_explained`."""

    def __init__(self, wanted: Wanted, tools: Tools, head: Head, tokenizer: TextTokenizer, fields: TextFields):
        self.wanted, self.tools, self.head, self.kind, self.tokenizer, self.fields = wanted, tools, head, kind_of([head]), tokenizer, fields

    @property
    def heads(self) -> list[tuple[Head, slice]]:
        return [(self.head, slice(None))]

    def read(self, record: Any) -> tuple[Question, TextFields]:
        """What is asked of a record, and the fields that its texts are in. Raises RecordError."""
        return self.kind.read_question(record, self.fields), self.kind.fields_of(record, self.fields)

    def explain(self, asked: list[tuple[Question, TextFields]]) -> list[dict[str, Any] | RecordError]:
        """Return for every question an entry by the name of the head, or what is wrong with it."""
        questions = [question for question, _ in asked]
        layouts = self.kind.lay_out(questions, self.tokenizer, self.tools.reading)
        answers: list[Any] = list(layouts)
        read = [i for i, layout in enumerate(layouts) if not isinstance(layout, RecordError)]
        if not read:
            return answers
        outputs = self.tools.memory.compute([window for i in read for window in layouts[i].windows])[0]
        entries = self.kind.answer([layouts[i] for i in read], outputs, [self.head], False)
        claims: list[Claim] = []
        owners: list[int] = []
        at = 0
        for i, entry in zip(read, entries):
            end = at + len(layouts[i].windows)
            try:
                found = self._claims(questions[i], layouts[i], entry, outputs[at:end])
            except RecordError as error:
                answers[i] = error
            else:
                answers[i] = {self.head.name: {self.kind.claims_key: []} if self.kind.claims_key else {}}
                claims += found
                owners += [i] * len(found)
            at = end
        found = METHODS[self.wanted.method].explain(claims, self.tools)
        judged = measure_faithfulness(claims, found, self.tools) if self.wanted.with_faithfulness else [None] * len(claims)
        for claim, evidence, faithfulness, i in zip(claims, found, judged, owners):
            if not np.isfinite(evidence.scores).all():
                answers[i] = RecordError("non_finite", "the explanation holds a score that is no finite number")
            elif not isinstance(answers[i], RecordError):
                explained = claim.said | {"method": self.wanted.method, "unit": self.wanted.unit, "tokens": self._units(claim, evidence, asked[i][1])} | evidence.about
                explained |= judged_entry(faithfulness)
                if self.kind.claims_key:
                    answers[i][self.head.name][self.kind.claims_key].append(explained)
                else:
                    answers[i][self.head.name] = explained
        return answers

    def _claims(self, question: Question, layout: Layout, entry: dict[str, Any] | None, outputs: Sequence[np.ndarray]) -> list[Claim]:
        """Raises RecordError where there is nothing to explain."""
        if entry is None:
            raise RecordError("non_finite", "the model gave a score that is no finite number")
        said = [claim for claim in self.kind.claims(entry[self.head.name]) if self.wanted.label in (None, claim.get("label"))]
        if not said:
            return []
        tokens, marker = find_tokens(self.kind, question, layout.windows, self.tokenizer, self.tools.reading)
        units, owners = _cut(question, marker, self.wanted.unit)
        wrote = outputs[0][:, 0].astype(np.int64).tolist() if self.kind.writes else None
        weighers = [self.kind.weigher(one, layout, self.head) for one in said]
        return [Claim(tokens.only(windows), units, owners, one, question, weigh, wrote) for one, (windows, weigh) in zip(said, weighers)]

    def _units(self, claim: Claim, evidence: Evidence, fields: TextFields) -> list[dict[str, Any]]:
        return [scored_unit(unit, claim.question.texts[owner], evidence, i) | self.kind.place_of(owner, fields)
                for i, (unit, owner) in enumerate(zip(claim.units, claim.owners))]

    def arrow_type(self) -> dict[str, pa.DataType]:
        """The Arrow type of `explanation`."""
        rest = evidence_types(self.wanted.method, [("field", pa.string()), ("index", pa.int64())])
        rest += faithfulness_type() if self.wanted.with_faithfulness else []
        entry = pa.struct([*self.kind.claim_type(self.head), *rest])
        return {"explanation": pa.struct([(self.head.name, pa.struct([(self.kind.claims_key, pa.list_(entry))]) if self.kind.claims_key else entry)])}


def _cut(question: Question, marker: Marker, unit: str) -> tuple[list[Unit], list[int]]:
    """The units of all texts, their tokens counted as the marker does, and of which text each is."""
    units, owners = [], []
    for i, text in enumerate(question.texts):
        places = [place for place, owner in enumerate(marker.owners) if owner == i]
        own = cut_units(text, [marker.offsets[place] for place in places], unit)
        units += [Unit(one.start, one.end, tuple(places[token] for token in one.tokens)) for one in own]
        owners += [i] * len(own)
    return units, owners
