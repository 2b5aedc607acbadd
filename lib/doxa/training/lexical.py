"""How alike two texts are by their words alone, and how well that finds the other text of a pair."""

import numpy as np
from scipy.sparse import csr_matrix

from doxa.metrics.vector_figures import N_RANKED, count_ranks
from doxa.training.baseline import make_features

METHOD = "TF-IDF cosine"
AT_ONCE = 256  # texts compared with all others


def lexical_vectors(train: list[str], first: list[str], second: list[str]) -> tuple[csr_matrix, csr_matrix]:
    """TF-IDF vectors (n, F) of length 1 of both texts of some pairs, weighted by training texts."""
    _, features = make_features(train, [*first, *second])
    features = csr_matrix(features)
    return features[: len(first)], features[len(first) :]


def cosines(first: csr_matrix, second: csr_matrix) -> np.ndarray:
    """Of the two texts of each pair (n,)."""
    return np.asarray(first.multiply(second).sum(axis=1)).ravel()


def count_found(first: csr_matrix, second: csr_matrix, names: list[str], is_query: np.ndarray) -> np.ndarray:
    """Counts (n, S) as VectorFigures has them: how high each first text that is a query ranks its own second one among all that are different, by `names`."""
    _, chosen, own = np.unique(np.array(names), return_index=True, return_inverse=True)
    candidates, queries = second[chosen], np.flatnonzero(is_query)
    counts = np.zeros((len(names), N_RANKED))
    for start in range(0, len(queries) if len(chosen) > 1 else 0, AT_ONCE):
        block = queries[start : start + AT_ONCE]
        products = (first[block] @ candidates.T).toarray()
        right = products[np.arange(len(block)), own[block]][:, None]
        above, tied = (products > right).sum(axis=1), (products == right).sum(axis=1)
        counts[block] = count_ranks(above, tied)
    return counts
