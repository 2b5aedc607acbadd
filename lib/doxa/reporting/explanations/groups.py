"""Explained records as groups of cards: a group for each label, those to look at first, no more of each than the page shows."""

from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from doxa.records.record import Record
from doxa.reporting.explanations.cards import Card, Fields, make_card
from doxa.reporting.explanations.entries import Entry, read_entries
from doxa.reporting.explanations.evidence import is_attention

MOST_LABELS = 40  # groups of a head; beyond them, the smaller ones are only counted
_TRACES = ("is_doubtful", "is_mistake", "is_contradicted", "is_weak")


class Shelf:
    """The `most` cards of the lowest rank, in its order; of equals, the first that came. A card is made only when it is kept."""

    def __init__(self, most: int):
        self.most, self.n, self.kept = most, 0, []

    def offer(self, rank: Any, make: Callable[[], Card]) -> None:
        self.n += 1
        if self.most and (len(self.kept) < self.most or rank < self.kept[-1][0]):
            del self.kept[self.most - 1 :]
            insort(self.kept, (rank, self.n, make()))

    @property
    def cards(self) -> list[Card]:
        return [card for _, _, card in self.kept]


@dataclass
class Tally:
    """How many explanations there are, and how many of them are doubtful, mistaken, contradicted by a rule, or weak."""

    n: int = 0
    n_judged: int = 0  # with a gold label
    n_tried: int = 0  # with figures of faithfulness
    n_ruled: int = 0  # on which a rule fired
    traces: Counter = field(default_factory=Counter)

    def add(self, entry: Entry) -> None:
        self.n += 1
        self.n_judged += entry.gold is not None
        self.n_tried += entry.faithfulness is not None
        self.n_ruled += bool(entry.rules)
        self.traces.update(trace for trace in _TRACES if getattr(entry, trace))

    @property
    def n_doubtful(self) -> int:
        return self.traces["is_doubtful"]

    @property
    def n_mistakes(self) -> int:
        return self.traces["is_mistake"]

    @property
    def n_contradicted(self) -> int:
        return self.traces["is_contradicted"]

    @property
    def n_weak(self) -> int:
        return self.traces["is_weak"]


class Group:
    """A label of a head, or a head that is a number (`label` None), with its cards in two parts.

    Of a label: the doubtful ones, the least margin first; then the sure ones, mistakes first and then the largest margin. Of a
    number: the highest values, then the lowest. What a rule contradicts stands on a shelf of its own and not here."""

    def __init__(self, head: str, label: str | None, kind: str, top: int):
        self.head, self.label, self.kind, self.top, self.tally = head, label, kind, top, Tally()
        half = -(-top // 2)
        self._first, self._last = (Shelf(half), Shelf(top - half)) if kind == "number" else (Shelf(top), Shelf(top))

    def add(self, entry: Entry, make: Callable[[], Card], is_shown_elsewhere: bool) -> None:
        self.tally.add(entry)
        if is_shown_elsewhere:
            return
        if self.kind == "number":
            self._first.offer(-entry.score, make)
            self._last.offer(entry.score, make)
        elif entry.is_doubtful:
            self._first.offer(entry.margin if entry.kind == "claim" else abs(entry.margin), make)
        else:
            self._last.offer((not entry.is_mistake, -abs(entry.margin or 0.0)), make)

    @property
    def parts(self) -> list[tuple[str, int, list[Card]]]:
        """(name, how many there are, the cards to show) of each part that holds some; the sure ones keep a quarter of the room."""
        if self.kind == "number":
            return self._number_parts()
        first, last = self._first.cards, self._last.cards
        n_last = min(len(last), max(self.top - len(first), self.top // 4))
        parts = [("doubtful", self._first.n, first[: self.top - n_last]), ("sure", self._last.n, last[:n_last])]
        return [part for part in parts if part[1]]

    @property
    def n_hidden(self) -> int:
        """How many have a part here and no card."""
        n = self._first.n if self.kind == "number" else self._first.n + self._last.n
        return n - sum(len(cards) for _, _, cards in self.parts)

    def _number_parts(self) -> list[tuple[str, int, list[Card]]]:
        n, ends = self._first.n, (self._first.kept, self._last.kept[::-1])
        if n > self.top:
            return [(name, n, [card for _, _, card in kept]) for name, kept in zip(("highest", "lowest"), ends) if kept]
        each_once = {number: card for kept in ends for _, number, card in kept}
        return [("all", n, list(each_once.values()))] if n else []


@dataclass
class Head:
    name: str
    kind: str
    groups: dict[str | None, Group] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    methods: Counter = field(default_factory=Counter)

    @property
    def shown(self) -> list[Group]:
        """The groups, largest first."""
        return sorted(self.groups.values(), key=lambda group: (-group.tally.n, group.label or ""))[:MOST_LABELS]


@dataclass
class Explanations:
    """What a stream of records holds. `n_texts` of `n_records` hold an explanation; `n_unreadable` entries of it are not of its shape, and in `n_silent` texts
    the model says nothing that could be explained."""

    contradicted: Shelf
    heads: dict[str, Head] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    n_records: int = 0
    n_texts: int = 0
    n_errors: int = 0
    n_without: int = 0
    n_unreadable: int = 0
    n_silent: int = 0

    @property
    def has_claims(self) -> bool:
        return any(head.kind == "claim" for head in self.heads.values())

    @property
    def has_attention(self) -> bool:
        return any(is_attention(method) for head in self.heads.values() for method, _ in head.methods)


def gather(records: Iterable[Record | dict], names: Fields, top: int) -> Explanations:
    """Group the explanations of records, in memory that depends on `top` and the number of labels only."""
    found = Explanations(Shelf(top))
    for record in records:
        fields = record.fields if isinstance(record, Record) else record
        found.n_records += 1
        if fields is None or _is_error(fields):
            found.n_errors += 1
        elif fields.get("explanation") is None:
            found.n_without += 1
        else:
            found.n_texts += 1
            n_entries = 0
            for n_entries, entry in enumerate(read_entries(fields.get("explanation"), fields), 1):
                _add(found, entry, fields, names, top)
            found.n_silent += not n_entries
    return found


def _is_error(fields) -> bool:
    error = fields.get("error")
    return isinstance(error, dict) and isinstance(error.get("code"), str) and "message" in error


def _add(found: Explanations, entry: Entry | None, fields, names: Fields, top: int) -> None:
    head = entry and found.heads.setdefault(entry.head, Head(entry.head, entry.kind))
    if not head or head.kind != entry.kind:  # a head is of one kind throughout
        found.n_unreadable += 1
        return
    head.methods[entry.method, entry.unit] += 1
    for tally in (found.tally, head.tally):
        tally.add(entry)
    group = head.groups.setdefault(entry.label, Group(entry.head, entry.label, entry.kind, top))

    def make() -> Card:
        return make_card(entry, fields, names)

    group.add(entry, make, entry.is_contradicted)
    if entry.is_contradicted:
        found.contradicted.offer(-abs(entry.margin or 0.0), make)
