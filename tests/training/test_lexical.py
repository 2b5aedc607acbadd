"""Ranks by words alone are those that the figures of vectors would give to the same vectors."""

import numpy as np
import pytest

from doxa.metrics.vector_figures import vector_figures
from doxa.training.lexical import cosines, count_found, lexical_vectors

FIRST = ["the bank raised rates", "profit rose again", "a merger of banks", "profit fell", "贷款利率上升", "nothing in common"]
SECOND = ["rates of the bank", "profit rose", "banks merge", "profit rose", "贷款利率", "贷款利率"]


@pytest.mark.parametrize("gold", [[None] * 6, [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]])
def test_counts_equal_those_of_dense_vectors(gold):
    first, second = lexical_vectors(FIRST + SECOND, FIRST, SECOND)
    judge = vector_figures(gold)
    said = [{"vector": one, "vector_pair": other} for one, other in zip(first.toarray().tolist(), second.toarray().tolist())]
    is_query = np.array([judge.is_query(value) for value in gold])
    assert count_found(first, second, SECOND, is_query) == pytest.approx(judge.count(gold, said)[:, :5], abs=1e-9)
    assert cosines(first, second) == pytest.approx([np.dot(one, other) for one, other in zip(first.toarray(), second.toarray())])
