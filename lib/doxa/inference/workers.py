"""Labellers in processes of their own: one for each GPU, or one for each share of the cores."""

import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from doxa.errors import DoxaError
from doxa.inference.labeller import Answers
from doxa.text.question import Question

LIB = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SERVE = "import sys; sys.path.insert(0, sys.argv[1]); from doxa.inference.serving import serve; serve(int(sys.argv[2]))"
LONGEST_DEATH_S = 10.0


class Worker:
    """One process that answers questions. It ends with this process, however that ends: their connection breaks.

    A session of its own keeps the terminal's Ctrl-C from it; this process decides what becomes of it.
    """

    def __init__(self, number: int, request: Any):
        self.number = number
        ours, theirs = socket.socketpair()
        self._complaints = tempfile.TemporaryFile()
        threads = {"OMP_NUM_THREADS": str(request.n_cores)} if request.n_cores else {}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, LIB, str(theirs.fileno())], pass_fds=(theirs.fileno(),), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._complaints, env=os.environ | threads)
        theirs.close()
        self._connection = Connection(ours.detach())
        self._send(request)

    def ask(self, questions: list[Question]) -> Answers:
        self._send(questions)
        return self.receive()

    def receive(self) -> Any:
        """Return what the worker says. Raises what went wrong there, DoxaError when it died."""
        try:
            said = self._connection.recv()
        except (EOFError, OSError):
            raise DoxaError(self._obituary()) from None
        if isinstance(said, BaseException):
            raise said
        return said

    def _send(self, what: Any) -> None:
        try:
            self._connection.send(what)
        except OSError:
            raise DoxaError(self._obituary()) from None

    def _obituary(self) -> str:
        try:
            code = self.process.wait(LONGEST_DEATH_S)
        except subprocess.TimeoutExpired:
            return f"worker {self.number} no longer answers"
        self._complaints.seek(0)
        last = (self._complaints.read().decode(errors="replace").strip().splitlines() or [""])[-1]
        cause = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            cause += "; if the machine ran out of memory, take fewer --workers"
        return f"worker {self.number} died ({cause}){': ' + last if last else ''}"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._connection.close()
        self._complaints.close()


class WorkerPool:
    """Deals questions to whichever worker is idle. `reasons` are those of the first worker.

    They load at the same time, unless the first one has something to make that the others then find (`first_alone`).
    """

    def __init__(self, requests: list, first_alone: bool = False):
        self.workers: list[Worker] = []
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self.reasons: list[str] = []
        for batch in (requests[:1], requests[1:]) if first_alone else (requests,):
            started = [Worker(number, request) for number, request in enumerate(batch, len(self.workers) + 1)]
            self.workers += started
            for worker in started:
                reasons = worker.receive()
                self.reasons = self.reasons or reasons
                self._idle.put(worker)
        self._lanes = ThreadPoolExecutor(len(self.workers), "worker")

    def submit(self, questions: list[Question]) -> Future:
        return self._lanes.submit(self._ask, questions)

    def _ask(self, questions: list[Question]) -> Answers:
        worker = self._idle.get()
        try:
            return worker.ask(questions)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
