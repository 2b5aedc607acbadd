"""Weights, gradients and moments cut up over processes (fully sharded data parallelism, Zhao et al. 2023): for bases that fit on no single one."""

import re

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.\d+$")


def shard(model: nn.Module, device: torch.device, n_processes: int) -> None:
    """Leave each process its part of every weight, in place; a layer is put together while it computes. All processes call it."""
    mesh = init_device_mesh(device.type, (n_processes,))
    for name, module in model.named_modules():
        if _LAYER.search(name):
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """What a tensor is over all processes, which all call it; one that is not cut up is returned as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_of(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """This process's part of a whole tensor that all processes hold, cut as `like` is."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)
