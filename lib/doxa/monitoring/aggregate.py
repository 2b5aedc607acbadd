"""Predictions to figures."""

import datetime as dt

import numpy as np
import pyarrow as pa

from doxa import __version__
from doxa.monitoring.buckets import bucket_edges, choose_every
from doxa.monitoring.counting import POOL, QUARTER_US, Counter, Settings
from doxa.monitoring.examples import fold_near
from doxa.monitoring.figures import Bucket, Example, Figures, Group, HeadCounts, Share
from doxa.monitoring.hashes import MOST_HASHES
from doxa.monitoring.times import instant, microseconds
from doxa.records.columns import ColumnReader
from doxa.records.prefetch import gather


def aggregate(reader: ColumnReader, settings: Settings) -> Figures:
    """Count everything. Raises UsageError when --watch names no head or label, or the buckets are too many."""
    counter = Counter(settings)
    for batches in gather(iter(reader), 4, patience_s=0.0):  # parsing goes on while DuckDB counts
        counter.add(pa.Table.from_batches(batches), reader)
    return _Conclusion(counter, reader).figures()


class _Conclusion:
    """Reads the figures out of the counter's tables."""

    def __init__(self, counter: Counter, reader: ColumnReader):
        self.counter, self.reader, self.settings, self.db = counter, reader, counter.settings, counter.db
        self.watch_head, self.watch_label = counter.watch_head, counter.watch_label

    def figures(self) -> Figures:
        counter, settings, zone = self.counter, self.settings, self.settings.zone
        notes = self._watch_notes() + self._data_notes()
        first = instant(counter.first_us) if counter.first_us is not None else None
        last = instant(counter.last_us) if counter.last_us is not None else None
        every = (settings.every or choose_every(first, last)) if first is not None else None
        edges = bucket_edges(first, last, every, zone) if first is not None else []
        return Figures(
            title=settings.title, n_records=counter.n_records,
            errors=dict(self.db.execute("SELECT code, sum(n)::BIGINT FROM errors GROUP BY code ORDER BY 2 DESC, 1").fetchall()),
            n_untimed={why: n for why, n in counter.n_untimed.items() if n}, n_duplicate_ids=counter.ids.n_duplicates(),
            first=first.astimezone(zone) if first else None, last=last.astimezone(zone) if last else None,
            heads=self._heads(self.reader.heads), by=self.reader.by_name,
            watch=f"{self.watch_head}={self.watch_label}" if self.watch_label is not None else None,
            every=str(every) if every else None, time_zone=zone.key, groups=self._groups(edges, last), notes=notes,
            version=__version__)

    def _watch_notes(self) -> list[str]:
        """Settle what is watched by the labels that really came."""
        if not self.reader.heads:
            return []
        labels = self._watched_labels()
        if self.watch_label is None:
            return ["nothing is watched; name a label with --watch HEAD=LABEL"]
        if self.watch_label in labels:
            return []
        if self.settings.watch is not None:
            return [f'no record has the label "{self.watch_label}"']
        self.watch_label = None
        return [f'head "sentiment" never says "negative" but {", ".join(sorted(labels))}; name what to watch with --watch']

    def _data_notes(self) -> list[str]:
        counter, notes = self.counter, []
        tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        if counter.last_us is not None and counter.last_us > microseconds(tomorrow):
            notes.append(f"some times lie in the future, the last at {instant(counter.last_us):%Y-%m-%d %H:%M} UTC")
        if counter.n_untimed["naive_time"]:
            notes.append(f"{counter.n_untimed['naive_time']} times have no zone and are left out of the trend; see --assume-time-zone")
        if counter.texts.is_full or counter.ids.is_full:
            notes.append(f"duplicates are counted among the first {MOST_HASHES:,} records")
        return notes

    def _watched_labels(self) -> set[str]:
        return {row[0] for row in self.db.execute("SELECT DISTINCT label FROM counts WHERE label <> ''").fetchall()}

    def _heads(self, heads: dict[str, str]) -> list[HeadCounts]:
        found = []
        for head, kind in heads.items():
            rows = self.db.execute("SELECT label, sum(n)::BIGINT, sum(total), sum(squares) FROM heads WHERE head = ? "
                                   "GROUP BY label ORDER BY 2 DESC, 1", [head]).fetchall()
            if kind == "number":
                n, total, squares = rows[0][1:] if rows else (0, None, None)
                mean = total / n if n else None
                sd = max(0.0, squares / n - mean * mean) ** 0.5 if n else None
                found.append(HeadCounts(head, kind, n, {}, mean, sd))
            else:
                n = sum(row[1] for row in rows if kind == "label" or row[0] is None)
                found.append(HeadCounts(head, kind, n, {row[0]: Share(row[1], n) for row in rows if row[0] is not None}))
        return found

    def _groups(self, edges: list[dt.datetime], last: dt.datetime | None) -> list[Group]:
        """Groups by size; those beyond the top are folded into one."""
        sizes = self.db.execute("SELECT grp, sum(n)::BIGINT AS n FROM counts GROUP BY grp ORDER BY n DESC, grp").fetchall()
        total = sum(n for _, n in sizes)
        named = [(name, n) for name, n in sizes if name is not None]
        chosen, rest = named[: self.settings.top], named[self.settings.top :]
        parts = [(name, "value", [name]) for name, _ in chosen]
        parts += [("", "none", [None])] if any(name is None for name, _ in sizes) else []
        parts += [(f"{len(rest)} others", "rest", [name for name, _ in rest])] if rest else []
        return [self._group(name, kind, members, edges, last, total) for name, kind, members in parts]

    def _group(self, name: str, kind: str, members: list[str | None], edges: list[dt.datetime], last, total: int) -> Group:
        rows = self.db.execute("SELECT label, quarter, sum(n)::BIGINT FROM counts WHERE list_contains(?, coalesce(grp, '')) "
                               "AND (grp IS NULL) = ? GROUP BY ALL", [[m or "" for m in members], members == [None]]).fetchall()
        labels: dict[str, int] = {}
        for label, _, n in rows:
            if label:
                labels[label] = labels.get(label, 0) + n
        n = sum(row[2] for row in rows)
        group = Group(name, kind, n, dict(sorted(labels.items(), key=lambda item: (-item[1], item[0]))),
                      Share(labels.get(self.watch_label, 0), sum(row[2] for row in rows if row[0] is not None)), Share(n, total))
        group.buckets = self._buckets([row for row in rows if row[1] is not None], edges, last)
        if kind != "rest" and self.settings.n_examples:
            group.examples = self._examples(members[0])
        return group

    def _buckets(self, rows: list[tuple], edges: list[dt.datetime], last: dt.datetime | None) -> list[Bucket]:
        if not edges:
            return []
        starts = np.array([microseconds(edge) // QUARTER_US for edge in edges])
        n, hits, judged = (np.zeros(len(edges), dtype=np.int64) for _ in range(3))
        for label, quarter, count in rows:
            place = np.searchsorted(starts, quarter, side="right") - 1
            n[place] += count
            judged[place] += count if label is not None else 0
            hits[place] += count if label is not None and label == self.watch_label else 0
        return [Bucket(start, end, int(n[i]), Share(int(hits[i]), int(judged[i])),
                       is_complete=end <= edges[-2] or last >= end - dt.timedelta(microseconds=1))
                for i, (start, end) in enumerate(zip(edges, edges[1:]))]

    def _examples(self, name: str | None) -> list[Example]:
        """The watched label's highest scores, then the newest text; near-duplicates folded."""
        rows = self.db.execute(
            "SELECT DISTINCT label, score, us, time, id, text, h FROM pool WHERE grp IS NOT DISTINCT FROM ? "
            "ORDER BY (label IS NOT DISTINCT FROM ?) DESC, score DESC NULLS LAST, us DESC NULLS LAST, h, id", [name, self.watch_label]).fetchall()
        candidates, seen = [], set()
        for label, score, us, time, id_, text, h in rows:
            if h not in seen:
                seen.add(h)
                candidates.append({"label": label, "score": score, "us": us, "time": time, "id": id_, "text": text, "count": self.counter.texts.count(h)})
        folded = fold_near(candidates[: 2 * POOL])
        watched = [c for c in folded if self.watch_label is not None and c["label"] == self.watch_label]
        most = self.settings.n_examples
        picked = [(c, "highest score") for c in watched[: max(1, most - 1)]]
        taken = {id(c) for c, _ in picked}
        newest = sorted((c for c in folded if id(c) not in taken), key=lambda c: -(c["us"] or 0))
        picked += [(c, "newest") for c in newest[: most - len(picked)]]
        return [Example(c["text"], c["time"], c["id"], c["label"], c["score"], c["count"], why) for c, why in picked[:most]]
