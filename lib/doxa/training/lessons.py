"""Training of one head by softmax over labels, tokens or windows: lessons in, a kind's own answers judged."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from doxa.errors import DoxaError, UsageError
from doxa.metrics.bootstrap import draw_rows
from doxa.model.heads import Head, output_names
from doxa.model.kinds.kind import Kind, Lesson
from doxa.model.kinds.table import kind_of
from doxa.model.kinds.tokenwise import IGNORED
from doxa.text.frame import Window
from doxa.text.question import Layout, Question
from doxa.training.calibrate import LEAST_LABELLED, Calibration, calibrate_head
from doxa.training.evaluation import HeadFigures, compare_resampled
from doxa.training.layouts import lay_out
from doxa.training.loop import TrainingLoop
from doxa.training.loss import Objective
from doxa.training.plan import Listener, Plan
from doxa.training.prepared import EVALUATED_AT_ONCE, Judged, Prepared
from doxa.training.probe import Probe
from doxa.training.softmax import LABELS, SoftmaxTask, choices_of, gather_choices


@dataclass(kw_only=True)
class Lessons(Prepared):
    """`dev_lessons` are what would be learnt from dev, by which scores are calibrated. `dev_layouts` are the windows of `dev_questions`, those
    of dev that could be laid out, `dev_gold` their gold."""

    lessons: list[Lesson]
    dev_lessons: list[Lesson]
    dev_questions: list[Question]
    dev_layouts: list[Layout]
    dev_gold: list[Any]

    def n_rows(self, plan: Plan) -> int:
        return len(self.lessons)

    def train_windows_of(self) -> list[Window]:
        return [window for lesson in self.lessons for window in lesson.windows]

    def check(self, plan: Plan) -> None:
        """Raises UsageError for what only slices have."""
        check_flags(plan, self.kind.name, {"--class-weights": plan.class_weights != "none"}, has_probe=self.kind.softmax_over == LABELS)

    def probe(self, plan: Plan) -> Probe | None:
        if self.kind.softmax_over != LABELS:
            return None
        gold = torch.from_numpy(np.concatenate([lesson.target for lesson in self.lessons])).float()
        reading = replace(self.head, kind="label", labels=tuple(output_names(self.heads)))
        objective = Objective([reading], plan.label_smoothing_factor, plan.focal_gamma)
        return Probe(self.train_windows_of(), [len(lesson.target) for lesson in self.lessons], [objective], [gold.masked_fill(gold == IGNORED, torch.nan)])

    def make_task(self, plan: Plan, chosen: Any = None, soft: torch.Tensor | None = None) -> SoftmaxTask:
        return SoftmaxTask(self.lessons, self.stock, self.kind.softmax_over, self.pad_id, self.mixed, plan.label_smoothing_factor, plan.focal_gamma)

    def evaluate(self, loop: TrainingLoop) -> dict[str, float]:
        said = self.answers(loop, stops=True)
        if said is None:
            return {}
        judge = self.kind.judge(self.dev_gold, said)
        value = judge.total(self.dev_gold, said)[judge.headline]
        return {self.head.name: float(np.nan_to_num(-value if judge.headline in judge.lower_is_better else value))}  # not defined: nothing found

    def answers(self, loop: TrainingLoop, stops: bool = False) -> list[dict[str, Any]] | None:
        """The entries of the dev records; None when `stops` and a signal arrived. Raises DoxaError for outputs that are not finite."""
        engine = self.engine_of(loop)
        said: list[dict[str, Any]] = []
        for start in range(0, len(self.dev_layouts), EVALUATED_AT_ONCE):
            if stops and self.is_stopped(loop):
                return None
            layouts = self.dev_layouts[start : start + EVALUATED_AT_ONCE]
            outputs = engine.compute([window for layout in layouts for window in layout.windows])
            said += self.entries_of(self.kind.answer(layouts, outputs, self.heads, True))
        return said

    def judge(self, plan: Plan, loop: TrainingLoop) -> Judged:
        self.heads, calibrations = self._calibrate(loop)
        said = {"model": self.answers(loop)}
        simple = self.kind.simple([(example.question, example.values[0]) for example in self.train.examples], self.dev_questions)
        return Judged(self.heads, [compare_answers(self.head, self.kind, self.dev_gold, said | simple)], calibrations)

    def _calibrate(self, loop: TrainingLoop) -> tuple[list[Head], list[Calibration]]:
        """The head with a temperature fitted on dev, and what it gained; as it is where dev has too few records."""
        if len(self.dev_questions) < LEAST_LABELLED:
            return self.heads, []
        engine, found = self.engine_of(loop), []
        for start in range(0, len(self.dev_lessons), EVALUATED_AT_ONCE):
            lessons = self.dev_lessons[start : start + EVALUATED_AT_ONCE]
            outputs = iter(engine.compute([window for lesson in lessons for window in lesson.windows]))
            found += [choices_of([next(outputs) for _ in lesson.windows], lesson.target, self.kind.softmax_over) for lesson in lessons]
        logits, gold = gather_choices(found)
        head, calibration, _ = calibrate_head(replace(self.head, temperature=1.0), "label", logits, gold)
        return [head], [calibration]

    def probe_windows(self, most: int) -> list[Window]:
        return [layout.windows[0] for layout in self.dev_layouts[:most]]


def check_flags(plan: Plan, name: str, more: dict[str, bool], has_probe: bool = False) -> None:
    """Raises UsageError for flags that heads of this kind have no use for; `more` are those beyond what only slices have."""
    if plan.head_init is not None and not has_probe:
        raise UsageError(f"--head-init is for heads of label, labels, number and tags; leave it out for a head of {name}")
    given = {"--self-training-rounds": plan.n_rounds > 0, "--teacher": bool(plan.teachers), "--target-precision": plan.target_precision is not None} | more
    for flag, is_given in given.items():
        if is_given:
            raise UsageError(f"{flag} is for heads of label, labels and number; leave it out for a head of {name}")


def compare_answers(head: Head, kind: Kind, gold: list[Any], said: dict[str, list[dict[str, Any]]]) -> HeadFigures:
    """Figures of the entries of several methods for the same records, on the same resamples of them. `lead` is the model's first figure
    less that of the best other method, None where it is alone."""
    weights = draw_rows(np.zeros(len(gold), int), most=len(gold)).weights
    judge = kind.judge(gold, *said.values())
    figures = {method: judge.figures(weights @ judge.count(gold, entries)) for method, entries in said.items()}
    names = (*(name for name in reversed(judge.small) if name != judge.headline), judge.headline)
    return compare_resampled(head, len(gold), figures, names, judge.headline in judge.lower_is_better)


def prepare_lessons(plan: Plan, shared: dict[str, Any], listener: Listener) -> dict[str, Any]:
    """What Lessons has beyond what is shared by all. Raises DoxaError where nothing is left to learn."""
    heads = shared["heads"]
    kind, train, dev = kind_of(heads), lay_out(shared["train"], "training", shared, listener), lay_out(shared["dev"], "dev", shared, listener)
    lessons = [replace(lesson, place=example.place) for example, layout in train
               for lesson in kind.teach(example.question, layout, example.values[0], heads[0])]
    if not lessons or not dev:
        raise DoxaError(f"no {'dev' if lessons else 'training'} record is left to learn from")
    dev_lessons = [lesson for example, layout in dev for lesson in kind.teach(example.question, layout, example.values[0], heads[0])]
    return dict(lessons=lessons, dev_lessons=dev_lessons, dev_questions=[example.question for example, _ in dev],
                dev_layouts=[layout for _, layout in dev], dev_gold=[example.values[0] for example, _ in dev])
