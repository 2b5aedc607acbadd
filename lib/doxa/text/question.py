"""What is asked of a model about one record, and how it is laid out in windows."""

from dataclasses import dataclass, field
from typing import Any

from doxa.text.frame import Window


@dataclass(frozen=True, slots=True)
class Question:
    """One or several texts, or their own token ids (without special tokens). `more` is what else its kind of head reads in a record."""

    texts: tuple[str, ...] = ()
    ids: tuple[list[int], list[int] | None] | None = None
    more: Any = None


@dataclass(slots=True)
class Layout:
    """The windows of a question. `n_tokens` counts all its tokens; `is_cut` where some are in no window; `about` is what its kind
    needs to find its way back from windows to texts."""

    windows: list[Window]
    n_tokens: int
    is_cut: bool = False
    about: Any = field(default=None)
