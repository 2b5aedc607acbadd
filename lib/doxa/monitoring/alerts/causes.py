"""What moved: the parts of a surprise, each with its figures."""

from collections import Counter
from typing import Any

import numpy as np

from doxa.metrics.intervals import wilson
from doxa.monitoring.alerts.history import History
from doxa.monitoring.alerts.intake import ALL
from doxa.monitoring.alerts.settings import SHARE, VOLUME
from doxa.monitoring.alerts.store import Store
from doxa.monitoring.examples import are_alike, shingles

ALSO = 2.0  # the normal score from which the other measure is worth a word
LARGE_PART = 0.3  # of the excess, from which a group is named
MOST_COMPARED = 150  # texts of an episode that are compared with each other
LEAST_ALIKE, ALIKE_PART = 3, 0.2
LEAST_BEFORE = 10  # texts from before, to say that something was not common then
LEAST_OF_AUTHOR, AUTHOR_PART = 5, 0.25
SOURCE_GAIN = 0.2
N_EXAMPLES = 3
_SAMPLED = "FROM samples WHERE series = ? AND bucket BETWEEN ? AND ? AND (is_watched OR NOT ?)"


def find_causes(store: Store, history: History, names: list[str | None], series: int, measure: int, first: int, last: int) -> list[dict[str, Any]]:
    """Whatever of the following is there, by weight: more texts, a larger share, groups, near-duplicates, few authors, a source.

    Buckets `first` to `last` are looked at. Texts, authors and sources are told from a sample, so they come with 95 % intervals."""
    causes = _other_measure(history, series, 1 - measure, first, last)
    if series == ALL:
        causes += _groups(history, names, measure, first, last)
    rows = _sample(store, series, history.edges[first], history.edges[last], is_watched=measure == SHARE)
    before = _sample(store, series, 0, history.edges[first] - 1, is_watched=measure == SHARE)
    return causes + _campaign(rows, before) + _authors(rows) + _sources(rows, before)


def _other_measure(history: History, series: int, measure: int, first: int, last: int) -> list[dict[str, Any]]:
    z = history.z[first : last + 1, series, measure]
    known = np.isfinite(z)
    if not known.any() or z[known].sum() / known.sum() ** 0.5 < ALSO:
        return []
    part, mean = slice(first, last + 1), history.mean[first : last + 1, series, measure]
    if measure == VOLUME:
        return [{"kind": "more_texts", "n": int(history.n[part, series].sum()), "expected": float(np.nansum(mean))}]
    judged, watched = history.judged[part, series], history.watched[part, series]
    return [{"kind": "larger_share", "hits": int(watched.sum()), "n": int(judged.sum()), "expected": float(np.nansum(mean * judged) / max(1, judged.sum()))}]


def _groups(history: History, names: list[str | None], measure: int, first: int, last: int) -> list[dict[str, Any]]:
    """Groups that hold a large part of what is too much in all."""
    part = slice(first, last + 1)
    seen = history.watched[part] if measure == SHARE else history.n[part]
    base = history.judged[part] if measure == SHARE else np.ones_like(history.n[part])
    excess = np.nansum(seen - history.mean[part, :, measure] * base, axis=0)
    total = excess[ALL]
    order = [k for k in np.argsort(-excess[1:]) + 1 if total > 0 and excess[k] >= LARGE_PART * total]
    return [{"kind": "group", "name": names[k], "excess": float(excess[k]), "of": float(total)} for k in order[:3]]


def _sample(store: Store, series: int, first_s: int, last_s: int, is_watched: bool) -> list[tuple]:
    """(text, source, author, key) of sampled records."""
    return store.database.execute(f"SELECT text, source, author, key {_SAMPLED} ORDER BY key", (series, int(first_s), int(last_s), is_watched)).fetchall()


def _campaign(rows: list[tuple], before: list[tuple]) -> list[dict[str, Any]]:
    """The largest set of texts that are nearly the same as one of them, unless such texts were as common before."""
    sets = [shingles(text) for text, *_ in rows[:MOST_COMPARED]]
    if len(sets) < LEAST_ALIKE:
        return []
    near = np.array([[are_alike(one, other) for other in sets] for one in sets])
    centre = int(near.sum(axis=1).argmax())
    n_alike = int(near[centre].sum())
    old = [shingles(text) for text, *_ in before[:MOST_COMPARED]]
    n_old = sum(are_alike(sets[centre], other) for other in old)
    if len(old) < LEAST_BEFORE or n_alike < LEAST_ALIKE or n_alike < ALIKE_PART * len(sets) or 2 * n_old * len(sets) > n_alike * len(old):
        return []
    return [_counted("near_duplicates", n_alike, len(sets)) | {"text": rows[centre][0]}]


def _authors(rows: list[tuple]) -> list[dict[str, Any]]:
    authors = Counter(author for _, _, author, _ in rows if author is not None)
    if not authors:
        return []
    name, n = authors.most_common(1)[0]
    if n < LEAST_OF_AUTHOR or n < AUTHOR_PART * len(rows):
        return []
    return [_counted("one_author", n, len(rows)) | {"name": name}]


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


def find_examples(store: Store, series: int, first_s: int, last_s: int, is_watched: bool) -> list[str]:
    """Ids (texts where there is none) of the sampled records with the highest score, each text once."""
    rows = store.database.execute(f"SELECT id, text {_SAMPLED} ORDER BY score DESC, key", (series, int(first_s), int(last_s), is_watched)).fetchall()
    first_of = {}
    for name, text in rows:
        first_of.setdefault(text, name if name is not None else text)
    return list(first_of.values())[:N_EXAMPLES]
