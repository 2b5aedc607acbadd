"""A stream of tables kept on disk, for what can only be counted once the end of the stream is known."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress

import pyarrow as pa

from doxa.errors import DoxaError


class TableSpool:
    """Takes tables of one schema, and gives them back in order. The file lies in TMPDIR, packed with LZ4; it has no name,
    so that nothing of it stays however the command ends."""

    def __init__(self):
        self._writer = None
        try:
            self._file = tempfile.TemporaryFile()
        except OSError as error:
            raise _failure(error) from None

    def __enter__(self) -> "TableSpool":
        return self

    def __exit__(self, *exc) -> None:
        with suppress(OSError):  # what could not be written was told, and what is left is of no use
            self._file.close()

    def add(self, table: pa.Table) -> None:
        """Raises DoxaError when the disk is full."""
        try:
            if self._writer is None:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writer = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), table.schema, options=options)
            self._writer.write_table(table)
        except OSError as error:
            raise _failure(error) from None

    def read(self) -> Iterator[pa.Table]:
        """Yield what was added; nothing can be added after."""
        if self._writer is None:
            return
        try:
            self._writer.close()
            self._file.seek(0)
            for batch in pa.ipc.open_stream(pa.PythonFile(self._file, mode="r")):
                yield pa.Table.from_batches([batch])
        except OSError as error:
            raise _failure(error) from None


def _failure(error: OSError) -> DoxaError:
    return DoxaError(f"cannot keep the records in {tempfile.gettempdir()} until the latest time is known: {error.strerror or error}; "
                     "name another folder with TMPDIR")
