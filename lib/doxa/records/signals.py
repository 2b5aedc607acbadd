"""SIGINT, SIGTERM and SIGHUP: raised where they arrive, or held until what is under way is whole."""

import signal

from doxa.errors import HungUp, Interrupted, Terminated

ENDING = {signal.SIGINT: Interrupted, signal.SIGTERM: Terminated, signal.SIGHUP: HungUp}
_seen: int | None = None


def end_on_signal(number: int, frame) -> None:
    """Handler of the signals that end a command. The first one is raised, and remembered for `check_signals`; a second one kills, but for Ctrl-C."""
    global _seen
    _seen = number
    if number != signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)
    raise ENDING[number]()


def signal_seen() -> BaseException | None:
    """What the signal that arrived last raises; None when none came."""
    return None if _seen is None else ENDING[_seen]()


def check_signals() -> None:
    """Raise again for a signal that went unheeded: pyarrow, for one, clears what is raised while it guesses a type."""
    seen = signal_seen()
    if seen is not None:
        raise seen


class _Held:
    """Handlers for a while. Outside the main thread, and for a signal that is ignored, nothing is held."""

    def __init__(self) -> None:
        self.arrived: int | None = None
        self.previous: dict[int, object] = {}

    def __enter__(self):
        for number in ENDING:
            handler = signal.getsignal(number)
            if callable(handler):
                try:
                    signal.signal(number, self._hold)
                except ValueError:  # not the main thread
                    break
                self.previous[number] = handler
        return self

    def _hold(self, number: int, frame) -> None:
        raise NotImplementedError

    def __exit__(self, *exc) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        if self.arrived is not None and exc[0] is None:
            raise ENDING[self.arrived]()


class held_briefly(_Held):
    """Hold signals for the length of one write, or of one start of a process; the second one acts at once."""

    def _hold(self, number: int, frame) -> None:
        if self.arrived is not None:
            raise ENDING[number]()
        self.arrived = number


class held_for_work(_Held):
    """Hold signals through long work that asks `signal_seen` where it can stop; the second one kills."""

    def _hold(self, number: int, frame) -> None:
        global _seen
        _seen = self.arrived = number
        for held in self.previous:
            signal.signal(held, signal.SIG_DFL)
