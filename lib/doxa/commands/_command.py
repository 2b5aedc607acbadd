"""What every command shares: start, failures to exit codes, and the streams' last flush."""

import os
import signal
import sys
import traceback

import click

from doxa import __version__
from doxa.errors import DoxaError, ExitCode, ReaderGone, Terminated

NAMES = ("tokenize", "finetune", "predict", "report")


def run(command: click.Command, arguments: list[str] | None = None) -> None:
    """Run a command as a process: never returns. The exit code follows the table in `doxa.errors`."""
    code = _guarded(command, sys.argv[1:] if arguments is None else arguments)
    from doxa.records.standard import close_python_streams, remove_unfinished

    remove_unfinished()
    close_python_streams()
    # Threads that still read a pipe must not hold the process; every output is flushed at this point.
    os._exit(int(code))


def _guarded(command: click.Command, arguments: list[str]) -> int:
    from doxa.records.standard import end_on_signal, secure_descriptors

    secure_descriptors()
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == usual:  # an ignored signal stays ignored
            signal.signal(number, end_on_signal)
    name = os.path.basename(sys.argv[0]) or command.name
    try:
        return command.main(arguments, prog_name=name, standalone_mode=False) or ExitCode.DONE
    except KeyboardInterrupt:
        return _say(name, "interrupted", ExitCode.INTERRUPTED)
    except click.exceptions.Abort:
        return _say(name, "interrupted", ExitCode.INTERRUPTED)
    except Terminated as ended:
        return _say(name, str(ended) or "terminated", ExitCode.TERMINATED)
    except ReaderGone:
        return ExitCode.READER_GONE
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        return _say(name, f"{error.format_message().rstrip('.')}; see {name} --help", ExitCode.USAGE)
    except DoxaError as error:
        return _say(name, str(error), error.exit_code)
    except BrokenPipeError:
        return ExitCode.READER_GONE
    except MemoryError:
        return _say(name, "out of memory; try a smaller --batch-tokens", ExitCode.FAILED)
    except OSError as error:
        return _say(name, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", ExitCode.FAILED)
    except Exception as error:
        return _say(name, f"internal error: {type(error).__name__}: {error} (--verbose shows where)", ExitCode.FAILED)


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
