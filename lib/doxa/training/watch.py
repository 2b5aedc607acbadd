"""What happens around a run: it is told of, logged, and kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from doxa.training.checkpoint import Checkpoint
from doxa.training.loop import Evaluation, Position, Progress
from doxa.training.run_folder import RunFolder

MOST_PLACES = 16
MAIN = "fine-tuning"  # the stage that a plain run has


@dataclass(frozen=True)
class Keeping:
    """When to write a checkpoint and a row of the log. `save_steps` 0 goes by `save_minutes` alone."""

    save_steps: int = 0
    save_minutes: float = 10.0
    save_total_limit: int = 2
    logging_steps: int = 10


class Told(Protocol):
    note: Callable[[str], None]
    warn: Callable[[str], None]
    step: Callable[[Progress], None]


class RunWatcher:
    """Follows the training loop of a stage (see `doxa.training.loop.Watcher`); without a folder it only tells.

    `losses` are those that no row of the log tells of yet, of a run that goes on."""

    def __init__(self, folder: RunFolder | None, stage: int, name: str, identity: dict[str, str], keeping: Keeping, n_epochs: int, told: Told,
                 gives_up: Callable[[Position], bool], track: Callable[[dict[str, Any]], None], losses: list[float]):
        self.folder, self.identity, self.keeping, self.n_epochs, self.told = folder, identity, keeping, n_epochs, told
        self.stage, self.name, self.gives_up, self.track = stage, name, gives_up, track
        self._losses = losses
        self._kept_s = time.monotonic()

    def on_step(self, progress: Progress) -> None:
        self.told.step(progress)
        if np.isfinite(progress.loss):
            self._losses.append(progress.loss)
        if progress.step % self.keeping.logging_steps == 0 or progress.step == progress.n_steps:
            on_gpu = {} if progress.peak_gpu_memory_bytes is None else {"peak_gpu_memory_bytes": progress.peak_gpu_memory_bytes}
            self._log({"step": progress.step, "epoch": progress.epoch, "loss": float(np.mean(self._losses)) if self._losses else None,
                       "learning_rate": progress.learning_rate, "seconds": round(progress.seconds, 3),
                       "peak_memory_bytes": progress.peak_memory_bytes} | on_gpu)
            self._losses.clear()

    def _log(self, row: dict[str, Any]) -> None:
        if self.folder is not None:
            self.folder.log({"stage": self.stage, "name": self.name} | row)
            self.track({"stage": self.stage, "name": self.name} | row)

    def on_skip(self, step: int, places: list[str]) -> None:
        shown = ", ".join(places[:MOST_PLACES]) + (f" and {len(places) - MOST_PLACES} more" if len(places) > MOST_PLACES else "")
        self.told.warn(f"step {step} was skipped: its loss or gradient was not finite; records {shown}")

    def on_change(self, what: str) -> None:
        self.told.note(what)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self.told.note((f"{self.name}, " if self.name != MAIN else "") + f"epoch {evaluation.epoch} of {self.n_epochs}: dev score {evaluation.score:.4f}")
        self._log({"step": evaluation.step, "epoch": evaluation.epoch, "dev_score": evaluation.score, "dev": evaluation.heads,
                         "seconds": round(evaluation.seconds, 3)})

    def wants_checkpoint(self, step: int) -> bool:
        if self.keeping.save_steps:
            return step % self.keeping.save_steps == 0
        return time.monotonic() - self._kept_s >= 60 * self.keeping.save_minutes

    def on_checkpoint(self, step: int, tensors: dict[str, torch.Tensor], figures: dict[str, Any]) -> None:
        if self.folder is not None:
            self.folder.save(Checkpoint(step, tensors, figures, self.identity, self.stage, list(self._losses)))
        self._kept_s = time.monotonic()
