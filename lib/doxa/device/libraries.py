"""Settings of the process: what libraries read once, when they load, and how often Python collects."""

import ctypes
import gc
import os
import sys


def prepare_libraries(model: str) -> None:
    """Set what the environment does not; what the user has set stays.

    Transformers tells errors alone. The hub client is silent, and off the network altogether for a model that lies here. OpenVINO's telemetry package
    counts as not installed. Idle OpenMP threads sleep rather than spin: where another process wants the cores too,
    spinning made training ten times slower. CUDA's matrix products take the same way every time, which cuBLAS asks memory for.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if os.path.isdir(model) or "/" not in model or model.startswith((".", "/")) or model.endswith("/"):
        os.environ["HF_HUB_OFFLINE"] = "1"
    hold_telemetry()


def hold_telemetry() -> None:
    """OpenVINO's telemetry package counts as not installed: an import of it raises ImportError, which its users expect."""
    sys.modules.setdefault("openvino_telemetry", None)


def bound_caches(n_kernels: int = 32) -> None:
    """Keep oneDNN from caching a kernel for every batch shape it ever saw: memory would grow with the stream."""
    for name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(n_kernels))


def calm_collector() -> None:
    """Look for cycles among objects a hundred times less often: records hold none, and looking took a fifth of the time.

    Called when everything is loaded; what is there by then is never looked at again."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed: a training step frees and asks for the same sizes, and fresh pages cost a twentieth of it.

    Memory then never shrinks below its peak. Elsewhere than on glibc nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((-4, 0), (-1, 2**31 - 1)):  # M_MMAP_MAX: none; M_TRIM_THRESHOLD: the largest
            mallopt(option, value)
