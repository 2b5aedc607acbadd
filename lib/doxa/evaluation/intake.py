"""Tables of a reader to rows of heads: gold labels are understood, what lacks them is counted."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.evaluation.flat_intake import TOO_LARGE, FlatIntake
from doxa.evaluation.head_intake import HeadIntake
from doxa.evaluation.seen import Seen
from doxa.evaluation.tallied_intake import TalliedIntake
from doxa.model.kinds.marks import checking_fields, kinds_by_mark
from doxa.model.kinds.table import KINDS
from doxa.records.columns import ColumnReader
from doxa.records.conditions import Condition, good_rows, select
from doxa.records.entries import FLAT_KINDS
from doxa.records.flat_schema import Wanted
from doxa.records.groups import GroupNames, group_names, name_group, spread_lists
from doxa.records.listed import read_column

LENGTH_EDGES = (16, 32, 64, 128, 256, 512)


def read_evidence(reader: ColumnReader, heads: tuple[str, ...] = (), conditions: tuple[Condition, ...] = (), by_length: bool = False,
                  n_mistakes: int = 0, keep_texts: bool = False, group: str | None = None) -> Seen:
    """Read a stream whole. `heads` are those to judge, all that have gold labels unless told; `group` is a field to keep.

    Raises UsageError where a head is not there, or no record holds any gold label."""
    intake = _Intake(reader, heads, conditions, by_length, n_mistakes, keep_texts, group)
    for table in reader:
        intake.add(table)
    return intake.finish()


def want_evidence(by: tuple[str, ...], by_length: bool, conditions: tuple[Condition, ...], gold: tuple[str, ...], text_field: str, id_field: str,
                  group: str | None = None) -> Wanted:
    """The columns that read_evidence needs; `gold` are HEAD=FIELD, `group` is a field. Raises UsageError."""
    names = [condition.name for condition in conditions] + (["field:n_tokens"] if by_length else []) + ([f"field:{group}"] if group else [])
    return Wanted(by, None, text_field, id_field, tuple(names), gold=_parse_gold(gold), kinds=kinds_by_mark, checks=checking_fields())


def _parse_gold(texts: tuple[str, ...]) -> dict[str, str]:
    """Parse HEAD=FIELD. Raises UsageError."""
    found = {}
    for text in texts:
        head, _, name = text.partition("=")
        if not head or not name or head in found:
            raise UsageError(f"--gold {text}: give HEAD=FIELD, once for a head, such as sentiment=gold_sentiment")
        found[head] = name
    return found


class _Intake:
    def __init__(self, reader: ColumnReader, heads, conditions, by_length, n_mistakes, keep_texts, group):
        self.reader, self.asked, self.conditions, self.by_length, self.n_mistakes = reader, heads, conditions, by_length, n_mistakes
        self.kept_columns: dict[str, list[pa.Array]] = {name: [] for name in ("id", *(["text"] if keep_texts else []), *([f"field:{group}"] if group else []))}
        self.group = group
        self.places: list[np.ndarray] = []
        self.seen = Seen()
        self.parts: dict[str, HeadIntake] = {}
        self.names: GroupNames | None = None
        self.prints: dict[str, list] = {}

    def add(self, table: pa.Table) -> None:
        if not self.parts:
            self._start()
        seen, errors = self.seen, table.column("error")
        places = seen.n_records + np.flatnonzero(errors.is_null().to_numpy())
        seen.n_records += table.num_rows
        seen.errors.update(errors.drop_null().to_pylist())
        if errors.null_count < len(errors):
            self._count_lost(table.filter(errors.is_valid()))
        table = good_rows(table)
        if self.conditions:
            kept, _ = select(table, self.conditions, self.reader.schema.where)
            table, places = table.filter(kept), places[kept.to_numpy(zero_copy_only=False)]
            seen.n_unmet += len(kept) - table.num_rows
        if not table.num_rows:
            return
        self._remember(table, places)
        slices = self._slices(table)
        for part in self.parts.values():
            part.add(table, seen.n_good, places, slices)
        seen.n_good += table.num_rows

    def _count_lost(self, table: pa.Table) -> None:
        """Error records that hold a gold label, whatever went wrong: they are as good as texts of which the model says nothing. Those
        without a prediction and an error are counted by the reader."""
        table = table.filter(pc.not_equal(table.column("error"), "no_prediction"))
        table = table.filter(select(table, self.conditions, self.reader.schema.where)[0])
        for part in self.parts.values() if table.num_rows else ():
            part.count_lost(table)

    def _start(self) -> None:
        heads = self.reader.schema.heads
        for name in self.asked:
            if name not in heads:
                raise UsageError(f'--head {name}: the first predictions have no such head; there are: {", ".join(sorted(heads))}')
        for name in self.reader.wanted.gold or ():
            if name not in heads:
                raise UsageError(f'--gold {name}={self.reader.wanted.gold[name]}: the first predictions have no head "{name}"; there are: {", ".join(sorted(heads))}')
        self.parts = {name: self._part(name, heads[name]) for name in (self.asked or heads)}
        if self.n_mistakes and any(part.keeps_texts for part in self.parts.values()):
            self.kept_columns.setdefault("text", [])
        self.names = GroupNames(len(self.reader.schema.by))

    def _part(self, name: str, kind: str) -> HeadIntake:
        gold_field = self.reader.schema.gold_field(name)
        if kind in FLAT_KINDS:
            return FlatIntake(name, kind, gold_field, self.reader.schema.labels.get(name, []), self.n_mistakes)
        return TalliedIntake(name, KINDS[kind], gold_field, self.n_mistakes)

    def _remember(self, table: pa.Table, places: np.ndarray) -> None:
        """Ids for pairing; and a running hash of each column that tells one test set from another."""
        self.places.append(places)
        every_row = pa.array(np.arange(table.num_rows))
        for name, chunks in self.kept_columns.items():
            chunks += table.column(name).take(every_row).chunks  # a copy: a column of DuckDB keeps all columns of its block in memory
        for name in ("id", "text", *dict.fromkeys(part.gold_column for part in self.parts.values())):
            column = table.column(name).combine_chunks()
            sizes, contents = self.prints.setdefault(name, [hashlib.sha256(), hashlib.sha256()])
            sizes.update(pc.fill_null(pc.binary_length(column), -1).to_numpy(zero_copy_only=False).tobytes())
            contents.update(_bytes_of(pc.fill_null(column, "")))

    def _slices(self, table: pa.Table) -> dict[str, tuple[np.ndarray | None, np.ndarray]]:
        """For each slicing, rows (None: each once) and the code of each."""
        found = {}
        if self.reader.schema.by:
            rows, columns = spread_lists([read_column(table, named.column) for named in self.reader.schema.by])
            found["by"] = rows, self.names.encode(columns)
        if self.by_length:
            found["length"] = None, _encode_lengths(table)
        return found

    def finish(self) -> Seen:
        seen = self.seen
        by = group_names(self.reader.schema.by)
        names = {"length": _length_names()}
        if self.names is not None and by:
            names["by"] = [", ".join(by) + " (none)" if values == (None,) * len(by) else name_group(by, values) for values in self.names.values]
        kept = {name: pa.chunked_array(chunks, pa.string()) for name, chunks in self.kept_columns.items()}
        seen.ids, seen.texts, seen.places = kept["id"], kept.get("text"), np.concatenate([np.empty(0, int), *self.places])
        seen.groups = kept.get(f"field:{self.group}")
        for name, part in self.parts.items():
            rows = part.finish()
            seen.lost[name] = part.lost
            if rows is not None:
                rows.slices = part.joined_slices()
                rows.slice_names = {slicing: names[slicing] for slicing in rows.slices}
                seen.heads[name], seen.mistakes[name] = rows, part.gravest(rows, seen)
        if seen.n_good and not seen.heads:
            raise self._nothing_judged()
        seen.fingerprint = self._digest(sorted(self.prints))
        return seen

    def _nothing_judged(self) -> UsageError:
        for part in self.parts.values():
            if any(part.lost[why] for why in ("gold of another kind", "gold that does not fit its record", TOO_LARGE)):
                return UsageError(part.tell_bad_gold())
        fields = ", ".join(f'"{part.field}"' for part in self.parts.values())
        return UsageError(f"no record holds a gold label beside its prediction: looked for it in {fields}; name its field with --gold HEAD=FIELD")

    def _digest(self, names: list[str]) -> str:
        digest = hashlib.sha256()
        for name in names:
            digest.update(name.encode() + b"".join(part.digest() for part in self.prints.get(name, ())))
        return digest.hexdigest()[:12]


def _length_names() -> list[str]:
    starts = (1, *(edge + 1 for edge in LENGTH_EDGES))
    return [f"{start}-{edge}" for start, edge in zip(starts, LENGTH_EDGES)] + [f"{starts[-1]} and more", "(none)"]


def _encode_lengths(table: pa.Table) -> np.ndarray:
    """Places (N,) among _length_names: by n_tokens, by characters where it is no number, the last where there is no text either."""
    tokens, none = table.column("field:n_tokens"), len(LENGTH_EDGES) + 1
    tokens = pc.if_else(pc.match_substring_regex(tokens, r"^\d{1,9}$"), tokens, None).cast(pa.int32())
    lengths = pc.coalesce(tokens, pc.utf8_length(table.column("text")))
    return np.where(lengths.is_valid().to_numpy(), np.searchsorted(LENGTH_EDGES, pc.fill_null(lengths, 0).to_numpy()), none)


def _bytes_of(texts: pa.Array) -> memoryview:
    """The bytes of all texts, one after another."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = texts.buffers()[2]
    return memoryview(data)[offsets[0] : offsets[-1]] if data is not None else memoryview(b"")
