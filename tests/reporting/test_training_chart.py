"""The picture of a training run: well-formed whatever the rows, and at the places that the rows say."""

import re
import xml.etree.ElementTree

import pytest

from doxa.reporting.training_chart import HEIGHT, MOST_POINTS, WIDTH, describe_training, render_training_chart


def losses(values, every=10):
    return [{"step": (i + 1) * every, "epoch": 1, "loss": value, "learning_rate": 1e-4, "seconds": 1.0} for i, value in enumerate(values)]


def evaluation(step, score, **heads):
    return {"step": step, "epoch": 1, "dev_score": score, "dev": heads, "seconds": 1.0}


CASES = {
    "none": [], "one": losses([0.7]), "constant": losses([0.5] * 9) + [evaluation(90, 0.5, a=0.5)], "zero": losses([0.0, 0.0]),
    "skipped": losses([0.7, None, 0.5, float("nan")]), "spike": losses([0.5] * 200 + [1e6]),
    "negative score": losses([1.0, 0.9]) + [evaluation(20, -3.5, rating=-3.5)],
    "foreign names": [evaluation(5, 0.5, **{"<script>alert(1)</script>": 0.4, "\x1b[2J": 0.6, "情感": 0.5})],
}


@pytest.mark.parametrize("rows", CASES.values(), ids=CASES)
def test_always_well_formed_and_inside(rows):
    svg = render_training_chart(rows)
    root = xml.etree.ElementTree.fromstring(svg)
    assert "<script" not in svg and "href" not in svg and "\x1b" not in svg
    for shape in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 <= float(shape.get("cx")) <= WIDTH and 0 <= float(shape.get("cy")) <= HEIGHT
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.get("d"))]
        assert all(0 <= x <= WIDTH for x in numbers[::2]) and all(0 <= y <= HEIGHT for y in numbers[1::2])


def test_a_long_run_is_thinned():
    svg = render_training_chart(losses([1 / (i + 1) for i in range(100_000)]))
    assert svg.count('class="raw"') <= MOST_POINTS and len(svg) < 100_000


def test_the_best_is_marked_where_it_is():
    rows = losses([0.9, 0.5]) + [evaluation(10, 0.25, a=0.25), evaluation(20, 0.75, a=0.75)]
    svg = render_training_chart(rows)
    mark = re.search(r'class="best" cx="([\d.]+)" cy="([\d.]+)"', svg)
    ends = [float(y) for y in re.findall(r'class="axis"[^>]*y1="([\d.]+)"', svg)][-6:]  # of the lower panel, 0 to 1
    bottom, top = max(ends), min(ends)
    assert float(mark[2]) == pytest.approx(bottom - 0.75 * (bottom - top), abs=0.2)
    assert "best 0.7500, step 20" in svg
    assert describe_training(rows) == "Loss from 0.900 at step 10 to 0.500 at step 20. Best dev score 0.7500 at step 20, of 2 evaluations."
