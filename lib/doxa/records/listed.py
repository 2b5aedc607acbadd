"""Fields that hold lists, such as the tickers of a text: where a value is looked for, or groups are made, each member counts."""

import json

import pyarrow as pa
import pyarrow.compute as pc

from doxa.records.entries import as_text
from doxa.records.stored import encode, is_encoded

MOST_MEMBERS = 1000  # of a list; a longer one would make more groups than any feed has


def read_column(table: pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    """A column of a reader's table; list<string> where it is a field (`field:F`) and a value of it the JSON text of a list of scalars.

    A list has each of its members once, those that are null left out; any other text, and a list of more than MOST_MEMBERS, is a list of itself."""
    column = table.column(name)
    if not name.startswith("field:") or not _may_hold_lists(column):
        return column
    encoded = encode(column)
    texts = encoded.dictionary.to_pylist()
    members = [_members(text) if text and text[0] == "[" else None for text in texts]
    if all(found is None for found in members):
        return column
    lists = [found if found is not None or text is None else [text] for text, found in zip(texts, members)]
    return pa.array(lists, pa.list_(pa.string())).take(encoded.indices)


def _may_hold_lists(column: pa.ChunkedArray) -> bool:
    chunks = [chunk.dictionary if is_encoded(chunk.type) else chunk for chunk in column.chunks]
    return any(pc.any(pc.starts_with(texts, "[")).as_py() for texts in chunks)


def _members(text: str) -> list[str] | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or len(values) > MOST_MEMBERS or any(isinstance(value, (list, dict)) for value in values):
        return None
    return list(dict.fromkeys(as_text(value) for value in values if value is not None))
