"""Which GPUs torch sees. Loading this loads torch."""

import torch


def name_of_cuda() -> str | None:
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def prepare_cuda() -> None:
    """Leave out cuDNN's attention, which plans anew for every shape of a batch: of texts hardly two batches have one shape."""
    torch.backends.cuda.enable_cudnn_sdp(False)


def count_cuda() -> int:
    return torch.cuda.device_count()


def has_mps() -> bool:
    return torch.backends.mps.is_available()


def cuda_computes_bf16() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def peak_gpu_bytes(device: torch.device) -> int | None:
    """The most memory that tensors of this process have held on a CUDA device; None for any other device."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
