"""DuckDB: it counts, and it parses clean blocks of JSON Lines."""

import duckdb


def connect() -> duckdb.DuckDBPyConnection:
    """A database in memory that never loads an extension, let alone fetches one."""
    database = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    database.execute("SET enable_progress_bar = false")
    return database
