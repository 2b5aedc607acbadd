"""Tables of a reader to rows of heads: gold labels are understood, what lacks them is counted."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.evaluation.mistakes import MistakeKeeper
from doxa.evaluation.rows import HeadRows
from doxa.records.columns import ColumnReader, Wanted
from doxa.records.conditions import Condition, good_rows, select
from doxa.records.groups import GroupNames, group_names, name_group, spread_lists

MOST_NUMBER = 1e70  # farther from 0 sums of squares overflow
ROUNDING = 1e-5  # by which the score of a float16 model may pass 1
_KIND_WORDS = {"label": "one label", "labels": "lists of labels", "number": "numbers"}
LENGTH_EDGES = (16, 32, 64, 128, 256, 512)


@dataclass
class Seen:
    """What a stream held. `heads` maps a name to its rows; `lost` to how many records have no usable gold label or no prediction of
    it. Of the M good records in order: `ids`, null where there is none, `places` in the input from 0, `texts` if they were asked for,
    and a `fingerprint` of their ids, texts and gold labels; `text_print` of their texts alone."""

    n_records: int = 0
    n_good: int = 0
    errors: Counter = field(default_factory=Counter)
    n_unmet: int = 0
    heads: dict[str, HeadRows] = field(default_factory=dict)
    lost: dict[str, Counter] = field(default_factory=dict)
    mistakes: dict[str, MistakeKeeper] = field(default_factory=dict)
    ids: pa.ChunkedArray | None = None
    places: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    texts: pa.ChunkedArray | None = None
    fingerprint: str = ""
    text_print: str = ""


def read_evidence(reader: ColumnReader, heads: tuple[str, ...] = (), conditions: tuple[Condition, ...] = (), by_length: bool = False,
                  n_mistakes: int = 0, keep_texts: bool = False) -> Seen:
    """Read a stream whole. `heads` are those to judge, all that have gold labels unless told.

    Raises UsageError where a head is not there, or no record holds any gold label."""
    intake = _Intake(reader, heads, conditions, by_length, n_mistakes, keep_texts)
    for table in reader:
        intake.add(table)
    return intake.finish()


def want_evidence(by: tuple[str, ...], by_length: bool, conditions: tuple[Condition, ...], gold: tuple[str, ...], text_field: str, id_field: str) -> Wanted:
    """The columns that read_evidence needs; `gold` are HEAD=FIELD. Raises UsageError."""
    names = [condition.name for condition in conditions] + (["field:n_tokens"] if by_length else [])
    return Wanted(by, None, text_field, id_field, tuple(names), _parse_gold(gold))


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
    def __init__(self, reader: ColumnReader, heads, conditions, by_length, n_mistakes, keep_texts):
        self.reader, self.asked, self.conditions, self.by_length, self.n_mistakes = reader, heads, conditions, by_length, n_mistakes
        self.kept_columns: dict[str, list[pa.Array]] = {name: [] for name in ("id", *(["text"] if keep_texts else []))}
        self.places: list[np.ndarray] = []
        self.seen = Seen()
        self.parts: dict[str, _HeadIntake] = {}
        self.names: GroupNames | None = None
        self.prints: dict[str, list] = {}

    def add(self, table: pa.Table) -> None:
        if not self.parts:
            self._start()
        seen, errors = self.seen, table.column("error")
        places = seen.n_records + np.flatnonzero(errors.is_null().to_numpy())
        seen.n_records += table.num_rows
        seen.errors.update(errors.drop_null().to_pylist())
        table = good_rows(table)
        if self.conditions:
            kept, _ = select(table, self.conditions, self.reader.where)
            table, places = table.filter(kept), places[kept.to_numpy(zero_copy_only=False)]
            seen.n_unmet += len(kept) - table.num_rows
        if not table.num_rows:
            return
        self._remember(table, places)
        slices = self._slices(table)
        for part in self.parts.values():
            part.add(table, seen.n_good, places, slices)
        seen.n_good += table.num_rows

    def _start(self) -> None:
        heads = self.reader.heads
        for name in self.asked:
            if name not in heads:
                raise UsageError(f'--head {name}: the first predictions have no such head; there are: {", ".join(sorted(heads))}')
        self.parts = {name: _HeadIntake(name, heads[name], self.reader.gold_field(name), self.reader.labels.get(name, []), self.n_mistakes)
                      for name in (self.asked or heads)}
        self.names = GroupNames(len(self.reader.by))

    def _remember(self, table: pa.Table, places: np.ndarray) -> None:
        """Ids for pairing; and a running hash of each column that tells one test set from another."""
        self.places.append(places)
        every_row = pa.array(np.arange(table.num_rows))
        for name, chunks in self.kept_columns.items():
            chunks += table.column(name).take(every_row).chunks  # a copy: a column of DuckDB keeps all columns of its block in memory
        for name in ("id", "text", *dict.fromkeys(f"field:{part.field}" for part in self.parts.values())):
            column = table.column(name).combine_chunks()
            sizes, contents = self.prints.setdefault(name, [hashlib.sha256(), hashlib.sha256()])
            sizes.update(pc.fill_null(pc.binary_length(column), -1).to_numpy(zero_copy_only=False).tobytes())
            contents.update(_bytes_of(pc.fill_null(column, "")))

    def _slices(self, table: pa.Table) -> dict[str, tuple[np.ndarray | None, np.ndarray]]:
        """For each slicing, rows (None: each once) and the code of each."""
        found = {}
        if self.reader.by:
            rows, columns = spread_lists([table.column(named.column).combine_chunks() for named in self.reader.by])
            found["by"] = rows, self.names.encode(columns)
        if self.by_length:
            found["length"] = None, _encode_lengths(table)
        return found

    def finish(self) -> Seen:
        seen = self.seen
        by = group_names(self.reader.by)
        names = {"length": _length_names()}
        if self.names is not None and by:
            names["by"] = [", ".join(by) + " (none)" if values == (None,) * len(by) else name_group(by, values) for values in self.names.values]
        for name, part in self.parts.items():
            seen.lost[name] = part.lost
            seen.mistakes[name] = part.mistakes
            rows = part.finish(names)
            if rows.n:
                seen.heads[name] = rows
        if seen.n_good and not seen.heads:
            for part in self.parts.values():
                if part.lost["gold of another kind"]:
                    raise UsageError(f'head "{part.name}" gives {_KIND_WORDS[part.kind]}, but its gold in field "{part.field}" is none')
            fields = ", ".join(f'"{part.field}"' for part in self.parts.values())
            raise UsageError(f"no record holds a gold label beside its prediction: looked for it in {fields}; "
                             "name its field with --gold HEAD=FIELD")
        kept = {name: pa.chunked_array(chunks, pa.string()) for name, chunks in self.kept_columns.items()}
        seen.ids, seen.texts, seen.places = kept["id"], kept.get("text"), np.concatenate([np.empty(0, int), *self.places])
        seen.fingerprint, seen.text_print = self._digest(sorted(self.prints)), self._digest(["text"])
        return seen

    def _digest(self, names: list[str]) -> str:
        digest = hashlib.sha256()
        for name in names:
            digest.update(name.encode() + b"".join(part.digest() for part in self.prints.get(name, ())))
        return digest.hexdigest()[:12]


class _HeadIntake:
    """Collects the rows of one head."""

    def __init__(self, name: str, kind: str, gold_field: str, scored: list[str], n_mistakes: int):
        self.name, self.kind, self.field, self.scored = name, kind, gold_field, scored
        self.lost: Counter = Counter()
        self.codes: dict[str, int] = {}
        self.parts: dict[str, list[np.ndarray]] = {}
        self.has_scores, self.has_odd_scores, self.models = bool(scored), False, set()
        self.mistakes = MistakeKeeper(n_mistakes)

    def add(self, table: pa.Table, first: int, places: np.ndarray, slices: dict) -> None:
        gold, is_bad = read_gold(table.column(f"field:{self.field}").combine_chunks(), self.kind)
        said = table.column(f"{'score' if self.kind == 'number' else self.kind}:{self.name}").combine_chunks()
        if self.kind == "number":
            said = pc.if_else(pc.less_equal(pc.abs(said), MOST_NUMBER), said, None)
        has_gold, has_said = gold.is_valid().to_numpy(zero_copy_only=False), said.is_valid().to_numpy(zero_copy_only=False)
        self.lost.update({"gold of another kind": int(is_bad.sum()), "without a gold label": int((~has_gold & ~is_bad).sum()),
                          "without its prediction": int((has_gold & ~has_said).sum())})
        rows = np.flatnonzero(has_gold & has_said)
        if not len(rows):
            return
        take = pa.array(rows)
        gold, said, chosen = gold.take(take), said.take(take), table.take(take)
        score = np.full(len(rows), np.nan)
        if self.kind == "label":
            score = pc.fill_null(chosen.column(f"score:{self.name}"), np.nan).to_numpy()
            self.has_odd_scores |= bool((~_are_shares(score) & ~np.isnan(score)).any())
        part = {"gold": self._encode(gold), "said": self._encode(said), "score": score, "records": first + rows}
        self._add_scores(chosen, part)
        self.models.update(chosen.column(f"model:{self.name}").unique().drop_null().to_pylist())
        for name, (spread, codes) in slices.items():
            part[f"slice:{name}"] = _members(spread, codes, rows)
        for name, values in part.items():
            self.parts.setdefault(name, []).append(values)
        self.mistakes.add(self.kind, chosen, gold, said, score, places[rows])

    def _encode(self, values: pa.Array) -> np.ndarray:
        """Label ids (N,), or numbers; of many labels pairs (2, M): place of the row in this part, label id."""
        if self.kind == "number":
            return values.to_numpy(zero_copy_only=False)
        if self.kind == "label":
            encoded = values.dictionary_encode()
            return self._ids(encoded.dictionary)[encoded.indices.to_numpy(zero_copy_only=False)]
        inner = values.flatten()
        encoded = inner.dictionary_encode()
        ids = self._ids(encoded.dictionary)[encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)] if len(inner) else np.empty(0, int)
        parents = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
        kept = inner.is_valid().to_numpy(zero_copy_only=False)
        return np.stack([parents[kept], ids[kept]])

    def _ids(self, names: pa.Array) -> np.ndarray:
        return np.array([self.codes.setdefault(name, len(self.codes)) if name is not None else -1 for name in names.to_pylist()], int)

    def _add_scores(self, chosen: pa.Table, part: dict[str, np.ndarray]) -> None:
        if not self.has_scores:
            return
        column = chosen.column(f"scores:{self.name}").combine_chunks()
        if column.null_count:
            self.has_scores = False
            self.parts.pop("scores", None)
        else:
            part["scores"] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, len(self.scored))
            self.has_odd_scores |= not _are_shares(part["scores"]).all()

    def finish(self, names: dict[str, list[str]]) -> HeadRows:
        joined = {name: values for name, values in self.parts.items() if name not in ("gold", "said")}
        sizes = [len(values) for values in joined.get("score", [])]
        whole = {name: np.concatenate(values) for name, values in joined.items() if name.split(":")[0] != "slice"}
        for label in self.scored if self.has_scores else ():
            self.codes.setdefault(label, len(self.codes))
        gold, said = (self._join(self.parts.get(name, []), sizes) for name in ("gold", "said"))
        labels = list(self.codes)
        scores = self._spread_scores(whole.get("scores"), len(labels))
        score = whole.get("score", np.empty(0))
        if self.has_odd_scores:
            score, scores = np.full(len(score), np.nan), None
        if scores is None and self.kind == "label" and len(labels) == 2 and not np.isnan(score).any():
            scores = np.where(np.arange(2) == said[:, None], score[:, None], 1.0 - score[:, None])
        rows = HeadRows(self.name, self.kind, labels, gold, said, score, scores, whole.get("records", np.empty(0, int)),
                        models=tuple(sorted(self.models)), has_odd_scores=self.has_odd_scores)
        for key, values in joined.items():
            if key.startswith("slice:"):
                rows.slices[key[6:]] = np.concatenate([pairs + [[start], [0]] for start, pairs in zip(np.cumsum([0, *sizes]), values)], axis=1)
                rows.slice_names[key[6:]] = names[key[6:]]
        return _in_order(rows) if self.kind != "number" else rows

    def _join(self, parts: list[np.ndarray], sizes: list[int]) -> np.ndarray:
        if self.kind != "labels":
            return np.concatenate(parts) if parts else np.empty(0, int)
        matrix = np.zeros((sum(sizes), len(self.codes)), bool)
        for start, (places, ids) in zip(np.cumsum([0, *sizes]), parts):
            matrix[start + places, ids] = True
        return matrix

    def _spread_scores(self, scores: np.ndarray | None, n_labels: int) -> np.ndarray | None:
        """Scores in the order of all labels; one that the model does not know has 0."""
        if scores is None or not len(scores):
            return None
        spread = np.zeros((len(scores), n_labels))
        spread[:, [self.codes[label] for label in self.scored]] = scores
        return spread


def read_gold(texts: pa.Array, kind: str) -> tuple[pa.Array, np.ndarray]:
    """Gold values as they are meant by a kind of head, from texts as JSON has them; and which are of another kind, null like those missing.

    An empty text is no label. A head of many labels takes the text of a single one for a list of it."""
    if kind == "label":
        is_nested = pc.fill_null(pc.match_substring_regex(texts, r"(?s)^(\[.*\]|\{.*\})$"), False).to_numpy(zero_copy_only=False)
        bad = is_nested.copy()
        bad[is_nested] = [_parse_nested(text) is not None for text in texts.filter(pa.array(is_nested)).to_pylist()]
        return pc.if_else(pc.or_(pc.equal(texts, ""), pa.array(bad)), None, texts), bad
    parse, values_type = (_parse_number, pa.float64()) if kind == "number" else (_parse_labels, pa.list_(pa.string()))
    said = [text or None for text in texts.to_pylist()]
    values = [None if text is None else parse(text) for text in said]
    return pa.array(values, values_type), np.array([value is None and text is not None for value, text in zip(values, said)], bool)


def _parse_nested(text: str) -> list | dict | None:
    """The list or object that a text is as JSON, None for anything else."""
    try:
        return orjson.loads(text) if text.startswith(("[", "{")) else None
    except orjson.JSONDecodeError:
        return None


def _parse_labels(text: str) -> list[str] | None:
    """The labels of a list of texts, or of the text of one; None for a list or object of anything else, or one that is cut off."""
    if not text.startswith("["):
        return [text] if _parse_nested(text) is None else None
    values = _parse_nested(text)
    return values if values is not None and all(isinstance(value, str) for value in values) else None


def _parse_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= MOST_NUMBER else None


def _are_shares(scores: np.ndarray) -> np.ndarray:
    return (scores >= -ROUNDING) & (scores <= 1.0 + ROUNDING)


def _in_order(rows: HeadRows) -> HeadRows:
    """Labels by how many rows hold them, the most first; those that nothing holds and nothing was given last."""
    held, said = rows.count(rows.gold), rows.count(rows.said)
    order = np.array(sorted(range(len(rows.labels)), key=lambda i: (-held[i], said[i] == 0, rows.labels[i])), int)
    place = np.argsort(order)
    if rows.kind == "label":
        rows.gold, rows.said = place[rows.gold], place[rows.said]
    else:
        rows.gold, rows.said = rows.gold[:, order], rows.said[:, order]
    if rows.scores is not None:
        rows.scores = rows.scores[:, order]
    rows.labels = [rows.labels[i] for i in order]
    return rows


def _members(spread: np.ndarray | None, codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Pairs (2, M) of a row's place among `rows` and the code of a slice it is in; `spread` says whose each code is, None: one each."""
    if spread is None:
        return np.stack([np.arange(len(rows)), codes[rows]])
    place = np.full(spread.max(initial=-1) + 1, -1)
    place[rows] = np.arange(len(rows))
    found = place[spread]
    return np.unique(np.stack([found, codes])[:, found >= 0], axis=1)


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
