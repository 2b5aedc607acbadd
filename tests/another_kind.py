"""A kind of head that doxa does not have, in one file and one line of its table: `python another_kind.py FOLDER COMMANDS` runs commands with it.

COMMANDS is a JSON list of their arguments, each with its name in front; what the first says on stdout lies in FOLDER/0.out, and so on. Each is a process of
its own, forked where what takes long to load is loaded; one that fails ends it all with its exit code.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from warm import LIBRARIES  # noqa: E402

from doxa.metrics.tallied import Tallied  # noqa: E402
from doxa.model.heads import Head  # noqa: E402
from doxa.model.kinds.kind import Kind, Lesson  # noqa: E402
from doxa.model.kinds.table import KINDS  # noqa: E402
from doxa.model.kinds.tokenwise import gather_tokens, lay_out_text  # noqa: E402
from doxa.text.question import Question  # noqa: E402


class Hits(Tallied):
    headline, small = "hit_rate", ("hit_rate",)

    def count(self, gold, said):
        return np.array([[self.is_right(own, entry), 1] for own, entry in zip(gold, said)], float)

    def figures(self, sums):
        return {"hit_rate": sums[:, 0] / sums[:, 1]}

    def is_right(self, gold, said):
        return said["character"] == gold


class Pointer(Kind):
    """Which character of a text a pointer stands at."""

    name = "pointer"
    stock = KINDS["span"].stock
    softmax_over = "tokens"
    marks = ("character",)

    def read_question(self, record, fields):
        return Question((record.get_text(fields.text),))

    def read_gold(self, value):
        if value is not None and type(value) is not int:
            raise ValueError("is no whole number")
        return value

    def decide_head(self, name, gold):
        return Head(name, self.name)

    def lay_out(self, questions, tokenizer, reading):
        return lay_out_text(questions, tokenizer, reading)

    def teach(self, question, layout, gold, head):
        token = layout.about.places[0].at + int(layout.about.first_tokens([(gold, gold + 1)])[0])
        return [Lesson([layout.windows[0]], np.array([token, token]))]

    def answer(self, layouts, outputs, heads, with_scores):
        found, at = [], 0
        for layout in layouts:
            logits = gather_tokens(outputs[at : at + len(layout.windows)], layout.about)
            at += len(layout.windows)
            found.append({heads[0].name: {"character": int(layout.about.offsets[logits[:, 0].argmax(), 0])}})
        return found

    def arrow_type(self, head, with_scores):
        return [("character", pa.int64())]

    def judge(self, gold: list[Any], *said: list[dict[str, Any]]) -> Tallied:
        return Hits()


if __name__ == "__main__":
    from doxa.commands._command import run
    from doxa.device.libraries import prepare_libraries

    prepare_libraries(".")
    for module in (*LIBRARIES, "doxa.training.finetune", "doxa.inference.loading"):
        importlib.import_module(module)
    KINDS["pointer"] = Pointer()
    for i, arguments in enumerate(json.loads(sys.argv[2])):
        if (child := os.fork()) == 0:
            os.dup2(os.open(f"{sys.argv[1]}/{i}.out", os.O_WRONLY | os.O_CREAT, 0o600), 1)
            sys.argv = arguments
            run(getattr(importlib.import_module(f"doxa.commands.{arguments[0]}"), arguments[0]))
        if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            sys.exit(code)
