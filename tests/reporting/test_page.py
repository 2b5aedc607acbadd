"""Pages: hostile texts stay texts, every format says the same numbers."""

import html.parser
import json
import re

import pytest

from doxa.monitoring.aggregate import aggregate
from doxa.monitoring.settings import Settings
from doxa.records.columns import read_columns
from doxa.records.flat_schema import Wanted
from doxa.records.reader import Source
from doxa.records.page_formats import choose_page
from doxa.reporting.page import FORMATS, render

HOSTILE = [
    "<script>alert(1)</script>", "</title><img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "javascript:alert(1)",
    "\x1b[31mred\x1b[0m", "\x1b]52;c;aGVsbG8=\x07", "\x9b31m", "a\u202eevil\u202c", "\u2066x\u2069", "bell\x07 back\x08 null\x01", "[/x] [bold]b[/bold]",
    "=cmd|' /C calc'!A0", "| a | b |\n|---|---|", "[link](http://evil.example)", "![i](http://evil.example/x.png)", "`code` *b* _i_ # h",
    "{{ 7*7 }} {% raw %}", "<!-- c -->", "&lt;b&gt;", "line\u2028sep\u2029end", "a\r\nb", "<https://evil.example>", "@user ~~x~~", ":smile:",
]
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def hostile_figures(tmp_path):
    path = tmp_path / "hostile.jsonl"
    lines = []
    for i, text in enumerate(HOSTILE):
        lines.append(json.dumps({"id": text, "text": text + " words", "source": text, "timestamp": f"2024-01-01T00:{i:02d}:00Z",
                                 "prediction": {"sentiment": {"label": "negative", "score": 0.9}, text: {"label": text, "score": 0.5}}}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    reader = read_columns(Source((str(path),)), Wanted(by=("field:source",)))
    return aggregate(reader, Settings(top=50, title=HOSTILE[1]))


class Tags(html.parser.HTMLParser):
    ALLOWED = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "span", "strong", "table", "tr", "th", "td", "section",
               "figure", "svg", "desc", "rect", "path", "ul", "li", "bdi", "header", "main", "footer", "h3", "thead", "tbody", "code", "caption", "wbr"}

    def __init__(self):
        super().__init__()
        self.text = []

    def handle_starttag(self, tag, attributes):
        assert tag in self.ALLOWED, tag
        for name, value in attributes:
            assert not name.startswith("on") and name not in ("src", "href"), (tag, name)
            assert "evil" not in (value or "") and "alert" not in (value or "")

    def handle_data(self, data):
        self.text.append(data)


def test_hostile_texts_stay_texts_in_html(tmp_path):
    page = render(hostile_figures(tmp_path), "html")
    parser = Tags()
    parser.feed(page)
    assert "<script>alert(1)</script> words" in "".join(parser.text)
    assert not CONTROL.search(page.replace("\n", ""))
    assert "default-src 'none'" in page and "http" not in page.replace("http-equiv", "").replace("http://evil.example", "").replace("https://evil.example", "")


@pytest.mark.parametrize("kind", ["terminal", "markdown"])
def test_no_control_reaches_the_terminal(tmp_path, kind):
    page = render(hostile_figures(tmp_path), kind, width=400)
    assert not CONTROL.search(page.replace("\n", ""))
    assert "\\x1b[31mred" in page.replace("\\\\", "\\").replace("\\[", "[")


def test_markdown_escapes_its_marks(tmp_path):
    page = render(hostile_figures(tmp_path), "markdown")
    body = "\n".join(line for line in page.splitlines() if line.startswith("- "))
    text = re.sub(r" \*\(.*\)\*$", "", body, flags=re.MULTILINE)[2:]  # our own emphasis around the note
    assert "\\<script\\>" in text
    assert not re.search(r"(?<!\\)[<>`*\[\]()_#|!~@]", text)


def test_rich_markup_is_shown_not_obeyed(tmp_path):
    assert "[/x] [bold]b[/bold]" in render(hostile_figures(tmp_path), "terminal", width=400)


def test_json_keeps_texts_and_numbers(tmp_path):
    figures = hostile_figures(tmp_path)
    content = json.loads(render(figures, "json"))
    texts = {example["text"] for group in content["groups"] for example in group["examples"]}
    assert {text + " words" for text in HOSTILE} == texts
    assert content["records"] == len(HOSTILE) and content["groups"][0]["watched"]["share"] == 1.0


def test_every_format_says_the_same(tmp_path):
    figures = hostile_figures(tmp_path)
    low, high = figures.heads[0].labels["negative"].interval
    words = ["100.0%", f"{100 * low:.1f}", f"{100 * high:.1f}"]
    for kind in ("terminal", "markdown", "html"):
        plain = render(figures, kind).replace("\\", "")
        assert all(word in plain for word in words) and f"{len(HOSTILE)} records" in plain and "doxa 0" in plain


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_no_records(tmp_path, kind):
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"")
    page = render(aggregate(read_columns(Source((str(path),)), Wanted()), Settings()), kind)
    assert "no records" in page or (page.count("\n") == 1 if kind == "csv" else json.loads(page)["records"] == 0)


def test_format_by_suffix():
    assert [choose_page(name, None, FORMATS) for name in ("a.html", "b.md", "c.json", "d.txt", None)] == ["html", "markdown", "json", "terminal", "terminal"]
    assert choose_page("a.html", "json", FORMATS) == "json"
