"""Commands of the user's that get data on their stdin."""

import os
import signal
import subprocess

import pytest

from doxa.errors import Terminated
from doxa.records import signals
from doxa.records.child import feed_command


@pytest.fixture
def ended_by_signals(monkeypatch):
    monkeypatch.setattr(signals, "_seen", None)
    before = signal.signal(signal.SIGTERM, signals.end_on_signal)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_signal_during_the_start_leaves_nothing_running(monkeypatch, ended_by_signals):
    started = []

    class Interrupted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(Terminated):
        feed_command("sleep 600", b"")
    assert started[0].wait(10) == -signal.SIGKILL


def test_what_a_command_says_is_its_exit_code(tmp_path):
    assert feed_command(f"cat > {tmp_path}/got; exit 7", "一行\n".encode()) == 7
    assert (tmp_path / "got").read_text() == "一行\n"
    assert feed_command("exec 0<&-; exit 0", b"x" * 1_000_000) == 0  # it does not read
