"""Numbers and names as people read them, the same in every format."""

import datetime as dt
import re

from doxa.monitoring.figures import Bucket, Corrected, Example, Figures, Group, Share
from doxa.records.quantity import quantity

_BLOCKS = "▁▂▃▄▅▆▇█"
_EMPTY = "·"
NAME_CHARACTERS = 80
MOST_LABELS = 15  # of a head, on pages for people
_UNTIMED = {"no_time": "without a time", "naive_time": "with a time without zone", "bad_time": "with an unreadable time",
            "future_time": "with a time in the future"}
_SPACES = re.compile("(?:\r\n|[ \t\n\u2028\u2029])+")
_HAN = re.compile("[\u3400-\u9fff]")
_KANA = re.compile("[\u3040-\u30ff]")


def one_line(text: str) -> str:
    """Line breaks and tabs as spaces. What else could disturb a page is left to `visible`."""
    return _SPACES.sub(" ", text).strip()


def shorten(text: str, most: int) -> str:
    """On one line, of `most` characters at most; of a very long text no more is looked at than its beginning."""
    line = one_line(text[: 20 * most])
    return line if len(line) <= most and len(text) <= 20 * most else line[: most - 1] + "…"


def percent(share: Share | Corrected) -> str:
    return "–" if share.share is None else f"{share.share:.1%}"


def whole_percent(share: Share) -> str:
    """The share without decimals, for narrow cells; what is not nothing never reads 0 %."""
    if share.share is None:
        return "–"
    return "<1%" if 0 < share.share < 0.005 else f"{share.share:.0%}"


def interval(share: Share | Corrected) -> str:
    """The 95 % interval in percent: `35.0–47.6`."""
    return "–" if not share.n else "{:.1f}–{:.1f}".format(*(100 * bound for bound in share.interval))


def percent_interval(share: Share | Corrected) -> str:
    """The share with its 95 % interval: `41.2% [35.0, 47.6]`."""
    if not share.n:
        return "–"
    low, high = share.interval
    return f"{percent(share)} [{100 * low:.1f}, {100 * high:.1f}]"


def both(group: Group) -> str:
    """The watched share of a group with its interval, as counted and, if there is one, corrected."""
    counted = f"{percent(group.watched)} ({interval(group.watched)})"
    return f"{counted}, corrected {percent(group.corrected)} ({interval(group.corrected)})" if group.corrected else counted


def short_name(group: Group) -> str:
    """The name of a group for people, however long its values are."""
    return shorten(group_name(group), NAME_CHARACTERS)


def judged(figures: Figures) -> str:
    """By what `What moved` is told, and from when on."""
    if figures.judged_from is None:
        return f"nothing could be judged per {figures.judged_every}: too little is known of what is usual"
    return f"what alert --every {figures.judged_every} would have told, judged from {figures.judged_from:%Y-%m-%d %H:%M} on"


def n_untold(figures: Figures, most: int) -> int:
    """How many alerts there are beyond those that a page has room for."""
    return max(0, len(figures.alerts) - most)


def value_name(name: str) -> str:
    """A label or a value of --by, also where nothing of it would be seen."""
    return name if name.strip() else f'"{name}"' if name else "(empty)"


def group_name(group: Group) -> str:
    if group.kind == "value":
        return value_name(group.name)
    return {"all": "all texts", "none": "(none)"}.get(group.kind) or f"({group.name})"


SPARKLINE_MARKS = 40


def buckets_per_mark(buckets: list[Bucket], width: int = SPARKLINE_MARKS) -> int:
    """How many neighbours are put together into one mark of a sparkline."""
    return max(1, -(-len(buckets) // width))


def per_mark(every: str, buckets: list[Bucket], width: int = SPARKLINE_MARKS) -> str:
    """What a mark of a sparkline stands for: `per 1d`, or `a mark per 3 x 1d`."""
    size = buckets_per_mark(buckets, width)
    return f"per {every}" if size == 1 else f"a mark per {size} x {every}"


def sparkline(buckets: list[Bucket], is_watched: bool, width: int = SPARKLINE_MARKS, is_corrected: bool = False) -> str:
    """Watched share of every bucket from 0 to 100 %, or its size where nothing is watched; a dot where it is empty or unknown.

    Neighbours are put together where there are more than `width`. A first or last bucket that is covered in part stands in brackets."""
    size = buckets_per_mark(buckets, width)
    pieces = [buckets[i : i + size] for i in range(0, len(buckets), size)]
    most = max((sum(bucket.n for bucket in piece) for piece in pieces), default=0)
    marks = "".join(_corrected_mark(piece) if is_corrected else _mark(piece, most, is_watched) for piece in pieces)
    if not marks:
        return ""
    ends = {0: buckets[0], len(marks) - 1: buckets[-1]}  # of one mark alone, the last
    return "".join(mark if i not in ends or ends[i].is_complete else f"({mark})" for i, mark in enumerate(marks))


def open_ends(buckets: list[Bucket]) -> str:
    """Which of the first and the last bucket are covered in part, in words; nothing where both are whole."""
    words = ["the first not whole"] if len(buckets) > 1 and not buckets[0].is_complete else []
    return ", ".join(words + (["the last not over"] if buckets and not buckets[-1].is_complete else []))


def _mark(piece: list[Bucket], most: int, is_watched: bool) -> str:
    n = sum(bucket.n for bucket in piece)
    hits, judged = (sum(getattr(bucket.watched, name) for bucket in piece) for name in ("hits", "n"))
    if (judged if is_watched else n) == 0:
        return _EMPTY
    return _BLOCKS[min(7, int(8 * (hits / judged if is_watched else n / most)))]


def _corrected_mark(piece: list[Bucket]) -> str:
    known = [bucket.corrected for bucket in piece if bucket.corrected and bucket.corrected.share is not None]
    n = sum(corrected.n for corrected in known)
    return _BLOCKS[min(7, int(8 * sum(corrected.share * corrected.n for corrected in known) / n))] if n else _EMPTY


def more_labels(n: int) -> str:
    return f"and {quantity(n, 'more label')}"


def span(figures: Figures) -> str:
    if figures.first is None:
        return "no record has a time"
    return f"{moment(figures.first)} to {moment(figures.last)} ({figures.time_zone})"


def moment(when: dt.datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M")


def bucket_label(bucket: Bucket, every: str) -> str:
    """The start of a bucket as short as its length allows; a bucket that is not over is marked."""
    text = bucket.start.strftime("%Y-%m" if every.endswith("mo") else "%Y-%m-%d" if every[-1] in "dw" else "%Y-%m-%d %H:%M")
    return text if bucket.is_complete else text + " (incomplete)"


def short_bucket_label(bucket: Bucket, every: str) -> str:
    return bucket.start.strftime("%b %Y" if every.endswith("mo") else "%d %b" if every[-1] in "dw" else "%d %b %H:%M")


def counts_line(figures: Figures) -> str:
    """How many records there were, and what was wrong with some."""
    parts = [quantity(figures.n_records, "record")]
    if figures.errors:
        codes = ", ".join(f"{code} {n:,}" for code, n in figures.errors.items())
        parts.append(f"{quantity(sum(figures.errors.values()), 'error record')} ({codes})")
    parts += [f"{n:,} {_UNTIMED.get(why, why)}" for why, n in figures.n_untimed.items()]
    if figures.n_outside:
        parts.append(f"{figures.n_outside:,} outside the time asked for")
    if figures.n_unmet:
        parts.append(f"{figures.n_unmet:,} that do not meet --where")
    if figures.n_duplicate_ids:
        parts.append(quantity(figures.n_duplicate_ids, "repeated id"))
    return ", ".join(parts)


def watched_share(figures: Figures) -> Share | None:
    return figures.total.watched if figures.total and figures.watch else None


def example_note(example: Example) -> str:
    return ", ".join(example_parts(example))


def example_parts(example: Example) -> list[str]:
    """Why the text is shown, its label and score, how often it was seen, its time and its id."""
    parts = [example.why]
    if example.score is not None and example.label is not None:
        parts.append(f"{shorten(example.label, NAME_CHARACTERS)} {example.score:.2f}")
    if example.count > 1:
        parts.append(f"{example.count:,} times, near-duplicates included")
    if example.time:
        parts.append(example.time)
    if example.id:
        parts.append(f"id {shorten(example.id, 60)}")
    return parts


def language(text: str) -> str:
    """The language of a text as far as fonts need it: zh, ja or nothing known."""
    if _KANA.search(text):
        return "ja"
    return "zh" if _HAN.search(text) else ""
