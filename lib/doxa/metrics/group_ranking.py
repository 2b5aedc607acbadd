"""How well scores rank the records of each group, say the items of one user: figures of groups, which are what is resampled.

N records have a gold relevance (N,), a score (N,) and the integer code of their group (N,), from 0; figures are one for each of G codes."""

import numpy as np

AMONG = 10


def rank_groups(gold: np.ndarray, score: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """`ndcg`, `ndcg_at_10` and `mrr` (G each), NaN for a group in which nothing is relevant, that is above 0.

    The gain is the relevance itself and the discount log2(1 + rank) (Järvelin & Kekäläinen 2002); `mrr` is 1 / rank of the first relevant
    record. Where scores tie, each is what is expected when chance breaks ties (McSherry & Najork 2008), nDCG as in scikit-learn.
    Raises ValueError where relevance is negative or not finite."""
    if not (np.isfinite(gold).all() and (gold >= 0).all()):
        raise ValueError("ranking needs gold of 0 (not relevant) or more")
    n_groups = int(groups.max()) + 1 if len(groups) else 0
    order = np.lexsort((-score, groups))
    gain, group = gold[order].astype(float), groups[order]
    starts = np.flatnonzero(np.append(True, (np.diff(group) != 0) | (np.diff(score[order]) != 0))) if len(order) else np.empty(0, int)  # of ties
    sizes = np.diff(np.append(starts, len(order)))
    places = _places(group)
    ideal = gold[np.lexsort((-gold, groups))].astype(float)
    found = {}
    for name, discount in (("ndcg", _discount(places)), (f"ndcg_at_{AMONG}", np.where(places < AMONG, _discount(places), 0.0))):
        gains = np.repeat(np.add.reduceat(gain, starts) / sizes, sizes) if len(order) else gain  # the mean over each tie
        best = np.bincount(group, weights=ideal * discount, minlength=n_groups)
        found[name] = np.divide(np.bincount(group, weights=gains * discount, minlength=n_groups), best, out=np.full(n_groups, np.nan), where=best > 0)
    return found | {"mrr": _reciprocal_ranks(gain > 0, group, places, starts, sizes, n_groups)}


def mean_of_groups(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean (R) of the figures of groups (G) under weightings of groups (R, G); NaN are left out, and given where nothing else is."""
    is_defined = ~np.isnan(values)
    n = weights[:, is_defined].sum(axis=1)
    return np.divide(weights[:, is_defined] @ values[is_defined], n, out=np.full(len(n), np.nan), where=n > 0)


def expected_first(above: int, tied: int, relevant: int) -> float:
    """The mean of 1 / rank of the first of `relevant` among `tied` in random order, where `above` come before."""
    steps = np.arange(tied - relevant + 1)
    is_first = relevant / (tied - steps)  # given that none came before
    none_before = np.cumprod(np.append(1.0, 1 - is_first[:-1]))
    return float((none_before * is_first / (above + steps + 1)).sum())


def _places(group: np.ndarray) -> np.ndarray:
    """The place of each record in its group, from 0."""
    starts = np.flatnonzero(np.append(True, np.diff(group) != 0)) if len(group) else np.empty(0, int)
    return np.arange(len(group)) - np.repeat(starts, np.diff(np.append(starts, len(group))))


def _discount(places: np.ndarray) -> np.ndarray:
    return 1 / np.log2(places + 2)


def _reciprocal_ranks(is_relevant: np.ndarray, group: np.ndarray, places: np.ndarray, starts: np.ndarray, sizes: np.ndarray,
                      n_groups: int) -> np.ndarray:
    found = np.full(n_groups, np.nan)
    if len(starts):
        relevant = np.add.reduceat(is_relevant.astype(int), starts)
        ties = np.flatnonzero(relevant)
        codes, first = np.unique(group[starts[ties]], return_index=True)
        found[codes] = [expected_first(*numbers) for numbers in np.stack([places[starts], sizes, relevant], axis=1)[ties[first]].tolist()]
    return found
