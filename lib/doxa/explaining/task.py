"""What a method is given, what it works with, and what it gives back."""

import hashlib
from collections.abc import Hashable, Iterable, Iterator
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
class Task:
    """Explain one number of one text: how much each of its U units adds to it."""

    layout: Layout
    units: list[Unit]
    n_first_units: int  # of the first text; the rest are the second one's
    target: Target

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


@dataclass
class Evidence:
    """`scores` (U,) in nats of log-odds unless the method says otherwise; `errors` (U,) their standard errors where they are
    estimates; `about` goes into the record beside them."""

    scores: np.ndarray
    errors: np.ndarray | None = None
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tools:
    """`absent_id` is the token that stands in the place of one that is taken away. `gradients` and `attention` are None
    where the method does without them."""

    memory: Memory
    reading: Reading
    absent_id: int
    steps: int = 32
    samples: int = 512
    seed: int = 0
    gradients: Any = None
    attention: Any = None

    def pooled(self, jobs: Iterable[tuple[Key, list[Window]]]) -> Iterator[tuple[Key, np.ndarray]]:
        """Yield for each job, in order, its key and the pooled logits (C,) of its windows; few jobs are held at a time."""
        keys: list[Key] = []
        windows: list[Window] = []
        spans: list[tuple[int, int]] = []
        n_tokens = 0
        for key, own in jobs:
            keys.append(key)
            spans.append((len(windows), len(windows) + len(own)))
            windows += own
            n_tokens += sum(len(window.ids) for window in own)
            if n_tokens >= MOST_TOKENS:
                yield from zip(keys, pool(self.memory.compute(windows)[0], windows, spans))
                keys, windows, spans, n_tokens = [], [], [], 0
        if keys:
            yield from zip(keys, pool(self.memory.compute(windows)[0], windows, spans))

    def random(self, layout: Layout) -> np.random.Generator:
        """A generator that depends on the seed and the text alone, so that neighbours in the stream change nothing."""
        digest = hashlib.sha256(layout.ids.tobytes()).digest()
        return np.random.default_rng([self.seed, *np.frombuffer(digest, np.uint32).tolist()])
