"""Collecting the rows of a head of one label, of many, or of a number: gold labels are understood, what lacks them is counted."""

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from doxa.evaluation.flat_rows import FlatRows
from doxa.evaluation.head_intake import HeadIntake
from doxa.evaluation.mistakes import Mistake, MistakeKeeper
from doxa.evaluation.rows import HeadRows
from doxa.evaluation.score_doubts import ScoreDoubts
from doxa.evaluation.seen import Seen
from doxa.records.number import read_number

MOST_NUMBER = 1e70  # farther from 0 sums of squares overflow
TOO_LARGE = f"gold beyond {MOST_NUMBER:g}"  # why a record is left out
ROUNDING = 1e-5  # by which the score of a float16 model may pass 1
_KIND_WORDS = {"label": "one label", "labels": "lists of labels", "number": "numbers"}


class FlatIntake(HeadIntake):
    """`scored` are the labels of which there are scores."""

    def __init__(self, name: str, kind: str, gold_field: str, scored: list[str], n_mistakes: int):
        super().__init__(name, kind, gold_field)
        self.scored = scored
        self.codes: dict[str, int] = {}
        self.parts: dict[str, list[np.ndarray]] = {}
        self.has_scores, self.has_odd_scores = bool(scored), False
        self.large_gold = ""  # the first gold number beyond MOST_NUMBER
        self.n_unscored = 0  # records without the score of their label, or without those of all labels where others have them
        self.doubts = ScoreDoubts(scored)
        self.mistakes = MistakeKeeper(n_mistakes)

    @property
    def gold_column(self) -> str:
        return f"field:{self.field}"

    def add(self, table: pa.Table, first: int, places: np.ndarray, slices: dict) -> None:
        texts = table.column(self.gold_column).combine_chunks()
        gold, is_bad = read_gold(texts, self.kind)
        large = list(filter(_is_large_number, texts.filter(pa.array(is_bad)).to_pylist())) if self.kind == "number" else []
        self.large_gold = self.large_gold or next(iter(large), "")
        said = table.column(f"{'score' if self.kind == 'number' else self.kind}:{self.name}").combine_chunks()
        if self.kind == "number":
            said = pc.if_else(pc.less_equal(pc.abs(said), MOST_NUMBER), said, None)
        has_gold, has_said = gold.is_valid().to_numpy(zero_copy_only=False), said.is_valid().to_numpy(zero_copy_only=False)
        self.lost.update({"gold of another kind": int(is_bad.sum()) - len(large), TOO_LARGE: len(large), "without a gold label": int((~has_gold & ~is_bad).sum()),
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
        self._remember(chosen, rows, first, slices)
        part = {"gold": self._encode(gold), "said": self._encode(said), "score": score}
        is_scored = self._add_scores(chosen, part)
        self._doubt_scores(chosen, said, gold)
        self.n_unscored += int((~is_scored | (np.isnan(score) & (self.kind == "label"))).sum())
        for name, values in part.items():
            self.parts.setdefault(name, []).append(values)
        self.mistakes.add(self.kind, chosen, gold, said, score, places[rows])

    def holds_gold(self, table: pa.Table) -> np.ndarray:
        return read_gold(table.column(self.gold_column).combine_chunks(), self.kind)[0].is_valid().to_numpy(zero_copy_only=False)

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

    def _add_scores(self, chosen: pa.Table, part: dict[str, np.ndarray]) -> np.ndarray:
        """Return which rows have the scores of all labels, all of them where no record has."""
        if not self.scored:
            return np.ones(chosen.num_rows, bool)
        column = chosen.column(f"scores:{self.name}").combine_chunks()
        if column.null_count or not self.has_scores:
            self.has_scores = False
            self.parts.pop("scores", None)
        else:
            part["scores"] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, len(self.scored))
            self.has_odd_scores |= not _are_shares(part["scores"]).all()
        return column.is_valid().to_numpy(zero_copy_only=False)

    def _doubt_scores(self, chosen: pa.Table, said: pa.Array, gold: pa.Array) -> None:
        if self.kind != "label" or not self.scored:
            return
        column = chosen.column(f"scores:{self.name}").combine_chunks()
        is_whole = column.is_valid()
        scores = column.filter(is_whole).flatten().to_numpy(zero_copy_only=False).reshape(-1, len(self.scored))
        is_fit = _are_shares(scores).all(axis=1)
        rows = pa.array(np.flatnonzero(is_whole.to_numpy(zero_copy_only=False))[is_fit])
        is_ruled = pc.fill_null(chosen.column(f"ruled:{self.name}").take(rows), False).to_numpy()
        self.doubts.add(scores[is_fit], said.take(rows), gold.take(rows), is_ruled)

    def finish(self) -> FlatRows | None:
        if not self.sizes:
            return None
        for label in self.scored if self.has_scores else ():
            self.codes.setdefault(label, len(self.codes))
        gold, said = (self._join(self.parts[name]) for name in ("gold", "said"))
        labels, score = list(self.codes), np.concatenate(self.parts["score"])
        scores = self._spread_scores(np.concatenate(self.parts["scores"]) if "scores" in self.parts else None, len(labels))
        if self.has_odd_scores:
            score, scores = np.full(len(score), np.nan), None
        # Of two labels the winner has half at least; with less there are others that no record holds.
        is_of_two = scores is None and self.kind == "label" and len(labels) == len({*labels, *self.scored}) == 2 and bool((score >= 0.5).all())
        if is_of_two:
            scores = np.where(np.arange(2) == said[:, None], score[:, None], 1.0 - score[:, None])
        rows = FlatRows(head=self.name, kind=self.kind, labels=labels, gold=gold, said=said, score=score, scores=scores,
                        records=np.concatenate(self.records), models=tuple(sorted(self.models)), has_odd_scores=self.has_odd_scores, n_unscored=self.n_unscored, is_of_two=is_of_two,
                        doubts=tuple(self.doubts.tell()))
        return _in_order(rows) if self.kind != "number" else rows

    def gravest(self, rows: HeadRows, seen: Seen) -> list[Mistake]:
        return self.mistakes.gravest()

    def tell_bad_gold(self) -> str:
        if self.large_gold:
            shown = self.large_gold if len(self.large_gold) < 30 else self.large_gold[:20] + "…"
            return (f'head "{self.name}" gives numbers, but its gold in field "{self.field}" is too large, as {shown}: beyond {MOST_NUMBER:g} '
                    "squares have no sum; give it in larger units")
        return f'head "{self.name}" gives {_KIND_WORDS[self.kind]}, but its gold in field "{self.field}" is none'

    def _join(self, parts: list[np.ndarray]) -> np.ndarray:
        if self.kind != "labels":
            return np.concatenate(parts)
        matrix = np.zeros((sum(self.sizes), len(self.codes)), bool)
        for start, (places, ids) in zip(np.cumsum([0, *self.sizes]), parts):
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
        value = read_number(text)
    except ValueError:
        return None
    return value if abs(value) <= MOST_NUMBER else None


def _is_large_number(text: str) -> bool:
    """Whether a text is a number beyond MOST_NUMBER, one past the largest float too."""
    try:
        return abs(read_number(text)) > MOST_NUMBER and any(map(str.isdigit, text))
    except ValueError:
        return False


def _are_shares(scores: np.ndarray) -> np.ndarray:
    return (scores >= -ROUNDING) & (scores <= 1.0 + ROUNDING)


def _in_order(rows: FlatRows) -> FlatRows:
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
