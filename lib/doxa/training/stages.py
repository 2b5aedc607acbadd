"""The stages of a run: each is a training loop, kept while it goes on, and its outcome kept once it is over."""

import json
import os
from dataclasses import asdict
from collections.abc import Callable

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from doxa.errors import DoxaError
from doxa.model.directory import sync
from doxa.records.signals import held_for_work
from doxa.training.checkpoint import Checkpoint
from doxa.training.identity import check_identity
from doxa.training.loop import Position, TrainingLoop
from doxa.training.plan import Listener, Plan
from doxa.training.processes import Processes
from doxa.training.run_folder import RunFolder
from doxa.training.tasks import Task
from doxa.training.watch import RunWatcher


class Stages:
    """`number` is that of the stage that comes next. `folder` is None in all but the first of several processes."""

    def __init__(self, plan: Plan, folder: RunFolder | None, checkpoint: Checkpoint | None, identity: dict[str, str], listener: Listener,
                 processes: Processes):
        self.plan, self.folder, self.checkpoint, self.identity = plan, folder, checkpoint, identity
        self.listener, self.processes = listener, processes
        self.number = 0
        if checkpoint is not None:
            check_identity(checkpoint.identity, f"the checkpoint of step {checkpoint.step}", identity)
        elif plan.resume and folder is not None and not folder.list_stages():
            listener.note(f"{plan.output} holds no checkpoint; starting from the beginning")

    def train(self, name: str, loop: TrainingLoop, task: Task, evaluate: Callable[[], dict[str, float]], is_last: bool = False) -> Position:
        """Run a loop to its end, or take up its outcome from an earlier run. Raises what the loop raises."""
        number, self.number = self.number, self.number + 1
        done = self.processes.from_first(self._load(number) if self.folder else None)
        if done is not None:
            weights, position = done
            loop.take(weights)
            return position
        self._loop, self._watcher = loop, RunWatcher(
            self.folder, number, name, self.identity, self.plan.keeping, loop.settings.num_train_epochs, self.listener)
        if self.checkpoint is not None and self.checkpoint.stage == number:
            loop.restore(self.checkpoint.tensors, self.checkpoint.figures)
            self.listener.note(f"going on from step {self.checkpoint.step}" + ("" if name == "fine-tuning" else f" of {name}"))
        elif number and self.folder is not None:
            self.folder.drop_checkpoints()
        with held_for_work():
            position = loop.run(task, evaluate, self._watcher)
        if not is_last and self.folder is not None:
            self._save(number, loop, position)
        return position

    def keep(self) -> None:
        """Write a checkpoint of the stage that ran last."""
        self._loop.keep(self._watcher)

    def take_back(self, number: int, loop: TrainingLoop) -> Position:
        """Put the outcome of an earlier stage of the same shape into a loop's model."""
        weights, position = self._load(number)
        loop.take(weights)
        return position

    def _save(self, number: int, loop: TrainingLoop, position: Position) -> None:
        path = self.folder.stage_path(number)
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in loop.best_weights.items()}, f"{path}.tmp",
                      {"position": json.dumps(asdict(position)), "identity": json.dumps(self.identity)})
            sync(f"{path}.tmp")
            os.rename(f"{path}.tmp", path)
            sync(self.folder.path)
        except (OSError, SafetensorError) as error:
            raise DoxaError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None
        self.folder.drop_checkpoints()

    def _load(self, number: int) -> tuple[dict[str, torch.Tensor], Position] | None:
        path = self.folder.stage_path(number)
        if not os.path.exists(path):
            return None
        try:
            with safe_open(path, "pt") as file:
                about = {key: json.loads(value) for key, value in file.metadata().items()}
            weights, position = load_file(path), Position(**about["position"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DoxaError(f"{path} is damaged: {error}; --force starts anew") from None
        check_identity(about["identity"], "the stage that was finished", self.identity)
        return weights, position
