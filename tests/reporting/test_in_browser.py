"""The html pages in a real browser: they run nothing, ask for nothing, and can be read. Skipped where no Chromium is."""

import json

import pytest
from browser import Browser, find_browser
from colours import contrast
from explained_news import explained_records
from test_comparison_page import SIDES, compare, predictions
from test_evaluation_page import evaluate, records_of_every_kind
from test_explanations_page import hostile_records
from test_page import HOSTILE, hostile_figures

from doxa.monitoring.aggregate import aggregate
from doxa.monitoring.settings import Settings
from doxa.records.columns import read_columns
from doxa.records.flat_schema import Wanted
from doxa.records.reader import Source
from doxa.reporting.explanations.html import render_explanations
from doxa.reporting.page import render

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium here (Debian: apt-get install chromium)")
VIEWS = [("light", 1100), ("dark", 390), *(pytest.param(scheme, width, marks=pytest.mark.slow) for scheme, width in (("light", 390), ("dark", 1100)))]

# Every text that is shown, with its contrast (WCAG 2.1) to the nearest background that is painted behind it.
CONTRASTS = """
(() => {
  const rgb = colour => colour.match(/[\\d.]+/g).map(Number);
  const linear = c => c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = element => { for (; element; element = element.parentElement) {
    const colour = rgb(getComputedStyle(element).backgroundColor); if (colour.length == 3 || colour[3] == 1) return colour; } return [255, 255, 255]; };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.getClientRects().length || element.closest("svg, .unseen")) continue;
    const [high, low] = [luminance(rgb(getComputedStyle(element).color)), luminance(behind(element))].sort((a, b) => b - a);
    found.push([texts.currentNode.data.trim(), (high + 0.05) / (low + 0.05)]);
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    page = folder / "page.html"
    page.write_text(render(hostile_figures(folder), "html"), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def combined_page(tmp_path_factory):
    """Two names combined, in Chinese and English, so many texts that cells are shaded; one name without a place to break."""
    folder = tmp_path_factory.mktemp("combined")
    labels = ["negative"] * 6 + ["neutral"] * 3 + ["positive"]
    lines = [{"id": i, "text": f"评级机构下调展望 outlook {i}", "source": ["路透社", "x" * 80][i % 2],
              "timestamp": f"2026-10-{1 + i % 28:02d}T09:00:00Z",
              "prediction": {"topic": {"label": ["credit", "并购"][i % 3 > 0], "score": 0.9},
                             "sentiment": {"label": labels[i * 7 % 10], "score": 0.9}}} for i in range(400)]
    (folder / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    reader = read_columns(Source((str(folder / "lines.jsonl"),)), Wanted(by=("topic", "source")))
    page = folder / "page.html"
    page.write_text(render(aggregate(reader, Settings(title="舆情 report")), "html"), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def explanations_page(tmp_path_factory):
    """Explanations of every kind, hostile ones among them, and a name without a place to break."""
    records = [*explained_records(), *hostile_records()]
    records[0]["explanation"]["sentiment"]["label"] = "y" * 80
    page = tmp_path_factory.mktemp("explanations") / "page.html"
    page.write_text(render_explanations(records, text_pair_field="text_pair", title="为什么 why", signature="x" * 200), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def evaluation_page(tmp_path_factory):
    """Heads of every kind, slices, and a label without a place to break."""
    records = records_of_every_kind()
    for record in records[:60]:
        record["prediction"]["sentiment"] = {"label": "y" * 80, "score": 0.7}
    page = tmp_path_factory.mktemp("evaluation") / "page.html"
    page.write_text(evaluate(records, "--by", "source", "--to", "html", "--title", "评估 evaluation"), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def comparison_page(tmp_path_factory):
    """Heads of every kind in three files, a margin, slices, and a label and a file without a place to break."""
    folder = tmp_path_factory.mktemp("comparison")
    sides = {name * 30 if name == "int8" else name: predictions(name) for name in SIDES}
    for record in sides["int8" * 30][:60]:
        record["prediction"]["sentiment"] = {"label": "y" * 80, "score": 0.7}
    for records in sides.values():
        for record in records[:60]:
            record["sentiment"] = "y" * 80
    compare(folder, sides, "--by", "source", "--margin", "0.02", "--title", "比较 comparison", "--output", "page.html")
    return folder / "page.html"


@pytest.mark.parametrize("name, scheme, width", [
    pytest.param(name, scheme, width, marks=() if (scheme, width) == view else pytest.mark.slow)
    for name, view in (("hostile_page", ("light", 1100)), ("combined_page", ("dark", 390)), ("explanations_page", ("dark", 390)), ("evaluation_page", ("light", 1100)),
                       ("comparison_page", ("dark", 390)))
    for scheme in ("light", "dark") for width in (390, 1100)])
def test_the_page_runs_nothing_asks_for_nothing_and_fits(browser, request, name, scheme, width):
    page = request.getfixturevalue(name)
    browser.open(page, scheme, width)
    assert browser.requests() == [page.as_uri()] and browser.complaints() == []
    assert browser.evaluate("document.scripts.length + document.images.length + frames.length") == 0
    assert browser.evaluate("[...document.links].map(link => link.getAttribute('href')).filter(target => !target.startsWith('#'))") == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.screenshot().startswith(b"\x89PNG")


@pytest.mark.parametrize("scheme, width", VIEWS)
def test_every_text_can_be_read(browser, combined_page, scheme, width):
    browser.open(combined_page, scheme, width)
    contrasts = browser.evaluate(CONTRASTS)
    assert len(contrasts) > 100 and [pair for pair in contrasts if pair[1] < 4.5] == []
    shades = browser.evaluate("[...document.querySelectorAll('td.h2, td.h3, td.h5')].map(cell => getComputedStyle(cell).backgroundColor)")
    assert len(set(shades)) >= 2
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(245, 246, 248)" if scheme == "light" else "rgb(16, 22, 28)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_of_an_evaluation_can_be_read(browser, evaluation_page, scheme):
    browser.open(evaluation_page, scheme)
    contrasts = browser.evaluate(CONTRASTS)
    assert len(contrasts) > 200 and [pair for pair in contrasts if pair[1] < 4.5] == []
    box, dot, counts = (browser.evaluate(f"(() => {{ const r = document.querySelector('{part}').getBoundingClientRect(); return [r.width, r.height]; }})()")
                        for part in (".diagram .frame", ".interval", "svg.counts"))
    assert box[0] == pytest.approx(box[1]) and dot[0] > 50 and counts[1] > 20


@pytest.mark.parametrize("scheme, width", VIEWS)
def test_differences_can_be_read(browser, comparison_page, scheme, width):
    """Words by their contrast, bars by their size and by that of their colours (3 of graphics, WCAG 2.1) on the card."""
    browser.open(comparison_page, scheme, width)
    contrasts = browser.evaluate(CONTRASTS)
    assert len(contrasts) > 400 and [pair for pair in contrasts if pair[1] < 4.5] == []
    sizes = browser.evaluate("[...document.querySelectorAll('.interval')].map(bar => bar.getBoundingClientRect()).map(box => [box.width, box.height])")
    assert len(sizes) > 100 and min(width for width, _ in sizes) >= 60 and min(height for _, height in sizes) > 10
    names = browser.evaluate("[...document.querySelectorAll('tbody th')].map(cell => cell.getBoundingClientRect().width)")
    assert min(names) >= 80
    card, *marks = browser.evaluate("""[getComputedStyle(document.querySelector('.card')).backgroundColor, ...['worse', 'better', 'open'].map(
      tone => getComputedStyle(document.querySelector(`.is-${tone} .at`)).stroke)].map(colour => '#' + colour.match(/\\d+/g).map(c => (+c).toString(16).padStart(2, '0')).join(''))""")
    assert len(set(marks)) == 3 and min(contrast(mark, card) for mark in marks) >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_coloured_words_can_be_read_and_told_apart_without_colour(browser, explanations_page, scheme):
    browser.open(explanations_page, scheme)
    contrasts = browser.evaluate(CONTRASTS)
    assert len(contrasts) > 500 and [pair for pair in contrasts if pair[1] < 4.5] == []
    lines = {style: tuple(browser.evaluate(f"""(() => {{ const style = getComputedStyle(document.querySelector(".text .{style}"));
      return [style.textDecorationLine, style.textDecorationStyle, style.textDecorationThickness]; }})()""")) for style in
        [side + step for side in ("for", "against", "look") for step in "123" if (side, step) != ("look", "1")]}
    assert len(set(lines.values())) == len(lines) and "none" not in {line for line, _, _ in lines.values()}


def test_the_contents_lead_to_the_groups(browser, explanations_page):
    browser.open(explanations_page)
    assert browser.evaluate("[...document.querySelectorAll('a')].filter(link => document.querySelector(link.getAttribute('href'))).length") > 30
    browser.evaluate("document.querySelector(`a[href='#g1-2']`).click()")
    assert abs(browser.evaluate("document.getElementById('g1-2').getBoundingClientRect().top")) < 60 and browser.complaints() == []
    assert not [url for url in browser.requests() if not url.startswith(explanations_page.as_uri())]


def test_hostile_texts_are_shown_as_they_are(browser, hostile_page):
    browser.open(hostile_page)
    shown = browser.evaluate("document.body.innerText")
    assert all(text in shown for text in HOSTILE if text.isprintable() and "  " not in text)


def test_the_checks_would_see_it(browser, tmp_path):
    """A page that does what ours must not is caught by every check."""
    page = tmp_path / "bad.html"
    page.write_text("<body style='width:3000px'><p style='color:#999;background:#fff'>faint<script>console.error('ran'); undefined_name()</script>"
                    "<img src=http://127.0.0.1:9/x.png>")
    browser.open(page, "light", 390)
    assert len(browser.requests()) == 2 and len(browser.complaints()) >= 2
    assert browser.evaluate("document.scripts.length") == 1 and browser.evaluate("document.documentElement.scrollWidth") > 390
    assert [round(contrast, 2) for text, contrast in browser.evaluate(CONTRASTS) if text == "faint"] == [2.85]
