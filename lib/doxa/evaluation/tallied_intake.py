"""Collecting the rows of a head whose kind counts and judges by itself."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from doxa.errors import DoxaError, UsageError
from doxa.evaluation.head_intake import HeadIntake
from doxa.evaluation.mistakes import Mistake
from doxa.evaluation.rows import HeadRows
from doxa.evaluation.seen import Seen
from doxa.evaluation.tallied_rows import TalliedRows, score_of
from doxa.metrics.tallied import Tallied
from doxa.model.kinds.kind import Kind

_ODD_ENTRY = (TypeError, KeyError, ValueError, AttributeError, IndexError)  # what an entry that is not as its kind says brings about


class TalliedIntake(HeadIntake):
    """Keeps gold values, and entries as JSON text, until all are there: which labels are counted is known at the end."""

    keeps_texts = True

    def __init__(self, name: str, kind: Kind, gold_field: str, n_mistakes: int):
        super().__init__(name, kind.name, gold_field)
        self.judge, self.n_mistakes = kind, n_mistakes
        self.golds: list[Any] = []
        self.texts: dict[str, list[pa.Array]] = {"gold": [], "entry": []}
        self.kept = np.empty(0, int)  # those whose entry is as its kind says
        self.problem = ""

    @property
    def gold_column(self) -> str:
        return f"gold:{self.name}"

    def add(self, table: pa.Table, first: int, places: np.ndarray, slices: dict) -> None:
        has_said = table.column(f"entry:{self.name}").is_valid().to_pylist()
        golds, rows = [], []
        columns = (table.column(name).to_pylist() for name in (self.gold_column, f"beside:{self.name}"))
        for row, (text, beside, is_said) in enumerate(zip(*columns, has_said)):
            fault = "gold of another kind"
            try:
                gold = self._read_gold(text)
                if gold is not None and beside is not None:
                    fault = "gold that does not fit its record"
                    self.judge.check_by(orjson.loads(beside), gold)
            except ValueError as error:
                self.problem = self.problem or str(error)
                self.lost[fault] += 1
                continue
            if gold is None and self.judge.needs_gold:
                self.lost["without a gold label"] += 1
            elif not is_said:
                self.lost["without its prediction"] += 1
            else:
                golds.append(gold)
                rows.append(row)
        if rows:
            chosen = table.take(pa.array(rows))
            self._remember(chosen, np.array(rows), first, slices)
            self.golds += golds
            for name, chunks in self.texts.items():
                chunks += chosen.column(f"{name}:{self.name}").chunks

    def holds_gold(self, table: pa.Table) -> np.ndarray:
        return np.array([self._is_gold(text) for text in table.column(self.gold_column).to_pylist()], bool)

    def _is_gold(self, text: str | None) -> bool:
        try:
            return self._read_gold(text) is not None
        except ValueError:
            return False

    def _read_gold(self, text: str | None) -> Any:
        """Raises ValueError. What a kind refuses as a text may be a list or object that was written as one, and a number a text."""
        if text is None:
            return None
        value = orjson.loads(text)
        try:
            return self.judge.read_gold(value)
        except ValueError:
            if isinstance(value, str) and value.startswith(("[", "{")):
                return self.judge.read_gold(orjson.loads(value))
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return self.judge.read_gold(text)
            raise

    def finish(self) -> TalliedRows | None:
        """Raises UsageError where no entry is as its kind says."""
        if not self.golds:
            return None
        golds, entries = (pa.chunked_array(self.texts[name], pa.string()) for name in ("gold", "entry"))
        said, odd = [orjson.loads(text) for text in entries.to_pylist()], self.judge.find_odd(self.golds)
        self.lost["gold of another kind"] += len(odd)
        kept = np.setdiff1d(np.arange(len(self.golds)), odd)
        try:
            tallied, counts, right = self._judge(said, kept)
        except (*_ODD_ENTRY, DoxaError) as error:
            reasons = [self._why_not(said, row) for row in kept]
            kept = kept[[not reason for reason in reasons]]
            if not len(kept) and isinstance(error, DoxaError):
                raise
            if not len(kept):
                raise UsageError(f'head "{self.name}": no entry of prediction is as kind {self.kind} says ({type(error).__name__}: {error})') from None
            self.lost.update(filter(None, reasons))
            tallied, counts, right = self._judge(said, kept)
        self.kept = kept
        return TalliedRows(
            head=self.name, kind=self.kind, records=np.concatenate(self.records)[kept], score=np.array([score_of(said[row]) for row in kept]),
            models=tuple(sorted(self.models)), tallied=tallied, counts=counts, right=right, golds=golds, entries=entries, places=kept,
            needs_gold=self.judge.needs_gold, is_score_doubt=self.judge.is_score_doubt,
            made=tuple(f"{name}:{how}" for name, how in tallied.signatures([self.golds[row] for row in kept]).items()))

    def joined_slices(self) -> dict[str, np.ndarray]:
        place = np.full(len(self.golds), -1)
        place[self.kept] = np.arange(len(self.kept))
        moved = {name: np.stack([place[rows], codes]) for name, (rows, codes) in super().joined_slices().items()}
        return {name: pairs[:, pairs[0] >= 0] for name, pairs in moved.items()}

    def _judge(self, said: list[dict[str, Any]], rows: np.ndarray) -> tuple[Tallied, np.ndarray, np.ndarray]:
        """What makes figures of some rows, counts (N, S), and whether each is right (N,)."""
        golds, said = [self.golds[row] for row in rows], [said[row] for row in rows]
        tallied = self.judge.judge(golds, said)
        counts = tallied.count(golds, said)
        right = tallied.right_of(counts)
        return tallied, counts, np.array([tallied.is_right(*pair) for pair in zip(golds, said)], bool) if right is None else right

    def _why_not(self, said: list[dict[str, Any]], row: int) -> str:
        """Why a record cannot be judged; nothing where it can."""
        try:
            self._judge(said, np.array([row]))
        except DoxaError:  # each is as it should be, but not beside the other
            return "prediction that does not fit its gold"
        except _ODD_ENTRY:
            return "prediction of another kind"
        return ""

    def gravest(self, rows: HeadRows, seen: Seen) -> list[Mistake]:
        found = []
        for row, weight in rows.wrong(self.n_mistakes):
            record, score = int(rows.records[row]), rows.score[row]
            found.append(Mistake(weight, int(seen.places[record]) + 1, seen.ids[record].as_py(), seen.texts[record].as_py(),
                                 rows.gold_value(row), rows.said_value(row), None if np.isnan(score) else float(score)))
        return found

    def tell_bad_gold(self) -> str:
        return f'head "{self.name}" is of kind {self.kind}, but its gold in field "{self.field}" {self.problem}'
