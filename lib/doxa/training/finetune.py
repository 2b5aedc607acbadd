"""From labelled sets to a published model directory, in stages: a head start, rounds of training, the conclusion."""

from contextlib import closing, nullcontext

from doxa.errors import Interrupted, Terminated
from doxa.model.heads import Head
from doxa.records.signals import signal_seen
from doxa.training.conclude import Result, conclude
from doxa.training.examples import LabelledSet
from doxa.training.head_start import pretrain
from doxa.training.identity import identify
from doxa.training.loop import Stopped
from doxa.training.plan import Listener, Plan
from doxa.training.prepare import check_disk, prepare
from doxa.training.prepared import Prepared
from doxa.training.processes import find_processes
from doxa.training.rounds import Trained, train_rounds
from doxa.training.run_folder import open_run
from doxa.training.search import search
from doxa.training.stages import Stages
from doxa.training.trackers import Trackers
from doxa.training.teach import ask_teachers


def finetune(plan: Plan, heads: list[Head], train: LabelledSet, dev: LabelledSet, unlabelled: LabelledSet, listener: Listener) -> Result | None:
    """Train, evaluate, publish; None in all but the first of several processes.

    Raises DoxaError; what it raises, and any signal, leaves no model behind, but checkpoints."""
    processes = find_processes(plan.shards)
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
            identity, rows = identify(plan, prepared), folder.read_log() if folder else []
            with closing(Trackers(plan.trackers if folder else (), plan.output, identity, rows, listener.warn)) as trackers:
                stages = Stages(plan, folder, processes.from_first(checkpoint), identity, listener, processes, trackers.log)
                try:
                    trained = _train(plan, prepared, stages, listener)
                    trackers.close()  # what they write is published with the model
                    return conclude(trained, stages, listener) if processes.is_first else None
                except Stopped as stopped:
                    raise _ended(f"stopped at step {stopped.step} of {stopped.n_steps}") from None
                except (Interrupted, Terminated) as signal:
                    if not str(signal):
                        stages.keep()
                        raise _ended("stopped after the last step") from None
                    raise
    finally:
        processes.leave()


def _train(plan: Plan, prepared: Prepared, stages: Stages, listener: Listener) -> Trained:
    encoder = pretrain(plan, prepared, stages, listener) if plan.head_start else None
    soft = ask_teachers(plan.teachers, prepared, listener) if plan.teachers else None
    train = search if plan.n_trials else train_rounds
    return train(plan, prepared, encoder, soft, stages, listener)


def _ended(where: str) -> BaseException:
    return type(signal_seen())(f"{where}; no model was written; the same command with --resume goes on")
