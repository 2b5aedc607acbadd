"""From what was counted to the figures of a page."""

import datetime as dt

import numpy as np

from doxa import __version__
from doxa.errors import DoxaError
from doxa.monitoring.buckets import bucket_edges, choose_every
from doxa.monitoring.counts import REPEATED, FoldedCounts
from doxa.monitoring.examples import ExamplePicker
from doxa.monitoring.figures import Bucket, Figures, Group, Share
from doxa.monitoring.settings import Settings, unknown_watch
from doxa.monitoring.times import FEW, FUTURE, instant, to_microseconds, why_timeless
from doxa.records.groups import group_names, name_group
from doxa.records.quantity import are, left_out, quantity

MOST_MISSING = 0.05  # of a usual bucket's texts, that the first one may lack


def conclude(counter, reader) -> Figures:
    """Return the figures of a counter that has seen the whole stream. Raises UsageError for too many buckets, and where no record has the watched head;
    DoxaError where the last of a time is asked for and no record has one."""
    settings, notes, problems = counter.settings, [], dict(counter.problems)
    heads = [tally.conclude() for tally in counter.tallies or []]
    watch = _settle_watch(counter, reader.schema, heads, notes)
    if settings.last and settings.until is None and problems:
        raise DoxaError(why_timeless(problems))
    first, last = _span(counter, problems, notes)
    every = settings.every or (choose_every(first, last) if first is not None else None)
    edges = bucket_edges(first, last, every, settings.zone) if first is not None else []
    _note_losses(counter, problems, notes)
    names = group_names(reader.schema.by)
    total, groups = _groups(counter, edges, last, watch is not None, names, notes)
    return Figures(
        title=settings.title, n_records=counter.n_records, errors=dict(sorted(counter.errors.items(), key=lambda item: (-item[1], item[0]))),
        n_untimed=problems, n_duplicate_ids=counter.ids.n, first=first.astimezone(settings.zone) if first else None,
        last=last.astimezone(settings.zone) if last else None, heads=heads, by=", ".join(names) or None, watch=str(watch) if watch else None,
        every=str(every) if every else None, time_zone=settings.zone.key, groups=groups, notes=notes, version=__version__,
        n_outside=counter.n_outside, since=settings.since, until=settings.until, total=total, last_length=str(settings.last) if settings.last else None,
        conditions=[str(condition) for condition in settings.conditions], n_unmet=counter.n_unmet)


def _settle_watch(counter, schema, heads: list, notes: list[str]):
    """The watch, or None with a note where nothing can be watched."""
    watch = counter.watch
    if watch is None:
        if heads:
            notes.append("nothing is watched; name a label with --watch HEAD=LABEL")
        return None
    if not counter.n_counted:
        return watch
    labels = next(head.labels for head in heads if head.name == watch.head)
    if schema.assumed == watch.head and not labels:
        raise unknown_watch(str(watch), schema.met_heads)
    if watch.label in labels:
        return watch
    names = [label if len(label) <= 80 else label[:79] + "…" for label in list(labels)[:20]] + (["..."] if len(labels) > 20 else [])
    seen = ", ".join(names) or "nothing"
    if watch.is_asked:
        notes.append(f'no record has the label "{watch.label}"; head "{watch.head}" says: {seen}')
        return watch
    notes.append(f'nothing is watched: head "{watch.head}" says {seen}; name a label with --watch {watch.head}=LABEL')
    return None


def _span(counter, problems: dict[str, int], notes: list[str]) -> tuple[dt.datetime | None, dt.datetime | None]:
    """First and last time, leaving out a few that lie in the future."""
    if counter.span_us is None:
        return None, None
    first_us, last_us = counter.span_us
    bound_us = to_microseconds(counter.settings.now + FUTURE)
    if last_us >= bound_us:
        n_future, n_before, last_before_us = counter.counts.split_at(bound_us)
        if n_future:
            notes.append(f"{quantity(n_future, 'time')} {are(n_future)} in the future, the last at {instant(last_us):%Y-%m-%d %H:%M} UTC")
        if 0 < n_future <= FEW * n_before:
            problems["future_time"] = n_future
            last_us = last_before_us
    return instant(first_us), instant(last_us)


def _note_losses(counter, problems: dict[str, int], notes: list[str]) -> None:
    if problems.get("naive_time"):
        n = problems["naive_time"]
        notes.append(f"{quantity(n, 'time')} without a zone {left_out(n)} of the trend; name one with --assume-time-zone")
    if counter.n_outside:
        notes.append(f"{quantity(counter.n_outside, 'record')} {left_out(counter.n_outside)}: not known to be {_window(counter.settings)}")
    if counter.n_unmet:
        notes.append(f"{quantity(counter.n_unmet, 'record')} {left_out(counter.n_unmet)} by --where {' and '.join(map(str, counter.settings.conditions))}")
    for condition, n_met in zip(counter.settings.conditions, counter.n_met):
        if not n_met and counter.n_unmet:
            notes.append(f"no record meets --where {condition}")
    if counter.ids.is_lossy or counter.texts.is_lossy:
        notes.append("so many texts or ids are different that repeats are counted approximately, never too high")
    if counter.candidates.dropped:
        notes.append("so many groups are there that a late one may show fewer examples")


def _window(settings: Settings) -> str:
    if settings.last is None:
        return "between --since and --until"
    return f"in the last {settings.last}" + (f" up to {settings.until.astimezone(settings.zone):%Y-%m-%d %H:%M}" if settings.until else "")


def _groups(counter, edges: list[dt.datetime], last, is_watching: bool, by: list[str], notes: list[str]) -> tuple[Group | None, list[Group]]:
    """The group of all records, and the groups by size: the top, records without a value, all others in one. Where groups overlap there is no such one:
    how many records the others hold together is not known."""
    if not counter.n_counted:
        return None, []
    values, top = counter.names.values, counter.settings.top
    names = [name_group(by, own) for own in values]
    sizes = sorted(counter.counts.sizes(), key=lambda item: (-item[1], names[item[0]]))
    named = [code for code, _ in sizes if code != 0]
    parts = [("", "all", [*(code for code, _ in sizes), REPEATED])]
    parts += [(names[code], "value", [code]) for code in named[:top]]
    parts += [("", "none", [0])] if any(code == 0 for code, _ in sizes) else []
    if counter.counts.is_overlapping:
        notes.append(f"a text counts in every group that it is in by {' and '.join(by)}, once in all texts")
    n_more = len(named) - top
    if n_more > 0 and counter.counts.is_overlapping:
        most = next(size for code, size in sizes if code == named[top])
        notes.append(f"{quantity(n_more, 'more group')} {are(n_more)} not shown, none of more than {quantity(most, 'text')}; see --top")
    elif n_more > 0:
        parts.append((quantity(n_more, "other"), "rest", named[top:]))
    folded = counter.counts.fold([codes for *_, codes in parts], np.array([to_microseconds(edge) for edge in edges], np.int64))
    picker = ExamplePicker(counter.candidates, counter.texts, counter.settings.n_examples) if counter.settings.n_examples else None
    spans = [(start, end, _is_complete(i, edges, last, counter.settings)) for i, (start, end) in enumerate(zip(edges, edges[1:]))]
    if spans and counter.settings.since is None and folded.share_before_first() > MOST_MISSING:
        spans[0] = (*spans[0][:2], False)
    groups = [_group(part, i, folded, spans, counter.n_counted, is_watching) for i, part in enumerate(parts)]
    for group, (_, kind, codes) in zip(groups, parts):
        if kind in ("value", "none"):
            group.values = dict(zip(by, values[codes[0]]))
        if picker and (kind in ("value", "none") or kind == "all" and not by):
            group.examples = picker.pick(None if kind == "all" else codes[0], is_watching)
    return groups[0], groups[1:] if by else groups[:1]


def _group(part: tuple, index: int, folded: FoldedCounts, spans: list[tuple], n_counted: int, is_watching: bool) -> Group:
    name, kind, _ = part
    n, judged, watched = folded.totals[index].tolist()
    nothing = Share(0, 0)
    buckets = [Bucket(start, end, size, Share(n_watched, n_judged) if is_watching else nothing, is_complete, labels=labels)
               for (start, end, is_complete), (size, n_judged, n_watched), labels in zip(spans, folded.buckets[index].tolist(), folded.labels_of(index))]
    return Group(name, kind, n, folded.labels[index], Share(watched, judged) if is_watching else nothing, Share(n, n_counted), buckets)


def _is_complete(index: int, edges: list[dt.datetime], last: dt.datetime, settings: Settings) -> bool:
    """Whether the data cover a bucket. `--until`, once it is over, says that they go as far as that."""
    start_us, end_us = to_microseconds(edges[index]), to_microseconds(edges[index + 1])
    if settings.since is not None and start_us < to_microseconds(settings.since):
        return False
    if settings.until is not None and end_us > to_microseconds(settings.until):
        return False
    if index < len(edges) - 2:
        return True
    is_closed = settings.until is not None and settings.until <= settings.now
    return is_closed or to_microseconds(last) >= end_us - 1
