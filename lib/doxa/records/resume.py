"""Output that outlives a killed run, so that the next one goes on after its last whole record."""

import fcntl
import json
import os
from collections.abc import Iterator
from typing import Any

import orjson

from doxa.errors import DoxaError
from doxa.records import standard
from doxa.records.failures import Failures
from doxa.records.record import MISSING, Record
from doxa.records.writer import FileOutput


class Partial(FileOutput):
    """`OUTPUT.partial` with JSON Lines, renamed when whole, and `OUTPUT.partial.settings`, by which the next run knows
    that it would write the same.

    Raises DoxaError when another run is writing it, or it was begun with other settings.
    """

    def __init__(self, output: str, settings: dict[str, Any]):
        self.is_replaced = True
        self.path = os.path.realpath(output)
        self.path_written = f"{self.path}.partial"
        self._path_settings = f"{self.path_written}.settings"
        self.n_records = 0
        self.failures = Failures()
        try:
            self.descriptor = os.open(self.path_written, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DoxaError(f"another run is writing {self.path_written}") from None
        except OSError as error:
            raise DoxaError(f"cannot write {self.path_written}: {error.strerror}") from None
        self._agree_on(settings)
        self._lines = standard.LineOutput(self.descriptor, output)

    def _agree_on(self, settings: dict[str, Any]) -> None:
        wanted = json.dumps(settings, sort_keys=True, ensure_ascii=False)
        try:
            if os.fstat(self.descriptor).st_size:
                with open(self._path_settings, encoding="utf-8") as file:
                    if file.read() == wanted:
                        return
                raise DoxaError(f"{self.path_written} was begun with another model or other flags; remove it to start anew")
            with open(self._path_settings, "w", encoding="utf-8") as file:
                file.write(wanted)
        except OSError as error:
            raise DoxaError(f"cannot go on with {self.path_written}: {self._path_settings}: {error.strerror}; remove both to start anew") from None

    def skip(self, records: Iterator[Record]) -> Iterator[Record]:
        """Take the records whose lines are there from `records`, cut off what follows the last whole line, return the rest.

        Raises DoxaError when a line comes from another record."""
        end = 0
        with open(self.path_written, "rb") as file:
            for line in file:
                fields = _whole(line)
                if fields is None:
                    break
                record = next(records, None)
                if record is None or not _comes_from(line, record):
                    raise DoxaError(f"{self.path_written}: line {self.n_records + 1} does not come from this input; "
                                    "give the input that it was begun with, or remove it to start anew")
                self._count(record, fields)
                end += len(line)
        os.ftruncate(self.descriptor, end)
        os.lseek(self.descriptor, 0, os.SEEK_END)
        return records

    def _count(self, record: Record, fields: dict[str, Any]) -> None:
        self.n_records += 1
        error = fields.get("error")
        if isinstance(error, dict) and not record.carries_error:
            self.failures.add(record.place, str(error.get("code")), str(error.get("message")))

    def close(self, keep: bool) -> None:
        locked = os.dup(self.descriptor)  # holds the lock until the file has its name
        try:
            super().close(keep)
            if keep:
                os.unlink(self._path_settings)
        finally:
            os.close(locked)

    def _discard(self) -> None:
        """What is not whole stays for the next run."""


def _whole(line: bytes) -> dict[str, Any] | None:
    try:
        fields = orjson.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _comes_from(line: bytes, record: Record) -> bool:
    """Whether a line of output begins as its record does. Records that are rewritten (tables, broken lines) are taken on trust."""
    if record.fields is None or record.raw is None or record.get("prediction") is not MISSING:
        return True
    return line.startswith(record.raw[: record.raw.rindex(b"}")].rstrip()) or line.startswith(b'{"error"')
