"""Groups by several names at once, against a naive count."""

import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from batches import Batches, row

from doxa.errors import UsageError
from doxa.monitoring.aggregate import aggregate
from doxa.monitoring.settings import Settings
from doxa.records import groups
from doxa.records.groups import GroupNames
from doxa.records.names import Named

HEADS = {"sentiment": "label", "topic": "label", "tags": "labels"}


def make_rows(n, seed=3):
    chance = random.Random(seed)
    return [row(i, **{"label:topic": chance.choice(["a", "b", None]), "field:source": chance.choice(["x", "y", "a", None]),
                      "labels:tags": chance.choice([None, [], ["p"], ["p", "q"], ["q", "q"]])}) for i in range(n)]


class Combined(Batches):
    def __init__(self, rows, by, size=70):
        super().__init__(rows, HEADS, None, size)
        self.schema.by = by
        self.columns = self.columns.append(pa.field("field:source", pa.string()))


TOPIC, SOURCE, TAGS = Named("topic", "label"), Named("source", "field"), Named("tags", "labels")


@pytest.mark.parametrize("by", [(TOPIC, SOURCE), (SOURCE, TOPIC), (TAGS, SOURCE), (TOPIC, TAGS, SOURCE), (TAGS,)], ids=lambda by: "+".join(n.name for n in by))
def test_combinations_equal_a_naive_count(by):
    rows = make_rows(500)
    figures = aggregate(Combined(rows, by), Settings(top=1000))
    expected = Counter()
    for r in rows:
        combinations = [()]
        for named in by:
            value = r[named.column]
            values = sorted(set(value or [])) or [None] if named.part == "labels" else [value]
            combinations = [(*before, v) for before in combinations for v in values]
        expected.update(combinations)
    seen = {tuple(group.values[named.name] for named in by): group.n for group in figures.groups}
    assert seen == expected and figures.total.n == 500 and figures.by == ", ".join(named.name for named in by)
    nothing = (None,) * len(by)
    assert [group.kind for group in figures.groups if tuple(group.values.values()) == nothing] == ["none"]


def test_names_say_what_is_what():
    rows = [row(0, **{"label:topic": "a", "field:source": None}), row(1, **{"label:topic": None, "field:source": "topic=a"})]
    found = aggregate(Combined(rows, (TOPIC, SOURCE)), Settings()).groups
    assert {group.name for group in found} == {"topic=a, source=(none)", "topic=(none), source=topic=a"}


def test_a_head_and_a_field_of_one_name():
    table = Combined([row(0, **{"label:topic": "a", "field:topic": "b"})], (TOPIC, Named("topic", "field")))
    table.columns = table.columns.append(pa.field("field:topic", pa.string()))
    assert aggregate(table, Settings()).groups[0].values == {"head:topic": "a", "field:topic": "b"}


def test_many_columns_of_many_values_do_not_run_into_each_other():
    chance = np.random.default_rng(1)
    columns = [pa.array(chance.integers(0, 100_000, 5000).astype(str)) for _ in range(6)]  # 10^30 combinations are possible
    names = GroupNames(6)
    codes = names.encode(columns)
    assert [names.values[code] for code in codes.tolist()] == list(zip(*(column.to_pylist() for column in columns)))


def test_too_many_combinations_are_a_clear_error(monkeypatch):
    monkeypatch.setattr(groups, "MOST_GROUPS", 5)
    with pytest.raises(UsageError, match="--by gives more than 5 groups"):
        aggregate(Combined(make_rows(100), (TOPIC, SOURCE)), Settings())
