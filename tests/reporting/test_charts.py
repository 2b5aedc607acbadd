"""Trend charts: what the shapes say is what the figures say."""

import datetime as dt
import html.parser
import re
import xml.etree.ElementTree

import pytest

from doxa.monitoring.figures import Bucket, Figures, Group, HeadCounts, Share
from doxa.reporting.charts import describe_trend, draw_trend, share_ceiling
from doxa.reporting.page import render
from doxa.reporting.wording import sparkline

DAY = dt.timedelta(days=1)


def make_buckets(counts, is_open=True):
    """Buckets of a day from (watched, n)."""
    start = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    return [Bucket(start + i * DAY, start + (i + 1) * DAY, n, Share(hits, n), not (is_open and i == len(counts) - 1)) for i, (hits, n) in enumerate(counts)]


def make_group(buckets, name="credit", kind="value"):
    hits, n = sum(b.watched.hits for b in buckets), sum(b.n for b in buckets)
    return Group(name, kind, n, {"negative": hits}, Share(hits, n), Share(n, n), buckets)


def make_figures(buckets, **more):
    group = make_group(buckets)
    values = dict(title="t", n_records=group.n, errors={}, n_untimed={}, n_duplicate_ids=0, first=buckets[0].start, last=buckets[-1].start,
                  heads=[HeadCounts("sentiment", "label", group.n, {"negative": group.watched})], by="topic", watch="sentiment=negative", every="1d",
                  time_zone="UTC", groups=[group], notes=[], version="0", total=make_group(buckets, "", "all"))
    return Figures(**values | more)


def test_a_line_never_crosses_an_empty_bucket():
    chart = draw_trend(make_buckets([(1, 4), (2, 4), (0, 0), (3, 4), (4, 4)], is_open=False), 1.0, "1d")
    assert chart.line == "M100.0 75.0L300.0 50.0 M700.0 25.0L900.0 0.0" and chart.open_line.strip() == ""
    assert len(chart.bars) == 4 and len(chart.dots) == 4


def test_the_open_bucket_is_hollow_and_its_line_broken():
    chart = draw_trend(make_buckets([(1, 4), (2, 4), (4, 4)]), 1.0, "1d")
    assert chart.line.count("L") == 1 and chart.open_line.count("L") == 1
    assert [is_complete for *_, is_complete in chart.dots] == [is_complete for *_, is_complete in chart.bars] == [True, True, False]


def test_the_band_holds_the_line():
    chart = draw_trend(make_buckets([(1, 4), (2, 40), (4, 4)]), 1.0, "1d")
    numbers = [tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", chart.bands)]
    upper, lower = numbers[:3], numbers[:2:-1]
    for (x, y, _), (_, high), (_, low) in zip(chart.dots, upper, lower):
        assert high <= y <= low


@pytest.mark.parametrize("counts, top", [([(0, 10)], 0.1), ([(1, 10)], 0.1), ([(3, 10)], 0.4), ([(9, 10)], 1.0), ([(0, 0)], 1.0)])
def test_the_axis_is_a_round_number_above_all(counts, top):
    assert share_ceiling([make_group(make_buckets(counts))]) == top


def test_words_for_those_who_do_not_see_it():
    figures = make_figures(make_buckets([(1, 4), (0, 0), (4, 4), (0, 2)]))
    assert describe_trend(figures.groups[0], figures).startswith("10 texts in 4 buckets of 1d, 1 of them empty.")
    assert "highest 100.0%" in describe_trend(figures.groups[0], figures) and "2026-10-04 (incomplete)" in describe_trend(figures.groups[0], figures)


def test_sparklines():
    buckets = make_buckets([(0, 10), (5, 10), (0, 0), (10, 10)])
    assert sparkline(buckets, True) == "▁▅·(█)" and sparkline(buckets, False) == "██·(█)"
    assert sparkline(make_buckets([(1, 1)] * 100, is_open=False), True, 40) == "█" * 34
    assert sparkline([], True) == ""


@pytest.mark.parametrize("n", [1, 2, 31, 400])
def test_the_page_is_well_formed_at_any_length(n):
    page = render(make_figures(make_buckets([(i % 3, 3) for i in range(n)])), "html")
    assert "<script" not in page and "NaN" not in page
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        xml.etree.ElementTree.fromstring(drawing)
    Balance().check(page)


class Balance(html.parser.HTMLParser):
    """Every element that opens closes; every id and every reference to one is there once."""

    def check(self, page):
        self.open, self.ids, self.used = [], [], []
        self.feed(page)
        assert self.open == [] and len(set(self.ids)) == len(self.ids) and set(self.used) == set(self.ids)

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        self.ids += [names["id"]] if "id" in names else []
        self.used += names.get("aria-labelledby", "").split()
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", ["terminal", "markdown", "html", "json"])
def test_nothing_watched_shows_no_share(kind):
    buckets = [Bucket(b.start, b.end, b.n, Share(0, 0), b.is_complete) for b in make_buckets([(0, 4), (0, 6)])]
    head = HeadCounts("topic", "label", 10, {"credit": Share(7, 10)})
    page = render(make_figures(buckets, watch=None, heads=[head]), kind)
    assert "0.0%" not in page.replace("100.0%", "").replace("70.0%", "") and "sentiment" not in page


@pytest.mark.parametrize("width", [20, 40, 59, 80, 100, 200])
def test_terminal_lines_fit(width):
    figures = make_figures(make_buckets([(i % 3, 3) for i in range(400)]), title="A report " * 20)
    assert max(map(len, render(figures, "terminal", width).splitlines())) <= max(40, width)


def test_colour_only_when_asked():
    figures = make_figures(make_buckets([(1, 2)]))
    assert "\x1b" not in render(figures, "terminal") and "\x1b[" in render(figures, "terminal", is_coloured=True)


def test_markdown_text_begins_no_block():
    from doxa.reporting.markdown import escape

    assert escape("1. one") == "1\\. one" and escape("   - a\n\n    b") == "\\- a b" and escape("www.example.org") == "www\\.example.org"


def test_json_escapes_what_a_terminal_obeys():
    page = render(make_figures(make_buckets([(1, 2)]), title="\x9b31m \u202e \x7f \ud800"), "json")
    assert "\\u009b31m \\u202e \\u007f \\ud800" in page
