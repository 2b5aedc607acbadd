"""The same numbers from the same seed: the ways that torch computes, and the state of its random numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def insist(device: str) -> None:
    """Let torch compute everything in a way that repeats itself to the bit, and on a CUDA device refuse what has none.

    A mere preference is not enough there: attention's backward pass then takes the faster way that does not."""
    torch.use_deterministic_algorithms(True, warn_only=not device.startswith("cuda"))
    torch.utils.deterministic.fill_uninitialized_memory = False  # a safety net for debugging, paid for with every tensor


@contextmanager
def unstrict() -> Iterator[None]:
    """Let torch compute whatever it is asked to for as long as the context lasts."""
    was = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode(0)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(was)


def give_way(error: RuntimeError) -> bool:
    """Where torch refused something that never repeats itself on this device, let it compute that from now on; else False."""
    is_refusal = "does not have a deterministic implementation" in str(error)
    if is_refusal:
        torch.use_deterministic_algorithms(True, warn_only=True)
    return is_refusal


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Of the CPU's random numbers and of the device's own, bytes on the CPU; dropout draws from them."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
