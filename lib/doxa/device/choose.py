"""Choose a device and a precision, and say why."""

import re

import torch

from doxa.device.cpu import computes_bf16
from doxa.errors import UsageError


def choose_device(name: str) -> tuple[torch.device, str]:
    """Return the device that `auto`, `cpu`, `cuda`, `cuda:N` or `mps` names here, and the reason.

    Raises UsageError for one that is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda"), f"a CUDA device is there ({torch.cuda.get_device_name(0)})"
        if torch.backends.mps.is_available():
            return torch.device("mps"), "an Apple GPU is there"
        return torch.device("cpu"), "no GPU is there"
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise UsageError(f"--device {name}: give auto, cpu, cuda, cuda:N or mps")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: {torch.cuda.device_count()} CUDA devices are there")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: no Apple GPU is there")
    return device, "--device says so"


def choose_precision(name: str, device: torch.device) -> tuple[torch.dtype, str]:
    """Return the number format that `auto`, `fp32`, `bf16` or `fp16` names on this device, and the reason."""
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name != "auto":
        if name == "fp16" and device.type == "cpu":
            raise UsageError("--precision fp16 is for GPUs; take bf16 or fp32 on a CPU")
        return named[name], "--precision says so"
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16, "the GPU computes in bf16"
    if device.type == "cpu" and computes_bf16():
        return torch.bfloat16, "the CPU has bf16 instructions"
    return torch.float32, f"this {device.type} has no bf16 instructions"
