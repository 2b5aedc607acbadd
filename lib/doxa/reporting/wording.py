"""Numbers and names as people read them, the same in every format."""

import datetime as dt

from doxa.monitoring.figures import Bucket, Figures, Group, Share

_BLOCKS = "▁▂▃▄▅▆▇█"


def percent(share: Share) -> str:
    return "–" if share.share is None else f"{share.share:.1%}"


def percent_interval(share: Share) -> str:
    """The share with its 95 % interval: `41.2% [35.0, 47.6]`."""
    if share.share is None:
        return "–"
    low, high = share.interval
    return f"{share.share:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def group_name(group: Group) -> str:
    return "(none)" if group.kind == "none" else f"({group.name})" if group.kind == "rest" else group.name


def sparkline(buckets: list[Bucket], is_watched: bool) -> str:
    """Watched share of every bucket (of all, from 0 to 100 %), or its size where nothing is watched; a dot where it is empty."""
    most = max((bucket.n for bucket in buckets), default=0)
    marks = []
    for bucket in buckets:
        value = bucket.watched.share if is_watched else (bucket.n / most if bucket.n else None)
        marks.append("·" if value is None else _BLOCKS[min(7, int(value * 8))])
    return "".join(marks)


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


def counts_line(figures: Figures) -> str:
    """How many records there were, and what was wrong with some."""
    parts = [f"{figures.n_records:,} records"]
    if figures.errors:
        codes = ", ".join(f"{code} {n:,}" for code, n in figures.errors.items())
        parts.append(f"{sum(figures.errors.values()):,} error records ({codes})")
    parts += [f"{n:,} {_UNTIMED[why]}" for why, n in figures.n_untimed.items()]
    if figures.n_duplicate_ids:
        parts.append(f"{figures.n_duplicate_ids:,} repeated ids")
    return ", ".join(parts)


_UNTIMED = {"no_time": "without a time", "naive_time": "with a time without zone", "bad_time": "with an unreadable time"}


def watched_words(figures: Figures) -> str:
    return figures.watch or "share"


def example_note(example) -> str:
    parts = [example.why]
    if example.score is not None and example.label is not None:
        parts.append(f"{example.label} {example.score:.2f}")
    if example.count > 1:
        parts.append(f"{example.count} times, near-duplicates included")
    if example.time:
        parts.append(example.time)
    if example.id:
        parts.append(f"id {example.id}")
    return ", ".join(parts)
