"""The training of one model: one round, or rounds of self-training."""

from dataclasses import dataclass, field

import torch

from doxa.training.head_init import init_heads
from doxa.training.loop import Position, TrainingLoop
from doxa.training.plan import Listener, Plan
from doxa.training.prepare import fresh_model
from doxa.training.prepared import Prepared
from doxa.training.self_training import choose_labels
from doxa.training.stages import Stages
from doxa.training.watch import MAIN


@dataclass(frozen=True)
class Trial:
    """One try of a search. `scores` are those of dev after each epoch; one that was given up ended before its last epoch."""

    number: int
    settings: dict[str, int | float | str]
    scores: list[float]
    best_epoch: int
    n_epochs: int
    is_given_up: bool
    seconds: float

    @property
    def score(self) -> float:
        return max(self.scores, default=float("-inf"))


@dataclass(frozen=True)
class Trained:
    """A model after its training: `loop` holds its weights, `stage` is the one they come from."""

    plan: Plan
    prepared: Prepared
    loop: TrainingLoop
    position: Position
    stage: int
    trials: list[Trial] = field(default_factory=list)


def make_loop(plan: Plan, prepared: Prepared, stages: Stages) -> TrainingLoop:
    return TrainingLoop(prepared.model, prepared.settings, prepared.device, plan.adversary, prepared.adaptation, stages.processes,
                        prepared.precision == "fp16")


def start_loop(plan: Plan, prepared: Prepared, stages: Stages) -> TrainingLoop:
    """The loop of the stage that comes next: where it does not go on from earlier work, output layers get their start. Raises Stopped."""
    if stages.begins_anew():
        init_heads(plan, prepared, stages.processes)
    return make_loop(plan, prepared, stages)


def train_rounds(plan: Plan, prepared: Prepared, encoder: str | None, soft: torch.Tensor | None, stages: Stages, listener: Listener) -> Trained:
    """Train; then label unlabelled texts and train anew with them, as often as the plan says. The round with the best dev score wins."""
    chosen, rounds, first = None, [], stages.number
    for number in range(plan.n_rounds + 1):
        if number or encoder:
            prepared = fresh_model(plan, prepared, encoder, len(chosen.rows) if chosen else 0)
        loop = start_loop(plan, prepared, stages)
        name = f"round {number}" if plan.n_rounds else MAIN
        rounds.append(stages.train(name, loop, prepared.make_task(plan, chosen, soft), lambda: prepared.evaluate(loop), is_last=number == plan.n_rounds))
        if number < plan.n_rounds:
            chosen = choose_labels(prepared, *(prepared.logits_of(loop, texts) for texts in (prepared.dev_texts, prepared.unlabelled_texts)))
            if not len(chosen.rows):
                listener.note("self-training ends: no unlabelled text has a score that is high enough")
                break
            listener.note(f"self-training, round {number + 1} of {plan.n_rounds}: {chosen.describe(prepared.heads)}")
    best = max(range(len(rounds)), key=lambda i: (rounds[i].best_score, -i))
    if len(rounds) > 1:
        listener.note(f"round {best} has the best dev score, {rounds[best].best_score:.4f}" + ("" if best else ": the unlabelled texts gave nothing"))
        if best < len(rounds) - 1 and stages.processes.is_first:
            stages.take_back(first + best, loop)
    if stages.processes.shards:
        prepared, loop = _put_together(plan, prepared, loop)
    return Trained(plan, prepared, loop, rounds[best], first + best)


def _put_together(plan: Plan, prepared: Prepared, loop: TrainingLoop) -> tuple[Prepared, TrainingLoop]:
    """The same model and weights, whole and in every process."""
    prepared = fresh_model(plan, prepared, None)
    weights, loop = loop.best_weights, TrainingLoop(prepared.model, prepared.settings, prepared.device)
    loop.take(weights)
    return prepared, loop
