"""The heat map: shares of labels by group, shaded in steps that can be read in both schemes."""

import re

import pytest
from colours import contrast, luminance, read_colours
from test_charts import make_buckets, make_figures

from doxa.monitoring.figures import Group, HeadCounts, Share
from doxa.reporting.heat_map import EDGES, draw_heat_map, step, step_names
from doxa.reporting.page import render
from doxa.reporting.wording import whole_percent


def make_map(groups, labels, watch="sentiment=negative", **more):
    counts = {label: sum(own.get(label, 0) for own in groups.values()) for label in labels}
    n = sum(counts.values())
    head = HeadCounts("sentiment", "label", n, {label: Share(count, n) for label, count in counts.items()})
    made = [Group(name, "value", sum(own.values()), own, Share(0, sum(own.values())), Share(1, 1)) for name, own in groups.items()]
    total = Group("", "all", n, counts, Share(0, n), Share(n, n), make_buckets([(1, n)]))
    return make_figures(make_buckets([(1, n)]), heads=[head], groups=made, total=total, watch=watch, n_records=n, **more)


def test_cells_are_shares_of_the_group():
    figures = make_map({"credit": {"negative": 30, "neutral": 10}, "deals": {"neutral": 5}}, ["negative", "neutral"])
    heat = draw_heat_map(figures)
    assert (heat.head, heat.columns, heat.watched) == ("sentiment", ["negative", "neutral"], "negative")
    assert [[(cell.hits, cell.n, shade) for cell, shade in cells] for _, cells in heat.rows] == [
        [(30, 45, 5), (15, 45, 3)], [(30, 40, 5), (10, 40, 2)], [(0, 5, 0), (5, 5, 0)]]  # five texts are too few to shade


def test_many_labels_fold_and_the_watched_one_stays():
    labels = [f"l{i}" for i in range(12)]
    heat = draw_heat_map(make_map({"g": {label: 20 - i for i, label in enumerate(labels)}}, labels, "sentiment=l11"))
    assert heat.columns == [*labels[:7], "l11", None]
    cells = [cell for cell, _ in heat.rows[1][1]]
    assert sum(cell.hits for cell in cells) == cells[0].n == sum(20 - i for i in range(12))


@pytest.mark.parametrize("more", [{"watch": None}, {"by": None}, {"watch": "tags=a"}, {"total": None}])
def test_no_map_where_there_is_nothing_to_map(more):
    figures = make_map({"g": {"negative": 20}}, ["negative"])
    for name, value in more.items():
        setattr(figures, name, value)
    figures.heads.append(HeadCounts("tags", "labels", 20, {"a": Share(20, 20)}))
    assert draw_heat_map(figures) is None


@pytest.mark.parametrize("hits, n, expected", [
    (0, 100, 0), (4, 100, 0), (5, 100, 1), (15, 100, 2), (44, 100, 3), (45, 100, 4), (60, 100, 5), (9, 9, 0), (0, 0, 0)])
def test_steps(hits, n, expected):
    assert step(Share(hits, n)) == expected


def test_words():
    assert step_names() == ["5–15%", "15–30%", "30–45%", "45–60%", "from 60%"] and len(EDGES) == 5
    assert [whole_percent(Share(hits, 1000)) for hits in (0, 1, 4, 6, 994, 1000)] == ["0%", "<1%", "<1%", "1%", "99%", "100%"]


def test_the_table_can_be_heard():
    page = render(make_map({"credit": {"negative": 30, "neutral": 10}}, ["negative", "neutral"]), "html")
    table = re.search(r'<table class="heat.*?</table>', page, re.DOTALL)[0]
    assert "<caption>Share of each label of sentiment" in table and table.count('scope="col"') == 4 and table.count('scope="row"') == 2
    assert re.search(r'<td class="n h5">75%<span class="unseen"> ?\(30 of 40 texts\)</span></td>', table)
    assert "style=" not in table  # shades are classes


def test_numbers_on_shades_can_be_read_in_both_schemes():
    page = render(make_map({"credit": {"negative": 30}}, ["negative"]), "html")
    light, dark = (read_colours(page, scheme) for scheme in ("light", "dark"))
    for colours in (light, dark):
        shades = [colours["card"], *(colours[f"h{i}"] for i in range(1, 6))]
        inks = [colours["ink"]] * 5 + [colours["on-h5"]]
        for shade, ink in zip(shades, inks):
            assert contrast(shade, ink) >= 4.5, (shade, ink)
        steps = [luminance(shade) for shade in shades]
        assert steps == sorted(steps, reverse=steps[0] > steps[1])  # each step is further from the paper than the one before
    assert light["h1"] != dark["h1"]
