"""Which settings a search may try."""

from dataclasses import dataclass
from typing import Any

from doxa.errors import UsageError


@dataclass(frozen=True)
class Span:
    """From `low` to `high`, both included; by factors where `is_log`."""

    low: float
    high: float
    is_whole: bool = False
    is_log: bool = False


Space = dict[str, Span | tuple[Any, ...]]

# Name of the flag -> type, least and greatest value, both included; a choice has its values.
_SETTINGS: dict[str, tuple[type, float, float]] = {
    "learning-rate": (float, 1e-9, 1.0), "num-train-epochs": (int, 1, 1000), "per-device-train-batch-size": (int, 1, 4096),
    "gradient-accumulation-steps": (int, 1, 4096), "weight-decay": (float, 0, 10), "warmup-steps": (float, 0, 1e9),
    "max-grad-norm": (float, 1e-6, 1e6), "layerwise-lr-decay": (float, 0.01, 1), "head-lr-factor": (float, 0.01, 1000), "label-smoothing-factor": (float, 0, 0.99),
    "focal-gamma": (float, 0, 10), "peft-rank": (int, 1, 1024)}
_CHOICES = {"class-weights": ("none", "balanced"), "head-init": ("linear", "prior", "random"),
            "lr-scheduler-type": ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt")}
_BY_FACTORS = {"learning-rate", "head-lr-factor"}


def default_space(learning_rate: float, n_epochs: int, is_pretrained: bool) -> Space:
    """Small, about what would be taken without a search."""
    space: Space = {"learning-rate": Span(learning_rate / 4, learning_rate * 4, is_log=True),
                    "num-train-epochs": Span(max(1, n_epochs // 2), n_epochs + n_epochs // 2, is_whole=True),
                    "per-device-train-batch-size": (8, 16, 32)}
    return space | ({"layerwise-lr-decay": Span(0.8, 1.0)} if is_pretrained else {})


def parse_space(entries: tuple[str, ...]) -> Space:
    """From `learning-rate=1e-5..1e-3` (a span) and `class-weights=none,balanced` (values). Raises UsageError."""
    space: Space = {}
    for entry in entries:
        name, _, text = entry.partition("=")
        if name in space:
            raise UsageError(f"--space names {name} twice")
        if name in _CHOICES:
            space[name] = tuple(text.split(","))
            wrong = [value for value in space[name] if value not in _CHOICES[name]]
            if wrong:
                raise UsageError(f"--space {entry}: '{wrong[0]}' is none of {', '.join(_CHOICES[name])}")
        elif name in _SETTINGS:
            space[name] = _parse_numbers(entry, name, text)
        else:
            raise UsageError(f"--space {entry}: '{name}' is no setting that can be searched; there are {', '.join([*_SETTINGS, *_CHOICES])}")
    return space


def _parse_numbers(entry: str, name: str, text: str) -> Span | tuple[Any, ...]:
    type_, least, greatest = _SETTINGS[name]
    low, dots, high = text.partition("..")
    try:
        values = tuple(type_(value) for value in ((low, high) if dots else text.split(",")))
    except ValueError:
        kind = "whole numbers" if type_ is int else "numbers"
        raise UsageError(f"--space {entry}: give {kind}, as LOW..HIGH or as values with commas between") from None
    if not all(least <= value <= greatest for value in values):
        raise UsageError(f"--space {entry}: {name} goes from {least:g} to {greatest:g}")
    if not dots:
        return values
    if not values[0] < values[1]:
        raise UsageError(f"--space {entry}: LOW is not below HIGH")
    return Span(*values, is_whole=type_ is int, is_log=name in _BY_FACTORS)
