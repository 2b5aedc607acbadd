"""Columns of texts in the type they are stored in: what every value of a dictionary, a whole number or an instant comes to is found out once, or never."""

import pyarrow as pa
import pyarrow.compute as pc

from doxa.records import tables
from doxa.records.entries import as_text

# Their texts in Arrow are those of `tables.python_values`, in one step.
_CAST_AS_JSON = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_large_string, pa.types.is_string_view)


def is_encoded(kind: pa.DataType) -> bool:
    """Whether it is a dictionary of texts."""
    return pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)


def encode(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """The texts of a column as places in a dictionary, which is what every count of them begins with; some of it no row may hold."""
    return (column if is_encoded(column.type) else column.dictionary_encode()).combine_chunks()


def tell(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The texts of a column, as the careful reader makes them of its values."""
    if isinstance(column, pa.ChunkedArray):
        return column if pa.types.is_string(column.type) else pa.chunked_array(list(map(tell, column.chunks)), pa.string())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type):
        return column
    if any(is_kind(column.type) for is_kind in _CAST_AS_JSON):
        return column.cast(pa.string())
    if pa.types.is_timestamp(column.type):
        unzoned = column.cast(pa.int64()).cast(pa.timestamp(column.type.unit))  # pyarrow writes these forty times as fast
        return pc.binary_join_element_wise(pc.replace_substring(unzoned.cast(pa.string()), " ", "T"), "Z" if column.type.tz else "", "")
    return pa.array([as_text(value) for value in tables.python_values(column)], pa.string())


def tell_all(table: pa.Table) -> pa.Table:
    """The table without hashes, and with texts in all columns of dictionaries, whole numbers and instants."""
    table = table.drop_columns([name for name in table.schema.names if name.startswith("hash:")])
    for place, kind in enumerate(table.schema.types):
        if pa.types.is_dictionary(kind) or pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
            table = table.set_column(place, table.schema.names[place], tell(table.column(place)))
    return table
