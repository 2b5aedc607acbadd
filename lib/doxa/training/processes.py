"""One run in several processes, as torchrun starts them: each takes its share of every batch, the first one writes."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from doxa.errors import UsageError


@dataclass(frozen=True)
class Processes:
    """This process is number `rank` of `count`; alone, every method is the identity. With `shards`, each holds a part of every weight."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    shards: bool = False

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def join(self, device: str) -> None:
        """Meet the others: tensors on GPUs through NCCL, everything else through gloo. Raises UsageError where they cannot."""
        if self.count > 1 and not distributed.is_initialized():
            if device not in ("cpu", "cuda"):
                raise UsageError(f"torchrun: processes cannot share a run on {device}; give --device cpu, or cuda for a GPU each")
            if device == "cuda":
                if self.local_rank >= (n_gpus := torch.cuda.device_count()):
                    raise UsageError(f"torchrun: {n_gpus} CUDA devices are there, and each serves one process; give as many by --nproc-per-node")
                torch.cuda.set_device(self.local_rank)
            distributed.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=timedelta(minutes=30))

    def leave(self) -> None:
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    def sum_gradients(self, parameters: list[torch.nn.Parameter], value: float) -> float:
        """Add up every parameter's gradient (none counts as zero) over the processes, and a value, which is returned."""
        if self.count == 1:
            return value
        if self.shards:  # they came as means already
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(self.count)
            return float(sum(self.gather(value)))
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([gradient.flatten() for gradient in gradients] + [torch.tensor([value], device=gradients[0].device)])
        distributed.all_reduce(flat)
        start = 0
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = flat[start : start + gradient.numel()].view_as(gradient)
            start += gradient.numel()
        return float(flat[-1])

    def any(self, is_so: bool) -> bool:
        """Whether it is so in any of the processes."""
        return any(self.gather(is_so)) if self.count > 1 else is_so

    def gather(self, content: Any) -> list[Any]:
        """What every process gave, in the order of their ranks."""
        if self.count == 1:
            return [content]
        found: list[Any] = [None] * self.count
        distributed.all_gather_object(found, content)
        return found

    def from_first(self, content: Any) -> Any:
        """What the first process gave."""
        if self.count == 1:
            return content
        found = [content]
        distributed.broadcast_object_list(found, src=0)
        return found[0]


def find_processes(shards: bool = False) -> Processes:
    """What torchrun says in the environment; one process where it says nothing."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    return Processes(int(os.environ.get("RANK", 0)), count, int(os.environ.get("LOCAL_RANK", 0)), shards) if count > 1 else Processes()
