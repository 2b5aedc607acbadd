"""The output directory while a run is under way: checkpoints and a log in it, and no model until it is whole."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from doxa.errors import DoxaError
from doxa.model.directory import TABLE, check_free, check_parent, drop_working
from doxa.training.checkpoint import Checkpoint, list_checkpoints, load_newest, save_checkpoint

PARTS = ("encoder", "runs")  # folders that a run writes before its model is whole
LOG, RUNNING_LOG = "training.jsonl", "training.partial.jsonl"


class RunFolder:
    """Holds a lock on the directory: one run at a time."""

    def __init__(self, path: str, most_kept: int):
        self.path, self.most_kept = path, most_kept

    def stage_path(self, number: int) -> str:
        """Where the outcome of a stage lies once it is over."""
        return os.path.join(self.path, f"stage-{number}.safetensors")

    def list_stages(self) -> list[str]:
        return _list_stages(self.path)

    def drop_checkpoints(self) -> None:
        for old in list_checkpoints(self.path):
            shutil.rmtree(old, ignore_errors=True)

    @property
    def log_path(self) -> str:
        return os.path.join(self.path, RUNNING_LOG)

    def save(self, checkpoint: Checkpoint) -> str:
        return save_checkpoint(self.path, checkpoint, self.most_kept)

    def log(self, row: dict[str, Any]) -> None:
        """Append a row to the log. Raises DoxaError when the disk is full."""
        try:
            with open(self.log_path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise DoxaError(f"cannot write {self.log_path}: {error.strerror}") from None

    def read_log(self) -> list[dict[str, Any]]:
        """Rows of the log so far; a last line that was cut is left out."""
        rows = []
        try:
            with open(self.log_path, encoding="utf-8") as file:
                for line in file:
                    rows.append(json.loads(line))
        except (FileNotFoundError, ValueError):
            pass
        return rows

    def rewind(self, stage: int, step: int, epoch: int) -> None:
        """Drop the rows of the log after a step of a stage, in this epoch: they will be written again. A look at dev may follow the same step."""
        rows = [row for row in self.read_log()
                if (row["stage"], row["step"]) <= (stage, step) and not (row["stage"] == stage and "dev" in row and row["epoch"] >= epoch)]
        with open(self.log_path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def is_whole(path: str) -> bool:
    """Whether a directory holds a model, and nothing of a run that is to replace it."""
    return os.path.exists(os.path.join(path, TABLE)) and not list_checkpoints(path)


def check_output(path: str, resume: bool, force: bool) -> None:
    """Raises DoxaError when something is in the way of a run."""
    if not is_unfinished(path):
        check_free(path, force or resume)
    elif not (resume or force):
        raise DoxaError(f"{path} holds a run that was stopped; add --resume to go on with it, or --force to start anew")
    check_parent(path)


def is_unfinished(path: str) -> bool:
    """Whether a directory holds what a run left, and no model."""
    return os.path.isdir(path) and not os.path.exists(os.path.join(path, TABLE)) and (
        bool(list_checkpoints(path) or _list_stages(path)) or os.path.exists(os.path.join(path, RUNNING_LOG)))


@contextmanager
def open_run(path: str, most_kept: int, resume: bool) -> Iterator[tuple[RunFolder, Checkpoint | None, list[str]]]:
    """Make or take up the output directory; give it, the checkpoint to go on from, and what was skipped.

    A run that ends without a checkpoint leaves nothing behind; what an older run left goes away unless `resume`.
    Raises DoxaError when another run holds the directory."""
    was_there = os.path.isdir(path)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise DoxaError(f"cannot make {path}: {error.strerror}") from None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DoxaError(f"another finetune is writing to {path}") from None
        drop_working(path)
        folder = RunFolder(path, most_kept)
        checkpoint, skipped = load_newest(path) if resume else (None, [])
        if not resume:
            _clear(path)
        for name in os.listdir(path):
            if name.startswith("checkpoint-") and name.endswith(".tmp"):
                shutil.rmtree(os.path.join(path, name), ignore_errors=True)
        n_done = len(folder.list_stages())
        is_current = checkpoint is not None and checkpoint.stage >= n_done  # a stage that ended may have left its checkpoints
        folder.rewind(*((checkpoint.stage, checkpoint.step, checkpoint.figures["epoch"]) if is_current else (n_done, -1, 1)))
        try:
            yield folder, checkpoint if is_current else None, skipped
        finally:
            if os.path.isdir(path) and not list_checkpoints(path) and not _list_stages(path):
                _clear(path)
                if not was_there and not os.listdir(path):
                    os.rmdir(path)
    finally:
        os.close(descriptor)


def _list_stages(path: str) -> list[str]:
    return sorted(name for name in os.listdir(path) if re.fullmatch(r"stage-\d+\.safetensors", name)) if os.path.isdir(path) else []


def _clear(path: str) -> None:
    partial = [] if os.path.exists(os.path.join(path, TABLE)) else [os.path.join(path, name) for name in PARTS]
    for old in [*list_checkpoints(path), *partial]:
        shutil.rmtree(old, ignore_errors=True)
    for name in _list_stages(path):
        os.remove(os.path.join(path, name))
    if os.path.exists(os.path.join(path, RUNNING_LOG)):
        os.remove(os.path.join(path, RUNNING_LOG))
