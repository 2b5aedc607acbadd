"""Summaries and contrasts as pages: the figures are there, and text from records does no harm."""

import json

import pytest

from doxa.explaining.contrast import contrast
from doxa.explaining.summary import summarize
from doxa.reporting.blocks import to_markdown, to_terminal
from doxa.reporting.explanations.words import describe_contrast, describe_summary, to_json
from explained import explained

FORMATS = ("terminal", "markdown", "json")
EVIL = "<b>|\x1b[31m[red]x`=1"


def texts(n: int, word: str, every: int, label: str = "negative") -> list:
    records = [explained(i, {"Cuts": 1.0 + i % 3, "calm": -0.5 - i % 2} | ({word: 2.0 + i % 2} if i % every == 0 else {}), label) for i in range(n)]
    for record in records:
        record.fields["id"] = f"{EVIL}{record.fields['id']}"
    return records


def render(found, kind: str, width: int = 100) -> str:
    if kind == "json":
        return to_json(found)
    blocks = describe_summary(found, "Words") if hasattr(found, "labels") else describe_contrast(found, "Moved", (EVIL, "after.jsonl"))
    return to_markdown(blocks) if kind == "markdown" else to_terminal(blocks, width)


@pytest.fixture(scope="module")
def summary():
    return summarize(texts(60, EVIL, 2))


@pytest.fixture(scope="module")
def moved():
    return contrast(texts(60, EVIL, 10), texts(60, EVIL, 2), "sentiment", "negative")


def test_a_summary_for_a_terminal(summary):
    page = render(summary, "terminal", 140)
    assert "sentiment=negative\n60 texts, 3 words in enough of them" in page
    [row] = [line for line in page.split("\n") if line.strip().startswith("cuts")]
    assert row.split()[:3] == ["cuts", "60", "+2.000"] and "100%" in row
    assert "speaking against it" in page and "method: mean evidence of a word" in page


def test_a_contrast_for_a_terminal(moved):
    page = render(moved, "terminal", 160)
    assert "share: 100.0% of 60 texts before, 100.0% of 60 after: +0.0 points" in page
    assert "1 word moved it, of 3 looked at" in page and "10.0% → 50.0%" in page


@pytest.mark.parametrize("kind", ["terminal", "markdown"])
def test_every_part_of_a_change_has_its_interval(moved, kind):
    page, [word] = render(moved, kind, 100), json.loads(to_json(moved))["words"]
    cells = " ".join(page.translate(str.maketrans("|", " ", "\\")).split())
    for part in ("change", "by_frequency", "by_evidence"):
        own = word[part]
        assert f"{own['value']:+.4f} {own['low']:+.4f} to {own['high']:+.4f}" in cells, part


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("which", ["summary", "moved"])
def test_text_from_records_is_harmless(which, kind, request):
    page = render(request.getfixturevalue(which), kind)
    assert "\x1b" not in page
    if kind == "markdown":
        assert "<b>" not in page and all(line.replace("\\|", "").count("|") in (7, 9, 6) for line in page.split("\n") if line.startswith("|"))
    if kind == "json":
        content = json.loads(page)
        words = [word["word"] for word in (content["labels"][0]["speaking_for"] if which == "summary" else content["words"])]
        assert EVIL.casefold() in words
    if kind == "terminal":
        assert "[red]" in page.replace("\n", "")


@pytest.mark.parametrize("width", [40, 80])
def test_terminal_pages_are_no_wider_than_asked(width, summary, moved):
    for figures in (summary, moved):
        assert max(map(len, render(figures, "terminal", width).split("\n"))) <= width


def test_nothing_to_show_is_said():
    page = render(summarize(texts(3, "x", 9)), "terminal")
    assert "no word is clearly speaking for it" in page and "no word is clearly speaking against it" in page
    still = render(contrast(texts(30, "x", 9), texts(30, "x", 9), "sentiment", "negative"), "terminal")
    assert "no word clearly moved it" in still
    assert json.loads(render(summarize([]), "json"))["labels"] == []
