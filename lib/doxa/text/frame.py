"""How a tokenizer frames token ids with its special tokens, and how a text too long for one frame is read."""

from dataclasses import dataclass

from tokenizers import Tokenizer

from doxa.errors import RecordError

LONG_POLICIES = ("windows", "head", "head-tail", "error")
OVERLAP_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Hidden:
    """Tokens of a window that are to be guessed, each hidden by the mask token in turn while all others are shown."""

    mask_id: int
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Token ids ready for a model. `weight` counts the text tokens inside; `type_ids` is None where all are 0."""

    ids: list[int]
    type_ids: list[int] | None
    weight: int
    hidden: Hidden | None = None

    def one_by_one(self) -> "list[Window]":
        """The same window once for each of its hidden tokens."""
        return [Window(self.ids, self.type_ids, self.weight, Hidden(self.hidden.mask_id, (place,))) for place in self.hidden.positions]


@dataclass(frozen=True)
class Frame:
    """The special tokens around one text (prefix, suffix) and around two (prefix, middle, suffix, with type ids).

    `n_first_type` counts the tokens in the middle of a pair that are of the first text's type; None where all are."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pair_prefix: tuple[int, ...]
    pair_middle: tuple[int, ...]
    pair_suffix: tuple[int, ...]
    second_type_id: int
    n_first_type: int | None = None

    def single(self, ids: list[int]) -> list[int]:
        return [*self.prefix, *ids, *self.suffix]

    def pair(self, first: list[int], second: list[int]) -> tuple[list[int], list[int] | None]:
        """Return the ids of a pair, and its token type ids (None where the tokenizer has but one type)."""
        ids = [*self.pair_prefix, *first, *self.pair_middle, *second, *self.pair_suffix]
        if self.second_type_id == 0:
            return ids, None
        n_first = len(self.pair_prefix) + len(first) + self._n_middle_of_first()
        return ids, [0] * n_first + [self.second_type_id] * (len(ids) - n_first)

    def _n_middle_of_first(self) -> int:
        return len(self.pair_middle) if self.n_first_type is None else self.n_first_type

    def unframe(self, ids: list[int]) -> list[int]:
        """Return the text's own ids of a framed single text. Raises ValueError when the frame is not there."""
        n_prefix, n_suffix = len(self.prefix), len(self.suffix)
        end = len(ids) - n_suffix
        if end < n_prefix or tuple(ids[:n_prefix]) != self.prefix or tuple(ids[end:]) != self.suffix:
            raise ValueError("the special tokens are missing")
        return ids[n_prefix:end]

    def unframe_pair(self, ids: list[int], type_ids: list[int] | None) -> tuple[list[int], list[int]]:
        """Return the two texts' own ids of a framed pair. Raises ValueError when the frame is not there."""
        n_prefix, n_middle, n_suffix = len(self.pair_prefix), len(self.pair_middle), len(self.pair_suffix)
        if type_ids is not None and any(type_ids):
            boundary = type_ids.index(self.second_type_id) - self._n_middle_of_first()
        elif not n_middle:
            raise ValueError("nothing marks where the second text begins")
        else:
            boundary = next((i for i in range(n_prefix, len(ids) - n_suffix)
                             if tuple(ids[i : i + n_middle]) == self.pair_middle), -1)
        first, rest = ids[n_prefix:boundary], ids[boundary + n_middle :]
        if boundary < n_prefix or tuple(ids[boundary : boundary + n_middle]) != self.pair_middle:
            raise ValueError("the special tokens are missing")
        if tuple(ids[:n_prefix]) != self.pair_prefix or tuple(rest[len(rest) - n_suffix :]) != self.pair_suffix:
            raise ValueError("the special tokens are missing")
        return first, rest[: len(rest) - n_suffix]


def read_frame(tokenizer: Tokenizer) -> Frame:
    """Learn the frame from how the tokenizer encodes a probe."""
    one, two = tokenizer.encode("a"), tokenizer.encode("a", "a")
    prefix, suffix = _ends(one.ids, one.special_tokens_mask)
    pair_prefix, pair_suffix = _ends(two.ids, two.special_tokens_mask)
    inner = list(zip(two.ids, two.type_ids, two.special_tokens_mask))[len(pair_prefix) : len(two.ids) - len(pair_suffix)]
    middle = [(token, type_id) for token, type_id, is_special in inner if is_special]
    return Frame(prefix, suffix, pair_prefix, tuple(token for token, _ in middle), pair_suffix, max(two.type_ids, default=0),
                 sum(type_id == 0 for _, type_id in middle))


def _ends(ids: list[int], mask: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    n_prefix = next((i for i, is_special in enumerate(mask) if not is_special), len(ids))
    n_suffix = next((i for i, is_special in enumerate(reversed(mask)) if not is_special), 0)
    return tuple(ids[:n_prefix]), tuple(ids[len(ids) - n_suffix :])


@dataclass(frozen=True)
class Reading:
    """How texts are laid out for a model: at most `max_length` tokens in a window, longer ones by `policy`."""

    frame: Frame
    max_length: int
    policy: str = "windows"

    def read(self, first: list[int], second: list[int] | None = None) -> tuple[list[Window], bool]:
        """Return the windows of one text or pair, and whether something was cut.

        Windows of a long text overlap by a quarter; of a pair the longer text moves and the shorter stays (cut to
        half a window). Raises RecordError `too_long_text` under the policy `error`.
        """
        room = self.room(len(first) + len(second or ()), second is not None)
        if len(first) + len(second or ()) <= room:
            return [self._window(first, second)], False
        if second is None:
            parts, is_cut = self._parts(first, room)
            return [self._window(part, None) for part in parts], is_cut
        moves_first = len(first) > len(second)
        long, short = (first, second) if moves_first else (second, first)
        kept = short[: room // 2]
        parts, is_cut = self._parts(long, room - len(kept))
        pairs = [(part, kept) if moves_first else (kept, part) for part in parts]
        return [self._window(*pair) for pair in pairs], is_cut or len(kept) < len(short)

    def n_special(self, is_pair: bool) -> int:
        if is_pair:
            return len(self.frame.pair_prefix) + len(self.frame.pair_middle) + len(self.frame.pair_suffix)
        return len(self.frame.prefix) + len(self.frame.suffix)

    def room(self, n_tokens: int, is_pair: bool) -> int:
        """The most text tokens in a window. Raises RecordError `too_long_text` where so many are more, and the policy is `error`."""
        n_special = self.n_special(is_pair)
        room = self.max_length - n_special
        if n_tokens > room and self.policy == "error":
            raise RecordError("too_long_text", f"the text has {n_tokens + n_special} tokens, the model reads {self.max_length}; see --long")
        return room

    def cut(self, n_tokens: int, room: int) -> tuple[list[list[slice]], bool]:
        """Which tokens of a text each of its windows of `room` tokens holds, as slices one after the other, and whether some are in none."""
        if n_tokens <= room:
            return [[slice(0, n_tokens)]], False
        if self.policy == "head":
            return [[slice(0, room)]], True
        if self.policy == "head-tail":
            n_head = room // 4  # a quarter from the head, the rest from the tail (Sun et al. 2019: 128 + 382 of 510)
            return [[slice(0, n_head), slice(n_tokens - (room - n_head), n_tokens)]], True
        step = max(1, room - int(room * OVERLAP_SHARE))
        starts = list(range(0, n_tokens - room, step)) + [n_tokens - room]
        return [[slice(start, start + room)] for start in starts], False

    def _parts(self, ids: list[int], room: int) -> tuple[list[list[int]], bool]:
        cuts, is_cut = self.cut(len(ids), room)
        return [take(ids, parts) for parts in cuts], is_cut

    def _window(self, first: list[int], second: list[int] | None) -> Window:
        if second is None:
            return Window(self.frame.single(first), None, len(first))
        ids, type_ids = self.frame.pair(first, second)
        return Window(ids, type_ids, len(first) + len(second))


def take(ids: list[int], parts: list[slice]) -> list[int]:
    """The tokens of a text that one of its windows holds (see `Reading.cut`)."""
    return ids[parts[0]] if len(parts) == 1 else [token for part in parts for token in ids[part]]
