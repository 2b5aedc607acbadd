"""Doors to formats whose library is loaded where one is met: that of Parquet brings those of remote file systems, a tenth of the start of a command."""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from doxa.records.compressed import ByteStream


def read_parquet(stream: ByteStream, choose: Callable[[pa.Schema, bool], list[str]] | None = None, is_encoded: bool = False) -> Iterator[pa.RecordBatch]:
    """As `doxa.records.parquet.read_parquet`."""
    from doxa.records import parquet

    return parquet.read_parquet(stream, choose, is_encoded)


def write_parquet(file: BinaryIO, schema: pa.Schema, **options: Any) -> Any:
    """A pyarrow.parquet.ParquetWriter to a file that is open."""
    from pyarrow.parquet import ParquetWriter

    return ParquetWriter(file, schema, **options)
