"""Questions to predictions: lay them out in windows, compute, let their kind of head answer. Knows nothing of records."""

from dataclasses import dataclass
from typing import Any

from doxa.errors import RecordError
from doxa.inference.memory import Memory
from doxa.model.heads import Head
from doxa.model.kinds.table import kind_of
from doxa.text.frame import Reading
from doxa.text.question import Question
from doxa.text.tokenizer import TextTokenizer


@dataclass(slots=True)
class Answers:
    """One entry per question: the keys to add to its record, or what is wrong with it. `n_remembered` of `n_windows`
    windows had been computed before."""

    entries: list[dict[str, Any] | RecordError]
    n_windows: int = 0
    n_remembered: int = 0


class Labeller:
    """Answers do not depend on the other questions of a call, beyond rounding. Several threads may ask."""

    def __init__(self, memory: Memory, heads: list[Head], tokenizer: TextTokenizer, reading: Reading, with_scores: bool = False,
                 stamp: str | None = None):
        self.memory, self.heads, self.tokenizer, self.reading = memory, heads, tokenizer, reading
        self.with_scores, self.stamp, self.kind = with_scores, stamp, kind_of(heads)

    def label(self, questions: list[Question]) -> Answers:
        layouts = self.kind.lay_out(questions, self.tokenizer, self.reading)
        entries: list[Any] = list(layouts)
        read = [position for position, layout in enumerate(layouts) if not isinstance(layout, RecordError)]
        if not read:
            return Answers(entries)
        readable = [layouts[position] for position in read]
        windows = [window for layout in readable for window in layout.windows]
        outputs, n_remembered = self.memory.compute(windows)
        for position, layout, prediction in zip(read, readable, self.kind.answer(readable, outputs, self.heads, self.with_scores)):
            if prediction is None:
                entries[position] = RecordError("non_finite", "the model gave a score that is no finite number")
                continue
            if self.stamp:
                for entry in prediction.values():
                    entry["model"] = self.stamp
            entries[position] = {"prediction": prediction, "n_tokens": layout.n_tokens} | ({"truncated": True} if layout.is_cut else {})
        return Answers(entries, len(windows), n_remembered)
