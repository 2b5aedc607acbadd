"""One pass over predictions into small tables that grow with groups, labels and time, not with records."""

import datetime as dt
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from doxa.errors import UsageError
from doxa.monitoring.buckets import Every
from doxa.monitoring.hashes import Hashes
from doxa.monitoring.times import MICROSECONDS_SQL, assume_zone, is_naive, microseconds, microseconds_at_once
from doxa.records.columns import ColumnReader

QUARTER_US = 15 * 60 * 1_000_000  # every zone's offset, hence every local bucket edge, is a multiple of 15 minutes
POOL = 100  # candidates for examples, per group and kind


@dataclass(frozen=True)
class Settings:
    """What to count. Times are instants in UTC; `every` None chooses by the span; `watch` None is sentiment=negative."""

    watch: str | None = None
    every: Every | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    assumed_zone: ZoneInfo | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    top: int = 20
    n_examples: int = 3
    title: str = "Opinion report"


class Counter:
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
        self.ids, self.texts = Hashes(), Hashes()
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
        bounds = [f"us >= {microseconds(self.settings.since)}"] if self.settings.since else []
        bounds += [f"us < {microseconds(self.settings.until)}"] if self.settings.until else []
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


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
