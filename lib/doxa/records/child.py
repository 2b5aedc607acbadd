"""A command of the user's that gets data on its stdin."""

import os
import signal
import subprocess

from doxa.records.signals import held_briefly
from doxa.records.standard import STDERR

TIMEOUT_S = 60
TIMED_OUT = 124  # as timeout(1) has it


def feed_command(command: str, data: bytes) -> int:
    """Run a command by /bin/sh with `data` on its stdin; what it prints goes to stderr, for stdout is ours. Returns its exit code, TIMED_OUT when it
    took longer than a minute: then, and where we are stopped ourselves, it is stopped with all that it started."""
    process = None
    try:
        with held_briefly():  # a signal before its start is known here would leave it running
            process = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=STDERR, start_new_session=True)
        process.communicate(data, TIMEOUT_S)  # a command that does not read what it is given may do so
    except subprocess.TimeoutExpired:
        _stop(process)
        return TIMED_OUT
    except BaseException:
        if process is not None:
            _stop(process)
        raise
    return process.returncode


def _stop(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it is over
        pass
    process.wait()
    process.stdin.close()
