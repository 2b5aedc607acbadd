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
        if either := _either_tenth(match):
            found |= {number.end: number for number in either}
        elif reading := _read_match(folded, match):
            if reading.start < reading.match_start:
                found.pop(reading.match_start, None)  # the larger part, which is no number of its own
            lower, number, upper = _lower_end(folded, reading), *_upper_end(folded, reading)
            if lower:
                found.setdefault(lower.end, lower)
            found |= {one.end: one for one in (upper, number) if one}
    yield from sorted(found.values(), key=lambda number: number.start)


class _Reading(NamedTuple):
    """What a match comes to: the value with its scale, and where it begins with all larger parts; a tenth is 10 of the hundredths that are counted."""

    match: regex.Match
    value: float
    start: int
    match_start: int  # without larger parts and without a dash that is no sign
    factor: float
    is_tenths: bool


def _either_tenth(match: regex.Match) -> list[Number]:
    """Both numbers of 七八成."""
    either = _EITHER_TENTH.match(match[0]) if match.groupdict().get("tenth") is not None else None
    if not either or _FIGURES[either["high"]] != _FIGURES[either["low"]] + 1:
        return []
    return [Number(10.0 * _FIGURES[figure], at, at + 1) for at, figure in enumerate((either["low"], either["high"]), match.start())]


def _read_match(folded: str, match: regex.Match) -> _Reading | None:
    """None where it is no number, no share in tenths, or the end of a larger number in words."""
    groups, start = match.groupdict(), match.start()
    value, is_tenths = 100.0 if match[0].endswith("百分之百") else _read(groups), groups.get("tenth") is not None
    if value is None or is_tenths and value > MOST_TENTHS or groups.get("english") and IN_LARGER.search(folded[max(0, start - MOST_BEFORE) : start]):
        return None
    scale = groups.get("scale")
    factor = _SCALES[scale] if scale else 0.01 if groups.get("hundredth") else 1.0
    if folded[start] == "-" and _ends_range(folded, start):
        start, value = start + 1, -value
    own, (start, value) = start, _add_larger(folded, start, value * factor, factor)
    if is_tenths:
        value = 10.0 * value + (5.0 if groups["more"] == "半" else _FIGURES.get(groups["more"], 0.0))
    if "负" in match[0] or value > 0 and _MINUS_BEFORE.search(_before(folded, start)):
        value = -value
    return _Reading(match, value, start, own, factor, is_tenths)


def _before(folded: str, start: int) -> str:
    return folded[max(0, start - MOST_FIGURES) : start]


def _lower_end(folded: str, reading: _Reading) -> Number | None:
    """The number before it, where the two are a range: 三至五成, 3-5%, 2百至3百."""
    before = _before(folded, reading.start)
    if folded[reading.start].isdigit() and (low := _LOWER_END.search(before)):
        value = _read_digits(low["low"]) * (_SCALES.get(low["scale"], 1.0) if low["scale"] else reading.factor) * (10.0 if reading.is_tenths else 1.0)
    elif reading.is_tenths and (low := _LOWER_TENTH.search(before)):
        value = 10.0 * _FIGURES[low["low"]]
    else:
        return None
    shift = reading.start - len(before)
    return Number(value, shift + low.start("low"), shift + low.end("scale" if low["scale"] else "low"))


def _upper_end(folded: str, reading: _Reading) -> tuple[Number, Number | None]:
    """The number itself, and that behind it where the two are a range: 百分之二十至三十, or $3-5 billion, whose scale is that of both."""
    match, number = reading.match, Number(reading.value, reading.start, reading.match.end())
    if match[0].startswith("百分之") and (high := _UPPER_HUNDREDTHS.match(folded, match.end())) and (upper := _read(high.groupdict())) is not None:
        return number, Number(upper, high.end() - len(high["digits"] or high["han"]), high.end())
    if folded[match.end() - 1].isdigit() and (high := _UPPER_END.match(folded, match.end())):
        factor = _SCALES[high["scale"]]
        return number._replace(value=number.value * factor), Number(_read_digits(high["high"]) * factor, high.start("high"), high.end())
    return number, None


def _add_larger(folded: str, start: int, value: float, factor: float) -> tuple[int, float]:
    """With the larger parts right before a number, as in 三亿五千万 and 1亿2000万."""
    while factor > 1 and (part := _LARGER_PART.search(_before(folded, start))):
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
