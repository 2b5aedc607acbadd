"""The flat columns of predictions: which there are, settled by the first records, and what stands in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.records.entries import FLAT_KINDS, EntryColumn, HeadColumns, KindsByMark, as_text, find_kind, member
from doxa.records.names import Named, field_names, head_names, resolve_name
from doxa.records.record import Record
from doxa.records.stored import is_encoded, tell
from doxa.records.text_fields import texts_in_words

TIME_FIELDS = ("timestamp", "time", "created_at", "publish_time", "date")


@dataclass(frozen=True)
class Wanted:
    """Which fields to read. `by` and `where` (the names in conditions) name heads or fields, as `records/names.py` reads
    them; no `by` takes a head `topic`. `watch` is HEAD=LABEL or None: that head is read even where only later records have it. Without `text_field` the
    column `text` is null. `gold` asks for what judges predictions, and
    groups by nothing unless told: gold labels (head -> field; that of another head is the field of its name) and all scores.
    `with_model`, and `gold`, ask for what predict --stamp says of the model; without `with_scores` those of heads of one label are read only where `where` names them or `gold` is asked for. `kinds` gives those of heads beside label, labels and
    number (see `KindsByMark`): where `gold` is asked for they are read whole, else passed by. `checks` names for some of these kinds a field that is read
    beside the gold label. `as_stored` leaves columns of texts in the type they are stored in, where that is a dictionary, for ids also whole numbers, and for
    times instants (see `stored.tell`); and it adds hash:id and hash:text where parsing gives them on the way. `is_known` says that the names were understood before: those
    that mean nothing here are of heads (told as head:NAME) and fields that none of these records has."""

    by: tuple[str, ...] = ()
    time_field: str | None = None
    text_field: str | None = "text"
    id_field: str = "id"
    where: tuple[str, ...] = ()
    watch: str | None = None
    gold: Mapping[str, str] | None = None
    with_model: bool = False
    with_scores: bool = True
    kinds: KindsByMark = dict
    checks: Mapping[str, str] = field(default_factory=dict)
    as_stored: bool = False
    is_known: bool = False

    def fields(self) -> set[str] | None:
        """The fields of a record that may be read; None where gold labels are, which any field may hold."""
        if self.gold is not None:
            return None
        names = {"prediction", "error", self.text_field, self.id_field, self.time_field, *field_names((*self.by, *self.where)), *TIME_FIELDS}
        return names - {None, ""}


class FlatSchema:
    """Columns of texts, and those of each head:

        error, id, time, text: string   (all but `error` may be null; `error` is the code of an error record)
        field:F string for each field that `by` or `where` names, and for gold labels
        label:H string and score:H double for a head of one label, labels:H list<string> for one of many,
        score:H double for a number; where asked for scores:H and model:H too (records/entries.py)
        entry:H, gold:H, beside:H string, JSON text, for a head of another kind; where there is one, `text` is the question and the context, or
        the tokens, of a record without the text field

    `heads` (name -> kind), `labels` (those of which a head gives scores), `by` and `where` (asked name -> what it means) are known once it is settled,
    and so are `types`: what is read of a record, field by field."""

    def __init__(self, wanted: Wanted):
        self.wanted = wanted
        self.heads: dict[str, str] = {}
        self.labels: dict[str, list[str]] = {}
        self.by: tuple[Named, ...] = ()
        self.where: dict[str, Named] = {}
        self.assumed: str | None = None  # the watched head, where no record that was looked at has it
        self.types: dict[str, pa.DataType] | None = None
        self._passed: dict[str, str] = {}  # heads of kinds that were not asked for
        self._time_field: str | None = None
        self._columns: list[HeadColumns | EntryColumn] = []
        self._fields: list[str] = []

    @property
    def is_settled(self) -> bool:
        return self.types is not None

    @property
    def met_heads(self) -> dict[str, str]:
        """Those that some record which was looked at has."""
        return {head: kind for head, kind in self.heads.items() if head != self.assumed}

    @property
    def has_entries(self) -> bool:
        """Whether entries are kept whole, which have no columns: then records are read one by one, whatever they come in."""
        return any(isinstance(head, EntryColumn) for head in self._columns)

    @property
    def hashed(self) -> dict[str, str]:
        """The columns of which hashes are wanted, and the fields that they are read from."""
        fields = {"id": self.wanted.id_field, "text": self.wanted.text_field}
        return {part: name for part, name in fields.items() if name} if self.wanted.as_stored else {}

    # --- which there are

    def settle(self, records: list[Record], is_all: bool = True) -> None:
        """Settle from the first records; not yet where they are error records alone, or lack what is watched while there are more to look at
        (not `is_all`). Raises UsageError when they hold no prediction that is asked for, or a name means nothing."""
        for record in records:
            prediction = record.fields.get("prediction")
            for head, entry in prediction.items() if isinstance(prediction, dict) else ():
                if isinstance(entry, dict):
                    self._note_head(head, find_kind(entry, self.wanted.kinds), entry.get("scores"))
        if not self.heads:
            if self._passed or any(not record.carries_error for record in records):
                raise self._nothing_to_read()
            return  # error records only: decide when a good one comes
        watch = self.wanted.watch or ""
        if watch and not any(watch.startswith(f"{head}=") for head in self.heads):
            if not is_all:
                return
            self.assumed = watch.partition("=")[0]
            self.heads[self.assumed] = "label"
        self._choose({name for record in records for name in record.fields})

    def settle_by(self, columns: pa.Schema) -> None:
        """Settle from the columns of a table. Raises what `settle` raises."""
        kind = _type_of(columns, "prediction")
        if kind is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UsageError('the column "prediction" holds texts, not objects; take JSON Lines, a column of structs, or what predict --to csv writes')
        if kind is None or not pa.types.is_struct(kind):
            raise self._nothing_to_read()
        for entry in kind:
            members = {f.name: f.type for f in entry.type} if pa.types.is_struct(entry.type) else {}
            scores = members.get("scores")
            self._note_head(entry.name, find_kind(members, self.wanted.kinds),
                            {f.name: None for f in scores} if scores is not None and pa.types.is_struct(scores) else None)
        if self._passed and not self.heads:
            raise self._nothing_to_read()
        self._choose(set(columns.names))

    def leaves(self, columns: pa.Schema) -> list[str]:
        """What is read of a table: columns of `types`, and of predictions the members alone."""
        found = [name for name in self.types if name != "prediction" and name in columns.names]
        kind = _type_of(columns, "prediction")
        for head in self.types["prediction"] if kind is not None and pa.types.is_struct(kind) else ():
            members = _type_of(kind, head.name)
            found += [f"prediction.{head.name}.{member.name}" for member in head.type if members is not None and _type_of(members, member.name) is not None]
        return found

    def pass_by(self, heads: Mapping[str, str]) -> None:
        """Know of heads whose entries are not read."""
        self._passed |= heads

    def _note_head(self, head: str, kind: str | None, scores: Any) -> None:
        if kind in FLAT_KINDS:
            self.heads.setdefault(head, kind)
            self._note_labels(head, scores)
        elif kind is not None:
            (self._passed if self.wanted.gold is None else self.heads).setdefault(head, kind)

    def _nothing_to_read(self) -> UsageError:
        if self._passed:
            told = ", ".join(f'"{head}" ({kind})' for head, kind in self._passed.items())
            return UsageError(f"no head gives labels or numbers, which are counted here; evaluate and compare read {told}")
        return UsageError("the records hold no prediction; run them through predict first")

    def _note_labels(self, head: str, scores: Any) -> None:
        """Remember the labels of which some entry gives scores, in order of appearance."""
        known = self.labels.setdefault(head, [])
        if isinstance(scores, dict):
            known += [label for label in scores if label not in known]

    def _choose(self, present: set[str]) -> None:
        """Settle everything else, `present` being the names of the fields that are there."""
        if self.wanted.is_known:
            for name in head_names((*self.wanted.by, *self.wanted.where)):
                self.heads.setdefault(name, "label")
        self._time_field = self.wanted.time_field or next((name for name in TIME_FIELDS if name in present), None)
        is_judging = self.wanted.gold is not None
        flat = {head: kind for head, kind in self.heads.items() if kind in FLAT_KINDS}
        by = self.wanted.by or (("head:topic",) if "topic" in flat and not is_judging else ())
        present = present | set(field_names(self.wanted.where)) if self.wanted.is_known else present
        self.by = tuple(resolve_name(name, "--by", flat, present) for name in by)
        for asked, named in zip(by, self.by):
            if named.part == "score":
                raise UsageError(f'--by {asked}: head "{named.name}" gives numbers, not labels')
            if self.by.count(named) > 1:
                raise UsageError(f"--by {asked} is given twice")
        self.where = {name: resolve_name(name, "--where", flat, present) for name in self.wanted.where}
        scored = {named.name for named in self.where.values() if named.part == "score"} | set(flat if is_judging or self.wanted.with_scores else ())
        self._columns = [HeadColumns(head, kind, self.labels.get(head, []) if is_judging else [], is_judging or self.wanted.with_model, head in scored)
                         if head in flat else EntryColumn(head, kind, self._marks(kind), self.gold_field(head), self.wanted.checks.get(kind, "")) for head, kind in self.heads.items()]
        gold = [self.gold_field(head) for head in flat] if is_judging else []
        self._fields = list(dict.fromkeys([named.name for named in (*self.by, *self.where.values()) if named.part == "field"] + gold))
        self.types = {"error": pa.struct([("code", pa.string())])}
        for name in filter(None, (self.wanted.id_field, self.wanted.text_field, self._time_field, *self._fields)):
            self.types.setdefault(name, pa.string())
        self.types["prediction"] = pa.struct([(head.name, head.entry_type()) for head in self._columns if isinstance(head, HeadColumns)])

    def _marks(self, kind: str) -> frozenset[str]:
        return frozenset(mark for mark, marked in self.wanted.kinds().items() if marked == kind)

    def gold_field(self, head: str) -> str:
        return self.wanted.gold.get(head, head)

    # --- what stands in them

    def row(self, record: Record, read_value: Callable[[Any], Any]) -> dict[str, Any]:
        """The columns of a record; `read_value` makes values of what stands in a field."""
        if record.fields is None:
            return {"error": error_code(record)}
        row = {
            "error": error_code(record),
            "id": as_text(record.fields.get(self.wanted.id_field)),
            "time": as_text(record.fields.get(self._time_field)) if self._time_field else None,
            "text": as_text(record.fields.get(self.wanted.text_field)) if self.wanted.text_field else None,
        }
        if row["text"] is None and self.wanted.text_field and self.has_entries:  # many heads of other kinds read no such field
            row["text"] = texts_in_words(record)
        prediction = record.fields.get("prediction")
        prediction = prediction if isinstance(prediction, dict) else {}
        for head in self._columns:
            entry = prediction.get(head.name)
            if isinstance(entry, dict):
                row |= head.read(entry)
            if isinstance(head, EntryColumn):
                row |= head.read_gold(lambda field: read_value(record.fields.get(field)))
        if row["error"] is None and all(row.get(head.main) is None for head in self._columns):
            row["error"] = "no_prediction"
        for name in self._fields:
            row[f"field:{name}"] = as_text(record.fields.get(name))
        return row

    def flatten(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of a batch that holds `prediction` as a struct."""
        n, is_stored = batch.num_rows, self.wanted.as_stored
        code = member(_column(batch, "error"), "code", pa.string(), n)
        prediction = _column(batch, "prediction")
        columns: dict[str, pa.Array] = {
            "id": _texts(_column(batch, self.wanted.id_field), n, is_stored, pa.types.is_integer),
            "time": _texts(_column(batch, self._time_field), n, is_stored, _is_instant),
            "text": _texts(_column(batch, self.wanted.text_field), n, is_stored),
        }
        for head in self._columns:
            columns |= head.flatten(member(prediction, head.name, None, n), n, is_stored)
        columns["error"] = code
        if all(columns[head.main].null_count for head in self._columns):
            is_good = pc.is_valid(code)
            for head in self._columns:
                is_good = pc.or_(is_good, pc.is_valid(columns[head.main]))
            columns["error"] = pc.if_else(is_good, code, pa.scalar("no_prediction", pa.string()))
        for name in self._fields:
            columns[f"field:{name}"] = _texts(_column(batch, name), n, is_stored)
        hashes = {part: batch.schema.get_field_index(f"hash:{name}") for part, name in self.hashed.items()}
        columns |= {f"hash:{part}": batch.column(index) for part, index in hashes.items() if index >= 0}
        names = [name for name in (*self.arrow().names, "hash:id", "hash:text") if name in columns]
        return pa.RecordBatch.from_arrays([columns[name] for name in names], names)

    def arrow(self) -> pa.Schema:
        fields = [(name, pa.string()) for name in ("error", "id", "time", "text")]
        fields += [(f"field:{name}", pa.string()) for name in self._fields]
        return pa.schema(fields + [column for head in self._columns for column in head.fields()])


def error_code(record: Record) -> str | None:
    if record.fields is None:
        return record.error.code
    return record.get("error")["code"] if record.carries_error else None


def _type_of(columns: pa.Schema | pa.StructType, name: str) -> pa.DataType | None:
    """The type of a column or a member; None where there is none of this name, or several are."""
    index = columns.get_field_index(name)
    return None if index < 0 else columns.field(index).type


def _column(batch: pa.RecordBatch, name: str | None) -> pa.Array | None:
    index = batch.schema.get_field_index(name) if name else -1
    return None if index < 0 else batch.column(index)


def _texts(column: pa.Array | None, n: int, is_stored: bool, may_stay: Callable[[pa.DataType], bool] = is_encoded) -> pa.Array:
    """The texts of a column, or where `is_stored` the column itself if it may stay as it is."""
    if column is None:
        return pa.nulls(n, pa.string())
    return column if is_stored and (is_encoded(column.type) or may_stay(column.type)) else tell(column)


def _is_instant(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) and kind.tz is not None
