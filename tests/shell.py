"""Run the commands as a shell does: real processes, bytes in, bytes and an exit code out."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import warm

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / "bin"
PATH = f"{Path(sys.executable).parent}:{BIN}:/usr/local/bin:/usr/bin:/bin"
TIMEOUT_S = 120
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as under `make test &`, and every child would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # as under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
GPUS = os.environ.get("CUDA_VISIBLE_DEVICES")  # None: all that there are
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # tests say the same on every machine; those of test_gpu.py give them back
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes with two threads each would spin for one another's cores
CALLERS = dict(os.environ)  # as it was before any test imported torch, which sets variables


@dataclass(frozen=True)
class Done:
    """How a process ended: `code` as a shell sees it (128 + N for signal N)."""

    code: int
    out: bytes
    err: str
    seconds: float

    @property
    def lines(self) -> list[bytes]:
        """Lines of stdout, cut at newlines alone."""
        return self.out.split(b"\n")[:-1] if self.out.endswith(b"\n") else self.out.split(b"\n")

    @property
    def err_lines(self) -> list[str]:
        return self.err.split("\n")[:-1] if self.err.endswith("\n") else self.err.split("\n")


def environment(changes: dict[str, str | None] | None = None) -> dict[str, str]:
    """The caller's environment with this Python first on the PATH, and without what hides faults (PYTHONUNBUFFERED)."""
    hidden = ("PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "HF_HUB_OFFLINE")
    made = {key: value for key, value in CALLERS.items() if key not in hidden and not key.startswith("PYTEST")}
    made["PATH"] = PATH
    for key, value in (changes or {}).items():
        made.pop(key, None)
        if value is not None:
            made[key] = value
    return made


def run(command: str, *args, stdin: bytes | int = b"", env: dict | None = None, only_env: dict | None = None, timeout: float = TIMEOUT_S,
        cwd=None, before: Callable[[], None] | None = None, stdout: int = subprocess.PIPE) -> Done:
    """Run bin/COMMAND to its end. `env` changes the environment (None removes), `only_env` replaces it; `before` runs in
    the child before the command starts; `stdin` is bytes or a descriptor. With nothing of all this but bytes the process is a warm one (see warm.py)."""
    started_s = time.monotonic()
    if isinstance(stdin, bytes) and env is None and only_env is None and before is None and stdout == subprocess.PIPE:
        process = Warm([str(BIN / command), *map(str, args)], cwd and str(cwd))
        return _collected(process, stdin, timeout, started_s)
    feed = {"stdin": stdin} if isinstance(stdin, int) else {"input": stdin}
    done = subprocess.run(
        [str(BIN / command), *map(str, args)], stdout=stdout, stderr=subprocess.PIPE, timeout=timeout, cwd=cwd, preexec_fn=before,
        env=environment(env) if only_env is None else only_env, **feed)
    return _finished(done.returncode, done.stdout or b"", done.stderr, started_s)


class Warm(warm.Child):
    """A command in a process that has loaded torch before (see warm.py), of which one may ask what of a subprocess.Popen."""

    def __init__(self, arguments: list[str], cwd: str | None = None):
        stdin, stdout, stderr = (os.pipe() for _ in range(3))
        theirs = stdin[0], stdout[1], stderr[1]
        self.args = arguments
        try:
            super().__init__(warm.call(arguments, environment(), cwd, theirs))
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self.stdin, self.stdout, self.stderr = open(stdin[1], "wb"), open(stdout[0], "rb"), open(stderr[0], "rb")

    def communicate(self, data: bytes | None = None, timeout: float = TIMEOUT_S) -> tuple[bytes, bytes]:
        until_s = time.monotonic() + timeout
        said: dict[str, bytes] = {}
        feeders = [threading.Thread(target=self._feed, args=(data or b"",), daemon=True)] if self.stdin else []
        readers = [threading.Thread(target=self._collect, args=(name, said), daemon=True) for name in ("stdout", "stderr") if getattr(self, name)]
        for thread in (*feeders, *readers):
            thread.start()
        for thread in readers:
            thread.join(max(0.0, until_s - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(max(0.0, until_s - time.monotonic()))
        for thread in feeders:
            thread.join()  # whom nobody reads any more
        return said.get("stdout", b""), said.get("stderr", b"")

    def _feed(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            with self.stdin:
                self.stdin.write(data)

    def _collect(self, name: str, said: dict[str, bytes]) -> None:
        with getattr(self, name) as stream:
            said[name] = stream.read()


def shell(line: str, stdin: bytes = b"", env: dict | None = None, timeout: float = TIMEOUT_S, cwd=None) -> Done:
    """Run a line of bash under pipefail, the commands on the PATH."""
    started_s = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", "set -o pipefail\n" + line], input=stdin, capture_output=True, timeout=timeout, cwd=cwd,
        env=environment({"PATH": f"{BIN}:{PATH}"} | (env or {})))
    return _finished(done.returncode, done.stdout, done.stderr, started_s)


def start(command: str, *args, env: dict | None = None, before: Callable[[], None] | None = None, **streams) -> subprocess.Popen | Warm:
    """Start bin/COMMAND and return it running; stdin, stdout and stderr are pipes unless `streams` says otherwise. With nothing of all this the process is a
    warm one."""
    if env is None and before is None and not streams:
        return Warm([str(BIN / command), *map(str, args)])
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.Popen([str(BIN / command), *map(str, args)], env=environment(env), preexec_fn=before, **streams)


def end(process: subprocess.Popen | Warm, timeout: float = TIMEOUT_S) -> Done:
    """Collect what is left of a started process; it is killed when it does not end in time."""
    return _collected(process, None, timeout, time.monotonic())


def _collected(process: subprocess.Popen | Warm, data: bytes | None, timeout: float, started_s: float) -> Done:
    try:
        out, err = process.communicate(data, timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    return _finished(process.returncode, out or b"", err or b"", started_s)


def _finished(code: int, out: bytes, err: bytes, started_s: float) -> Done:
    return Done(128 - code if code < 0 else code, out, err.decode("utf-8", "backslashreplace"), time.monotonic() - started_s)
