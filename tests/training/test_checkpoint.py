"""Checkpoints under faults: old or new, never half."""

import errno
import os
import random

import pytest
import torch

from doxa.errors import DoxaError
from doxa.training import checkpoint as module
from doxa.training.checkpoint import Checkpoint, list_checkpoints, load_newest, save_checkpoint


def make(step: int) -> Checkpoint:
    return Checkpoint(step, {"model.weight": torch.full((50,), float(step)), "random.cpu": torch.get_rng_state()}, {"epoch": step}, {"--seed": "1"})


def test_comes_back_as_it_was(tmp_path):
    save_checkpoint(str(tmp_path), make(3), 2)
    found, skipped = load_newest(str(tmp_path))
    assert not skipped and found.step == 3 and found.figures == {"epoch": 3} and found.identity == {"--seed": "1"}
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in make(3).tensors.items())


def test_the_newest_are_kept(tmp_path):
    for step in (9, 10, 100):
        save_checkpoint(str(tmp_path), make(step), 2)
    assert [os.path.basename(path) for path in list_checkpoints(str(tmp_path))] == ["checkpoint-100", "checkpoint-10"]


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir"])
def test_a_disk_that_fills_leaves_the_earlier_one(call, tmp_path, monkeypatch):
    """The n-th call of each kind fails, for n = 1, 2, ... until none does."""
    save_checkpoint(str(tmp_path), make(1), 2)
    real, n_failed = getattr(os, call), 0
    for n in range(1, 20):
        calls = iter(range(1, 1000))

        def fail(*args, n=n, calls=calls):
            if next(calls) == n:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args)

        monkeypatch.setattr(os, call, fail)
        try:
            save_checkpoint(str(tmp_path), make(2), 2)
            monkeypatch.setattr(os, call, real)
            break
        except DoxaError as error:
            assert "No space left" in str(error)
        monkeypatch.setattr(os, call, real)
        n_failed += 1
        assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
        found, _ = load_newest(str(tmp_path))
        assert found.step in (1, 2) and torch.equal(found.tensors["model.weight"], make(found.step).tensors["model.weight"])
    assert n_failed and load_newest(str(tmp_path))[0].step == 2


def test_any_flipped_or_lost_byte_is_noticed(tmp_path):
    save_checkpoint(str(tmp_path), make(1), 9)
    path = save_checkpoint(str(tmp_path), make(2), 9)
    generator = random.Random(0)
    for name in sorted(os.listdir(path)):
        file = os.path.join(path, name)
        whole = open(file, "rb").read()
        for kind in ("flip", "cut", "gone"):
            damaged = bytearray(whole)
            damaged[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
            if kind == "gone":
                os.remove(file)
            else:
                open(file, "wb").write(damaged if kind == "flip" else whole[: generator.randrange(len(whole))])
            found, skipped = load_newest(str(tmp_path))
            # A flip inside the manifest may leave it saying the same (a letter of a key it does not use), never something else.
            assert found.step == 1 and "checkpoint-2 is damaged" in skipped[0] or torch.equal(found.tensors["model.weight"], make(2).tensors["model.weight"])
            open(file, "wb").write(whole)
    assert load_newest(str(tmp_path))[0].step == 2
    assert module.MANIFEST in os.listdir(path)
