"""The failures a user can meet, and the one table of exit codes."""

import enum


class ExitCode(enum.IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    RECORDS_FAILED = 3  # done, but some records carry an error
    GATE_REFUSED = 4
    HUNG_UP = 129  # the terminal or the connection is gone
    INTERRUPTED = 130  # Ctrl-C
    READER_GONE = 141  # the reader of our output closed it
    TERMINATED = 143


class DoxaError(Exception):
    """A failure that ends the command with one line on stderr."""

    exit_code = ExitCode.FAILED


class UsageError(DoxaError):
    """The command line, or what it asks of this input, makes no sense."""

    exit_code = ExitCode.USAGE


class RecordsFailed(DoxaError):
    """The work is done, but some records carry an error."""

    exit_code = ExitCode.RECORDS_FAILED


class GateRefused(DoxaError):
    """The work is done, and a gate that was asked for says no."""

    exit_code = ExitCode.GATE_REFUSED


class Interrupted(BaseException):
    """SIGINT (Ctrl-C) arrived. Not an Exception, so that no handler for failures swallows it; nor a KeyboardInterrupt, which
    click turns into its own words. Its text, if any, is what the user is told."""


class Terminated(BaseException):
    """SIGTERM arrived. Its text, if any, is what the user is told."""


class HungUp(Terminated):
    """SIGHUP arrived, which asks for the same as SIGTERM."""


class ReaderGone(BaseException):
    """Whoever read our output has closed it."""


class RecordError(Exception):
    """What is wrong with one record; the others go on.

    `code` is a stable snake_case word for programs, `message` a sentence for people.
    """

    def __init__(self, code: str, message: str):
        super().__init__(code, message)  # both, so that it survives the way between processes
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


def first_line(error: BaseException) -> str:
    """What an error of a library says, in one line; its class where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
