"""From labelled sets to a published model directory, in stages: a head start, rounds of training, the conclusion."""

from contextlib import nullcontext

from doxa.errors import Interrupted, Terminated
from doxa.model.heads import Head
from doxa.records.signals import signal_seen
from doxa.training.conclude import Result, conclude, dev_logits, evaluate, logits_of
from doxa.training.encode import scaled_targets
from doxa.training.examples import LabelledSet
from doxa.training.head_start import pretrain
from doxa.training.identity import identify
from doxa.training.loop import Stopped, TrainingLoop
from doxa.training.loss import Objective, balanced_weights
from doxa.training.plan import Listener, Plan
from doxa.training.prepare import Prepared, check_disk, fresh_model, prepare
from doxa.training.processes import find_processes
from doxa.training.run_folder import open_run
from doxa.training.self_training import ChosenLabels, choose_labels
from doxa.training.stages import Stages
from doxa.training.tasks import Classification
from doxa.training.teach import ask_teachers


def finetune(plan: Plan, heads: list[Head], train: LabelledSet, dev: LabelledSet, unlabelled: LabelledSet, listener: Listener) -> Result | None:
    """Train, evaluate, publish; None in all but the first of several processes.

    Raises DoxaError; what it raises, and any signal, leaves no model behind, but checkpoints."""
    processes = find_processes()
    prepared = prepare(plan, heads, train, dev, unlabelled, listener, processes)
    try:
        if processes.is_first:
            check_disk(plan, prepared.model)
            opened = open_run(plan.output, plan.keeping.save_total_limit, plan.resume)
        else:
            opened = nullcontext((None, None, []))
        with opened as (folder, checkpoint, skipped):
            for reason in skipped:
                listener.warn(reason)
            stages = Stages(plan, folder, processes.from_first(checkpoint), identify(plan, prepared), listener, processes)
            try:
                return _run(plan, prepared, stages, listener)
            except Stopped as stopped:
                raise _ended(f"stopped at step {stopped.step} of {stopped.n_steps}") from None
            except (Interrupted, Terminated) as signal:
                if not str(signal):
                    stages.keep()
                    raise _ended("stopped after the last step") from None
                raise
    finally:
        processes.leave()


def _run(plan: Plan, prepared: Prepared, stages: Stages, listener: Listener) -> Result | None:
    encoder = pretrain(plan, prepared, stages, listener) if plan.head_start else None
    soft = ask_teachers(plan.teachers, prepared, listener) if plan.teachers else None
    chosen, rounds = None, []
    for number in range(plan.n_rounds + 1):
        if number or encoder:
            prepared = fresh_model(plan, prepared, encoder)
        loop = TrainingLoop(prepared.model, prepared.settings, prepared.device, plan.adversary, prepared.adaptation, stages.processes)
        name = f"round {number}" if plan.n_rounds else "fine-tuning"
        position = stages.train(name, loop, make_task(plan, prepared, chosen, soft), lambda: evaluate(loop, prepared), number == plan.n_rounds)
        rounds.append((position.best_score, -number, stages.number - 1))
        if number < plan.n_rounds:
            chosen = choose_labels(prepared, dev_logits(loop, prepared), logits_of(loop, prepared, prepared.unlabelled_texts))
            if not len(chosen.rows):
                listener.note("self-training ends: no unlabelled text has a score that is high enough")
                break
            listener.note(f"self-training, round {number + 1} of {plan.n_rounds}: {chosen.describe(prepared.heads)}")
    if len(rounds) > 1 and stages.processes.is_first:
        score, number, stage = max(rounds)
        listener.note(f"round {-number} has the best dev score, {score:.4f}" + (": the unlabelled texts gave nothing" if not number else ""))
        if -number < len(rounds) - 1:
            position = stages.take_back(stage, loop)
    return conclude(plan, prepared, loop, position, stages, listener) if stages.processes.is_first else None


def make_task(plan: Plan, prepared: Prepared, chosen: ChosenLabels | None, soft) -> Classification:
    """The labelled texts, with them those that self-training labelled, or with teachers all that are there."""
    weights = tuple(map(balanced_weights, prepared.heads, prepared.train_targets)) if plan.has_balanced_classes else ()
    objective = Objective(prepared.heads, plan.label_smoothing, plan.focal_gamma, weights)
    windows, targets = list(prepared.train_windows), prepared.train_targets
    places = [example.place for example in prepared.train.examples]
    if soft is not None:
        windows, places, targets = prepared.with_unlabelled()
    elif chosen is not None:
        windows, places, targets = prepared.with_unlabelled(chosen.rows, chosen.targets)
    return Classification(objective, windows, scaled_targets(prepared.heads, targets, prepared.scale, prepared.shift), places,
                          prepared.model.config.pad_token_id or 0, prepared.mixed, soft)


def _ended(where: str) -> BaseException:
    return type(signal_seen())(f"{where}; no model was written; the same command with --resume goes on")
