"""Which GPUs torch sees. Loading this loads torch."""

import torch


def name_of_cuda() -> str | None:
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def count_cuda() -> int:
    return torch.cuda.device_count()


def has_mps() -> bool:
    return torch.backends.mps.is_available()


def cuda_computes_bf16() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
