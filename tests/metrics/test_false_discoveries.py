"""Against scipy."""

import numpy as np
from scipy.stats import false_discovery_control

from doxa.metrics.false_discoveries import benjamini_hochberg


def test_benjamini_hochberg_is_scipys():
    generator = np.random.default_rng(7)
    for _ in range(50):
        p_values = generator.random(40) ** generator.integers(1, 6)
        assert (benjamini_hochberg(p_values) == (false_discovery_control(p_values) <= 0.05)).all()
    assert len(benjamini_hochberg(np.array([]))) == 0
