"""What moved: the parts of a surprise, each with its figures."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from doxa.metrics.intervals import wilson
from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.settings import SHARE, VOLUME
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.alerts.stretch import Stretch
from doxa.monitoring.likeness import Likeness

ALSO = 2.0  # the normal score from which the other measure is worth a word
LARGE_PART = 0.3  # of the excess, from which a group is named
MOST_COMPARED = 150  # texts of an episode that are compared with each other
LEAST_ALIKE, ALIKE_PART = 3, 0.2
LEAST_BEFORE = 10  # texts from before, to say that something was not common then
LEAST_OF_AUTHOR, PART_OF_AUTHOR, PART_OF_AUTHORS, MOST_AUTHORS = 5, 0.15, 0.25, 4
SOURCE_GAIN = 0.2
N_EXAMPLES = 3
_SAMPLED = "FROM samples WHERE series = ? AND bucket BETWEEN ? AND ? AND (is_watched OR NOT ?)"


def find_causes(store: Store, stretch: Stretch, names: list[str | None], series: int, measure: int) -> list[dict[str, Any]]:
    """Whatever of the following is there, by weight: more texts, a larger share, groups, near-duplicates, few authors, a source.

    Texts, authors and sources are told from a sample, so they come with 95 % intervals."""
    causes = _other_measure(stretch, series, 1 - measure)
    if series == ALL:
        causes += _groups(stretch, names, measure)
    edges = stretch.history.edges
    rows = _sample(store, series, edges[stretch.first], edges[stretch.last], is_watched=measure == SHARE)
    before = _sample(store, series, 0, edges[stretch.first] - 1, is_watched=measure == SHARE)
    # A campaign among many usual texts is a small part of all, and may yet be what is too much of them.
    excess = stretch.excess(measure)[series] / max(1, stretch.seen(measure)[0][:, series].sum())
    return causes + _campaign(rows, before, min(ALIKE_PART, LARGE_PART * max(0.0, excess))) + _authors(rows, before) + _sources(rows, before)


def _other_measure(stretch: Stretch, series: int, measure: int) -> list[dict[str, Any]]:
    z = stretch.z[:, series, measure]
    known = np.isfinite(z)
    if not known.any() or z[known].sum() / known.sum() ** 0.5 < ALSO:
        return []
    (seen, base), mean = (values[:, series] for values in stretch.seen(measure)), stretch.mean[:, series, measure]
    if measure == VOLUME:
        return [{"kind": "more_texts", "n": int(seen.sum()), "expected": float(np.nansum(mean))}]
    return [{"kind": "larger_share", "hits": int(seen.sum()), "n": int(base.sum()), "expected": float(np.nansum(mean * base) / max(1, base.sum()))}]


def _groups(stretch: Stretch, names: list[str | None], measure: int) -> list[dict[str, Any]]:
    """Groups that hold a large part of what is too much in all."""
    excess = stretch.excess_of_texts() if measure == VOLUME else stretch.excess(measure)
    total = excess[ALL]
    order = [k for k in np.argsort(-excess[1:]) + 1 if total > 0 and excess[k] >= LARGE_PART * total]
    return [{"kind": "group", "name": names[k], "excess": float(excess[k]), "of": float(total)} for k in order[:3]]


def _sample(store: Store, series: int, first_s: int, last_s: int, is_watched: bool) -> list[tuple]:
    """(text, source, author, id) of sampled records."""
    return store.database.execute(f"SELECT text, source, author, id {_SAMPLED} ORDER BY key", (series, int(first_s), int(last_s), is_watched)).fetchall()


def _campaign(rows: list[tuple], before: list[tuple], least_part: float) -> list[dict[str, Any]]:
    """The texts that are nearly the same as one of them, of which there are most more than before, unless they were half as common then; with the
    ids of some of them, its own first."""
    n, n_before = (min(len(part), MOST_COMPARED) for part in (rows, before))
    if n < LEAST_ALIKE or n_before < LEAST_BEFORE:
        return []
    likeness = Likeness([text for text, *_ in (*rows[:n], *before[:n_before])])
    near, near_before = np.split(np.stack([likeness.near(i) for i in range(n)]), [n], axis=1)
    parts, parts_before = near.mean(axis=1), near_before.mean(axis=1)
    centre = int((parts - parts_before).argmax())
    n_alike = int(near[centre].sum())
    if n_alike < LEAST_ALIKE or parts[centre] < least_part or 2 * parts_before[centre] > parts[centre]:
        return []
    alike = [centre, *(i for i in np.flatnonzero(near[centre]).tolist() if i != centre)]
    ids = [rows[i][3] for i in alike[:N_EXAMPLES] if rows[i][3] is not None]
    return [_counted("near_duplicates", n_alike, n) | {"text": rows[centre][0]} | ({"ids": ids} if ids else {})]


def _authors(rows: list[tuple], before: list[tuple]) -> list[dict[str, Any]]:
    """The author, or the few, of a large part of the texts, unless it was theirs before."""
    now, then = (Counter(author for _, _, author, _ in part if author is not None) for part in (rows, before))
    busy = [(name, n) for name, n in now.most_common(MOST_AUTHORS) if n >= LEAST_OF_AUTHOR and n >= PART_OF_AUTHOR * len(rows)]
    names = [name for name, _ in busy]
    n, n_old = sum(n for _, n in busy), sum(then[name] for name in names)
    if n < PART_OF_AUTHORS * len(rows) or not busy or (len(before) >= LEAST_BEFORE and 2 * n_old * len(rows) > n * len(before)):
        return []
    return [_counted("one_author", n, len(rows)) | {"name": names[0]} if len(names) == 1 else _counted("few_authors", n, len(rows)) | {"names": names}]


def _sources(rows: list[tuple], before: list[tuple]) -> list[dict[str, Any]]:
    """The source whose part of the texts grew most, where its interval lies above what it had."""
    now, then = (Counter(source for _, source, *_ in part if source is not None) for part in (rows, before))
    if min(now.total(), then.total()) < LEAST_BEFORE:
        return []
    name = max(now, key=lambda source: now[source] / now.total() - then[source] / then.total())
    cause = _counted("source", now[name], now.total()) | {"name": name, "before": then[name] / then.total()}
    is_clear = cause["low"] > wilson(then[name], then.total())[1] and now[name] / now.total() - cause["before"] >= SOURCE_GAIN
    return [cause] if is_clear else []


def _counted(kind: str, hits: int, n: int) -> dict[str, Any]:
    low, high = wilson(hits, n)
    return {"kind": kind, "hits": hits, "n": n, "low": low, "high": high}


def find_examples(store: Store, series: int, first_s: int, last_s: int, is_watched: bool, causes: Sequence[dict[str, Any]] = ()) -> list[str]:
    """Ids (texts where there is none) of sampled records, each text and each id once: first those of which most causes are (a campaign, an author, a source), then
    those with the highest score."""
    rows = store.database.execute(f"SELECT text, source, author, id {_SAMPLED} ORDER BY score DESC, key", (series, int(first_s), int(last_s), is_watched)).fetchall()
    rows.sort(key=lambda row: -sum(_is_of(row, cause) for cause in causes))
    first_of: dict[str, str | None] = {}
    for text, *_, name in rows:
        first_of[text] = first_of.get(text) or name or text
    return list(dict.fromkeys(filter(None, first_of.values())))[:N_EXAMPLES]


def _is_of(row: tuple, cause: dict[str, Any]) -> bool:
    """Whether a record is one that a cause tells of."""
    text, source, author, name = row
    match cause["kind"]:
        case "near_duplicates":
            return text == cause["text"] or name is not None and name in cause.get("ids", ())
        case "one_author":
            return author == cause["name"]
        case "few_authors":
            return author in cause["names"]
        case "source":
            return source == cause["name"]
    return False
