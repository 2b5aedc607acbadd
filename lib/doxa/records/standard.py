"""The standard streams as raw bytes, also when the caller has closed them."""

import errno
import fcntl
import os
import shutil
import signal
import sys
from typing import BinaryIO

from doxa.errors import DoxaError, ReaderGone, Terminated, UsageError

STDIN, STDOUT, STDERR = 0, 1, 2
PIPE_BYTES = 1 << 20


def secure_descriptors() -> None:
    """Put a placeholder on each closed standard descriptor.

    Otherwise the next file that is opened takes its number, and data meant for stdout lands in it. The
    placeholder has the wrong direction, so that using it still fails.
    """
    for descriptor, direction in ((STDIN, os.O_WRONLY), (STDOUT, os.O_RDONLY), (STDERR, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            placeholder = os.open(os.devnull, direction)
            if placeholder != descriptor:
                os.dup2(placeholder, descriptor)
                os.close(placeholder)


def open_stdin() -> BinaryIO:
    """Return stdin, unbuffered.

    Raises UsageError when it is closed."""
    try:
        os.read(STDIN, 0)
    except OSError:
        raise UsageError("stdin is closed; name a file or pipe records in") from None
    _widen_pipe(STDIN)
    return open(STDIN, "rb", buffering=0, closefd=False)


def _widen_pipe(descriptor: int) -> None:
    """Let a pipe hold PIPE_BYTES instead of Linux's 64 KiB: fewer turns between its two ends, a tenth off `cat FILE | report`."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            pass  # no pipe, or the system's limit is lower


def stdin_is_terminal() -> bool:
    return os.isatty(STDIN)


def stdout_is_terminal() -> bool:
    return os.isatty(STDOUT)


class LineOutput:
    """Writes whole lines to a descriptor, even when a signal arrives in the middle.

    SIGINT and SIGTERM that come during a write are held until the line that has begun is out: a reader never
    gets half a record. Raises ReaderGone when the reader closed its end, DoxaError when the disk is full or
    the descriptor is closed.
    """

    def __init__(self, descriptor: int = STDOUT, name: str = "stdout"):
        self.descriptor, self.name = descriptor, name
        self._is_writing = False
        self._pending: int | None = None

    def write(self, data: bytes) -> int:
        """Write `data`, which ends at the end of a line (or is an indivisible piece of a binary format)."""
        with _deferred_signals(self):
            view, start = memoryview(data), 0
            while start < len(view):
                end = len(view)
                if self._pending is not None:
                    end = self._line_end(data, start)
                    if end == start:
                        break
                start += self._write_some(view[start:end])
        return len(data)

    @staticmethod
    def _line_end(data: bytes, start: int) -> int:
        if start == 0 or data[start - 1] == 0x0A:
            return start
        newline = data.find(b"\n", start)
        return len(data) if newline < 0 else newline + 1

    def _write_some(self, view: memoryview) -> int:
        try:
            return os.write(self.descriptor, view[: 1 << 16])
        except BrokenPipeError:
            raise ReaderGone() from None
        except OSError as error:
            raise output_failure(self.name, error) from None


def output_failure(name: str, error: OSError) -> DoxaError:
    if error.errno == errno.EBADF:
        return DoxaError(f"{name} is closed; there is nowhere to write to")
    return DoxaError(f"cannot write to {name}: {error.strerror or error}")


class _deferred_signals:
    """Hold SIGINT and SIGTERM of the main thread for the length of one write; the second one acts at once."""

    def __init__(self, output: LineOutput):
        self.output = output
        self.previous: dict[int, object] = {}

    def __enter__(self) -> None:
        self.output._pending = None
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                try:
                    signal.signal(number, self._hold)
                except ValueError:  # not the main thread
                    return
                self.previous[number] = handler

    def _hold(self, number: int, frame) -> None:
        if self.output._pending is not None:
            self._raise(number)
        self.output._pending = number

    def __exit__(self, *exc) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        if self.output._pending is not None and exc[0] is None:
            self._raise(self.output._pending)

    @staticmethod
    def _raise(number: int) -> None:
        raise _what_it_raises(number)


def _what_it_raises(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated()


_signal_seen: int | None = None


def end_on_signal(number: int, frame) -> None:
    """Handler of SIGINT and SIGTERM. The first one is raised, and remembered for `check_signals`; a second SIGTERM kills."""
    global _signal_seen
    _signal_seen = number
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
    _deferred_signals._raise(number)


def signal_seen() -> BaseException | None:
    """What the SIGINT or SIGTERM that arrived last raises; None when none came."""
    return None if _signal_seen is None else _what_it_raises(_signal_seen)


def check_signals() -> None:
    """Raise again for a signal that went unheeded: pyarrow, for one, clears what is raised while it guesses a type."""
    seen = signal_seen()
    if seen is not None:
        raise seen


def write_text(text: str) -> None:
    """Write text for people or machines to stdout as UTF-8, whatever the locale."""
    LineOutput().write(text.encode("utf-8", errors="backslashreplace"))


_unfinished: set[str] = set()


def register_unfinished(path: str) -> None:
    """Have `path` removed when the command ends, however it ends. Called before the file is made: a signal may come between."""
    _unfinished.add(path)


def forget_unfinished(path: str) -> None:
    _unfinished.discard(path)


def remove_unfinished() -> None:
    for path in _unfinished:
        try:
            os.unlink(path)
        except OSError:
            pass


def close_python_streams() -> None:
    """Keep Python's own closing of stdout from ending a command as 120 with noise."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass


def page_width() -> int:
    """Characters in a line: COLUMNS, the terminal's width, or 100 where stdout is none."""
    if stdout_is_terminal() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size((100, 24)).columns
    return 100


def stdout_takes_colour() -> bool:
    return stdout_is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
