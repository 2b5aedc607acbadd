"""compare as a user runs it: verdicts, pairing, refusals, flips, many files."""

import json
import random

import pytest
from scipy.stats import binomtest

from judged import judged, lines

from doxa.metrics.paired import mcnemar
from shell import Done, run


@pytest.fixture
def write(tmp_path):
    def write_files(*sets) -> list:
        paths = [tmp_path / f"{name}.jsonl" for name in "abcdef"[: len(sets)]]
        for path, records in zip(paths, sets):
            path.write_bytes(lines(records))
        return paths

    return write_files


def compare(paths, *args) -> Done:
    return run("compare", *args, *paths)


def heads(paths, *args) -> list[dict]:
    done = compare(paths, "--to", "json", *args)
    assert done.code in (0, 4), done.err
    return [pair["heads"]["sentiment"] for pair in json.loads(done.out)["pairs"]]


def is_right(record: dict) -> bool:
    return record["sentiment"] == record["prediction"]["sentiment"]["label"]


def test_worse_ends_with_4_better_and_equal_with_0(write):
    good, bad = judged(400, right=0.9, draw=1), judged(400, right=0.7, draw=2)
    worse = compare(write(good, bad))
    assert worse.code == 4 and len(worse.err_lines) == 1 and "is worse than" in worse.err and "macro_f1" in worse.err
    assert "worse" in worse.out.decode() and "difference" in worse.out.decode()
    assert compare(write(bad, good)).code == 0
    same = compare(write(good, good))
    assert same.code == 0 and "no difference shown" in same.out.decode()


@pytest.mark.parametrize("n_flips, code", [(4, 0), (5, 0), (6, 4)])
def test_few_flips_are_no_surer_than_the_sign_test(write, n_flips, code):
    """Four records that all became wrong are as likely as one throw in eight of four coins that all fall alike."""
    old = judged(300, right=0.9, draw=1)
    rows = [i for i, record in enumerate(old) if is_right(record)][:: 20][:n_flips]
    new = [record | {"prediction": {"sentiment": {"label": "positive" if record["sentiment"] != "positive" else "negative", "score": 0.9}}} if i in rows else record
           for i, record in enumerate(old)]
    for metric in ("accuracy", "macro_f1"):
        done = compare(write(old, new), "--metric", metric, "--to", "json")
        figure = json.loads(done.out)["pairs"][0]["heads"]["sentiment"]["figures"][metric]
        assert (done.code, figure["p"] >= binomtest(n_flips, n_flips).pvalue) == (code, True)
    assert json.loads(compare(write(old, old), "--margin", "0.02", "--to", "json").out)["pairs"][0]["heads"]["sentiment"]["figures"]["macro_f1"]["verdict"] == "not worse"


@pytest.mark.parametrize("metric, margin, said", [("accuracy", "1", "accuracy is from 0 to 1, so nothing could be worse by more; one point is 0.01"),
                                                  ("matthews", "5", "matthews is from -1 to 1")])
def test_a_margin_that_nothing_could_exceed_is_refused(write, metric, margin, said):
    good = judged(20, right=0.7)
    done = compare(write(good, good), "--metric", metric, "--margin", margin)
    assert done.code == 2 and said in done.err and len(done.err_lines) == 1


def test_a_margin_is_not_shown_by_few_records_and_makes_nothing_worse(write):
    """Of one record, or of twenty that all stayed right, nobody knows whether one in fifty gets worse; and what is no worse is not worse by more than a margin."""
    good = judged(20, right=2.0, draw=1)  # forum posts too
    bad = [record | {"prediction": {"sentiment": {"label": "positive" if record["sentiment"] != "positive" else "negative", "score": 0.9}}} if i % 5 == 0 else record
           for i, record in enumerate(good)]
    for old, new, margin in ((good[:1], good[:1], 0.0001), (good, good, 0.02), (good, bad, 0.001), (good[:1], bad[:1], 0.5)):
        for metric in ("accuracy", "macro_f1"):
            done = compare(write(old, new), "--metric", metric, "--margin", margin, "--to", "json")
            assert (done.code, json.loads(done.out)["pairs"][0]["heads"]["sentiment"]["figures"][metric]["verdict"]) == (0, "open")


def test_other_texts_are_seen_whatever_the_order_and_what_is_missing(write):
    """By order a pair with another text is none, also where a prediction is missing; by id it is told."""
    records = judged(40, with_ids=False)
    moved = [record | {"text": other["text"]} for record, other in zip(records, records[1:] + records[:1])]
    moved[7] = moved[7] | {"prediction": None}
    refused = compare(write(records, moved))
    assert refused.code == 1 and "the texts of" in refused.err and "first in record 1" in refused.err
    named = [record | {"id": i} for i, record in enumerate(records)]
    others = [record | {"text": "another"} if record["id"] % 4 == 0 else record for record in named]
    for after, n in ((others[::-1], "10 of 40"), (others[1:], "9 of 39")):
        assert f"though their ids are: {n} differ" in " ".join(compare(write(named, after)).out.decode().split())


def test_one_or_two_records_are_no_verdict_whatever_the_head(write):
    old = [{"id": i, "text": "t", "rating": 1.0, "right": 1, "choices": ["a", "b"], "prediction": {"rating": {"score": 1.1}, "right": {"index": 1, "text": "b", "score": 0.7}}}
           for i in range(2)]
    new = [record | {"prediction": {"rating": {"score": 1.4}, "right": {"index": 0, "text": "a", "score": 0.7}}} for record in old]
    for n in (1, 2):
        done = compare(write(old[:n], new[:n]), "--to", "json")
        figures = [figure for head in json.loads(done.out)["pairs"][0]["heads"].values() for figure in head["figures"].values() if "verdict" in figure]
        assert done.code == 0 and [figure["verdict"] for figure in figures] == ["open", "open"], done.out.decode()


def test_figures_are_those_of_evaluate_and_mcnemar_counts(write):
    old, new = judged(300, draw=1, with_scores=True), judged(300, draw=2, with_scores=True)
    paths = write(old, new)
    [found] = heads(paths)
    for side, path in (("old", paths[0]), ("new", paths[1])):
        own = json.loads(run("evaluate", "--to", "json", path).out)["heads"]["sentiment"]["figures"]
        assert {name: figure[side] for name, figure in found["figures"].items()} == {name: figure["value"] for name, figure in own.items()}
    worse, better = (sum(is_right(a) > is_right(b) for a, b in pairs) for pairs in (list(zip(old, new)), list(zip(new, old))))
    assert (found["became_wrong"], found["became_right"]) == (worse, better)
    assert found["p_mcnemar"] == pytest.approx(mcnemar(worse, better))
    for figure in found["figures"].values():
        assert figure["low"] <= figure["difference"] <= figure["high"] and figure["difference"] == pytest.approx(figure["new"] - figure["old"])


def test_pairs_by_id_in_any_order(write):
    old, new = judged(200, draw=1), judged(200, draw=2)
    straight = heads(write(old, new))
    shuffled = random.Random(1).sample(new, len(new))
    [found] = heads(write(old, shuffled))
    assert (found["became_wrong"], found["became_right"]) == (straight[0]["became_wrong"], straight[0]["became_right"])
    assert {n: f["difference"] for n, f in found["figures"].items()} == pytest.approx({n: f["difference"] for n, f in straight[0]["figures"].items()})
    part = json.loads(compare(write(old, shuffled[:150]), "--to", "json").out)
    assert part["pairs"][0]["records"] == 150 and part["pairs"][0]["without_partner"] == {"old": 50, "new": 0} and "50 judged records" in part["notes"][0]


def test_pairs_by_order_where_ids_are_missing_or_twice(write):
    old, new = (judged(100, draw=draw, with_ids=False) for draw in (1, 2))
    by_order = json.loads(compare(write(old, new), "--to", "json").out)["pairs"][0]
    assert by_order["paired_by"] == "order" and by_order["records"] == 100
    twice = [record | {"id": "same"} for record in new]
    told = json.loads(compare(write([r | {"id": "same"} for r in old], twice), "--to", "json").out)
    assert told["pairs"][0]["paired_by"] == "order" and "holds an id twice, so records are paired by order" in told["notes"][0]
    short = compare(write(old, new[:99]))
    assert short.code == 1 and "holds 100 records" in short.err and "99" in short.err
    other = compare(write(old, [record | {"text": record["text"] + "!"} for record in new]))
    assert other.code == 1 and "the texts of" in other.err


def test_other_texts_of_the_same_ids_are_told(write):
    old, new = judged(60, draw=1), judged(60, draw=2)
    assert not json.loads(compare(write(old, new), "--to", "json").out)["notes"]
    done = compare(write(old, [record | {"text": record["text"] + "!"} for record in new]), "--to", "json")
    assert ["are not the same, though their ids are" in note for note in json.loads(done.out)["notes"]] == [True]


def test_an_error_record_leaves_its_partner_alone(write):
    old, new = (judged(60, draw=draw, with_ids=False) for draw in (1, 2))
    new[10] = {"text": "text 10", "error": {"code": "too_long_text", "message": "m"}}
    done = compare(write(old, new), "--to", "json")
    pair = json.loads(done.out)["pairs"][0]
    assert pair["records"] == 59 and pair["without_partner"] == {"old": 1, "new": 0}
    assert done.code == 3 and "1 judged record of " in done.err and "has no partner" in done.err and done.err.count("\n") == 1
    assert pair["heads"]["sentiment"]["became_wrong"] == sum(is_right(a) and not is_right(b) for i, (a, b) in enumerate(zip(old, new)) if i != 10)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("entry", [None, {"other": {"label": "x", "score": 0.5}}, {"sentiment": {"label": None}}])
def test_records_that_one_side_does_not_judge_are_told(write, side, entry):
    """The new model's mistakes left out would else make it perfect."""
    whole, part = judged(300, right=0.8, draw=1), judged(300, right=0.8, draw=1)
    lost = [record for record in part if not is_right(record)]
    for record in lost:
        record["prediction"] = {"topic": {"label": "a", "score": 0.5}, **(entry or {})}
    files = [whole, part] if side else [part, whole]
    paths = write(*files)
    done = compare(paths)
    says = f'head "sentiment": {len(lost)} records have both a prediction and a gold label in {paths[1 - side]} but not in {paths[side]}, and are left out'
    assert done.code == 3 and says in done.err and says in " ".join(done.out.decode().split())
    judged_alone = json.loads(compare(paths, "--to", "json").out)["pairs"][0]["heads"]["sentiment"]["judged_alone"]
    assert judged_alone == {"old": side * len(lost), "new": (1 - side) * len(lost)}


@pytest.mark.parametrize("side", [0, 1])
def test_records_that_one_file_lacks_are_told(write, side):
    """As after predict --on-error drop; those that hold no gold label are judged by neither."""
    whole = judged(60, draw=1)
    part = [record for record in whole if is_right(record)]
    n = len(whole) - len(part)
    whole = whole + [{"id": "x", "text": "no gold", "prediction": {"sentiment": {"label": "neutral", "score": 0.5}}}]
    paths = write(*([whole, part] if side else [part, whole]))
    done = compare(paths, "--to", "json")
    assert (done.code, done.err) == (3, f"compare: {n} judged records of {paths[1 - side]} have no partner in {paths[side]}, and are left out\n")
    assert json.loads(done.out)["pairs"][0]["without_partner"] == {"old": side * n, "new": (1 - side) * n}
    assert side or compare(write(whole[:-1], whole)).code == 0


def test_worse_wins_over_what_one_file_lacks(write):
    done = compare(write(judged(300, draw=1, right=0.9), judged(300, draw=2, right=0.5)[1:]))
    assert done.code == 4 and "is worse than" in done.err and "1 judged record of" in done.err and done.err.count("\n") == 1


def test_a_head_of_one_file_alone_is_told(write):
    old, new = judged(60, draw=1), judged(60, draw=2)
    for record in old:
        record |= {"topic": "a", "prediction": record["prediction"] | {"topic": {"label": "a", "score": 0.9}}}
    paths = write(old, new)
    done = compare(paths)
    assert done.code in (0, 4) and f'head "topic" is judged in {paths[0]} alone' in " ".join(done.out.decode().split())


def test_refuses_another_gold(write):
    old, new = judged(80, draw=1), judged(80, draw=2)
    new[33]["sentiment"] = "positive" if new[33]["sentiment"] != "positive" else "negative"
    done = compare(write(old, new))
    assert done.code == 1 and done.out == b"" and "1 of 80 differ, first at id r33" in done.err


def test_margin_and_metric(write):
    old, new = judged(2000, right=0.9, draw=1), judged(2000, right=0.84, draw=2)
    paths = write(old, new)
    assert compare(paths).code == 4 and compare(paths, "--margin", "0.2").code == 0
    assert "not worse by more than the margin" in compare(paths, "--margin", "0.2").out.decode().replace("\n", " ")
    [found] = heads(paths, "--metric", "accuracy", "--metric", "matthews")
    assert {name for name, figure in found["figures"].items() if "verdict" in figure} == {"accuracy", "matthews"}
    done = compare(paths, "--metric", "f7")
    assert done.code == 2 and "there are: accuracy" in done.err


def test_many_files_are_corrected_together(write):
    old = judged(300, draw=1)
    found = heads(write(old, *(judged(300, draw=draw) for draw in range(2, 6))))
    own = [head["figures"]["macro_f1"] for head in found]
    ranked = sorted(own, key=lambda figure: figure["p"])
    assert len(own) == 4 and ranked[0]["p_holm"] == pytest.approx(min(1.0, 4 * ranked[0]["p"]))
    assert all(figure["p_holm"] >= figure["p"] for figure in own)


def test_flips_are_records_that_became_wrong_the_surest_first(write):
    old, new = judged(300, draw=1), judged(300, draw=2)
    became_wrong = sorted((b for a, b in zip(old, new) if is_right(a) and not is_right(b)), key=lambda r: -r["prediction"]["sentiment"]["score"])
    [found] = heads(write(old, new), "--flips", "4")
    assert [flip["id"] for flip in found["flips"]] == [record["id"] for record in became_wrong[:4]]
    assert all(flip["gold"] == flip["old"] != flip["new"] for flip in found["flips"])


def test_slices_and_labels_tell_the_largest_loss_first(write):
    old, new = judged(600, draw=1, right=0.85), judged(600, draw=1, right=0.85)
    for record in new:
        if record["source"] == "blog":
            record["prediction"]["sentiment"]["label"] = "negative"
    [found] = heads(write(old, new), "--by", "source")
    assert [part["value"] for part in found["slices"]["by"]][0] == "blog" and found["slices"]["by"][0]["high"] < 0
    assert [part["difference"] for part in found["slices"]["by"][1:]] == [0.0, 0.0]
    losses = [label["difference"] for label in found["labels"].values()]
    assert losses == sorted(losses)


def test_usage(write):
    [path] = write(judged(10))
    assert compare([path]).code == 2 and "name two files" in compare([path]).err
    assert compare(["-", "-"]).code == 2 and compare([path, path], "--to", "csv").code == 2
    assert run("compare", "-", path, stdin=lines(judged(10, draw=3))).code == 0
    empty = path.with_name("empty.jsonl")
    empty.write_bytes(b"")
    assert compare([path, empty]).code == 1
    other = write(judged(10), [record | {"topic": "x", "prediction": {"topic": {"label": "x", "score": 1.0}}} for record in judged(10)])
    assert "no head in common" in compare(other).err


def test_many_labels_are_said_to_be_judged_each_on_its_own(write):
    def sides(n_labels: int) -> list[dict]:
        return [{"id": i, "text": "t", "sentiment": f"l{i % n_labels}", "prediction": {"sentiment": {"label": f"l{(i + (i % 7 == 0)) % n_labels}"}}} for i in range(200)]

    for n_labels, is_said in ((9, False), (20, True)):
        notes = json.loads(compare(write(sides(n_labels), sides(n_labels)), "--to", "json").out)["notes"]
        assert any("not corrected for their number: of 20, 1.0 are below 0.05" in note for note in notes) is is_said


def test_many_files_are_told_at_a_glance(write):
    """A line for every file before all else, the best first; with two files there is none."""
    old = judged(300, right=0.8, draw=1)
    paths = write(old, judged(300, right=0.7, draw=2), judged(300, right=0.95, draw=3), judged(300, right=0.82, draw=4))
    page = compare(paths, "--to", "markdown").out.decode()
    overview = [row for row in page.split(" beside ")[0].split("\n") if row.startswith("| /") or row.startswith("| \\/") or ".jsonl" in row and row.startswith("|")]
    gains = {path: pair["macro_f1"]["difference"] for path, pair in zip(paths[1:], (head["figures"] for head in heads(paths)))}
    assert [next(path for path in gains if path.name in row) for row in overview] == sorted(gains, key=lambda path: -gains[path])
    assert "better" in overview[0] and "worse" in overview[-1] and "Holm" in page.split(" beside ")[0]
    assert "verdict" not in compare(paths[:2], "--to", "markdown").out.decode().split(" beside ")[0]


def test_slices_have_the_figure_that_was_asked_for(write):
    """One that needs scores, too."""
    old, new = judged(400, right=0.8, draw=1, with_scores=True), judged(400, right=0.8, draw=2, with_scores=True)
    for metric, title in (("accuracy", "accuracy by source"), ("log_loss", "log loss by source")):
        done = compare(write(old, new), "--metric", metric, "--by", "source", "--to", "markdown")
        assert title in done.out.decode()
    [head] = heads(write(old, new), "--metric", "accuracy", "--by", "source")
    for part in head["slices"]["by"]:
        both = [[is_right(record) for record in records if record["source"] == part["value"]] for records in (old, new)]
        assert (part["old"], part["new"]) == pytest.approx([sum(own) / len(own) for own in both])


def test_a_p_that_resamples_cannot_show_lower_is_told(write):
    paths = write(judged(400, right=0.95, draw=1), judged(400, right=0.6, draw=2))
    assert "1,000 resamples show no p below 0.002; --resamples takes more" in " ".join(compare(paths).out.decode().split())
    more = json.loads(compare(paths, "--to", "json", "--resamples", 4000).out)
    assert more["pairs"][0]["heads"]["sentiment"]["figures"]["macro_f1"]["p"] < 0.001
    assert "show no p below" not in compare(write(judged(400, draw=1), judged(400, draw=1))).out.decode()


def test_a_figure_that_needs_scores_says_so(write):
    done = compare(write(judged(60, draw=1), judged(60, draw=2)), "--metric", "log_loss")
    assert done.code == 2 and "the heads have no such figure: it needs the scores of all labels, predict --scores" in done.err
