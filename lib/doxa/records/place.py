"""Files that nobody else sees, for what DuckDB reads by a path."""

import mmap
import os
import tempfile
from typing import BinaryIO


class Place:
    """Such a file of `size` bytes as memory. Raises OSError where files may not become so large."""

    def __init__(self, size: int):
        self.file = open_nameless_file()
        self.path = f"/dev/fd/{self.file.fileno()}"
        self.cut(size)
        self.memory = mmap.mmap(self.file.fileno(), size)
        self.view = memoryview(self.memory)

    def cut(self, size: int) -> None:
        """Let the file end there. What lies behind must not be touched until it is made longer, and is zeros then."""
        os.ftruncate(self.file.fileno(), size)


def open_nameless_file() -> BinaryIO:
    """In memory where the system can."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("block"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)
