"""What a run of finetune is asked for, and who is told of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from doxa.training.adversary import Adversary
from doxa.training.loop import Progress
from doxa.training.space import Space
from doxa.training.watch import Keeping


@dataclass(frozen=True)
class Plan:
    """What to train. `learning_rate` None takes what suits the base; `max_length` counts tokens, None is the base's own."""

    base: str
    output: str
    learning_rate: float | None = None
    max_length: int | None = None
    device: str = "auto"
    precision: str = "auto"
    wants_int8: bool = True
    loop: dict[str, Any] = field(default_factory=dict)
    label_smoothing_factor: float = 0.0
    focal_gamma: float = 0.0
    class_weights: str = "none"
    adversary: Adversary | None = None
    has_gradient_checkpointing: bool = False
    target_precision: float | None = None
    keeping: Keeping = Keeping()
    resume: bool = False
    peft: str | None = None
    peft_rank: int | None = None
    keeps_adapter: bool = False
    head_start: str | None = None
    head_start_epochs: int = 4
    head_start_rate: float | None = None
    n_rounds: int = 0  # of self-training
    teachers: tuple[str, ...] = ()
    trackers: tuple[str, ...] = ()
    shards: bool = False
    n_trials: int = 0  # of a search
    space: Space = field(default_factory=dict)  # empty: see `default_space`
    prompt: str | None = None
    head_init: str | None = None
    wants_openvino: bool = True  # without it no int8 form either

    def with_settings(self, settings: dict[str, Any]) -> "Plan":
        """The same with other values of flags, given by their names."""
        values = {name.replace("-", "_"): value for name, value in settings.items()}
        own = {name: value for name, value in values.items() if name in Plan.__dataclass_fields__}
        return replace(self, loop=self.loop | {name: value for name, value in values.items() if name not in own}, **own)


@dataclass
class Listener:
    """What is told while training goes on. `draw` makes the chart of the log's rows."""

    note: Callable[[str], None]
    warn: Callable[[str], None]
    step: Callable[[Progress], None]
    draw: Callable[[list[dict]], str]
