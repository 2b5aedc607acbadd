"""A text in the model's windows, where every token of the text can be found, replaced or taken out."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from doxa.text.frame import Reading, Window


@dataclass(frozen=True, eq=False)
class Layout:
    """Token ids (n,) of one text, or of two one after the other (`n_first` of them the first's), and its windows.

    `slots[w]` says for every position of window w which of the n tokens stands there, -1 for a special token; `shares`
    (W,) are the weights by which the windows' logits are pooled, with sum 1.
    """

    ids: np.ndarray
    n_first: int
    is_pair: bool
    windows: tuple[Window, ...]
    slots: tuple[np.ndarray, ...]
    shares: np.ndarray

    def only(self, windows: list[int]) -> "Layout":
        """The same tokens in some of the windows."""
        return replace(self, windows=tuple(self.windows[w] for w in windows), slots=tuple(self.slots[w] for w in windows), shares=self.shares[windows])

    @cached_property
    def held(self) -> list[np.ndarray]:
        """The tokens that each window holds."""
        return [slots[slots >= 0] for slots in self.slots]

    def replaced(self, absent: np.ndarray, absent_id: int) -> list[Window]:
        """The windows with `absent_id` in the place of the tokens marked in `absent` (n,)."""
        return [self.replaced_in(w, absent, absent_id) for w in range(len(self.windows))]

    def replaced_in(self, w: int, absent: np.ndarray, absent_id: int) -> Window:
        window, slots = self.windows[w], self.slots[w]
        if not absent[self.held[w]].any():
            return window
        ids = np.where((slots >= 0) & absent[slots], absent_id, window.ids)
        return Window(ids.tolist(), window.type_ids, window.weight)

    def is_read(self) -> np.ndarray:
        """Which tokens (n,) some window holds: all, unless a long text is cut."""
        found = np.zeros(len(self.ids), dtype=bool)
        for held in self.held:
            found[held] = True
        return found

    def without(self, absent: np.ndarray, reading: Reading) -> list[Window]:
        """The windows of the text from which the tokens marked in `absent` (n,), and those no window holds, are taken out."""
        kept = self.is_read() & ~absent
        first, second = self.ids[: self.n_first], self.ids[self.n_first :]
        rest = first[kept[: self.n_first]].tolist(), second[kept[self.n_first :]].tolist()
        return reading.read(rest[0], rest[1] if self.is_pair else None)[0]


def lay_out(first: list[int], second: list[int] | None, reading: Reading) -> Layout:
    """Lay out a text or a pair by its token ids. Raises RecordError as `Reading.read` does."""
    n_first, n_second = len(first), len(second or ())
    ids = np.array([*first, *(second or ())], dtype=np.int64)
    # Read once with -1 - position in the place of every token: special tokens, which are not negative, stand out.
    marks = [-1 - i for i in range(n_first + n_second)]
    marked, _ = reading.read(marks[:n_first], None if second is None else marks[n_first:])
    slots = [-1 - np.array(window.ids, dtype=np.int64) for window in marked]
    slots = tuple(np.where(part >= 0, part, -1) for part in slots)
    windows = tuple(Window(np.where(part >= 0, ids[part], window.ids).tolist(), window.type_ids, window.weight) for part, window in zip(slots, marked))
    weights = np.array([window.weight for window in windows], dtype=np.float64)
    return Layout(ids, n_first, second is not None, windows, slots, weights / weights.sum())
