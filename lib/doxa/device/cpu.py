"""What the CPU really computes in."""

import functools
import os


@functools.cache
def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as Linux names them; empty where it does not tell."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.lower().startswith(("flags", "features")):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def computes_bf16() -> bool:
    """Whether bf16 runs in hardware. Without it, bf16 is 45 to 500 times slower than fp32."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"})


def computes_int8() -> bool:
    """Whether 8-bit products are summed in hardware. Without it, int8 loses precision to saturation and is hardly faster."""
    return bool(cpu_flags() & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


def usable_cores() -> int:
    """The cores this process may use: its affinity, bounded by the cgroup's quota (containers)."""
    try:
        n_cores = len(os.sched_getaffinity(0))
    except AttributeError:
        n_cores = os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            n_cores = min(n_cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return n_cores
