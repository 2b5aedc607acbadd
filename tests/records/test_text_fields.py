"""Which fields hold the texts: of lines and of rows of columnar formats alike."""

import pyarrow as pa
import pytest

from doxa.records.record import Record
from doxa.records.tables import BatchColumns, RowFields
from doxa.records.text_fields import PAIRS, TextFields


def row(fields: dict) -> Record:
    batch = pa.RecordBatch.from_pylist([fields])
    return Record("t", 1, None, RowFields(BatchColumns(batch), 0))




MAKERS = [lambda fields: Record("t", 1, b"", fields), row]


@pytest.mark.parametrize("make", MAKERS, ids=["line", "row"])
def test_a_pair_is_found_by_its_usual_names(make):
    for first, second in PAIRS[1:]:
        assert TextFields().of(make({"id": "1", first: "a", second: "b"})) == TextFields(first, second)


@pytest.mark.parametrize("make", MAKERS, ids=["line", "row"])
def test_what_is_named_or_there_stays(make):
    record = make({"text": "t", "premise": "a", "hypothesis": "b"})
    assert TextFields().of(record) == TextFields()
    assert TextFields("body", None, True).of(record) == TextFields("body", None, True)
    assert TextFields("premise").of(record) == TextFields("premise")
    assert TextFields().of(make({"premise": "a"})) == TextFields()
