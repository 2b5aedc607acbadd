"""The fast path of counting: blocks of JSON Lines without a surprise, parsed at once by DuckDB."""

import threading
from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from doxa.records.database import connect, hash_of
from doxa.records.lines import Block
from doxa.records.pieces import find_control_characters
from doxa.records.place import open_nameless_file
from doxa.records.strict import is_strict

ROWS_AT_ONCE = 1 << 15  # DuckDB copies a column of texts each time that it outgrows its place
LONGEST_LINE_BYTES = 2 << 20  # DuckDB reads in pieces of twice that


class CleanParser:
    """Parses blocks, in several threads at once, into the columns of a schema of strings, doubles, structs and lists.

    `hashed` names columns of texts of which hash:NAME is wanted, too (uint64, of a null as well)."""

    def __init__(self, schema: pa.Schema, hashed: Sequence[str] = ()):
        self.own = threading.local()  # what a thread parses with: a connection, and a file for blocks that lie in none
        columns = ", ".join(f"{_quoted(field.name)}: {_quoted(_sql_type(field.type))}" for field in schema)
        hashes = "".join(f", {hash_of(_identifier(name))} AS {_identifier('hash:' + name)}" for name in hashed).replace("%", "%%")
        self.query = (f"SELECT *{hashes} FROM read_json('%s', columns = {{{columns.replace('%', '%%')}}}, format = 'newline_delimited', "
                      f"compression = 'uncompressed', maximum_object_size = {LONGEST_LINE_BYTES})")

    def parse(self, block: Block) -> list[pa.RecordBatch] | None:
        """Parse a block whose lines are all plain objects of the expected types; None for any other block.

        Each line must begin with a brace and end with one, and give one row: a closing brace is followed by an
        opening one nowhere inside a JSON value, so no line can hold half an object or two. DuckDB refuses what is no JSON,
        not UTF-8, of another type or twice there, but for what `is_strict` looks for. Scalars it takes for texts, as the
        careful reader does.
        """
        if block.is_too_long:
            return None
        characters = np.frombuffer(block.data, dtype=np.uint8)
        ends = _ends_of_braced_lines(characters)
        if ends is None or not is_strict(characters, ends):
            return None
        try:
            table = self._connection().sql(self.query % (block.place.path if block.place else self._put(block.data))).to_arrow_table(ROWS_AT_ONCE)
        except (OSError, duckdb.Error):  # also where files may not become so large
            return None
        return table.to_batches() if table.num_rows == len(ends) else None

    def _connection(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self.own, "connection"):
            self.own.connection = connect()
        return self.own.connection

    def _put(self, data: bytes) -> str:
        if not hasattr(self.own, "file"):
            self.own.file = open_nameless_file()
        self.own.file.seek(0)
        self.own.file.write(data)
        self.own.file.truncate()
        return f"/dev/fd/{self.own.file.fileno()}"


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join(_identifier(field.name) + " " + _sql_type(field.type) for field in kind) + ")"
    if pa.types.is_list(kind):
        return _sql_type(kind.value_type) + "[]"
    return {pa.string(): "VARCHAR", pa.float64(): "DOUBLE"}[kind]


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _ends_of_braced_lines(characters: np.ndarray) -> np.ndarray | None:
    """Where the lines end (a last one without a newline where the input does), when every one begins with an opening brace and ends with
    a closing one, and nothing but newlines is a control character."""
    ends = find_control_characters(characters)
    if not (characters[ends] == ord("\n")).all():
        return None
    if characters[-1] != ord("\n"):
        ends = np.append(ends, len(characters))
    is_braced = (characters[0] == ord("{") and (characters[ends - 1] == ord("}")).all()
                 and (characters[ends[:-1] + 1] == ord("{")).all())
    return ends if is_braced else None


def sample_lines(block: Block, n: int) -> Block:
    """About n whole lines of a block: half of them its first, the others from all over it. The block itself where it has no more."""
    data = bytes(block.data)
    end = _after_lines(data, 0, n)
    if end == len(data):
        return block
    end = _after_lines(data, 0, n // 2)
    pieces, step = [data[:end]], max(1, (len(data) - end) // (n - n // 2))
    for place in range(end, len(data), step):
        start = max(end, data.find(b"\n", place) + 1)
        end = _after_lines(data, start, 1)
        pieces.append(data[start:end])
    return Block(b"".join(pieces), block.first_number, block.is_too_long)


def _after_lines(data: bytes, start: int, n: int) -> int:
    """Where n lines from a place on end, at the latest the data."""
    for _ in range(n):
        newline = data.find(b"\n", start)
        if newline < 0:
            return len(data)
        start = newline + 1
    return start


def halves(block: Block) -> tuple[Block, Block]:
    """Cut a block of at least two lines near its middle."""
    data = bytes(block.data)
    middle = data.find(b"\n", len(data) // 2) + 1
    if middle in (0, len(data)):
        middle = data.rfind(b"\n", 0, len(data) - 1) + 1
    return Block(data[:middle], block.first_number), Block(data[middle:], block.first_number + data.count(b"\n", 0, middle))
