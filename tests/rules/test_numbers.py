"""Numerals against a writer of them, and numbers with their units as rules find them."""

import pytest
import regex

from doxa.rules.english_numbers import ENGLISH, read_english
from doxa.rules.numbers import find_numbers, number_pattern, read_han
from doxa.rules.words import fold

FIGURES = "零一二三四五六七八九"


def write_han(number: int) -> str:
    """A number below ten thousand as Chinese writes it."""
    if number < 10:
        return FIGURES[number]
    text, is_gap = "", False
    for value, ten in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        figure = number // value % 10
        if figure:
            text += ("零" if is_gap and text else "") + FIGURES[figure] + ten
        is_gap = figure == 0
    return text.removeprefix("一") if text.startswith("一十") else text


def test_numerals_below_ten_thousand():
    for number in range(10_000):
        assert read_han(write_han(number)) == number


@pytest.mark.parametrize("text, value", [("两千三百", 2300), ("九点五", 9.5), ("二十三点零五", 23.05), ("一百二", 120), ("一百零二", 102), ("二〇二六", 2026)])
def test_other_spellings(text, value):
    assert read_han(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["点", "点五", "五点", "百", pytest.param("二" * 400, id="400 figures"), pytest.param("三点" + "二" * 5000, id="5000 figures"), "一一十", "一十百", "五点十"])
def test_what_is_no_numeral(text):
    assert read_han(text) is None


def write_english(number: int, joint: str = "-", conjunction: str = " and ") -> str:
    """A number below a thousand as English writes it."""
    small = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen").split()
    if number < 20:
        return small[number]
    if number < 100:
        ten = "twenty thirty forty fifty sixty seventy eighty ninety".split()[number // 10 - 2]
        return ten + (joint + small[number % 10] if number % 10 else "")
    return f"{small[number // 100]} hundred" + (conjunction + write_english(number % 100, joint) if number % 100 else "")


@pytest.mark.parametrize("joint, conjunction", [("-", " and "), (" ", " ")])
def test_english_words_below_a_thousand(joint, conjunction):
    for number in range(1000):
        words = write_english(number, joint, conjunction)
        assert regex.fullmatch(ENGLISH, words) and read_english(words) == number, words


def found(text: str, unit: str | None = "%") -> list[float]:
    return [pytest.approx(number.value) for number in find_numbers(number_pattern(unit), fold(text))]


@pytest.mark.parametrize("text, values", [
    ("下跌了三成", [30]), ("三成五", [35]), ("1.5成", [15]), ("跌近两成半，", [25]), ("九成九的人", [99]), ("3-5成", [30, 50]), ("负三成", [-30]), ("三成员工", [30]),
    ("三成分析师", [30]), ("三成五万人", [30]), ("占三成一个月", [30]), ("百分之五和三成", [5, 30]), ("成交额5亿3成", [30])])
def test_tenths(text, values):
    assert found(text) == values


@pytest.mark.parametrize("text, values", [
    ("百分之百", [100]), ("下跌百分之二十至三十", [20, 30]), ("百分之20至30。", [20, 30]), ("百分之五到百分之八", [5, 8]), ("百分之五到2025年", [5]),
    ("百分之二十五到三十家", [25]), ("百分之五，至三月", [5])])
def test_hundredths_and_their_ranges(text, values):
    assert found(text) == values


@pytest.mark.parametrize("word", ["成功", "成立", "成为", "成本", "成长", "成交", "成员", "成绩", "成果", "成分", "成就", "成不变"])
def test_what_begins_like_a_tenth_and_is_a_word(word):
    assert found(f"项目一{word}") == [] and found(f"的3{word}。") == [] and found(f"三成和3{word}") == [30]


@pytest.mark.parametrize("text", ["2023成", "成三", "贷款成数", "变成"])
def test_what_is_no_tenth(text):
    assert found(text) == []


@pytest.mark.parametrize("text, values, unit", [
    ("rose five percent", [5], "%"), ("Twenty-five per cent", [25], "%"), ("of twenty five percent", [25], "%"), ("six pct", [6], "%"), ("six pp", [6], "%"), ("a hundred and ten basis points", [1.1], "%"),
    ("fifty bps", [0.5], "%"), ("five percentage points", [5], "%"), ("up two point five percent", [2.5], "%"), ("a ten-percent cut, 3% more", [10, 3], "%"),
    ("one, two percent", [2], "%"), ("half of one percent", [], "%"), ("nineteen ninety percent", [], "%"), ("someone percent, often percent", [], "%"),
    ("percent five", [], "%"), ("two billion dollars", [2e9], "dollars"), ("one hundred and twenty million dollars", [1.2e8], "dollars"), ("five dollars", [], "dollars"),
    ("two million five hundred thousand dollars", [], "dollars"), ("two billion twenty five million dollars", [], "dollars"), ("two billion and 5", [2e9, 5], None),
    ("five of 3", [3], None), ("a few hundred million", [], None)])
def test_english_words_before_a_unit_or_a_scale(text, values, unit):
    assert found(text, unit) == values
