"""What training starts from, whatever the kinds of its heads."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from doxa.errors import DoxaError
from doxa.inference.torch_engine import TORCH_TYPES, TorchEngine
from doxa.model.heads import Head
from doxa.model.kinds.kind import Kind, Stock
from doxa.model.kinds.table import kind_of, stock_of
from doxa.records.signals import signal_seen
from doxa.text.frame import Reading, Window
from doxa.text.question import Layout
from doxa.text.tokenizer import TextTokenizer
from doxa.text.vocabulary import learn_tokenizer
from doxa.training.adaptation import Adaptation
from doxa.training.calibrate import Calibration
from doxa.training.evaluation import HeadFigures
from doxa.training.examples import Example, LabelledSet
from doxa.training.guard import HeldOut
from doxa.training.loop import LoopSettings, TrainingLoop
from doxa.training.plan import Plan
from doxa.training.probe import Probe
from doxa.training.reload import pad_windows
from doxa.training.tasks import Task


EVALUATED_AT_ONCE = 256  # texts between two looks for a signal
NOT_FINITE = "the model gives outputs that are not finite; try a smaller --learning-rate, or --precision fp32"


@dataclass(frozen=True)
class Judged:
    """What the dev set says of a model: its heads with their decision layer, and figures. `more` goes into doxa.json beside them, `remarks` are
    lines under the closing table."""

    heads: list[Head]
    figures: list[HeadFigures]
    calibrations: list[Calibration] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {"heads": [asdict(figure) for figure in self.figures], "calibration": [asdict(calibration) for calibration in self.calibrations]} | self.more


@dataclass(kw_only=True)
class Prepared(ABC):
    """Base, texts and targets. What is learnt from a record, and how it is judged, is that of the heads' kind."""

    heads: list[Head]
    base: str | None
    tokenizer: TextTokenizer
    model: PreTrainedModel
    settings: LoopSettings
    reading: Reading
    train: LabelledSet
    dev: LabelledSet
    device: torch.device
    precision: str
    unlabelled: LabelledSet
    adaptation: Adaptation = Adaptation()
    encoder: str | None = None  # what a head start made of the base

    @property
    def kind(self) -> Kind:
        return kind_of(self.heads)

    @property
    def head(self) -> Head:
        """The only one, of kinds that share their network with no other."""
        return self.heads[0]

    @property
    def stock(self) -> Stock:
        return stock_of(self.heads, self.model.config.to_dict())

    @classmethod
    def learn_tokenizer(cls, examples: Iterable[Example]) -> Tokenizer:
        """Where there is no base."""
        return learn_tokenizer(text for example in examples for text in example.texts)

    @classmethod
    def suit_heads(cls, plan: Plan, heads: list[Head], base: str | None, tokenizer: TextTokenizer, train: LabelledSet, max_length: int) -> list[Head]:
        """The heads with those of their settings that follow from the base (None: scratch) and the training set."""
        return heads

    @property
    def mixed(self) -> torch.dtype | None:
        return TORCH_TYPES[self.precision] if self.precision != "fp32" else None

    @property
    def pad_id(self) -> int:
        return self.model.config.pad_token_id or 0

    def engine_of(self, loop: TrainingLoop) -> TorchEngine:
        """What computes with the weights as a loop has them. Shards compute together, one call after the other."""
        return TorchEngine(loop.model, self.device, self.tokenizer.max_length, mixed=self.mixed, n_cores=1 if loop.processes.shards else None, stock=self.stock)

    def is_stopped(self, loop: TrainingLoop) -> bool:
        """Whether a signal arrived; shards, which compute together, stop together."""
        is_asked = signal_seen() is not None
        return loop.processes.any(is_asked) if loop.processes.shards else is_asked

    def entries_of(self, predictions: list[dict[str, Any] | None]) -> list[dict[str, Any]]:
        """The entries of the only head. Raises DoxaError for outputs that are not finite."""
        if None in predictions:
            raise DoxaError(NOT_FINITE)
        return [prediction[self.head.name] for prediction in predictions]

    @abstractmethod
    def n_rows(self, plan: Plan) -> int:
        """Rows of training in an epoch."""

    @abstractmethod
    def train_windows_of(self) -> list[Window]:
        """Every window that is learnt from."""

    def unlabelled_windows(self) -> list[Window]:
        """The first window of every unlabelled text."""
        layouts = self.kind.lay_out([example.question for example in self.unlabelled.examples], self.tokenizer, self.reading)
        return [layout.windows[0] for layout in layouts if isinstance(layout, Layout)]

    def probe(self, plan: Plan) -> Probe | None:
        """What the output layer can learn before the network does; None for kinds whose outputs are not so many linear readings of features."""
        return None

    @abstractmethod
    def make_task(self, plan: Plan, chosen: Any = None, soft: torch.Tensor | None = None) -> Task:
        """What a loop learns; `chosen` is what self-training labelled, `soft` what teachers said."""

    @abstractmethod
    def evaluate(self, loop: TrainingLoop) -> dict[str, float]:
        """Every head's dev score, higher is better; nothing when a signal cuts it short."""

    @abstractmethod
    def judge(self, plan: Plan, loop: TrainingLoop) -> Judged:
        """The figures on dev of what a loop ended with."""

    def finish(self, model: PreTrainedModel) -> None:
        """Change the model to what is published, before it is."""

    def complete(self, directory: str) -> None:
        """Write what else a model directory of this kind holds."""

    def check(self, plan: Plan) -> None:
        """Raises UsageError for flags of the plan that this kind of head has no use for."""

    @abstractmethod
    def probe_windows(self, most: int) -> list[Window]:
        """Some windows of dev, to compare a model with itself after loading."""

    def probe_inputs(self, most: int) -> dict[str, np.ndarray]:
        """The same as what the network reads."""
        return pad_windows(self.probe_windows(most), self.pad_id)

    def held_out(self, heads: list[Head]) -> HeldOut | None:
        """What an int8 form is made and judged by, None for kinds that have none."""
        return None
