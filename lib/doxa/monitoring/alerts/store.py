"""The state of alert: one SQLite file that any tool can open, changed whole or not at all by a run."""

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from doxa.errors import DoxaError

LONGEST_COUNT_S = 3600.0  # that a run may count for while another one keeps what it handed over
# Entry i brings a file of schema i to schema i + 1. All times are seconds since 1970; a bucket is named by its start.
MIGRATIONS = ("""
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT UNIQUE, first_bucket INTEGER NOT NULL, is_told INTEGER NOT NULL,
                     volume_from INTEGER NOT NULL, share_from INTEGER NOT NULL);
CREATE TABLE counts (series INTEGER, bucket INTEGER, n INTEGER NOT NULL, judged INTEGER NOT NULL, watched INTEGER NOT NULL,
                     PRIMARY KEY (series, bucket)) WITHOUT ROWID;
CREATE TABLE hours (cell INTEGER PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE scores (series INTEGER, bucket INTEGER, measure TEXT, z REAL, mean REAL NOT NULL, scatter REAL NOT NULL,
                     PRIMARY KEY (bucket, series, measure)) WITHOUT ROWID;
CREATE TABLE drifts (series INTEGER, measure TEXT, total REAL NOT NULL, since INTEGER, PRIMARY KEY (series, measure)) WITHOUT ROWID;
CREATE TABLE episodes (id INTEGER PRIMARY KEY, series INTEGER NOT NULL, measure TEXT NOT NULL, since INTEGER NOT NULL, bucket INTEGER NOT NULL,
                       ended INTEGER, calm INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL, alert TEXT);
CREATE TABLE seen (key INTEGER PRIMARY KEY, bucket INTEGER NOT NULL);
CREATE TABLE samples (series INTEGER, bucket INTEGER, key INTEGER, id TEXT, text TEXT, is_watched INTEGER, score REAL, source TEXT, author TEXT,
                      PRIMARY KEY (series, bucket, key)) WITHOUT ROWID;
CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, told TEXT NOT NULL, is_handed INTEGER NOT NULL DEFAULT 0);
CREATE INDEX counts_by_bucket ON counts (bucket);
CREATE INDEX seen_by_bucket ON seen (bucket);
""", """
CREATE TABLE ahead (series INTEGER, time INTEGER, n INTEGER NOT NULL, judged INTEGER NOT NULL, watched INTEGER NOT NULL,
                    PRIMARY KEY (series, time)) WITHOUT ROWID;
""", """
ALTER TABLE drifts RENAME TO drifts_2;
CREATE TABLE drifts (series INTEGER, measure TEXT, pace INTEGER, total REAL NOT NULL, since INTEGER, PRIMARY KEY (series, measure, pace)) WITHOUT ROWID;
INSERT INTO drifts SELECT series, measure, 0, total, since FROM drifts_2;
DROP TABLE drifts_2;
ALTER TABLE episodes ADD COLUMN event TEXT;
ALTER TABLE episodes ADD COLUMN relief REAL NOT NULL DEFAULT 0;
ALTER TABLE episodes ADD COLUMN level REAL NOT NULL DEFAULT 1;
UPDATE episodes SET level = max(1.0, coalesce((
    SELECT CASE episodes.measure WHEN 'volume' THEN (sum(c.n) + 0.5) / (sum(s.mean) + 0.5)
           ELSE (sum(c.watched) + 0.5) / (sum(c.judged - c.watched) + 0.5) * (sum(c.judged * (1 - s.mean)) + 0.5) / (sum(c.judged * s.mean) + 0.5) END
    FROM scores s JOIN counts c ON c.series = s.series AND c.bucket = s.bucket
    WHERE s.series = episodes.series AND s.measure = episodes.measure AND s.bucket >= episodes.since), 1.0), coalesce(
    CASE measure WHEN 'volume' THEN json_extract(alert, '$.observed') / json_extract(alert, '$.expected')
         ELSE json_extract(alert, '$.observed') * (1.0001 - json_extract(alert, '$.expected'))
              / (1.0001 - json_extract(alert, '$.observed')) / json_extract(alert, '$.expected') END, 1.0)) WHERE status = 'open';
UPDATE episodes SET event = coalesce(json_extract(alert, '$.alert'), json_extract(alert, '$.id')), calm = 0;
UPDATE episodes SET alert = NULL WHERE json_extract(alert, '$.alert') IS NOT NULL;
""", """
CREATE TABLE silences (id INTEGER PRIMARY KEY, series INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER, line TEXT);
""")


class Store:
    """An open state file. Nothing is changed before `commit`; rows are read and written as they are by `database`."""

    def __init__(self, database: sqlite3.Connection):
        self.database = database

    def get(self, name: str, default: Any = None) -> Any:
        row = self.database.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def set(self, name: str, value: Any) -> None:
        self.database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))

    def schema(self) -> int:
        """The version of the tables' schema, which `MIGRATIONS` brings up to date."""
        return self.database.execute("PRAGMA user_version").fetchone()[0]

    def first_bucket(self) -> int | None:
        """The first bucket that anything was counted in, also once it is forgotten."""
        row = self.database.execute("SELECT first_bucket FROM series WHERE id = 0").fetchone()
        return row and row[0]

    def commit(self) -> None:
        self.database.execute("COMMIT")
        self.database.execute("BEGIN IMMEDIATE")

    def last_line(self) -> int:
        """The number of the last line that was ever to be told, 0 before the first."""
        row = self.database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return row[0] if row else 0

    def next_line(self, after: int) -> tuple[int, str, bool] | None:
        """Of what is to be told, the first line with a larger number: its number, its JSON, whether it was handed over."""
        return self.database.execute("SELECT id, told, is_handed FROM outbox WHERE id > ? ORDER BY id", (after,)).fetchone()


@contextmanager
def open_store(path: str | None, wait_s: float = 0.0, for_reading: bool = False) -> Iterator[Store]:
    """Open a state file, made where there is none; a nameless one for None. What was not committed is undone.

    Raises DoxaError when another run, or another program, holds it for longer than `wait_s`, or it is no such file."""
    if path is None:
        with _connected("", False) as store:
            yield store
        return
    path = os.path.abspath(path)
    if os.path.lexists(path) and not os.path.isfile(path):
        raise DoxaError(f"{path} is no file; name another --state")
    if for_reading:
        if not os.path.exists(path):
            raise DoxaError(f"{path}: no such state file")
        with _connected(path, True) as store:
            yield store
    else:
        with _locked(path, wait_s), _connected(path, False, wait_s) as store:
            yield store


@contextmanager
def open_outbox(path: str) -> Iterator[Store | None]:
    """Open a state file to hand over what is to be told, while other runs may count on: every change is kept at once. None where another run hands over."""
    path = os.path.abspath(path)
    with _lock_file(f"{path}.outbox.lock") as descriptor:
        if not _takes(descriptor):
            yield None
            return
        with _connected(path, False, LONGEST_COUNT_S) as store:
            store.database.execute("COMMIT")
            yield store


@contextmanager
def _connected(path: str, for_reading: bool, patience_s: float = 30.0) -> Iterator[Store]:
    is_made = path != "" and not os.path.exists(path)
    try:
        database = sqlite3.connect(path, isolation_level=None, timeout=patience_s)
    except sqlite3.Error as error:
        raise DoxaError(f"cannot open {path}: {error}") from None
    try:
        try:
            _bring_up(database, path, "DEFERRED" if for_reading else "IMMEDIATE")
            yield Store(database)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise DoxaError(f"another program holds {path}; --wait says how long to wait for it") from None
            raise DoxaError(f"{path}: {error}") from None
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")
        database.close()
        if is_made and os.path.exists(path) and os.path.getsize(path) == 0:
            os.unlink(path)  # the run ended before it kept anything


def _bring_up(database: sqlite3.Connection, path: str, locking: str) -> None:
    """Begin, and bring the schema up to date inside the same transaction. Raises DoxaError for a file of another kind or a later doxa."""
    database.execute("PRAGMA synchronous = FULL")
    database.execute(f"BEGIN {locking}")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise DoxaError(f"{path} was written by a later doxa (schema {version}, this one knows {len(MIGRATIONS)})")
    if version == 0 and database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise DoxaError(f"{path} is a database of something else; name another --state")
    for number in range(version, len(MIGRATIONS)):
        for statement in MIGRATIONS[number].split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {number + 1}")


@contextmanager
def _locked(path: str, wait_s: float) -> Iterator[None]:
    """Hold PATH.lock, which holds the number of the process."""
    with _lock_file(f"{path}.lock") as descriptor:
        until_s = time.monotonic() + wait_s
        while not _takes(descriptor):
            if time.monotonic() >= until_s:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise DoxaError(f"another run (pid {holder}) holds {path}; --wait says how long to wait for it")
            time.sleep(0.05)
        yield


@contextmanager
def _lock_file(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise DoxaError(f"cannot write {path}: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _takes(descriptor: int) -> bool:
    """Whether the lock could be taken; it holds the number of the process then."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return True
