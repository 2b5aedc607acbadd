"""Work in batches of one length, a batch per lane, halving a batch that does not fit into memory."""

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from doxa.errors import DoxaError
from doxa.text.batching import plan_batches

T, R = TypeVar("T"), TypeVar("R")


class OutOfMemory(Exception):
    """A batch did not fit. Raised when its tensors are free again."""


class Lanes:
    """`lanes` run batches side by side; `batch_tokens` bounds the tokens of one, padding included.

    On a CPU there is a lane for each core, with one thread each: as fast as all cores on one batch, and where another
    process wants the cores too, five times faster, since no core waits for the others at every layer.
    """

    batch_tokens: int
    lanes: ThreadPoolExecutor

    def run_batches(self, lengths: list[int], work: Callable[[list[int]], T]) -> Iterator[tuple[list[int], T]]:
        """Yield batches of positions in `lengths`, each position in one of them, and what `work` returns for the batch.

        A batch for which `work` raises OutOfMemory is cut and tried again. Raises DoxaError when a single position does not fit."""
        left = list(range(len(lengths)))
        while left:
            plan = [[left[i] for i in batch] for batch in plan_batches([lengths[i] for i in left], self.batch_tokens)]
            failed = []
            for batch, result in zip(plan, self.lanes.map(lambda batch: _attempt(work, batch), plan)):
                if result is None:
                    failed.append(batch)
                else:
                    yield batch, result
            if failed:
                gc.collect()  # the frames of a failed call hold each other, and its tensors
                smallest = min(failed, key=len)
                self._lower_ceiling(len(smallest), max(lengths[i] for i in smallest))
            left = [i for batch in failed for i in batch]

    def run_each(self, lengths: list[int], work: Callable[[list[int]], Sequence[R]]) -> list[R]:
        """What `work` returns for each position of its batches, in the order of `lengths`. Raises as run_batches."""
        found: list[R | None] = [None] * len(lengths)
        for batch, results in self.run_batches(lengths, work):
            for position, result in zip(batch, results):
                found[position] = result
        return found

    def _lower_ceiling(self, n: int, length: int) -> None:
        """What did not fit once fits never: the lower budget holds for the rest of the run."""
        if n == 1:
            raise DoxaError(f"out of memory on a single window of {length} tokens; try --device cpu")
        self.batch_tokens = min(self.batch_tokens, n * length) // 2


def _attempt(work: Callable[[list[int]], T], batch: list[int]) -> T | None:
    try:
        return work(batch)
    except OutOfMemory:
        return None
