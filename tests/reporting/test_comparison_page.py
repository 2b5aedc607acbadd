"""compare --to html: the verdict first, the differences of its JSON, and bars whose geometry is that of the differences."""

import json
import re

import pytest
from judged import judged, lines
from markup import Markup
from shell import Done, run
from test_page import CONTROL, HOSTILE

from doxa.metrics.classification import Estimate
from doxa.reporting.comparison_page import LEAST_FOLDED, MOST_OPEN
from doxa.reporting.evaluation_wording import title_of
from doxa.reporting.interval_bar import Axis, center_axis
from doxa.reporting.scale import round_up

SIDES = {"old": (0.9, 1), "int8": (0.75, 2), "better": (0.97, 3)}


def predictions(name: str, n: int = 300) -> list[dict]:
    """Of heads of a label, labels, a number, tags, a span, a choice and a text, as often right as SIDES says."""
    right, draw = SIDES[name]
    records = judged(n, right=right, draw=draw, with_scores=True)
    for i, record in enumerate(records):
        hit = (i * 37 + draw * 11) % 100 < 100 * right
        record |= {"text": ["评级机构下调该公司信用评级。", "Northbank cuts 1,200 jobs."][i % 2], "rating": float(i % 5), "topics": ["credit"] * (i % 2),
                   "tokens": ["Anna", "met", "Bo"], "names": ["B-PER", "O", "B-PER"], "answers": [{"text": "Anna", "start": 0}],
                   "choices": ["no", "yes"], "right": 1, "reply": "很好 good"}
        record["prediction"] |= {
            "rating": {"score": i % 5 + (0.1 if hit else 1.5)}, "topics": {"labels": ["credit"] * (i % 2 if hit else 1)},
            "names": {"entities": [], "tags": ["B-PER", "O", "B-PER" if hit else "O"]},
            "answers": {"answer": {"text": "Anna" if hit else "Bo", "start": 0 if hit else 9, "end": 4 if hit else 11, "score": 0.8}},
            "right": {"index": int(hit), "text": "yes" if hit else "no", "score": 0.7}, "reply": {"text": "很好 good" if hit else "bad", "score": 2.0}}
    return records


def compare(folder, sides: dict[str, list[dict]], *args) -> Done:
    for name, records in sides.items():
        (folder / name).write_bytes(lines(records))
    return run("compare", *args, *sides, cwd=folder)


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Markup, dict]:
    """The page and the JSON of three files."""
    folder, sides = tmp_path_factory.mktemp("comparison"), {name: predictions(name) for name in SIDES}
    args = ("--by", "source", "--by-length", "--margin", "0.05", "--metric", "accuracy", "--metric", "macro_f1", "--resamples", 1000)
    page, content = (compare(folder, sides, *args, "--to", kind) for kind in ("html", "json"))
    assert page.code == content.code == 4 and page.err == content.err
    return Markup(page.out.decode()), json.loads(content.out)


def cells(found: dict) -> list[str]:
    return [f"{found['old']:.3f}", f"{found['new']:.3f}", f"{found['difference']:+.3f} {found['low']:+.3f} to {found['high']:+.3f}"]


def row_of(page: Markup, name: str, found: dict, *sizes: str) -> bool:
    p = "< 0.001" if found["p"] < 0.001 else f"{found['p']:.3f}"
    return any(row[0].startswith(name) and row[1:-2] == [*sizes, *cells(found)] and row[-1] == p for row in page.rows)


def test_every_difference_stands_there_with_its_interval(both):
    page, content = both
    assert {head["kind"] for head in content["pairs"][0]["heads"].values()} == {"label", "labels", "number", "tags", "span", "choice", "text"}
    for pair in content["pairs"]:
        for head in pair["heads"].values():
            alone = [name for name in head["figures"] if not re.match("(macro|micro|weighted|samples)_(precision|recall)", name)]
            assert all(row_of(page, title_of(name), head["figures"][name]) for name in alone)
            assert len(head["labels"]) == 1 or all(row_of(page, label, found) for label, found in head["labels"].items())
            for slices in head["slices"].values():
                assert all(row_of(page, part["value"], part, str(part["n"])) for part in slices)
    assert content["signature"] in page.text


def test_the_verdicts_come_first_in_words(both):
    page, content = both
    words = {"worse": "worse", "not worse": "not worse by more than the margin", "open": "not shown to be within the margin"}
    verdicts = page.text[: page.text.index("The mark is the difference")]
    for pair in content["pairs"]:
        for name, head in pair["heads"].items():
            for figure, found in head["figures"].items():
                if "verdict" in found:
                    less = " (less is better)" if figure == "mae" else ""
                    assert f"{words[found['verdict']]} {name} , {title_of(figure)}{less} {found['old']:.3f} → {found['new']:.3f}, {found['difference']:+.3f} 95 %: {found['low']:+.3f} to {found['high']:+.3f}, p" in verdicts
    n_deciding = [sum("verdict" in found for found in head["figures"].values()) for head in content["pairs"][0]["heads"].values()]
    first = [found["verdict"] for head in content["pairs"][0]["heads"].values() for found in head["figures"].values() if "verdict" in found]
    assert f"int8 is worse than old by more than the margin of 0.05 in {first.count('worse')} of {len(first)} figures that decide" in verdicts
    assert "better is not worse than old by more than the margin of 0.05" in verdicts
    assert sorted(page.links) == sorted(["#v1", "#v2"] + [f"#p{pair}h{head}" for pair in (1, 2) for head, n in enumerate(n_deciding, 1) for _ in range(n)])
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_what_became_wrong_is_told_with_text_gold_and_both_predictions(both):
    page, content = both
    for pair in content["pairs"]:
        head = pair["heads"]["sentiment"]
        assert len(head["flips"]) == 5
        for flip in head["flips"]:
            assert f"{flip['text']} gold {flip['gold']} , old {flip['old']} , new {flip['new']} {flip['score']:.3f}, record {flip['id']}" in page.text
        assert f"{head['became_wrong']:,} records became wrong and {head['became_right']:,} became right" in page.text
        assert f"5 of {head['became_wrong']} records that became wrong" in page.text
    assert "Errors that grew most" in page.text and "gold Anna , old Anna , new Bo 0.800" in page.text


def bars(page: str) -> list[tuple[float, ...]]:
    """Where each interval begins, how wide it is, where the difference stands."""
    drawn = r'<path class="zero" d="M([\d.]+) 0V10"/><path class="reach" d="M([\d.]+) 5h([\d.]+)"/><path class="at" d="M([\d.]+) 1V9"/>'
    return [tuple(map(float, found)) for found in re.findall(drawn, page)]


def test_bars_have_the_places_of_their_differences(tmp_path):
    """Better to the right, also where less is better; the same scale for all that is compared."""
    sides = {name: [{key: record[key] for key in ("id", "text", "sentiment", "rating")} | {
        "prediction": {head: record["prediction"][head] for head in ("sentiment", "rating")}} for record in predictions(name)] for name in SIDES}
    content = json.loads(compare(tmp_path, sides, "--to", "json").out)
    page = compare(tmp_path, sides, "--to", "html").out.decode()
    found = [(head["figures"][name], name == "mae") for pair in content["pairs"] for head, name in zip(pair["heads"].values(), ("macro_f1", "mae"))]
    for is_lower_better in (False, True):
        reach = round_up(max(abs(figure[end]) for figure, is_mae in found if is_mae == is_lower_better for end in ("low", "high")))
        for (figure, is_mae), (zero, left, width, at) in zip(found, bars(page)):
            if is_mae == is_lower_better:
                low, value, high = (figure["low"], figure["difference"], figure["high"]) if not is_mae else (-figure["high"], -figure["difference"], -figure["low"])
                assert zero == 50 and [left, at, left + width] == pytest.approx([50 + 50 * end / reach for end in (low, value, high)], abs=0.02)
                assert page.count(f"<span>{reach:g} worse</span><span>0</span><span>{reach:g} better</span>") >= 2
    assert 'class="interval is-worse"' in page and 'class="interval is-better"' in page and 'class="margin"' not in page


def test_the_margin_is_drawn(tmp_path):
    sides = {name: judged(300, right=right, draw=1) for name, right in (("old", 0.8), ("new", 0.8))}
    page = compare(tmp_path, sides, "--to", "html", "--margin", "0.05").out.decode()
    reach = round_up(0.05)
    assert page.count(f'<path class="margin" d="M{50 - 50 * 0.05 / reach} 0V10"/>') > 1 and "The dashed line is the margin, 0.05" in page
    assert "is not worse than" in page and "is-worse" not in page.partition("</style>")[2]


def test_axes_are_centred_on_zero():
    axis = center_axis([Estimate(-0.1, -0.22, 0.04)])
    assert -axis.low == axis.high == pytest.approx(0.3)
    assert center_axis([Estimate(0.0, 0.0, 0.0)]) == center_axis([]) == Axis(-1.0, 1.0) and center_axis([Estimate(0.1, float("nan"), float("nan"))]).high == 0.1
    assert center_axis([Estimate(0.0, -0.01, 0.01)], 0.05).high == 0.05
    assert [round_up(value) for value in (0.1, 0.11, 1, 1.2, 4, 60, 76, 1e9)] == pytest.approx([0.1, 0.15, 1, 1.5, 5, 75, 100, 1e9])
    bar = Axis(-1.0, 1.0).draw(Estimate(0.5, 0.0, 1.0), margin=-0.5)
    assert (bar.zero, bar.left, bar.width, bar.at, bar.margin) == (50, 50, 50, 75, 25)


@pytest.mark.parametrize("sides, conclusion, badge", [
    ((0.9, 0.9), "is not shown to differ from", "no difference shown"), ((0.6, 0.95), "is better than", "better"), ((0.95, 0.6), "is worse than", "worse")])
def test_the_conclusion_of_two_files(tmp_path, sides, conclusion, badge):
    done = compare(tmp_path, {f"{name}.jsonl": judged(300, right=right, draw=1) for name, right in zip(("old", "new"), sides)}, "--output", "page.html")
    page = Markup((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert done.code == (4 if badge == "worse" else 0) and done.out == b""
    assert f"new.jsonl {conclusion} old.jsonl 300 records in both, paired by id {badge} sentiment , macro F1" in page.text


def test_mixed_verdicts_are_told_apart(tmp_path):
    old, new = judged(300, right=0.6, draw=1), judged(300, right=0.95, draw=1)
    for record in (*old, *new):
        record |= {"topic": "a"}
        record["prediction"]["topic"] = {"label": "a", "score": 0.9}
    page = Markup(compare(tmp_path, {"old": old, "new": new}, "--to", "html").out.decode())
    assert "new is better than old in 1 of 2 figures that decide, and no difference is shown in the others" in page.text


def test_an_open_verdict_under_a_margin_does_not_say_that_nothing_differs(tmp_path):
    """Surely worse, and not surely by no more than the margin."""
    sides = {"old": judged(300, right=0.9, draw=1), "new": judged(300, right=0.83, draw=1)}
    [head] = json.loads(compare(tmp_path, sides, "--to", "json", "--margin", "0.09").out)["pairs"][0]["heads"].values()
    assert head["figures"]["macro_f1"]["verdict"] == "open" and head["figures"]["macro_f1"]["high"] < 0
    for kind in ("terminal", "html"):
        told = compare(tmp_path, sides, "--to", kind, "--margin", "0.09").out.decode()
        assert "not shown to be within the margin" in told and "no difference shown" not in told


def test_hundreds_of_labels_are_there_and_most_are_folded(tmp_path):
    def records(shift: int) -> list[dict]:
        return [{"id": i, "text": "t", "intent": f"意图 {i % 200}", "prediction": {"intent": {"label": f"意图 {(i + (i % 7 < shift)) % 200}", "score": 0.9}}} for i in range(800)]

    page = Markup(compare(tmp_path, {"old": records(1), "new": records(2)}, "--to", "html").out.decode())
    assert {f"意图 {i}" for i in range(200)} <= {row[0].rpartition(" ")[0].split(" 0.")[0].split(" 1.")[0] for row in page.rows}
    assert f"{200 - MOST_OPEN} more labels" in page.text and page.source.count("<details>") == 1
    n = MOST_OPEN + LEAST_FOLDED
    few = [{"id": i, "text": "t", "intent": f"i{i % n}", "prediction": {"intent": {"label": f"i{i % n}"}}} for i in range(100)]
    assert "<details>" not in compare(tmp_path, {"old": few, "new": few}, "--to", "html").out.decode()


def test_no_flips_and_one_record(tmp_path):
    records = [{"text": "t", "s": "a", "prediction": {"s": {"label": "a"}}}]
    page = Markup(compare(tmp_path, {"old": records, "new": records}, "--to", "html").out.decode())
    assert "1 record in both, paired by order" in page.text and "Right before" not in page.text and "0 records became wrong" in page.text
    sides = {"old": judged(100, right=0.9, draw=1), "new": judged(100, right=0.7, draw=2)}
    assert "Right before" not in compare(tmp_path, sides, "--to", "html", "--flips", "0").out.decode()


@pytest.mark.parametrize("kind", ["terminal", pytest.param("html", marks=pytest.mark.slow), "json"])
def test_a_figure_that_no_resample_defines_has_no_interval(tmp_path, kind):
    """Of more records than resamples are drawn from, one alone differs in gold, so correlations are mostly not defined."""
    records = [{"text": "t", "rating": float(i == 5999), "prediction": {"rating": {"score": i % 3}}} for i in range(6000)]
    done = compare(tmp_path, {"old": records, "new": [r | {"prediction": {"rating": {"score": 1 + i % 2}}} for i, r in enumerate(records)]}, "--to", kind)
    assert done.code in (0, 4), done.err
    told = done.out.decode()
    assert "nan" not in told.lower() and "earman" in told and (json.loads(told)["pairs"][0]["heads"]["rating"]["figures"]["spearman"]["low"] is None if kind == "json"
                                                               else "–" in told)


def test_hostile_names_and_texts_stay_texts(tmp_path):
    def records(right: bool) -> list[dict]:
        return [{"id": text, "text": text + " words", "source": text, head: text, "prediction": {head: {"label": text + "2" * (not right), "score": 0.9}}}
                for head in ("s", HOSTILE[1]) for text in HOSTILE]

    done = compare(tmp_path, {"<b>old\u202e": records(True), "new\x1b[31m": records(False)}, "--to", "html", "--by", "field:source", "--title", HOSTILE[0], "--flips", "50")
    page = Markup(done.out.decode())
    assert done.code == 4 and not CONTROL.search(page.source.replace("\n", ""))
    assert "<script>alert(1)</script> words" in page.text and "a\\u202eevil" in page.text and "<b>old\\u202e" in page.text and "new\\x1b[31m" in page.text
    assert all(re.fullmatch(r"#p1h\d", link) for link in page.links) and len(page.links) == 2
    assert "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'" in page.source


def test_every_chart_has_words(both):
    """Bars are hidden from those who do not see them: each stands in a row, or beside a verdict, that holds its numbers, and a sentence sums a table up."""
    page, _ = both
    assert page.source.count("<svg") == page.source.count('aria-hidden="true"><rect') > 100
    n_tables = page.source.count("<section class=\"card\"><h4>")
    assert n_tables == len(re.findall(r"Of [\d,]+ (figures?|labels?|values?): [\d,]+ with the whole interval on the worse side, [\d,]+ on the better side, [\d,]+ with an "
                                      "interval that holds 0", page.text)) > 20
    assert page.source.count('<span class="unseen">worse to the left of 0, better to the right</span>') >= n_tables


def test_notes_are_there(tmp_path):
    whole = judged(60, draw=1)
    done = compare(tmp_path, {"old": whole, "new": whole[:50]}, "--to", "html")
    assert done.code == 3 and "10 judged records of old have no partner in new, and are left out" in Markup(done.out.decode()).text
