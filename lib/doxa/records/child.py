"""A command of the user's that gets data on its stdin."""

import subprocess

from doxa.records.standard import STDERR

TIMEOUT_S = 300


def feed_command(command: str, data: bytes) -> int:
    """Run a command by /bin/sh with `data` on its stdin; what it prints goes to stderr, for stdout is ours. Returns its exit code,
    124 when it took longer than five minutes."""
    try:
        return subprocess.run(["/bin/sh", "-c", command], input=data, stdout=STDERR, timeout=TIMEOUT_S).returncode
    except subprocess.TimeoutExpired:
        return 124
    except BrokenPipeError:  # it did not read what it was given
        return 1
