"""What a run needs to go on: written whole or not at all, and taken up only when every byte is what was written."""

import json
import os
import re
import shutil
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from doxa.errors import DoxaError
from doxa.model.directory import sha256_of, sync

TENSORS, FIGURES, MANIFEST = "state.safetensors", "state.json", "manifest.json"
_FOLDER = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """`tensors` and `figures` are what the run gave at a step of a stage; `identity` says of which data, base and flags it is, `losses` are those
    that the log does not hold yet."""

    step: int
    tensors: dict[str, torch.Tensor]
    figures: dict[str, Any]
    identity: dict[str, str]
    stage: int = 0
    losses: list[float] = field(default_factory=list)


def save_checkpoint(folder: str, checkpoint: Checkpoint, most_kept: int) -> str:
    """Write `checkpoint-STEP` under `folder` and remove all but the newest `most_kept`; return its path.

    It is written beside, synced, its manifest last, and renamed. The older ones go only then. Raises DoxaError when
    the disk is full; what was there stays."""
    path = os.path.join(folder, f"checkpoint-{checkpoint.step}")
    working = f"{path}.tmp"
    try:
        shutil.rmtree(working, ignore_errors=True)
        os.mkdir(working)
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}, os.path.join(working, TENSORS))
        _write_json(os.path.join(working, FIGURES), {"step": checkpoint.step, "figures": checkpoint.figures, "identity": checkpoint.identity,
                                                   "stage": checkpoint.stage, "losses": checkpoint.losses})
        names = (TENSORS, FIGURES)
        for name in names:
            sync(os.path.join(working, name))
        files = {name: {"size": os.path.getsize(os.path.join(working, name)), "sha256": sha256_of(os.path.join(working, name))} for name in names}
        _write_json(os.path.join(working, MANIFEST), files)
        sync(os.path.join(working, MANIFEST))
        sync(working)
        shutil.rmtree(path, ignore_errors=True)
        os.rename(working, path)
        sync(folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DoxaError(f"cannot write the checkpoint {path}: {reason}; earlier checkpoints are kept") from None
    finally:
        shutil.rmtree(working, ignore_errors=True)
    for old in list_checkpoints(folder)[most_kept:]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def list_checkpoints(folder: str) -> list[str]:
    """Paths of the checkpoints in a folder, the newest first."""
    try:
        steps = [int(found[1]) for name in os.listdir(folder) if (found := _FOLDER.fullmatch(name))]
    except FileNotFoundError:
        return []
    return [os.path.join(folder, f"checkpoint-{step}") for step in sorted(steps, reverse=True)]


def load_newest(folder: str) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint whose files are what its manifest says, and why newer ones were skipped."""
    skipped = []
    for path in list_checkpoints(folder):
        try:
            return _load(path), skipped
        except (DoxaError, OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            skipped.append(f"{path} is damaged and was skipped: {error}")
    return None, skipped


def _load(path: str) -> Checkpoint:
    with open(os.path.join(path, MANIFEST), encoding="utf-8") as file:
        files = json.load(file)
    for name in (TENSORS, FIGURES):
        if os.path.getsize(os.path.join(path, name)) != files[name]["size"] or sha256_of(os.path.join(path, name)) != files[name]["sha256"]:
            raise DoxaError(f"{name} is not what was written")
    with open(os.path.join(path, FIGURES), encoding="utf-8") as file:
        content = json.load(file)
    return Checkpoint(content["step"], load_file(os.path.join(path, TENSORS)), content["figures"], content["identity"], content["stage"], content["losses"])


def _write_json(path: str, content: Any) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
