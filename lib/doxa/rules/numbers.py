"""Numbers in texts, as English and Chinese write them: 1,234.5 and 5% and fifty basis points, 百分之五 and 5个百分点 and 三成五 and 1.2亿元."""

from collections.abc import Iterator
from typing import NamedTuple

import regex

from doxa.rules.english_numbers import ENGLISH, IN_LARGER, SCALE_WORDS, read_english
from doxa.rules.words import UNSPACED, fold

PERCENT = "%"
_SCALES = {"thousand": 1e3, "k": 1e3, "million": 1e6, "mn": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9, "b": 1e9, "trillion": 1e12, "tn": 1e12,
           "百": 1e2, "千": 1e3, "万": 1e4, "百万": 1e6, "千万": 1e7, "亿": 1e8, "十亿": 1e9, "百亿": 1e10, "千亿": 1e11, "万亿": 1e12}
# Groups of thousands with spaces between end in 000, or "12 300 people" would be one number.
_FIGURE = r"(?:(?:\d{1,3}(?:,\d{3})++(?!\d)|\d{1,3}(?:\s\d{3}){0,4}\s000(?!\s?\d)|(?<!\.)\d++)(?:\.\d++)?(?:e[-+]?\d{1,2}(?!\w))?|\.\d++)"
_SIGNED = rf"(?<!\d[.,])(?P<digits>(?:(?<![\w)])[-+]|(?<=[{UNSPACED}])[-+])?{_FIGURE})"
_DIGITS = rf"(?<![^\W{UNSPACED}]){_SIGNED}"
_HAN = "零〇一二两三四五六七八九十百千点"
_SCALE = (r"(?:\s?(?P<scale>" + "|".join(sorted((name for name in _SCALES if name.isascii()), key=len, reverse=True)) + r")\b|(?P<scale>"
          + "|".join(sorted((name for name in _SCALES if not name.isascii()), key=len, reverse=True)) + r"))?")
_PERCENT = r"(?:%|percentage points?\b|per ?cent\b|pct\b|pp\b|个?百分点|(?P<hundredth>basis points?\b|bps?\b|个?基点))"
_HAN_NUMBER = rf"(?<![{_HAN}])(?P<han>[{_HAN}]+)"  # whole runs only, so that a long one is looked at once
_WORDS = rf"(?P<english>{ENGLISH})[\s-]"
_SCALE_MARKS = ("illion", "thousand")
_WORDS_SCALE = rf"{_WORDS}(?P<scale>{SCALE_WORDS})\b"
# 成 is a tenth where it is no part of another word: 成功, 成本 but not 成本科, 成员 but not 成员工, 一成不变.
_TENTHS = (r"(?P<tenth>成)(?:(?P<more>[一二三四五六七八九半])(?![一二两三四五六七八九十百千万亿零〇点个家名位人只年月日周天次倍]))?"
           r"(?!功|立|为|本(?!科|地|土)|长(?!期)|交(?!易)|员(?!工)|绩|果|分(?!析)|熟|就|不变)")
_PERCENT_NUMBER = regex.compile(rf"(?:{_DIGITS}|{_HAN_NUMBER})\s?(?:{_PERCENT}|{_TENTHS})|百分之负?(?:(?P<digits>\d+(?:\.\d+)?)|(?P<han>[{_HAN}]+))")
_PERCENT_WORDS = regex.compile(_WORDS + _PERCENT)
_FIGURES = {character: i for i, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
MOST_TENTHS = 10  # more are no share
MOST_BEFORE = 30  # characters that are looked at before a number in words
MOST_UNIT = 8  # characters
_DASH = r"\s?[-–—~～至到]\s?"
_EITHER_TENTH = regex.compile(r"(?P<low>[一二两三四五六七八])(?P<high>[二三四五六七八九])成")  # 七八成 is seven or eight, not 78
_LOWER_TENTH = regex.compile(rf"(?<![{_HAN}])(?P<low>[一二两三四五六七八九])(?P<scale>成)?{_DASH}$")
# The upper end of 百分之二十至三十, which is no year and no count of something else.
_UPPER_HUNDREDTHS = regex.compile(rf"{_DASH}(?:百分之)?(?:(?P<digits>\d+(?:\.\d+)?)|(?P<han>[{_HAN}]+))(?![{_HAN}\d.,%万亿成个年月日号天周季时点岁名位家人只次倍元美])")
_LOWER_END = regex.compile(rf"(?<![\w.,])(?P<low>[-+]?{_FIGURE})(?P<scale>[百千万亿]+)?{_DASH}$")
_UPPER_END = regex.compile(rf"{_DASH}(?P<high>{_FIGURE}){_SCALE[:-1]}")
_LARGER_PART = regex.compile(rf"(?:(?<![\w.,])(?P<digits>{_FIGURE})|(?<![{_HAN}])(?P<han>[{_HAN}]+))(?P<scale>万亿|亿|万)$")
_MINUS_BEFORE = regex.compile(r"(?:(?<![\w)])-\s?[^\w\s.,]{1,2}\s?|负|\b(?:minus|negative)\s)$")
_UNIT_BEFORE = regex.compile(r"\d\s?(?P<unit>[^\s\d.,;:!?()，。；：！？（）、+-]+)$")
MOST_FIGURES = 30  # of a Chinese numeral; a longer run of figures is no number that somebody wrote
_TENS = {"十": 10, "百": 100, "千": 1000}


class Number(NamedTuple):
    """A number and where it stands with its scale and unit (character offsets, end exclusive)."""

    value: float
    start: int
    end: int


class NumberPattern(NamedTuple):
    """What finds numbers: in figures, and in English words, which are looked for where the text holds one of `marks` (that is three times
    as fast)."""

    figures: regex.Pattern
    words: regex.Pattern
    marks: tuple[str, ...]

    def matches(self, folded: str) -> Iterator[regex.Match]:
        yield from self.figures.finditer(folded)
        if any(mark in folded for mark in self.marks):
            yield from self.words.finditer(folded)


_PERCENT_PATTERN = NumberPattern(_PERCENT_NUMBER, _PERCENT_WORDS, ("percent", "per cent", "pct", "pp", "basis", "bp"))


def number_pattern(unit: str | None) -> NumberPattern:
    """What finds numbers with a unit. `%` is percent and percentage points in any spelling, and basis points as their hundredth;
    another unit stands right behind the number or right before it, as the user writes it. None: numbers in digits, and in English words with
    a scale such as million, whatever follows."""
    if unit is None:
        return NumberPattern(regex.compile(_DIGITS + _SCALE), regex.compile(_WORDS_SCALE), _SCALE_MARKS)
    if unit == PERCENT:
        return _PERCENT_PATTERN
    own = fold(unit.strip())
    starts_word = r"\b" if own[0].isalnum() and own[0].isascii() else ""
    literal, ends_word = regex.escape(own), r"\b" if own[-1].isalnum() and own[-1].isascii() else ""
    figures = rf"(?:{_DIGITS}{_SCALE}|{_HAN_NUMBER}(?P<scale>万亿|亿|万)?)\s?{literal}{ends_word}|(?<={starts_word}{literal}\s?){_SIGNED}{_SCALE}"
    return NumberPattern(regex.compile(figures), regex.compile(rf"{_WORDS_SCALE}\s?{literal}{ends_word}"), _SCALE_MARKS)


def find_numbers(pattern: NumberPattern, folded: str) -> Iterator[Number]:
    """The numbers of a folded text in order, either end of a range too. A percentage is its own value: `5%` is 5."""
    found: dict[int, Number] = {}  # by where they end
    for match in pattern.matches(folded):
        groups = match.groupdict()
        value = 100.0 if match[0].endswith("百分之百") else _read(groups)
        is_tenths = groups.get("tenth") is not None
        if is_tenths and (either := _EITHER_TENTH.match(match[0])) and _FIGURES[either["high"]] == _FIGURES[either["low"]] + 1:
            for place, name in enumerate(("low", "high")):
                at = match.start() + place
                found[at + 1] = Number(10.0 * _FIGURES[either[name]], at, at + 1)
            continue
        if value is None or is_tenths and value > MOST_TENTHS:
            continue
        scale = groups.get("scale")
        factor = _SCALES[scale] if scale else 0.01 if groups.get("hundredth") else 1.0
        start, end = match.span()
        if groups.get("english") and IN_LARGER.search(folded[max(0, start - MOST_BEFORE) : start]):
            continue
        if folded[start] == "-" and _ends_range(folded, start):
            start, value = start + 1, -value
        own, (start, value) = start, _add_larger(folded, start, value * factor, factor)
        unit = 10.0 if is_tenths else 1.0
        value = value * unit + (5.0 if groups.get("more") == "半" else _FIGURES.get(groups.get("more"), 0.0))
        before = folded[max(0, start - MOST_FIGURES) : start]
        value *= -1.0 if "负" in match[0] or value > 0 and _MINUS_BEFORE.search(before) else 1.0
        if is_tenths and (low := _LOWER_TENTH.search(before)):
            low_start, low_end = _place_low(low, start - len(before))
            found.setdefault(low_end, Number(10.0 * _FIGURES[low["low"]], low_start, low_end))
        if folded[start].isdigit() and (low := _LOWER_END.search(before)):
            lower = _read_digits(low["low"]) * (_SCALES.get(low["scale"], 1.0) if low["scale"] else factor) * unit
            low_start, low_end = _place_low(low, start - len(before))
            found.setdefault(low_end, Number(lower, low_start, low_end))
        if match[0].startswith("百分之") and (high := _UPPER_HUNDREDTHS.match(folded, end)) and (upper := _read(high.groupdict())) is not None:
            found[high.end()] = Number(upper, high.end() - len(high["digits"] or high["han"]), high.end())
        if folded[end - 1].isdigit() and (high := _UPPER_END.match(folded, end)):  # $3-5 billion
            value *= _SCALES[high["scale"]]
            found[high.end()] = Number(_read_digits(high["high"]) * _SCALES[high["scale"]], high.start("high"), high.end())
        if start != own:
            found.pop(own, None)  # what was added
        found[end] = Number(value, start, end)
    yield from sorted(found.values(), key=lambda number: number.start)


def _place_low(low: regex.Match, shift: int) -> tuple[int, int]:
    """Where the lower end of a range stands with its scale."""
    return shift + low.start("low"), shift + low.end("scale" if low["scale"] else "low")


def _add_larger(folded: str, start: int, value: float, factor: float) -> tuple[int, float]:
    """With the larger parts right before a number, as in 三亿五千万 and 1亿2000万."""
    while factor > 1 and (part := _LARGER_PART.search(folded[max(0, start - MOST_FIGURES) : start])):
        larger = _read(part.groupdict())
        if larger is None or _SCALES[part["scale"]] <= factor:
            break
        factor = _SCALES[part["scale"]]
        start, value = start - len(part[0]), value + larger * factor
    return start, value


def _read(groups: dict[str, str | None]) -> float | None:
    if groups.get("english"):
        return read_english(groups["english"])
    return _read_digits(groups["digits"]) if groups["digits"] else read_han(groups["han"])


def _read_digits(text: str) -> float:
    return float("".join(text.replace(",", "").split()))


def _ends_range(folded: str, dash: int) -> bool:
    """Whether a dash stands between two numbers of one unit, as in 4%-6% or 3亿-5亿元, so that it is no sign."""
    before = _UNIT_BEFORE.search(folded[max(0, dash - MOST_UNIT - 1) : dash])
    return before is not None and regex.match(rf"[\d.,]+\s?{regex.escape(before['unit'])}", folded[dash + 1 : dash + 50]) is not None


def read_han(text: str) -> float | None:
    """A Chinese numeral below ten thousand, such as 二十三点五; None for characters that make no number."""
    whole, dot, fraction = text.partition("点")
    if len(text) > MOST_FIGURES or dot and not (fraction and all(character in _FIGURES for character in fraction)) or not whole:
        return None
    total, figure, last_ten, is_after_zero = 0, None, 10_000, False
    if all(character in _FIGURES for character in whole):  # digit by digit, 二〇二六
        total = int("".join(str(_FIGURES[character]) for character in whole))
        figure = 0
    else:
        for character in whole:
            if character in _FIGURES:
                if figure not in (None, 0):
                    return None
                figure, is_after_zero = _FIGURES[character], is_after_zero or _FIGURES[character] == 0
                continue
            ten = _TENS[character]
            if ten >= last_ten or figure is None and ten != 10:
                return None
            total, figure, last_ten = total + (1 if figure is None else figure) * ten, None, ten
            is_after_zero = False
        if figure:  # 一百二 is a hundred and twenty
            total += figure * (last_ten // 10 if last_ten > 10 and not is_after_zero else 1)
    return total + (float("0." + "".join(str(_FIGURES[character]) for character in fraction)) if dot else 0.0)
