"""The fast path of counting: blocks of JSON Lines without a surprise, parsed at once by DuckDB."""

import os
import tempfile
from typing import BinaryIO

import duckdb
import numpy as np
import pyarrow as pa

from doxa.records.database import connect
from doxa.records.lines import Block
from doxa.records.strict import is_strict

LONGEST_LINE_BYTES = 2 << 20  # DuckDB reads in pieces of twice that


class CleanParser:
    """Parses blocks into the columns of a schema of strings, doubles, structs and lists."""

    def __init__(self, schema: pa.Schema):
        self.database = connect()
        # Every block comes in a file of the same name: what DuckDB remembered of the last one would be wrong.
        self.database.execute("SET enable_external_file_cache = false")
        self.file = _open_nameless_file()
        columns = ", ".join(f"{_quoted(field.name)}: {_quoted(_sql_type(field.type))}" for field in schema)
        self.query = (f"FROM read_json('/dev/fd/{self.file.fileno()}', columns = {{{columns}}}, format = 'newline_delimited', "
                      f"compression = 'uncompressed', maximum_object_size = {LONGEST_LINE_BYTES})")

    def parse(self, data: bytes) -> list[pa.RecordBatch] | None:
        """Parse a block whose lines are all plain objects of the expected types; None for any other block.

        Each line must begin with a brace and end with one, and give one row: a closing brace is followed by an
        opening one nowhere inside a JSON value, so no line can hold half an object or two. DuckDB refuses what is no JSON,
        not UTF-8, of another type or twice there, but for what `is_strict` looks for. Scalars it takes for texts, as the
        careful reader does.
        """
        if not data.endswith(b"\n"):
            data += b"\n"
        ends = _ends_of_braced_lines(data)
        if ends is None or not is_strict(data, ends):
            return None
        try:
            self.file.seek(0)
            self.file.write(data)
            self.file.truncate()
            table = self.database.sql(self.query).to_arrow_table()
        except (OSError, duckdb.Error):  # also where files may not become so large
            return None
        return table.to_batches() if table.num_rows == len(ends) else None


def _open_nameless_file() -> BinaryIO:
    """A file that nobody else sees and DuckDB opens by its descriptor, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("block"), "wb", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join('"' + field.name.replace('"', '""') + '" ' + _sql_type(field.type) for field in kind) + ")"
    if pa.types.is_list(kind):
        return _sql_type(kind.value_type) + "[]"
    return {pa.string(): "VARCHAR", pa.float64(): "DOUBLE"}[kind]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _ends_of_braced_lines(data: bytes) -> np.ndarray | None:
    """Where the lines end, when every one begins with an opening brace and ends with a closing one."""
    characters = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    is_braced = (data.startswith(b"{") and (characters[ends - 1] == ord("}")).all()
                 and (characters[ends[:-1] + 1] == ord("{")).all())
    return ends if is_braced else None


def first_lines(block: Block, n: int) -> Block:
    end = 0
    for _ in range(n):
        newline = block.data.find(b"\n", end)
        if newline < 0:
            return block
        end = newline + 1
    return Block(block.data[:end], block.first_number, block.is_too_long)


def halves(block: Block) -> tuple[Block, Block]:
    """Cut a block of at least two lines near its middle."""
    data = block.data
    middle = data.find(b"\n", len(data) // 2) + 1
    if middle in (0, len(data)):
        middle = data.rfind(b"\n", 0, len(data) - 1) + 1
    return Block(data[:middle], block.first_number), Block(data[middle:], block.first_number + data.count(b"\n", 0, middle))
