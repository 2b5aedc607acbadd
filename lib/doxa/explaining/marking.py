"""Where the tokens of a question's texts stand in the windows that a kind of head makes of it, whatever the kind."""

from dataclasses import dataclass, field

import numpy as np

from doxa.errors import RecordError
from doxa.explaining.layout import Layout
from doxa.model.kinds.kind import Kind
from doxa.text.frame import Reading
from doxa.text.prompt import SLOT, Prompting
from doxa.text.question import Question
from doxa.text.segments import Span
from doxa.text.tokenizer import TextTokenizer


@dataclass
class Marker:
    """Stands in for a tokenizer: every token of one of `texts` gets an id of its own, -1 for the first that is read, by which it is found again;
    the words of a prompt keep their ids. `template` is the prompt that a text is put into, where there is one."""

    tokenizer: TextTokenizer
    texts: tuple[str, ...]
    template: str | None = None
    ids: list[int] = field(default_factory=list)  # of the tokens that were marked, in order
    offsets: list[Span] = field(default_factory=list)  # the characters of their text that they stand for
    owners: list[int] = field(default_factory=list)  # which of the texts that is

    def __post_init__(self) -> None:
        self._unread = list(range(len(self.texts)))

    def __getattr__(self, name: str):
        return getattr(self.tokenizer, name)

    def encode(self, texts: list[str]) -> list[list[int]]:
        if self.template is not None:  # parts of the prompt that no text touches
            return self.tokenizer.encode(texts)
        return [ids for ids, _ in self.encode_with_offsets(texts)]

    def encode_with_offsets(self, texts: list[str]) -> list[tuple[list[int], list[Span]]]:
        return [self._mark(text, 0, *found) for text, found in zip(texts, self.tokenizer.encode_with_offsets(texts))]

    def encode_literally(self, texts: list[str]) -> list[tuple[list[int], list[Span]]]:
        """Texts within words of the prompt."""
        (before, after), (text,) = (self.template or SLOT).split(SLOT), self.texts
        found = []
        for whole, encoded in zip(texts, self.tokenizer.encode_literally(texts)):
            start = next(at for at in range(len(whole) - len(text) + 1)
                         if whole.startswith(text, at) and before.endswith(whole[:at]) and after.startswith(whole[at + len(text) :]))
            found.append(self._mark(text, start, *encoded))
        return found

    def _mark(self, text: str, start: int, ids: list[int], offsets: list[Span]) -> tuple[list[int], list[Span]]:
        """The ids with marks in the place of those that stand for some of the text, which begins at character `start`."""
        owner = next((i for i in self._unread if self.texts[i] == text), None)
        if owner is None:
            return ids, offsets
        self._unread.remove(owner)
        marked = []
        for id_, (first, last) in zip(ids, offsets):
            if first < last and (last <= start or first >= start + len(text)):
                marked.append(id_)
                continue
            marked.append(-1 - len(self.ids))
            self.ids.append(id_)
            self.offsets.append((max(0, first - start), min(len(text), last - start)))
            self.owners.append(owner)
        return marked, offsets


def find_tokens(kind: Kind, question: Question, windows: list, tokenizer: TextTokenizer, reading: Reading) -> tuple[Layout, Marker]:
    """The tokens of all texts of a question, in the order in which the kind reads them, and where they stand in `windows`, its own of the question."""
    marker = Marker(tokenizer, question.texts, reading.template if isinstance(reading, Prompting) else None)
    (marked,) = kind.lay_out([question], marker, reading)  # type: ignore[arg-type]
    assert not isinstance(marked, RecordError)
    slots = []
    for window in marked.windows:
        places = -1 - np.array(window.ids, dtype=np.int64)
        slots.append(np.where(places >= 0, places, -1))
    return Layout(np.array(marker.ids, dtype=np.int64), len(marker.ids), False, tuple(windows), tuple(slots), np.full(len(windows), 1 / len(windows))), marker
