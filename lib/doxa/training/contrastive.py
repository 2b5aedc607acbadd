"""Training of vectors: pairs of texts that are alike, are not, or are so by degrees."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from doxa.errors import DoxaError, UsageError
from doxa.metrics.bootstrap import draw_rows
from doxa.metrics.vector_figures import alikeness_figures, vector_figures
from doxa.model.heads import Head
from doxa.model.kinds.table import kind_of
from doxa.model.sentence_modules import write_modules
from doxa.text.tokenizer import TextTokenizer
from doxa.training.contrastive_loss import ContrastiveTask
from doxa.training.evaluation import HeadFigures, compare_resampled
from doxa.training.examples import LabelledSet
from doxa.training.lessons import Lessons, check_flags, prepare_lessons
from doxa.training.lexical import METHOD, cosines, count_found, lexical_vectors
from doxa.training.loop import TrainingLoop
from doxa.training.plan import Listener, Plan
from doxa.training.prepared import Judged

AT_ONCE = 50  # resamples


@dataclass(kw_only=True)
class Contrastive(Lessons):
    """Lessons and dev records are pairs. `is_graded` where gold says more of them than 0 and 1; else a pair without gold is alike."""

    is_graded: bool

    def check(self, plan: Plan) -> None:
        if self.unlabelled.examples and not plan.head_start:
            raise UsageError(f"--unlabelled goes with --head-start mlm for a head of {self.kind.name}")
        check_flags(plan, self.kind.name, {"--class-weights": plan.class_weights != "none", "--focal-gamma": plan.focal_gamma > 0,
                                           "--label-smoothing-factor": plan.label_smoothing_factor > 0})

    def make_task(self, plan: Plan, chosen: Any = None, soft: torch.Tensor | None = None) -> ContrastiveTask:
        return ContrastiveTask(self.lessons, self.stock, self.is_graded, self.pad_id, self.mixed)

    @property
    def alikeness(self) -> np.ndarray:
        """How alike the pairs of dev are (n,)."""
        return np.array([1.0 if value is None else value for value in self.dev_gold])

    def evaluate(self, loop: TrainingLoop) -> dict[str, float]:
        """The figure that leads in evaluate as well: Spearman's correlation of cosines with how alike the pairs of dev are where that
        differs, else MRR; the least of it where it is not defined."""
        said = self.answers(loop, stops=True)
        if said is None:
            return {}
        judge = vector_figures(self.dev_gold)
        if not judge.differs:
            return {self.head.name: float(np.nan_to_num(judge.total(self.dev_gold, said)[judge.headline]))}
        value = alikeness_figures(self.alikeness, np.array([entry["score"] for entry in said]), np.ones((1, len(said))))[judge.headline][0]
        return {self.head.name: float(np.nan_to_num(value, nan=-1.0))}  # vectors that are all the same

    def judge(self, plan: Plan, loop: TrainingLoop) -> Judged:
        texts = [question.texts for question in self.dev_questions]
        known = [text for example in self.train.examples for text in example.texts]
        lexical = lexical_vectors(known, [one for one, _ in texts], [other for _, other in texts])
        return Judged(self.heads, [self._compare(self.answers(loop), lexical)])

    def _compare(self, said: list[dict[str, Any]], lexical) -> HeadFigures:
        judge, weights = vector_figures(self.dev_gold), draw_rows(np.zeros(len(said), int), most=len(said)).weights
        if not judge.differs:
            is_query = np.array([judge.is_query(value) for value in self.dev_gold])
            counts = {"model": judge.count(self.dev_gold, said), METHOD: count_found(*lexical, [question.texts[1] for question in self.dev_questions], is_query)}
            figures, names = {method: judge.figures(weights @ own) for method, own in counts.items()}, ("recall_at_1", "mrr")
        else:
            scores = {"model": np.array([entry["score"] for entry in said]), METHOD: cosines(*lexical)}
            figures, names = {method: _alikeness(self.alikeness, own, weights) for method, own in scores.items()}, ("pearson", "spearman")
        return compare_resampled(self.head, len(said), figures, names)

    @classmethod
    def suit_heads(cls, plan: Plan, heads: list[Head], base: str | None, tokenizer: TextTokenizer, train: LabelledSet, max_length: int) -> list[Head]:
        """Tokens are pooled as the base was taught."""
        return heads if base is None else [kind_of(heads).adopt(head, base) for head in heads]

    def complete(self, directory: str) -> None:
        write_modules(directory, self.model.config.hidden_size, self.reading.max_length, self.stock.pooling)


def _alikeness(gold: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Figures (1 + R), some resamples at a time: ranks of all of them would fill the memory."""
    parts = [alikeness_figures(gold, scores, weights[start : start + AT_ONCE]) for start in range(0, len(weights), AT_ONCE)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def prepare_contrastive(plan: Plan, shared: dict[str, Any], listener: Listener) -> dict[str, Any]:
    """What Contrastive has beyond what is shared by all. Raises DoxaError where there are no pairs."""
    is_graded = not set(shared["train"].column(0)) <= {None, 0.0, 1.0}
    for name, what in (("train", "training"), ("dev", "dev")):
        found: LabelledSet = shared[name]
        is_pair = [len(example.texts) == 2 for example in found.examples]
        if not any(is_pair):
            raise DoxaError(f"no {what} record has two texts; name the second one with --text-pair-field")
        n_silent = sum(value is None for value in found.column(0)) if is_graded else 0
        if n_silent:
            raise DoxaError(f"{n_silent} {what} records do not say how alike their texts are, and others do by degrees; leave them out, or say it of all")
        if not all(is_pair):
            listener.warn(f"{len(is_pair) - sum(is_pair)} {what} records have one text and were left out; name the second one with --text-pair-field")
    ready = prepare_lessons(plan, shared, listener)
    kept = [i for i, question in enumerate(ready["dev_questions"]) if len(question.texts) == 2]
    return ready | {name: [ready[name][i] for i in kept] for name in ("dev_questions", "dev_layouts", "dev_gold")} | {"is_graded": is_graded}
