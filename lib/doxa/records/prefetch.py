"""Read ahead in threads, so that reading and computing overlap, without holding back a slow pipe."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

from doxa.records.signals import check_signals

T = TypeVar("T")
R = TypeVar("R")
# Python acts on a signal between two steps of the main thread. One that arrives just before it falls asleep is acted on
# when it wakes; at an idle pipe that would be never.
LONGEST_SLEEP_S = 0.5


class _Bell:
    """An event that the main thread can ring and wait for: a signal that raises within leaves no lock taken, as it does in threading.Event, whose next use would
    then wait for ever."""

    def __init__(self) -> None:
        self._rung: SimpleQueue = SimpleQueue()

    def ring(self) -> None:
        if self._rung.empty():
            self._rung.put(None)

    def clear(self) -> None:
        while not self._rung.empty():
            self.wait(0)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is rung, and clear it; say whether it was."""
        try:
            self._rung.get(timeout=timeout_s)
        except Empty:
            return False
        return True


class _Buffer:
    """What was read and not yet taken. Appending is cheap: no lock is held for it."""

    def __init__(self, most: int):
        self.items: deque = deque()
        self.most = most
        self.changed, self.has_room = _Bell(), _Bell()
        self.ending: BaseException | None = None  # StopIteration at the end, else what went wrong
        self.is_left = False  # whoever took the items is gone

    def fill(self, source: Iterator) -> None:
        try:
            for item in source:
                self.items.append(item)
                self.changed.ring()
                if len(self.items) >= self.most:
                    self.has_room.clear()
                    if len(self.items) >= self.most and not self.is_left:
                        self.has_room.wait()
                if self.is_left:
                    return
            self.ending = StopIteration()
        except BaseException as error:
            self.ending = error
        self.changed.ring()

    def take(self, most: int) -> list:
        taken = []
        while self.items and len(taken) < most:
            taken.append(self.items.popleft())
        self.has_room.ring()
        return taken

    def leave(self) -> None:
        """Let the reading thread end at its next item."""
        self.is_left = True
        self.has_room.ring()


def gather(items: Iterator[T], most: int, patience_s: float = 0.1) -> Iterator[list[T]]:
    """Yield lists of at most `most` items, in order; a shorter one when nothing more comes for `patience_s`.

    What `items` raises is raised here, after the items before it. At most `most` items are read ahead.
    """
    buffer = _Buffer(most)
    threading.Thread(target=buffer.fill, args=(items,), name="reader", daemon=True).start()
    gathered: list[T] = []
    try:
        while True:
            check_signals()
            buffer.changed.clear()
            ending = buffer.ending  # looked at before the items: what came earlier is then surely in the buffer
            taken = buffer.take(most - len(gathered))
            gathered += taken
            is_over = ending is not None and not buffer.items
            if len(gathered) == most or (gathered and is_over):
                yield gathered
                gathered = []
            if is_over:
                if isinstance(ending, StopIteration):
                    return
                raise ending
            if not taken and not buffer.changed.wait(patience_s if gathered else LONGEST_SLEEP_S) and gathered:
                yield gathered
                gathered = []
    finally:
        buffer.leave()


def map_ahead(items: Iterator[T], work: Callable[[T], R], n_threads: int) -> Iterator[tuple[T, R]]:
    """Yield every item and what `work` makes of it, in order, while `n_threads` threads work on those after it.

    Of `n_threads` + 1 items in a row, the first is done with when the last is asked for. What `items` or `work` raises is raised here,
    after the items before it."""
    items, waiting, failure = iter(items), deque(), None
    with ThreadPoolExecutor(n_threads, "ahead") as pool:
        while failure is None:
            try:
                item = next(items)
            except Exception as error:  # StopIteration as well
                failure = error
            else:
                waiting.append((item, pool.submit(work, item)))
            while waiting and (failure is not None or len(waiting) > n_threads):
                item, done = waiting.popleft()
                yield item, done.result()
    if not isinstance(failure, StopIteration):
        raise failure
