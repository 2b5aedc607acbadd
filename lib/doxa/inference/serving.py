"""What a worker process does: load, answer questions, and end when nobody is left to ask them."""

import os
import queue
import signal
import threading
from multiprocessing.connection import Connection

from doxa.device.libraries import prepare_libraries
from doxa.inference.loading import load_labeller


def serve(descriptor: int) -> None:
    """Answer the questions that come through a socket: first a Request, then lists of Question."""
    connection = Connection(descriptor)
    request = connection.recv()
    prepare_libraries(request.model)
    try:
        labeller, reasons = load_labeller(request)
    except Exception as error:
        connection.send(error)
        return
    connection.send(reasons)
    questions: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, questions), daemon=True).start()
    while True:
        try:
            answers = labeller.label(questions.get())
        except Exception as error:
            answers = error
        connection.send(answers)


def _receive(connection: Connection, questions: queue.SimpleQueue) -> None:
    """Pass on what comes. When the other end is gone this process ends at once, in the middle of a batch too."""
    try:
        while True:
            questions.put(connection.recv())
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGKILL)
