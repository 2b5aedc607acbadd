"""Words that take back what follows them, in English and Chinese.

A plain scope of a few words inside one clause, after NegEx (Chapman et al. 2001, J. Biomed. Inform. 34:301), its pseudo-negations
and what ends a scope included. What is denied afterwards ("the default was denied", 违约一事被否认) is not seen.
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
# What stands behind them is said of itself again: "not a merger but a default", 未能偿付构成违约. One that is what was negated goes on
# with it, an adverb between or not (没有直接导致违约), and so does one of what is said not to be there (no sign that leads to a default).
TURNS = ("but", "however", "although", "though", "except", "because", "caus*", "lead* to", "led to", "result* in", "trigger*", "constitut*",
         "但", "却", "而是", "反而", "然而", "因为", "构成", "导致", "造成", "引发", "触发")
_ADVERBS = ("直接", "必然", "一定", "立即", "最终", "实际", "实质", "实质性", "明显")
_ABSENT = ("证据", "迹象", "发现", "存在", "情形", "evidence", "sign", "indication", "reason", "proof")


def standing(negations: list[Hit], seeming: list[Hit]) -> list[Hit]:
    """The negations that are no part of a phrase which only seems to hold one."""
    seeming = sorted(seeming, key=lambda hit: hit.first)
    reach = [-1, *accumulate((hit.last for hit in seeming), max)]  # how far the first n of them go
    return [hit for hit in negations if hit.last > reach[bisect_right(seeming, hit.first, key=lambda other: other.first)]]


def is_negated(place: int, negations: list[Hit], turns: list[Hit], layout: Layout, scope: int) -> bool:
    """Whether word number `place` is one of the `scope` words after a negation (twice as many characters in scripts without
    spaces), in the same clause and before any of `turns`. `negations` stand in the order of their last word, `turns` in that of their first."""
    for number in range(bisect_right(negations, place - 1, key=lambda hit: hit.last) - 1, -1, -1):
        hit = negations[number]
        if layout.parts_between(hit.last, place) >= PARTS_A_WORD * scope:
            return False
        if layout.share_clause(hit.last, place):
            between = slice(bisect_right(turns, hit.last, key=lambda turn: turn.first), bisect_right(turns, place - 1, key=lambda turn: turn.first))
            if not any(turn.last < place and _ends(hit, turn, layout) for turn in turns[between]):
                return True
    return False


def _ends(negation: Hit, turn: Hit, layout: Layout) -> bool:
    words = layout.words[negation.last + 1 : turn.first]
    between = "".join(words)
    is_negated_itself = all(word.endswith("ly") for word in words) or between in _ADVERBS
    return not is_negated_itself and not any(word in between for word in _ABSENT)
