"""What a stream of judged predictions held."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from doxa.evaluation.mistakes import Mistake
from doxa.evaluation.rows import HeadRows
from doxa.records.quantity import quantity


@dataclass
class Seen:
    """What a stream held. `heads` maps a name to its rows; `lost` to how many records have no usable gold label or no prediction of
    it, `mistakes` to the gravest. Of the M good records in order: `ids`, null where there is none, `places` in the input from 0, `texts` and `groups` if they were asked for,
    and a `fingerprint` of their ids, texts and gold labels."""

    n_records: int = 0
    n_good: int = 0
    errors: Counter = field(default_factory=Counter)
    n_unmet: int = 0
    heads: dict[str, HeadRows] = field(default_factory=dict)
    lost: dict[str, Counter] = field(default_factory=dict)
    mistakes: dict[str, list[Mistake]] = field(default_factory=dict)
    ids: pa.ChunkedArray | None = None
    places: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    texts: pa.ChunkedArray | None = None
    groups: pa.ChunkedArray | None = None
    fingerprint: str = ""

    def tell_unpredicted(self) -> list[str]:
        """Of which heads records hold a gold label, but no prediction that can be judged, whether they carry an error or not."""
        return [f'{n:,} of {quantity(self.n_records, "record")} {"has" if n == 1 else "have"} a gold label of head "{head}" and no prediction of it'
                for head, lost in self.lost.items() if head in self.heads and (n := sum(count for why, count in lost.items() if "prediction" in why))]
