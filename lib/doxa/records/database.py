"""DuckDB: it counts, and it parses clean blocks of JSON Lines."""

from functools import cache

import duckdb


def connect() -> duckdb.DuckDBPyConnection:
    """A connection to the one database of this process, in memory; what is registered, and temporary tables, are its own.

    It never loads an extension, let alone fetches one. A query takes one thread: what is parsed lies in blocks side by side,
    and half a block each would make two threads wait for one another."""
    return _database().cursor()


@cache
def _database() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "threads": "1"})
    database.execute("SET enable_progress_bar = false")
    # Every block comes in a file of the same name: what DuckDB remembered of the last one would be wrong.
    database.execute("SET enable_external_file_cache = false")
    return database


def hash_of(expression: str) -> str:
    """The SQL of the 64-bit hash of a text, or of what is kept as something else; that of null is one, too."""
    return f"hash({expression}::VARCHAR)"
