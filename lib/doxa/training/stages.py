"""The stages of a run: each is a training loop, kept while it goes on, and its outcome kept once it is over."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from doxa.errors import DoxaError
from doxa.model.directory import sync
from doxa.records.signals import held_for_work
from doxa.training.checkpoint import Checkpoint
from doxa.training.identity import check_identity
from doxa.training.loop import NotFinite, Position, TrainingLoop
from doxa.training.plan import Listener, Plan
from doxa.training.processes import Processes
from doxa.training.run_folder import RunFolder
from doxa.training.tasks import Task
from doxa.training.watch import MAIN, RunWatcher


class Stages:
    """`number` is that of the stage that comes next. `folder` is None in all but the first of several processes."""

    def __init__(self, plan: Plan, folder: RunFolder | None, checkpoint: Checkpoint | None, identity: dict[str, str], listener: Listener,
                 processes: Processes, track: Callable[[dict[str, Any]], None]):
        self.plan, self.folder, self.checkpoint, self.identity = plan, folder, checkpoint, identity
        self.listener, self.processes, self.track = listener, processes, track
        self.number = 0
        if checkpoint is not None:
            check_identity(checkpoint.identity, f"the checkpoint of step {checkpoint.step}", identity)
        elif plan.resume and folder is not None and not folder.list_stages():
            listener.note(f"{plan.output} holds no checkpoint; starting from the beginning")

    def begins_anew(self) -> bool:
        """Whether the next stage goes on from nothing: it is not over, and no checkpoint is of it."""
        is_begun = self.folder is not None and (os.path.exists(self.folder.stage_path(self.number)) or self._is_kept(self.number))
        return not self.processes.from_first(is_begun)

    def _is_kept(self, number: int) -> bool:
        return self.checkpoint is not None and self.checkpoint.stage == number

    def train(self, name: str, loop: TrainingLoop, task: Task, evaluate: Callable[[], dict[str, float]], is_last: bool = False) -> Position:
        """Run a loop to its end, or take up its outcome from an earlier run. Raises what the loop raises."""
        number, self.number = self.number, self.number + 1
        done = self.processes.from_first(self._load(number, self.identity) if self.folder else None)
        if done is not None:
            weights, position = done
            loop.take(weights)
            return position
        position = self._run(number, name, loop, task, evaluate, self.identity)
        if not is_last and self.folder is not None:
            self._save(number, loop.best_weights, position, self.identity)
        return position

    def pass_by(self, identity: dict[str, str]) -> Position | None:
        """Move past the next stage if it is over: where it ended. `identity` as for `try_out`. Raises DoxaError."""
        done = self._load(self.number, self.identity | identity)
        if done is None:
            return None
        self.number += 1
        return done[1]

    def try_out(self, name: str, loop: TrainingLoop, task: Task, evaluate: Callable[[], dict[str, float]], identity: dict[str, str],
                gives_up: Callable[[Position], bool], keeps: Callable[[Position], bool]) -> Position:
        """Run a loop that may be given up: asked after every epoch, and where its loss is not finite. Its weights are kept where `keeps` says so.

        `identity` is what has to be the same for this stage besides what has to be for all."""
        number, self.number = self.number, self.number + 1
        try:
            position = self._run(number, name, loop, task, evaluate, self.identity | identity, gives_up)
        except NotFinite as error:
            self.listener.note(f"{name}: {error}")
            position = replace(loop.position, is_given_up=True)
        self._save(number, loop.best_weights if keeps(position) else {}, position, self.identity | identity)
        return position

    def _run(self, number: int, name: str, loop: TrainingLoop, task: Task, evaluate: Callable[[], dict[str, float]], identity: dict[str, str],
             gives_up: Callable[[Position], bool] = lambda _: False) -> Position:
        losses = self.checkpoint.losses if self._is_kept(number) else []
        self._loop, self._watcher = loop, RunWatcher(
            self.folder, number, name, identity, self.plan.keeping, loop.settings.n_epochs(len(task.lengths)), self.listener, gives_up, self.track, losses)
        loop.expect(task)
        if self._is_kept(number):
            check_identity(self.checkpoint.identity, f"the checkpoint of step {self.checkpoint.step}", identity)
            loop.restore(self.checkpoint.tensors, self.checkpoint.figures)
            self.listener.note(f"going on from step {self.checkpoint.step}" + ("" if name == MAIN else f" of {name}"))
        elif number and self.folder is not None:
            self.folder.drop_checkpoints()
        with held_for_work():
            position = loop.run(task, evaluate, self._watcher)
        if position.step < loop.settings.n_steps(len(task.lengths)) and not position.is_given_up:
            self.listener.note(f"stopped early: no better dev score in the {loop.settings.early_stopping_patience} epochs after epoch {position.best_epoch}")
        return position

    def keep(self) -> None:
        """Write a checkpoint of the stage that ran last."""
        self._loop.keep(self._watcher)

    def take_back(self, number: int, loop: TrainingLoop) -> Position:
        """Put the outcome of an earlier stage of the same shape into a loop's model."""
        weights, position = self._read(number)[:2]
        loop.take(weights)
        return position

    def forget(self, number: int) -> None:
        """Drop the weights of a stage that is over; where it ended stays known."""
        _, position, identity = self._read(number)
        self._save(number, {}, position, identity)

    def _save(self, number: int, weights: dict[str, torch.Tensor], position: Position, identity: dict[str, str]) -> None:
        path = self.folder.stage_path(number)
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, f"{path}.tmp",
                      {"position": json.dumps(asdict(position)), "identity": json.dumps(identity)})
            sync(f"{path}.tmp")
            os.rename(f"{path}.tmp", path)
            sync(self.folder.path)
        except (OSError, SafetensorError) as error:
            raise DoxaError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None
        self.folder.drop_checkpoints()

    def _load(self, number: int, identity: dict[str, str]) -> tuple[dict[str, torch.Tensor], Position] | None:
        if not os.path.exists(self.folder.stage_path(number)):
            return None
        weights, position, kept = self._read(number)
        check_identity(kept, "the stage that was finished", identity)
        return weights, position

    def _read(self, number: int) -> tuple[dict[str, torch.Tensor], Position, dict[str, str]]:
        path = self.folder.stage_path(number)
        try:
            with safe_open(path, "pt") as file:
                about = {key: json.loads(value) for key, value in file.metadata().items()}
            return load_file(path), Position(**about["position"]), about["identity"]
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DoxaError(f"{path} is damaged: {error}; --force starts anew") from None
