"""Predictions to figures, in one pass and bounded memory; DuckDB counts."""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa import __version__
from doxa.errors import UsageError
from doxa.monitoring.buckets import Every, bucket_edges, choose_every
from doxa.monitoring.examples import fold_near
from doxa.monitoring.figures import Bucket, Example, Figures, Group, HeadCounts, Share
from doxa.monitoring.times import MICROSECONDS_SQL, assume_zone, instant, is_naive, microseconds_at_once
from doxa.records.columns import ColumnReader
from doxa.records.prefetch import gather

QUARTER_US = 15 * 60 * 1_000_000  # every zone's offset, hence every local bucket edge, is a multiple of 15 minutes
MOST_HASHES = 5_000_000
POOL = 100


@dataclass(frozen=True)
class Settings:
    """What to count. Times are instants in UTC; `every` None chooses by the span; `watch` None is sentiment=negative."""

    watch: str | None = None
    every: Every | None = None
    zone: ZoneInfo = ZoneInfo("UTC")
    assumed_zone: ZoneInfo | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    top: int = 20
    n_examples: int = 3
    title: str = "Opinion report"


def aggregate(reader: ColumnReader, settings: Settings) -> Figures:
    """Count everything. Raises UsageError when --watch names no head or label, or the buckets are too many."""
    counter = _Counter(settings)
    for batches in gather(iter(reader), 4, patience_s=0.0):  # parsing goes on while DuckDB counts
        counter.add(pa.Table.from_batches(batches), reader)
    return counter.conclude(reader)


class _Counter:
    """Small tables that grow with groups, labels and time, not with records."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.db = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
        self.db.execute("SET enable_progress_bar = false")
        self.db.execute("""
            CREATE TABLE errors (code VARCHAR, n BIGINT);
            CREATE TABLE heads (head VARCHAR, label VARCHAR, n BIGINT, total DOUBLE, squares DOUBLE);
            CREATE TABLE counts (grp VARCHAR, label VARCHAR, quarter BIGINT, n BIGINT);
            CREATE TABLE untimed (why VARCHAR, n BIGINT);
            CREATE TABLE pool (grp VARCHAR, label VARCHAR, score DOUBLE, us BIGINT, time VARCHAR, id VARCHAR, text VARCHAR, h UBIGINT)""")
        self.n_records = 0
        self.n_untimed = {"no_time": 0, "naive_time": 0, "bad_time": 0}
        self.first_us: int | None = None
        self.last_us: int | None = None
        self.ids, self.texts = _Hashes(), _Hashes()
        self.watch_head: str | None = None
        self.watch_label: str | None = None
        self.is_ready = False

    def add(self, batch: pa.Table, reader: ColumnReader) -> None:
        if not self.is_ready and reader.heads:
            self._choose_watch(reader.heads)
            self.is_ready = True
        self.n_records += batch.num_rows
        if self.settings.assumed_zone is not None:
            times = assume_zone(batch.column("time").combine_chunks(), self.settings.assumed_zone)
            batch = batch.set_column(batch.schema.get_field_index("time"), "time", times)
        table = batch.append_column("row", pa.array(np.arange(batch.num_rows)))
        instants = microseconds_at_once(batch.column("time"))
        if instants is not None:
            table = table.append_column("us_given", instants)
        self.db.register("batch", table)
        self.db.execute("INSERT INTO errors SELECT error, count(*) FROM batch WHERE error IS NOT NULL GROUP BY error")
        if reader.heads:
            self._materialise(table, reader)
            self._count(reader.heads)
            self._collect_examples(batch)
            self._count_untimed(batch)
        self.db.unregister("batch")

    def _materialise(self, batch: pa.Table, reader: ColumnReader) -> None:
        has_groups = "by" in batch.schema.names
        group = "NULL::VARCHAR" if not has_groups else '"by"'
        if has_groups and pa.types.is_list(batch.schema.field("by").type):
            group = 'unnest(CASE WHEN len("by") > 0 THEN "by" ELSE [NULL] END)'
        label, score = "NULL::VARCHAR", "NULL::DOUBLE"
        if self.watch_head is not None:
            kind = reader.heads[self.watch_head]
            quoted = _quote(f"{kind}:{self.watch_head}")
            label = quoted if kind == "label" else f"CASE WHEN list_contains({quoted}, {_literal(self.watch_label)}) THEN {_literal(self.watch_label)} WHEN {quoted} IS NOT NULL THEN '' END"
            score = _quote(f"score:{self.watch_head}") if kind == "label" else score
        bounds = [f"us >= {_microseconds(self.settings.since)}"] if self.settings.since else []
        bounds += [f"us < {_microseconds(self.settings.until)}"] if self.settings.until else []
        where = "WHERE " + " AND ".join(bounds) if bounds else ""
        heads = ", ".join(_quote(name) for name in batch.schema.names if name.partition(":")[0] in ("label", "labels", "score"))
        instant_sql = "us_given" if "us_given" in batch.schema.names else MICROSECONDS_SQL
        self.db.execute(f"""CREATE OR REPLACE TEMP TABLE good AS SELECT * FROM (
            SELECT {instant_sql} AS us, row, {group} AS grp, {label} AS w_label, {score} AS w_score,
            hash(text) AS h, hash(id) AS id_h, id IS NOT NULL AS has_id, text IS NOT NULL AS has_text, {heads}
            FROM batch WHERE error IS NULL) {where}""")

    def _count(self, heads: dict[str, str]) -> None:
        self.db.execute(f"""INSERT INTO counts SELECT grp, w_label, us // {QUARTER_US}, count(*) FROM good GROUP BY ALL""")
        for head, kind in heads.items():
            if kind == "number":
                column = _quote(f"score:{head}")
                self.db.execute(f"INSERT INTO heads SELECT ?, NULL, count({column}), sum({column}), sum({column} ** 2) FROM good", [head])
            else:
                column = _quote(f"{kind}:{head}")
                values = column if kind == "label" else f"unnest({column})"
                self.db.execute(f"INSERT INTO heads SELECT ?, l, count(*), NULL, NULL FROM (SELECT {values} AS l FROM good) "
                                "WHERE l IS NOT NULL GROUP BY l", [head])
                if kind == "labels":
                    self.db.execute(f"INSERT INTO heads SELECT ?, NULL, count({column}), NULL, NULL FROM good", [head])
        first, last = self.db.execute("SELECT min(us), max(us) FROM good").fetchall()[0]
        if first is not None:
            self.first_us = first if self.first_us is None else min(self.first_us, first)
            self.last_us = last if self.last_us is None else max(self.last_us, last)
        self.ids.add(self.db.execute("SELECT id_h AS h FROM good WHERE has_id").fetchnumpy()["h"])
        self.texts.add(self.db.execute("SELECT h FROM good WHERE has_text").fetchnumpy()["h"])

    def _collect_examples(self, batch: pa.Table) -> None:
        """Keep the best candidates of every group: by score of the watched label, and the newest."""
        watched = "FALSE" if self.watch_label is None else f"w_label = {_literal(self.watch_label)}"
        row = "{'row': row, 'grp': grp, 'label': w_label, 'score': w_score, 'us': us, 'h': h}"
        best = f"max_by({row}, (coalesce(w_score, 0), coalesce(us, 0), h), {POOL})"
        newest = f"max_by({row}, (coalesce(us, 0), h), {POOL})"
        picked = self.db.sql(f"""
            SELECT DISTINCT r.row AS row, r.grp AS grp, r.label AS label, r.score AS score, r.us AS us, r.h AS h FROM (
                SELECT unnest(rows) AS r FROM (SELECT {best} AS rows FROM good WHERE {watched} AND has_text GROUP BY grp
                    UNION ALL SELECT {newest} AS rows FROM good WHERE has_text GROUP BY grp))""").to_arrow_table()
        texts = batch.select(["time", "id", "text"]).take(picked["row"])
        for name in texts.column_names:
            picked = picked.append_column(name, texts[name])
        self.db.register("picked", picked)
        self.db.execute("INSERT INTO pool SELECT grp, label, score, us, time, id, text, h FROM picked").fetchall()
        self.db.unregister("picked")
        if self.db.execute("SELECT count(*) FROM pool").fetchall()[0][0] > 20 * POOL * self._n_groups():
            self._prune(watched)

    def _n_groups(self) -> int:
        return self.db.execute("SELECT count(DISTINCT grp) + 1 FROM counts").fetchall()[0][0]

    def _prune(self, watched: str) -> None:
        self.db.execute(f"""CREATE OR REPLACE TABLE pool AS SELECT * EXCLUDE (best, newest) FROM (SELECT *,
            row_number() OVER (PARTITION BY grp ORDER BY {watched.replace('w_label', 'label')} DESC NULLS LAST, score DESC NULLS LAST, us DESC NULLS LAST, h) AS best,
            row_number() OVER (PARTITION BY grp ORDER BY us DESC NULLS LAST, h) AS newest FROM (SELECT DISTINCT * FROM pool)) WHERE best <= {POOL} OR newest <= {POOL}""")

    def _count_untimed(self, batch: pa.Table) -> None:
        rows = self.db.execute("SELECT row FROM good WHERE us IS NULL").fetchnumpy()["row"]
        if not len(rows):
            return
        times = batch.column("time").take(pa.array(rows)).combine_chunks()
        n_naive = pc.sum(is_naive(times)).as_py() or 0
        self.n_untimed["no_time"] += times.null_count
        self.n_untimed["naive_time"] += n_naive
        self.n_untimed["bad_time"] += len(times) - times.null_count - n_naive

    def _choose_watch(self, heads: dict[str, str]) -> None:
        asked = self.settings.watch
        if asked is None:
            if heads.get("sentiment") in ("label", "labels"):
                self.watch_head, self.watch_label = "sentiment", "negative"
            return
        head, separator, label = asked.partition("=")
        if not separator or not label:
            raise UsageError(f"--watch {asked}: give HEAD=LABEL, such as sentiment=negative")
        if heads.get(head) not in ("label", "labels"):
            raise UsageError(f'--watch {asked}: no head of labels is called "{head}"; there are: {", ".join(sorted(heads))}')
        self.watch_head, self.watch_label = head, label

    # --- at the end

    def conclude(self, reader: ColumnReader) -> Figures:
        settings, notes = self.settings, []
        labels = self._watched_labels()
        if self.watch_label is not None and self.watch_label not in labels and settings.watch is None:
            notes.append(f'head "sentiment" never says "negative" but {", ".join(sorted(labels))}; name what to watch with --watch')
            self.watch_label = None
        elif self.watch_label is not None and self.watch_label not in labels:
            notes.append(f'no record has the label "{self.watch_label}"')
        if self.watch_label is None and not notes and reader.heads:
            notes.append("nothing is watched; name a label with --watch HEAD=LABEL")
        first = instant(self.first_us) if self.first_us is not None else None
        last = instant(self.last_us) if self.last_us is not None else None
        now = dt.datetime.now(dt.UTC)
        if last is not None and last > now + dt.timedelta(days=1):
            notes.append(f"some times lie in the future, the last at {last:%Y-%m-%d %H:%M} UTC")
        every = settings.every or (choose_every(first, last) if first is not None else None)
        edges = bucket_edges(first, last, every, settings.zone) if first is not None else []
        if self.n_untimed["naive_time"]:
            notes.append(f"{self.n_untimed['naive_time']} times have no zone and are left out of the trend; see --assume-time-zone")
        if self.texts.is_full or self.ids.is_full:
            notes.append(f"duplicates are counted among the first {MOST_HASHES:,} records")
        return Figures(
            title=settings.title, n_records=self.n_records,
            errors=dict(self.db.execute("SELECT code, sum(n)::BIGINT FROM errors GROUP BY code ORDER BY 2 DESC, 1").fetchall()),
            n_untimed={why: n for why, n in self.n_untimed.items() if n}, n_duplicate_ids=self.ids.n_duplicates(),
            first=first.astimezone(settings.zone) if first else None, last=last.astimezone(settings.zone) if last else None,
            heads=self._heads(reader.heads), by=reader.by_name,
            watch=f"{self.watch_head}={self.watch_label}" if self.watch_label is not None else None,
            every=str(every) if every else None, time_zone=settings.zone.key, groups=self._groups(edges, last), notes=notes,
            version=__version__)

    def _watched_labels(self) -> set[str]:
        return {row[0] for row in self.db.execute("SELECT DISTINCT label FROM counts WHERE label IS NOT NULL").fetchall()}

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
            if label is not None:
                labels[label] = labels.get(label, 0) + n
        n = sum(row[2] for row in rows)
        group = Group(name, kind, n, dict(sorted(labels.items(), key=lambda item: (-item[1], item[0]))),
                      Share(labels.get(self.watch_label, 0), sum(labels.values())), Share(n, total))
        group.buckets = self._buckets([row for row in rows if row[1] is not None], edges, last)
        if kind != "rest" and self.settings.n_examples:
            group.examples = self._examples(members[0])
        return group

    def _buckets(self, rows: list[tuple], edges: list[dt.datetime], last: dt.datetime | None) -> list[Bucket]:
        if not edges:
            return []
        starts = np.array([_microseconds(edge) // QUARTER_US for edge in edges])
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
                candidates.append({"label": label, "score": score, "us": us, "time": time, "id": id_, "text": text, "count": self.texts.count(h)})
        folded = fold_near(candidates[: 2 * POOL])
        watched = [c for c in folded if self.watch_label is not None and c["label"] == self.watch_label]
        most = self.settings.n_examples
        picked = [(c, "highest score") for c in watched[: max(1, most - 1)]]
        taken = {id(c) for c, _ in picked}
        newest = sorted((c for c in folded if id(c) not in taken), key=lambda c: -(c["us"] or 0))
        picked += [(c, "newest") for c in newest[: most - len(picked)]]
        return [Example(c["text"], c["time"], c["id"], c["label"], c["score"], c["count"], why) for c, why in picked[:most]]


class _Hashes:
    """Hashes of ids or texts, up to a bound, for counting duplicates: 8 bytes each."""

    def __init__(self):
        self.parts: list[np.ndarray] = []
        self.n = 0
        self.values: np.ndarray | None = None

    @property
    def is_full(self) -> bool:
        return self.n >= MOST_HASHES

    def add(self, hashes: np.ndarray) -> None:
        if not self.is_full:
            self.parts.append(np.asarray(hashes, dtype=np.uint64))
            self.n += len(hashes)

    def _settle(self) -> None:
        if self.values is None:
            joined = np.concatenate(self.parts) if self.parts else np.empty(0, np.uint64)
            self.values, self.counts = np.unique(joined, return_counts=True)

    def n_duplicates(self) -> int:
        """How many records repeat an earlier one's id."""
        self._settle()
        return int(self.counts.sum() - len(self.values))

    def count(self, value: int) -> int:
        """How often a hash was seen, at least 1."""
        self._settle()
        place = np.searchsorted(self.values, np.uint64(value))
        is_there = place < len(self.values) and self.values[place] == np.uint64(value)
        return int(self.counts[place]) if is_there else 1


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _microseconds(moment: dt.datetime) -> int:
    return (moment.astimezone(dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
