"""Command processes that are forked from one that has loaded what takes long to load: for the tests of what a command does, not of how it starts.

`run` in shell.py asks for them. Everything else is as in a process of its own: descriptors, folder, environment, exit code, death by signal.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

LIB = Path(__file__).resolve().parents[1] / "lib"
LIBRARIES = ("duckdb", "openvino", "openvino.tools.ovc", "dateutil.relativedelta", "sklearn.linear_model", "sklearn.feature_extraction.text",
             "transformers.models.bert.modeling_bert")  # that commands load where they are needed, beside every file of doxa
_server: tuple[int, socket.socket] | None = None  # of which process, and its end of the line


def call(arguments: list[str], env: dict[str, str], cwd: str | None, descriptors: tuple[int, int, int]) -> socket.socket:
    """Start a command: its path and flags. Returns the line on which a Child is told of it."""
    global _server
    if _server is None or _server[0] != os.getpid():
        _server = os.getpid(), _start()
    ours, theirs = socket.socketpair()
    request = json.dumps({"arguments": arguments, "env": env, "cwd": cwd or os.getcwd()}).encode()
    with theirs:
        socket.send_fds(_server[1], [len(request).to_bytes(4, "big")], [*descriptors, theirs.fileno()])
        _server[1].sendall(request)
    return ours


class Child:
    """A command that runs."""

    def __init__(self, line: socket.socket):
        self.line = line
        self.pid = int(self._read_line())
        self.returncode: int | None = None

    def _read_line(self) -> bytes:
        """Byte by byte: what is read ahead would hide from `select` that the end is told."""
        read = b""
        while not read.endswith(b"\n"):
            read += self.line.recv(1) or b"\n"
        return read

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, as subprocess has it: minus the number of the signal that ended it. Raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self.line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            self.returncode = os.waitstatus_to_exitcode(int(self._read_line()))
            self.line.close()
        return self.returncode

    def poll(self) -> int | None:
        """Its exit code once it has one."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _start() -> socket.socket:
    """In memory of large pages: a fork copies a table of all pages, which makes it three times as quick."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                                   env=os.environ | {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"})
    atexit.register(process.kill)
    return ours


def serve(line: socket.socket) -> None:
    """Fork for every request, and tell of every command how it ended."""
    sys.path.insert(0, str(LIB))
    from doxa.device.libraries import prepare_libraries

    prepare_libraries(str(LIB))  # a model that lies here
    for name in (*LIBRARIES, *(module.name for module in pkgutil.walk_packages([str(LIB / "doxa")], "doxa."))):
        importlib.import_module(name)
    gc.freeze()  # or the first collection of a child would write to every page that it shares
    running: dict[int, tuple[int, int]] = {}  # by a descriptor that tells of the end: process and where to report
    while True:
        for ready in select.select([line, *running], [], [])[0]:
            if ready is not line:
                pid, report = running.pop(ready)
                with contextlib.suppress(OSError):  # nobody asks any more
                    os.write(report, f"{os.waitpid(pid, 0)[1]}\n".encode())
                os.close(ready)
                os.close(report)
                continue
            if not (asked := _receive(line)):
                return
            request, (*streams, report) = asked
            pid = os.fork()
            if pid == 0:
                line.close()
                for descriptor in (report, *running, *(other for _, other in running.values())):
                    os.close(descriptor)
                _become(request, streams)
            for descriptor in streams:
                os.close(descriptor)
            running[os.pidfd_open(pid)] = pid, report
            with contextlib.suppress(OSError):
                os.write(report, f"{pid}\n".encode())


def _receive(line: socket.socket) -> tuple[dict, list[int]] | None:
    """A request and its descriptors; None at the end."""
    size, descriptors, _, _ = socket.recv_fds(line, 4, 4)
    if not size:
        return None
    request, n = b"", int.from_bytes(size, "big")
    while len(request) < n:
        request += line.recv(n - len(request))
    return json.loads(request), descriptors


def _become(request: dict, descriptors: list[int]) -> None:
    """As the stubs in bin/ do."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        if descriptor > 2:
            os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["arguments"]
    name = os.path.basename(sys.argv[0])
    from doxa.commands._command import run

    run(getattr(__import__(f"doxa.commands.{name}", fromlist=[name]), name))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
