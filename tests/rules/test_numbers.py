"""Chinese numerals against a writer of them."""

import pytest

from doxa.rules.numbers import read_han

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
