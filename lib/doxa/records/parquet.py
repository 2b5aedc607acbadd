"""Parquet files as record batches, several groups of rows at once."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from doxa.device.cpu import usable_cores
from doxa.records.compressed import ByteStream
from doxa.records.prefetch import map_ahead
from doxa.records.tables import BATCH_ROWS, LARGE_BATCH_ROWS, OVERFLOW, damaged, seekable

MOST_PLACE_BYTES = 8
MOST_GROUP_BYTES = 64 << 20  # of a group of rows that is held whole
MOST_READING = 4  # threads

Choose = Callable[[pa.Schema, bool], list[str]]


def read_parquet(stream: ByteStream, choose: Choose | None = None, is_encoded: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a Parquet file; pages with a check sum are verified.

    All columns are read, or those that `choose` names, and members of some as `column.member`: it is told the columns of a file with rows, and whether its
    overflow column may hold something. `is_encoded` leaves texts in the dictionaries that they are stored in; of one whole group of rows is a dictionary,
    hence no batch is of two. Raises DoxaError where the file is damaged."""
    with seekable(stream) as place:
        try:
            with pq.ParquetFile(place) as file:
                metadata, schema = file.metadata, file.schema_arrow
            if not metadata.num_rows:
                return
            encoded = _encoded_columns(metadata) if is_encoded else []
            if choose is None:
                yield from _read(place, metadata, encoded, None, None, BATCH_ROWS)
            else:
                yield from _read_groups(place, metadata, encoded, choose(schema, _may_overflow(metadata)))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(stream.name, "Parquet file", error) from None


def _read_groups(place: str | BinaryIO, metadata: pq.FileMetaData, encoded: list[str], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Group of rows by group, those that are small in several threads; a file without a name has but one place that it is read at."""
    groups, n_threads = list(range(metadata.num_row_groups)), min(MOST_READING, usable_cores())
    if n_threads == 1 or not isinstance(place, str) or max(_group_bytes(metadata, i, columns) for i in groups) > MOST_GROUP_BYTES:
        for i in groups:
            yield from _read(place, metadata, encoded, columns, i, LARGE_BATCH_ROWS)
        return
    for _, batches in map_ahead(iter(groups), lambda i: list(_read(place, metadata, encoded, columns, i, LARGE_BATCH_ROWS, False)), n_threads):
        yield from batches


def _read(place: str | BinaryIO, metadata: pq.FileMetaData, encoded: list[str], columns: list[str] | None, group: int | None, n_rows: int,
          use_threads: bool = True) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(place, page_checksum_verification=True, metadata=metadata, read_dictionary=encoded) as file:
        for batch in file.iter_batches(n_rows, row_groups=None if group is None else [group], columns=columns, use_threads=use_threads):
            batch.validate(full=True)
            yield batch


def _group_bytes(metadata: pq.FileMetaData, group: int, columns: list[str]) -> int:
    """Of the columns of a group of rows, before they are decoded."""
    chunks = map(metadata.row_group(group).column, range(metadata.num_columns))
    return sum(chunk.total_uncompressed_size for chunk in chunks if any(f"{chunk.path_in_schema}.".startswith(f"{name}.") for name in columns))


def _may_overflow(metadata: pq.FileMetaData) -> bool:
    """Whether the overflow column of a file is there and not surely empty."""
    place = next((i for i in range(metadata.num_columns) if metadata.schema.column(i).path == OVERFLOW), None)
    if place is None:
        return False
    for i in range(metadata.num_row_groups):
        statistics = metadata.row_group(i).column(place).statistics
        if statistics is None or not statistics.has_null_count or statistics.null_count < metadata.row_group(i).num_rows:
            return True
    return False


def _encoded_columns(metadata: pq.FileMetaData) -> list[str]:
    """The columns of texts, none of them in lists, that lie in dictionaries throughout: a place in one takes a few bytes a value."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    found = []
    for place in range(metadata.num_columns):
        column = metadata.schema.column(place)
        chunks = [group.column(place) for group in groups]
        is_text = column.logical_type.type == "STRING" and not column.max_repetition_level and column.path not in (OVERFLOW, "prediction")
        if (is_text and chunks and all(chunk.has_dictionary_page for chunk in chunks)
                and sum(chunk.total_uncompressed_size for chunk in chunks) <= MOST_PLACE_BYTES * metadata.num_rows):
            found.append(column.path)
    return found
