"""evaluate --to html: the figures of its JSON, and charts whose geometry is that of the figures."""

import json
import math
import re

import pytest
from judged import judged, lines
from markup import Markup
from test_page import CONTROL, HOSTILE

from doxa.evaluation.figures import ReliabilityBin
from doxa.metrics.classification import Estimate
from doxa.metrics.figure_range import range_of
from doxa.metrics.intervals import wilson
from doxa.reporting.evaluation_page import MOST_COLUMNS
from doxa.reporting.interval_bar import Axis, span_axis
from doxa.reporting.reliability import draw_reliability
from shell import run


def records_of_every_kind() -> list[dict]:
    records = judged(300, with_scores=True)
    for i, record in enumerate(records):
        record["text"] = ["评级机构下调该公司信用评级。", "Northbank cuts 1,200 jobs."][i % 2]
        record["rating"] = float(i % 5)
        record["tags"] = ["credit"] * (i % 2) + ["merger"] * (i % 3 == 0)
        record["prediction"] |= {"rating": {"score": i % 5 + (i * 7 % 11 - 5) / 5}, "tags": {"labels": ["credit"] * (i % 2) + ["merger"] * (i % 4 == 0)}}
    return records


def evaluate(records: list[dict], *args) -> str:
    done = run("evaluate", *args, stdin=lines(records))
    assert (done.code, done.err) == (0, "")
    return done.out.decode()


@pytest.fixture(scope="module")
def both() -> tuple[Markup, dict]:
    """The page and the JSON of the same records."""
    records = records_of_every_kind()
    args = ("--by", "source", "--by-length")
    return Markup(evaluate(records, *args, "--to", "html")), json.loads(evaluate(records, *args, "--to", "json"))["heads"]


def shown(found: dict, dash: str = "–") -> str:
    return f"{found['value']:.3f} {found['low']:.3f}{dash}{found['high']:.3f}"


def test_every_figure_stands_there_with_its_interval(both):
    page, heads = both
    rows = {tuple(row) for row in page.rows}
    for head in heads.values():
        for name, found in head["figures"].items():
            assert shown(found) in page.text or f"{found['value']:.3f} 95 %: {found['low']:.3f}–{found['high']:.3f}" in page.text, name
        for label, own in head["labels"].items():
            figures = [shown(own[name]) for name in ("precision", "recall", "f1")]
            assert any(row[:6] == (label, str(own["held"]), str(own["said"]), *figures) for row in rows), label
        for slices in head["slices"].values():
            for part in slices:
                assert any(row[:2] == (part["value"], str(part["n"])) for row in rows), part
        assert head["signature"] in page.text
    for name, value in (("sentiment", "macro_f1"), ("rating", "mae"), ("tags", "macro_f1")):
        assert f"{heads[name]['figures'][value]['value']:.3f} 95 %:" in page.text  # as a tile
    assert [link[1:] in page.ids for link in page.links] == [True] * 3


def test_every_figure_lies_where_gates_let_a_bound_be(both):
    for head in both[1].values():
        for name, found in head["figures"].items():
            least, greatest = range_of(name)
            assert least - 1e-12 <= found["low"] <= found["value"] <= found["high"] <= greatest + 1e-12, name
    assert range_of("nothing") is None


def test_confusions_are_counts_with_their_share(both):
    page, heads = both
    confusion = heads["sentiment"]["confusion"]
    for label, counts in zip(confusion["labels"], confusion["counts"]):
        cells = [f"{n} ( {n / sum(counts):.0%} of {label} )" for n in counts]
        assert [label, *cells, str(sum(counts))] in [[cell.replace("(", "( ").replace(")", " )") for cell in row] for row in page.rows]
    framed = re.findall(r'<td class="n h\d right">(\d+)<', page.source)
    assert framed == [str(counts[i]) for i, counts in enumerate(confusion["counts"])]


def test_slices_stand_worst_first_and_mistakes_gravest_first(both):
    page, heads = both
    sources = [row[0] for row in page.rows if row[0] in ("wire", "forum", "blog")]
    assert ["source", "records", "macro F1", "", "accuracy"] in page.rows  # the headline figure first, as its bar is beside it
    assert sources[:3] == [part["value"] for part in heads["sentiment"]["slices"]["by"]] and sources[0] == "forum"
    grave = heads["sentiment"]["mistakes"][0]
    assert f"gold {grave['gold']} , predicted {grave['said']} {grave['score']:.3f}, record {grave['id']}" in page.text


def test_more_labels_than_a_table_holds_are_told_in_pairs():
    labels = [f"label {i}" for i in range(MOST_COLUMNS + 3)]
    records = [{"text": "t", "s": label, "prediction": {"s": {"label": "label 1" if i < 3 else label, "score": 0.9}}} for i, label in enumerate(labels * 4)]
    page = Markup(evaluate(records, "--to", "html"))
    assert "What was taken for what" not in page.text and "18 labels are too many" in page.text
    assert ["label 0", "label 1", "1", "25.0%"] in page.rows and ["label 2", "label 1", "1", "25.0%"] in page.rows


def test_hostile_names_and_texts_stay_texts():
    records = [{"id": text, "text": text + " words", "source": text, text: text, "prediction": {text: {"label": text + "2", "score": 0.9}}} for text in HOSTILE[:9]]
    records += [{"id": text, "text": text + " words", "source": text, "s": text, "prediction": {"s": {"label": text + "2", "score": 0.9}}} for text in HOSTILE]
    done = run("evaluate", "--to", "html", "--by", "field:source", "--title", HOSTILE[1], stdin=lines(records))
    page = Markup(done.out.decode())
    assert done.code == 0 and not CONTROL.search(page.source.replace("\n", ""))
    assert "<script>alert(1)</script> words" in page.text and "a\\u202eevil" in page.text
    assert len(page.links) == 10 and all(link.startswith("#h") for link in page.links)  # each head, by its number
    assert "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'" in page.source


def _bin(low: float, n: int, score: float, hits: int) -> ReliabilityBin:
    return ReliabilityBin(low, low + 0.25, n, score, Estimate(hits / n, *wilson(hits, n)))


def test_the_reliability_diagram_has_the_places_of_its_figures():
    bins = [_bin(0.25, 10, 0.4, 4), _bin(0.75, 100, 0.9, 60)]
    drawn = draw_reliability(bins)
    assert [point[:2] for point in drawn.points] == [(40, 60), (90, 40)] and drawn.line == "M40.0 60.0L90.0 40.0"
    for (_, y, high, low), part in zip(drawn.points, bins):
        assert math.isclose(100 - high, 100 * part.right.high, abs_tol=0.01) and math.isclose(100 - low, 100 * part.right.low, abs_tol=0.01)
    assert drawn.bars == [(27.5, 90.0, 20.0, 10.0), (77.5, 0.0, 20.0, 100.0)] and drawn.most == 100
    assert drawn.words == ("110 records in 2 bins; scores are surely too high in 1 of them, 100 records (furthest off: a mean score of 0.90 where 0.60 "
                           "are right).")
    assert "too low in 1 of them, 100 records" in draw_reliability([_bin(0.25, 100, 0.3, 60)]).words
    assert "in no bin are scores surely" in draw_reliability(bins[:1]).words and draw_reliability([]) is None


def test_interval_bars():
    bar = Axis().draw(Estimate(0.6, 0.5, 0.8), Estimate(0.7, 0.6, 0.9))
    assert (bar.left, bar.width, bar.at, bar.overall, bar.zero) == (50, 30, 60, 70, None)
    bar = span_axis([Estimate(-0.5, -0.6, 0.2)]).draw(Estimate(-0.5, -0.6, 0.2))
    assert (bar.left, bar.width, bar.at, bar.zero) == (20, 40, 25, 50)
    assert span_axis([Estimate(3.0, 2.0, 4.0)]) == Axis(0, 4) and span_axis([Estimate(math.nan, math.nan, math.nan)]) == Axis()
    assert span_axis([Estimate(-3.0, -4.0, -2.0)]) == Axis(-4, 0)
    alone = Axis().draw(Estimate(0.6, math.nan, math.nan))
    assert (alone.left, alone.width, alone.at) == (60, 0, 60) and Axis().draw(Estimate(math.nan, 0, 1)) is None and Axis().draw(None) is None
    assert Axis().draw(Estimate(2.0, -1.0, 3.0)).width == 100  # what lies beyond an end is put on it
