"""Whether a cheaper form of a model still says the same."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from doxa.metrics.intervals import wilson
from doxa.model.heads import Head
from doxa.text.frame import Window
from doxa.training.evaluation import decide, head_score

LEAST_HELD_OUT = 200  # among fewer, not even one label that turned is under 0.5 %
LEAST_AGREEMENT, MOST_LOST = 0.995, 0.003
CLOSE = 0.05  # numbers agree when they differ by less than this share of their standard deviation


@dataclass(frozen=True)
class HeldOut:
    """What a cheaper form is made and judged by: training windows, the windows of every held-out text, and its labels (see `encode_targets`)."""

    heads: list[Head]
    train: list[Window]
    texts: list[list[Window]]
    targets: list[np.ndarray]


def judge(heads: list[Head], targets: list[np.ndarray], plain: np.ndarray, cheap: np.ndarray) -> dict[str, Any]:
    """Compare logits (N, C) of the same texts, in fp32 and in the cheaper form.

    Per head: `agreement` with its 95 % Wilson `interval` over all texts, and macro-F1 (numbers: R2) of both over the
    labelled ones. `is_good` when every head agrees on LEAST_AGREEMENT and loses at most MOST_LOST. Heads that no target
    labels are left out.
    """
    seen = {}
    for head, target, first, second in zip(heads, targets, decide(plain, heads), decide(cheap, heads)):
        if np.isnan(target).all():
            continue
        if head.kind == "number":
            same = np.abs(first - second) <= CLOSE * max(float(first.std()), 1e-12)
        else:
            same = (first == second).reshape(len(first), -1).all(axis=1)
        n_same = int(same.sum())
        seen[head.name] = {"agreement": n_same / len(same), "interval": list(wilson(n_same, len(same))),
                           "fp32": head_score(head, target, first), "int8": head_score(head, target, second)}
    return {"held_out": len(plain), "heads": seen, "agreement": min((entry["agreement"] for entry in seen.values()), default=0.0),
            "is_good": bool(seen) and all(entry["agreement"] >= LEAST_AGREEMENT and entry["int8"] >= entry["fp32"] - MOST_LOST for entry in seen.values())}
