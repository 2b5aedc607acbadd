"""The standard streams as raw bytes, also when the caller has closed them."""

import errno
import fcntl
import os
import shutil
import sys
from typing import BinaryIO

from doxa.errors import DoxaError, ReaderGone, UsageError
from doxa.records.signals import held_briefly

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

    A signal to end that comes during a write is held until the line that has begun is out: a reader never
    gets half a record. Raises ReaderGone when the reader closed its end, DoxaError when the disk is full or
    the descriptor is closed.
    """

    def __init__(self, descriptor: int = STDOUT, name: str = "stdout"):
        self.descriptor, self.name = descriptor, name

    def write(self, data: bytes) -> int:
        """Write `data`, which ends at the end of a line (or is an indivisible piece of a binary format)."""
        with held_briefly() as held:
            view, start = memoryview(data), 0
            while start < len(view):
                end = len(view)
                if held.arrived is not None:
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


def page_look(output: str | None) -> tuple[int, bool]:
    """Characters in a line and whether there is colour, for a page that goes to stdout (None) or to a file."""
    return (page_width(), stdout_takes_colour()) if output is None else (100, False)


def stdout_takes_colour() -> bool:
    return stdout_is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
