"""Words that take back what follows them, in English and Chinese.

A plain scope of a few words inside one clause, after NegEx (Chapman et al. 2001, J. Biomed. Inform. 34:301), its pseudo-negations
included. What is denied afterwards ("the default was denied", 违约一事被否认) is not seen.
"""

from bisect import bisect_right
from itertools import accumulate

from doxa.rules.phrases import Hit
from doxa.rules.words import PARTS_A_WORD, Layout

NEGATIONS = (
    "no", "not", "never", "neither", "nor", "none", "without", "cannot", "*n't", "avoid*", "deny", "denies", "denied", "denying", "reject*",
    "rule out", "rules out", "ruled out", "unlikely", "no longer", "instead of", "rather than", "free of", "不", "没", "没有", "未", "未曾",
    "尚未", "并未", "无", "毫无", "并非", "绝非", "不会", "不是", "否认", "避免", "排除", "从未", "免于", "无关", "勿",
)
# They hold such a word and take nothing back.
SEEMING = (
    "not only", "not just", "not merely", "no doubt", "no wonder", "not without", "no matter", "not to mention", "cannot help",
    "cannot rule out", "not rule out", "not ruled out", "not avoid", "cannot avoid", "failed to avoid", "fails to avoid", "fail to avoid", "without doubt", "without a doubt", "no less than", "cannot deny", "not deny", "not unlikely", "不仅", "不但",
    "不只", "不光", "不断", "不得不", "不少", "不同", "不久", "不管", "不论", "不良", "不过", "不如", "不排除", "不否认", "不可避免",
    "无法避免", "不无", "无论", "无疑", "无不", "未来", "未必不", "没准", "未免", "难免", "不禁", "不愧", "不料", "不足", "不利", "不满",
    "无良", "无锡", "无人机", "无人驾驶", "无线", "无形", "没想到", "没料到", "不是没有", "并非没有", "没有避免", "不能避免", "未能避免",
)


def standing(negations: list[Hit], seeming: list[Hit]) -> list[Hit]:
    """The negations that are no part of a phrase which only seems to hold one."""
    seeming = sorted(seeming, key=lambda hit: hit.first)
    reach = [-1, *accumulate((hit.last for hit in seeming), max)]  # how far the first n of them go
    return [hit for hit in negations if hit.last > reach[bisect_right(seeming, hit.first, key=lambda other: other.first)]]


def is_negated(place: int, negations: list[Hit], layout: Layout, scope: int) -> bool:
    """Whether word number `place` is one of the `scope` words after a negation (twice as many characters in scripts without
    spaces), in the same clause. `negations` stand in the order of their last word."""
    for number in range(bisect_right(negations, place - 1, key=lambda hit: hit.last) - 1, -1, -1):
        hit = negations[number]
        if layout.parts_between(hit.last, place) >= PARTS_A_WORD * scope:
            return False
        if layout.share_clause(hit.last, place):
            return True
    return False
