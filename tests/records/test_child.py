"""Commands of the user's that get data on their stdin."""

import json
import subprocess
import sys
from pathlib import Path

from doxa.records.child import feed_command
from shell import ROOT, environment

# A process of its own: what it sends to itself must end nothing else.
INTERRUPTED = """
import json, os, signal, subprocess

from doxa.errors import Terminated
from doxa.records.child import feed_command
from doxa.records.signals import end_on_signal

class Interrupted(subprocess.Popen):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        started.append(self.pid)
        os.kill(os.getpid(), signal.SIGTERM)

started, subprocess.Popen = [], Interrupted
signal.signal(signal.SIGTERM, end_on_signal)
try:
    feed_command("sleep 600 & wait", b"")
except Terminated:
    print(json.dumps(started))
"""


def test_a_signal_during_the_start_leaves_nothing_running():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], env=environment({"PYTHONPATH": str(ROOT / "lib")}), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (started,) = json.loads(done.stdout)
    assert not Path(f"/proc/{started}").exists()


def test_what_a_command_says_is_its_exit_code(tmp_path):
    assert feed_command(f"cat > {tmp_path}/got; exit 7", "一行\n".encode()) == 7
    assert (tmp_path / "got").read_text() == "一行\n"
    assert feed_command("exec 0<&-; exit 0", b"x" * 1_000_000) == 0  # it does not read
