"""Choose a device and a precision, and say why. Torch is loaded only where there may be a GPU to ask it about."""

import os
import re
import sys

from doxa.device.cpu import computes_bf16
from doxa.errors import UsageError

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
# Nvidia's driver, the same under Windows' Linux, AMD's driver.
_GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def choose_device(name: str) -> tuple[str, str]:
    """Return the device that `auto`, `cpu`, `cuda`, `cuda:N` or `mps` names here, and the reason; a CUDA device is made ready to compute.

    Raises UsageError for one that is not there."""
    if name == "cpu":
        return "cpu", "--device says so"
    if name == "auto" and not may_have_gpu():
        return "cpu", "no GPU is there"
    if not re.fullmatch(r"auto|mps|cuda(:\d+)?", name):
        raise UsageError(f"--device {name}: give auto, cpu, cuda, cuda:N or mps")
    from doxa.device import gpu

    why = "--device says so"
    if name == "auto":
        cuda = gpu.name_of_cuda()
        name, why = ("cuda", f"a CUDA device is there ({cuda})") if cuda else ("mps", "an Apple GPU is there") if gpu.has_mps() else ("cpu", "no GPU is there")
    elif name == "mps" and not gpu.has_mps():
        raise UsageError("--device mps: no Apple GPU is there")
    elif name != "mps" and int(name.partition(":")[2] or 0) >= gpu.count_cuda():
        raise UsageError(f"--device {name}: {gpu.count_cuda()} CUDA devices are there")
    if name.startswith("cuda"):
        gpu.prepare_cuda()
    return name, why


def may_have_gpu() -> bool:
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return sys.platform == "darwin" or not is_hidden and any(map(os.path.exists, _GPU_FILES))


def choose_precision(name: str, device: str) -> tuple[str, str]:
    """Return the number format of the weights on this device, one of PRECISIONS but `auto`, and the reason."""
    kind = device.partition(":")[0]
    if name != "auto":
        if name == "fp16" and kind == "cpu":
            raise UsageError("--precision fp16 is for GPUs; take bf16 or fp32 on a CPU")
        if name == "int8" and kind != "cpu":
            raise UsageError("--precision int8 is for CPUs; take bf16 on a GPU")
        return name, "--precision says so"
    if kind == "cpu":
        return ("bf16", "the CPU has bf16 instructions") if computes_bf16() else ("fp32", "this CPU has no bf16 instructions")
    if kind == "cuda":
        from doxa.device import gpu

        if gpu.cuda_computes_bf16():
            return "bf16", "the GPU computes in bf16"
    return "fp32", f"this {kind} has no bf16 instructions"
