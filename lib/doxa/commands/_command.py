"""What every command shares: start, failures to exit codes, and the streams' last flush."""

import gc
import os
import signal
import sys
import traceback

import click

from doxa import __version__
from doxa.errors import DoxaError, ExitCode, HungUp, Interrupted, ReaderGone, Terminated

# Python's usual ones look through all objects again and again while modules are imported, which make hundreds of thousands and throw none away.
FEW_COLLECTIONS = (50_000, 20, 20)
NAMES = ("tokenize", "finetune", "predict", "evaluate", "compare", "explain", "report", "alert")


def run(command: click.Command, arguments: list[str] | None = None) -> None:
    """Run a command as a process: never returns. The exit code follows the table in `doxa.errors`."""
    gc.set_threshold(*FEW_COLLECTIONS)
    code = _guarded(command, sys.argv[1:] if arguments is None else arguments)
    from doxa.records.standard import close_python_streams, remove_unfinished

    remove_unfinished()
    close_python_streams()
    # Threads that still read a pipe must not hold the process; every output is flushed at this point.
    os._exit(int(code))


def _guarded(command: click.Command, arguments: list[str]) -> int:
    from doxa.records.signals import ENDING, end_on_signal
    from doxa.records.standard import secure_descriptors

    secure_descriptors()
    for number in ENDING:
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):  # an ignored signal stays ignored
            signal.signal(number, end_on_signal)
    name = os.path.basename(sys.argv[0]) or command.name
    try:
        return command.main(arguments, prog_name=name, standalone_mode=False) or ExitCode.DONE
    except BaseException as error:
        return _ended_by(name, error)


def _ended_by(name: str, error: BaseException) -> int:
    """Say what ended the command, in one line, and give its exit code."""
    from doxa.records.signals import signal_seen

    # A signal that arrives inside the import of a native module comes out as that module's ImportError.
    match error if str(error) and isinstance(error, (Interrupted, Terminated)) else signal_seen() or error:
        case Interrupted() | click.exceptions.Abort() as ended:
            return _say(name, str(ended) or "interrupted", ExitCode.INTERRUPTED)
        case HungUp() as ended:
            return _say(name, str(ended) or "hung up", ExitCode.HUNG_UP)
        case Terminated() as ended:
            return _say(name, str(ended) or "terminated", ExitCode.TERMINATED)
        case ReaderGone() | BrokenPipeError():
            return ExitCode.READER_GONE
        case click.exceptions.Exit(exit_code=code):
            return code
        case click.ClickException():
            return _say(name, f"{error.format_message().rstrip('.')}; see {name} --help", ExitCode.USAGE)
        case DoxaError():
            return _say(name, str(error), error.exit_code)
        case _ if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, which is loaded in its commands alone
            return _say(name, "out of memory; take smaller batches: --per-device-train-batch-size of finetune, --batch-tokens of others", ExitCode.FAILED)
        case OSError():
            where = f": {error.filename}" if error.filename else ""
            return _say(name, f"{error.strerror or error}{where}", ExitCode.FAILED)
        case Exception():
            told = f"{type(error).__name__}: {error}"
            return _say(name, f"internal error: {told} (--verbose shows where)", ExitCode.FAILED)
    raise error


def _say(name: str, message: str, code: ExitCode) -> int:
    from doxa.terminal import Terminal

    if code != ExitCode.USAGE and ("--verbose" in sys.argv or "-v" in sys.argv) and sys.stderr is not None:
        traceback.print_exc()
    Terminal(name).say(message)
    return code


def print_version(context: click.Context, parameter, is_asked: bool) -> None:
    if is_asked:
        print_out(f"{context.info_name} (doxa) {__version__}\n")
        context.exit()


def print_help(context: click.Context, parameter, is_asked: bool) -> None:
    if is_asked:
        print_out(context.get_help() + "\n")
        context.exit()


def print_out(text: str) -> None:
    from doxa.records.standard import write_text

    write_text(text)
