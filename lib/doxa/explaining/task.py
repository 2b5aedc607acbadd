"""What a method is given, what it works with, and what it gives back."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from doxa.explaining.layout import Layout
from doxa.explaining.target import Target
from doxa.explaining.units import Unit
from doxa.model.kinds.slices import pool
from doxa.inference.memory import Memory
from doxa.text.frame import Reading, Window

Key = TypeVar("Key", bound=Hashable)
MOST_TOKENS = 1 << 19  # of the windows that are made and computed together: some 20 MB of ids


@dataclass(frozen=True, eq=False)
class Sought(ABC):
    """One number of what a model makes of one record is to be explained: how much each of its U units adds to it."""

    layout: Layout
    units: list[Unit]

    @abstractmethod
    def number(self, windows: list[Window], outputs: Sequence[np.ndarray]) -> float:
        """The number by the outputs of the windows, some tokens of which may be hidden."""

    @abstractmethod
    def without(self, absent: np.ndarray, tools: "Tools") -> list[Window]:
        """The windows without the tokens marked in `absent` (n,), as a judge of the explanation wants them."""

    def standing(self, windows: list[Window], outputs: Sequence[np.ndarray]) -> float:
        """What a judge compares, by the outputs of the windows: the number, unless there is something better known."""
        return self.number(windows, outputs)

    @property
    def has_sides(self) -> bool:
        """Whether units speak for or against; else they move a number, up or down."""
        return True

    @property
    def written(self) -> list[int] | None:
        """The tokens that a model which writes has written; None of other models."""
        return None

    def by_unit(self, by_token: np.ndarray) -> np.ndarray:
        """Sum figures of the n tokens over the units, (n,) -> (U,)."""
        return np.array([by_token[list(unit.tokens)].sum() for unit in self.units])

    def marks(self, units: Iterable[int]) -> np.ndarray:
        """Mark the tokens (n,) of these units."""
        found = np.zeros(len(self.layout.ids), dtype=bool)
        for unit in units:
            found[list(self.units[unit].tokens)] = True
        return found

    def read_units(self) -> np.ndarray:
        """The units of which the model reads at least one token."""
        is_read = self.layout.is_read()
        return np.flatnonzero([is_read[list(unit.tokens)].any() for unit in self.units])


@dataclass(frozen=True, eq=False)
class Task(Sought):
    """The log-odds of a label of one text or two, or the value of a head that is a number."""

    n_first_units: int  # of the first text; the rest are the second one's
    target: Target

    def number(self, windows: list[Window], outputs: Sequence[np.ndarray]) -> float:
        return float(self._value(windows, outputs)[0])

    def without(self, absent: np.ndarray, tools: "Tools") -> list[Window]:
        return self.layout.without(absent, tools.reading)

    def standing(self, windows: list[Window], outputs: Sequence[np.ndarray]) -> float:
        return float(self.target.score(self._value(windows, outputs))[0])

    @property
    def has_sides(self) -> bool:
        return self.target.label is not None

    def _value(self, windows: list[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
        return self.target.value(pool(np.asarray(outputs), windows, [(0, len(windows))]))


@dataclass
class Evidence:
    """`scores` (U,) in nats of log-odds unless the method says otherwise; `errors` (U,) their standard errors where they are
    estimates; `about` goes into the record beside them."""

    scores: np.ndarray
    errors: np.ndarray | None = None
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tools:
    """`absent_id` is the token that stands in the place of one that is taken away, `judge_id` the one by which claims are judged: another, so that
    no method is judged by its own notion of absence, where the tokenizer has two that serve. `gradients` and `attention` are None
    where the method does without them."""

    memory: Memory
    reading: Reading
    absent_id: int
    judge_id: int = 0
    steps: int = 16
    samples: int = 512
    seed: int = 0
    gradients: Any = None
    attention: Any = None

    def pooled(self, jobs: Iterable[tuple[Key, list[Window]]]) -> Iterator[tuple[Key, np.ndarray]]:
        """Yield for each job, in order, its key and the pooled logits (C,) of its windows."""
        for part in _in_parts(jobs, lambda job: job[1]):
            windows, spans = _side_by_side([own for _, own in part])
            yield from zip((key for key, _ in part), pool(self.memory.compute(windows)[0], windows, spans))

    def numbers(self, jobs: Iterable[tuple[Key, Sought, list[Window]]], weigh: Callable = lambda sought, *found: sought.number(*found)) -> Iterator[tuple[Key, float]]:
        """Yield for each job, in order, its key and the number that is sought of it by these windows, or what else `weigh` makes of them and their
        outputs."""
        for part in _in_parts(jobs, lambda job: job[2]):
            windows, spans = _side_by_side([own for _, _, own in part])
            outputs = self._outputs(windows, [sought.written for _, sought, own in part for _ in own])
            for (key, sought, own), (start, end) in zip(part, spans):
                yield key, weigh(sought, own, outputs[start:end])

    def _outputs(self, windows: list[Window], written: list[list[int] | None]) -> Sequence[np.ndarray]:
        """The outputs of windows; of those that something was written for, how likely that is, as rows (T, 2) like the generator's own."""
        if written[0] is None:
            return self.memory.compute(windows)[0]
        likelihoods = self.memory.engine.score([window.ids for window in windows], written)
        return [np.stack([ids, own], axis=1) for ids, own in zip(written, likelihoods)]

    def random(self, layout: Layout) -> np.random.Generator:
        """A generator that depends on the seed and the text alone, so that neighbours in the stream change nothing."""
        digest = hashlib.sha256(layout.ids.tobytes()).digest()
        return np.random.default_rng([self.seed, *np.frombuffer(digest, np.uint32).tolist()])


def _in_parts(jobs: Iterable[Any], windows_of: Callable[[Any], list[Window]]) -> Iterator[list[Any]]:
    """Jobs whose windows are computed together; few are held at a time."""
    part, n_tokens = [], 0
    for job in jobs:
        part.append(job)
        n_tokens += sum(len(window.ids) for window in windows_of(job))
        if n_tokens >= MOST_TOKENS:
            yield part
            part, n_tokens = [], 0
    if part:
        yield part


def _side_by_side(parts: list[list[Window]]) -> tuple[list[Window], list[tuple[int, int]]]:
    """All windows, one part after the other, and where each part begins and ends."""
    ends = np.cumsum([len(own) for own in parts]).tolist()
    return [window for own in parts for window in own], list(zip([0, *ends], ends))
