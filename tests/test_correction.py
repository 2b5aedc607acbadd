"""report --model and --gold-sample: shares without the model's mistakes, through the command line."""

import csv
import gzip
import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from doxa.monitoring.correct import LEAST_GOLD
from doxa.reporting.page import FORMATS
from shell import run

LABELS = ("negative", "neutral", "positive")
RATES = {"negative": (0.80, 0.15, 0.05), "neutral": (0.15, 0.75, 0.10), "positive": (0.05, 0.15, 0.80)}  # of what is predicted
ODD_RATES = RATES | {"neutral": (0.50, 0.40, 0.10)}  # a source whose neutral texts read as negative ones
WATCH = ("--watch", "sentiment=negative", "--every", "1d")


def make_records(generator, gold_shares, n, rates=RATES, **fields):
    gold = generator.choice(LABELS, n, p=gold_shares)
    return [{"id": i, "text": f"text {i}", "timestamp": f"2026-10-{1 + i * 4 // n:02d}T09:00:00Z", "sentiment": str(label),
             "prediction": {"sentiment": {"label": str(generator.choice(LABELS, p=rates[label])), "score": 0.9}}} | fields
            for i, label in enumerate(gold)]


def write_records(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def true_share(records):
    return np.mean([record["sentiment"] == "negative" for record in records])


def make_model(directory, records, **changes):
    """A directory with nothing but a doxa.json whose dev set is `records`."""
    directory.mkdir()
    counts = np.zeros((3, 3), int)
    np.add.at(counts, tuple(np.array([[LABELS.index(r["sentiment"]), LABELS.index(r["prediction"]["sentiment"]["label"])] for r in records]).T), 1)
    confusion = {"sentiment": {"labels": list(LABELS), "counts": counts.tolist(), "unseen": [0, 0, 0]}}
    table = {"format": 1, "doxa_version": "0", "heads": [{"name": "sentiment", "kind": "label", "labels": list(LABELS)}],
             "reading": {"max_length": 128, "long": "windows", "text_field": "text", "text_pair_field": None},
             "dev": {"confusion": confusion}, "files": {}}
    (directory / "doxa.json").write_text(json.dumps(table | changes))
    return directory


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """A calm source, and one of which most is negative; dev was calm."""
    generator, folder = np.random.default_rng(1), tmp_path_factory.mktemp("stream")
    records = make_records(generator, (0.10, 0.6, 0.3), 3000, source="calm") + make_records(generator, (0.70, 0.2, 0.1), 1500, source="angry")
    records = [record | {"id": i} for i, record in enumerate(records)]
    model = make_model(folder / "model", make_records(generator, (0.3, 0.5, 0.2), 1000))
    sample = [records[i] for i in generator.choice(len(records), 400, replace=False)]
    return {"path": write_records(folder / "stream.jsonl", records), "model": model, "folder": folder, "records": records,
            "sample": write_records(folder / "gold.jsonl", sample), "sampled": sample}


def report(stream, *flags, path=None):
    done = run("report", *WATCH, "--to", "json", *flags, path or stream["path"])
    assert done.code == 0, done.err
    return json.loads(done.out)


def holds(corrected, truth):
    return corrected["low"] <= truth <= corrected["high"]


@pytest.mark.parametrize("source", ["model", "sample"])
def test_shares_are_corrected_towards_the_truth_and_hold_it(stream, source):
    flag = {"model": "--model", "sample": "--gold-sample"}[source]
    page = report(stream, "--by", "source", flag, stream[source])
    for group in (page["total"], *page["groups"]):
        truth = true_share([r for r in stream["records"] if group["name"] in (None, r["source"])])
        raw, corrected = group["watched"], group["corrected"]
        assert abs(corrected["share"] - truth) < abs(raw["share"] - truth) and holds(corrected, truth)
        assert not holds(raw, truth) and len(group["trend"]) == 4
        assert all(holds(bucket["corrected"], bucket["corrected"]["share"]) for bucket in group["trend"])
        assert np.mean([holds(bucket["corrected"], truth) for bucket in group["trend"]]) >= 0.75
    calm, angry = page["groups"]
    assert calm["corrected"]["share"] < calm["watched"]["share"] and angry["corrected"]["share"] > angry["watched"]["share"]


@pytest.mark.parametrize("source", ["model", "sample"])
def test_every_label_of_the_head_is_corrected_towards_the_truth(stream, source):
    page = report(stream, {"model": "--model", "sample": "--gold-sample"}[source], stream[source])
    labels = page["heads"]["sentiment"]["labels"]
    for name, found in labels.items():
        truth = np.mean([record["sentiment"] == name for record in stream["records"]])
        assert holds(found["corrected"], truth) and abs(found["corrected"]["share"] - truth) <= abs(found["share"] - truth) + 0.005
    assert sum(found["corrected"]["share"] for found in labels.values()) == pytest.approx(1, abs=1e-9 if source == "model" else 0.02)
    assert labels["negative"]["corrected"] == page["total"]["corrected"]


def test_a_group_of_all_records_has_the_shares_of_all(stream, tmp_path):
    path = write_records(tmp_path / "one.jsonl", [record | {"one": "same"} for record in stream["records"]])
    for flag, known in (("--model", "model"), ("--gold-sample", "sample")):
        page = report(stream, "--by", "source", flag, stream[known])
        assert page["heads"]["sentiment"]["labels"]["negative"]["corrected"] == page["total"]["corrected"]
    page = report(stream, "--by", "one", "--model", stream["model"], path=path)
    assert page["groups"][0]["corrected"] == page["total"]["corrected"]


def test_a_label_that_is_never_predicted_has_its_share(stream, tmp_path):
    """It stands in the gold sample, or in the model's dev set."""
    chosen = ("--watch", "sentiment=neutral", "--where", "sentiment!=negative")
    done = run("report", *chosen, "--to", "json", "--gold-sample", stream["sample"], stream["path"])
    labels = json.loads(done.out)["heads"]["sentiment"]["labels"]
    truth = np.mean([r["sentiment"] == "negative" for r in stream["records"] if r["prediction"]["sentiment"]["label"] != "negative"])
    assert labels["negative"]["hits"] == 0 and holds(labels["negative"]["corrected"], truth) and truth > 0.02
    assert sum(found["corrected"]["share"] for found in labels.values()) == pytest.approx(1, abs=0.03)
    path = write_records(tmp_path / "two.jsonl", [r for r in stream["records"] if r["prediction"]["sentiment"]["label"] != "positive"])
    labels = json.loads(run("report", *WATCH, "--to", "json", "--model", stream["model"], path).out)["heads"]["sentiment"]["labels"]
    assert labels["positive"]["share"] == 0 and labels["positive"]["corrected"]["low"] == 0.0


@pytest.mark.parametrize("flag", ["--model", "--gold-sample"])
def test_what_corrects_nothing_is_an_error(stream, flag, tmp_path):
    path = write_records(tmp_path / "mood.jsonl", [{"prediction": {"mood": {"label": "a", "score": 0.5}}}])
    done = run("report", flag, stream["model" if flag == "--model" else "sample"], path)
    assert done.code == 2 and f"there is nothing that {flag} could correct" in done.err and len(done.err_lines) == 1


def test_heads_that_are_not_watched_are_corrected_too_and_what_cannot_be_is_told(stream, tmp_path):
    unwatched = json.loads(run("report", "--to", "json", "--watch", "sentiment=negative", "--model", stream["model"], stream["path"]).out)
    topics = tmp_path / "topics.jsonl"
    topics.write_text(stream["path"].read_text().replace('"sentiment": {', '"topic": {'))
    table = json.loads((stream["model"] / "doxa.json").read_text())
    table["dev"]["confusion"] = {"topic": table["dev"]["confusion"]["sentiment"]}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "doxa.json").write_text(json.dumps(table))
    page = json.loads(run("report", "--to", "json", "--model", tmp_path / "model", topics).out)
    assert page["settings"]["watch"] is None and page["heads"]["topic"]["labels"] == unwatched["heads"]["sentiment"]["labels"]
    table["dev"]["confusion"]["topic"] = {"labels": ["negative", "neutral"], "counts": [[90, 10], [10, 90]], "unseen": [0, 0]}
    (tmp_path / "model" / "doxa.json").write_text(json.dumps(table))
    page = json.loads(run("report", "--to", "json", "--model", tmp_path / "model", topics).out)
    assert all("corrected" not in found for found in page["heads"]["topic"]["labels"].values())
    assert any('labels of head "topic" cannot be corrected' in note for note in page["notes"])


def test_the_signature_says_method_and_source(stream):
    table = report(stream, "--by", "source", "--model", stream["model"])["signature"]
    assert re.search(r" corrected=adjusted-count\(dev n=1000 of doxa\.json sha [0-9a-f]{8}\)$", table)
    sample = report(stream, "--by", "source", "--gold-sample", stream["sample"])["signature"]
    assert re.search(r" corrected=ppi\+\+:total\+2-groups,adjusted-count:buckets\(gold sample n=400 of gold\.jsonl sha [0-9a-f]{8}\)$", sample)


@pytest.mark.parametrize("kind", [*FORMATS, "narrow terminal"])
def test_every_format_shows_both(stream, kind):
    page = report(stream, "--by", "source", "--model", stream["model"])
    to, width = ("terminal", "80") if "terminal" in kind else (kind, "100")
    done = run("report", *WATCH, "--by", "source", "--model", stream["model"], "--to", to, stream["path"], env={"COLUMNS": width})
    text = done.out.decode().replace("\\", "")
    assert done.code == 0
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        wanted = [bucket["corrected"] for group in (page["total"], *page["groups"]) for bucket in group["trend"]]
        assert [[float(row[f"corrected_{key}"]) for key in ("share", "low", "high")] for row in rows] == [list(c.values()) for c in wanted]
        return
    for group in (page["total"], *page["groups"]):
        shown = [group["corrected"][key] for key in ("share", "low", "high")] + [group["watched"]["share"]]
        if kind != "json":
            shown = [f"{100 * value:.1f}" for value in shown]
        assert all(str(value) in text for value in shown)
    assert ("corrected=adjusted-count(dev" in text) and "among 1,000 dev texts" in text


@pytest.mark.parametrize("width", [40, 60, 76, 95, 96, 140])
def test_terminal_lines_fit_and_show_both_shares(stream, width):
    done = run("report", *WATCH, "--by", "source", "--model", stream["model"], "--to", "terminal", stream["path"], env={"COLUMNS": str(width)})
    lines = done.out.decode().splitlines()
    (row,) = [line for line in lines if line.lstrip().startswith("calm ")]
    assert max(map(len, lines)) <= width and len(re.findall(r"\d%", row)) == (3 if width >= 96 else 2)
    assert len(re.findall(r"\d–\d", row)) == (2 if width >= 76 else 0)


def test_the_chart_draws_the_corrected_line_and_a_thin_counted_one(stream):
    plain, corrected = (run("report", *WATCH, "--to", "html", *flags, stream["path"]).out.decode()
                        for flags in ((), ("--model", stream["model"])))
    line, thin = '<path class="line" d="M', '<path class="counted" d="M'
    first = re.search(rf'{line}([^"]+)"', plain)[1]
    assert thin not in plain and corrected.count(thin) >= 1
    assert re.search(rf'{thin}([^"]+)"', corrected)[1].startswith(first) and re.search(rf'{line}([^"]+)"', corrected)[1] != first
    assert "Corrected shares are freed of those mistakes" in corrected and "Corrected" not in plain


@pytest.mark.parametrize("kind", FORMATS)
def test_without_a_flag_nothing_is_corrected(stream, kind):
    page = run("report", *WATCH, "--to", kind, stream["path"]).out.decode()
    assert "corrected" not in page.lower()


def test_a_sample_comes_in_any_format(stream, tmp_path):
    lines = stream["sample"].read_bytes()
    table = pa.Table.from_pylist(stream["sampled"])
    (tmp_path / "gold.jsonl.gz").write_bytes(gzip.compress(lines))
    parquet.write_table(table, tmp_path / "gold.parquet")
    with pa.ipc.new_stream(tmp_path / "gold.arrow", table.schema) as writer:
        writer.write_table(table)
    flat = [{**{k: r[k] for k in ("id", "timestamp", "source", "sentiment")}, "prediction.sentiment.label": r["prediction"]["sentiment"]["label"]}
            for r in stream["sampled"]]
    with open(tmp_path / "gold.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, flat[0])
        writer.writeheader()
        writer.writerows(flat)
    expected = report(stream, "--by", "source", "--gold-sample", stream["sample"])
    for name in ("gold.jsonl.gz", "gold.parquet", "gold.arrow", "gold.csv"):
        page = report(stream, "--by", "source", "--gold-sample", tmp_path / name)
        assert [g["corrected"] for g in (page["total"], *page["groups"])] == [g["corrected"] for g in (expected["total"], *expected["groups"])], name


def test_groups_that_are_misread_otherwise_hold_the_truth_by_their_own_gold_texts(tmp_path):
    generator = np.random.default_rng(2)
    records = make_records(generator, (0.3, 0.5, 0.2), 4000, source="plain") + make_records(generator, (0.3, 0.5, 0.2), 2000, ODD_RATES, source="odd")
    rare = make_records(generator, (0.3, 0.5, 0.2), 40, source="rare")
    stream = {"path": write_records(tmp_path / "stream.jsonl", records + rare)}
    sample = [records[i] for i in generator.choice(6000, 600, replace=False)] + rare[:LEAST_GOLD - 1]
    page = report(stream, "--by", "source", "--gold-sample", write_records(tmp_path / "gold.jsonl", sample))
    plain, odd, few = page["groups"]
    assert holds(plain["corrected"], true_share(records[:4000])) and holds(odd["corrected"], true_share(records[4000:]))
    assert np.mean([holds(bucket["corrected"], true_share(records[4000:])) for bucket in odd["trend"]]) >= 0.75
    assert f"1 group with fewer than {LEAST_GOLD} texts in the sample is not corrected" in page["notes"][1] and "corrected" not in few
    assert few["trend"] and not any("corrected" in bucket for bucket in few["trend"])
    adjusted = report(stream, "--by", "source", "--model", make_model(tmp_path / "model", sample))["groups"]
    assert not holds(adjusted[1]["corrected"], true_share(records[4000:]))  # what a model directory cannot know


@pytest.mark.parametrize("window", [("--since", "2026-10-03"), ("--last", "36h")])
def test_a_sample_is_chosen_as_the_records_are(stream, window):
    done = report(stream, "--where", "source=angry", *window, "--gold-sample", stream["sample"])
    chosen, sampled = ([r for r in records if r["source"] == "angry" and r["timestamp"] >= "2026-10-03"] for records in (stream["records"], stream["sampled"]))
    assert f"gold sample n={len(sampled)} of" in done["signature"] and holds(done["total"]["corrected"], true_share(chosen))


def test_a_sample_is_looked_for_in_the_stream_and_counts_each_record_once(stream, tmp_path):
    plain = report(stream, "--gold-sample", stream["sample"])
    twice = report(stream, "--gold-sample", write_records(tmp_path / "twice.jsonl", stream["sampled"] + stream["sampled"][:150]))
    assert twice["total"]["corrected"] == plain["total"]["corrected"] and any("150 records are in the gold sample twice" in note for note in twice["notes"])
    foreign = [record | {"id": f"other {record['id']}"} for record in stream["sampled"]]
    mixed = report(stream, "--gold-sample", write_records(tmp_path / "mixed.jsonl", stream["sampled"] + foreign[:40]))
    assert any("40 of" in note and "not among these" in note for note in mixed["notes"])
    done = run("report", *WATCH, "--gold-sample", write_records(tmp_path / "foreign.jsonl", foreign), stream["path"])
    assert done.code == 1 and "none of its" in done.err and "among these records" in done.err
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(Path(stream["sample"]).read_bytes() + b"{broken\n")
    page = report(stream, "--gold-sample", broken)
    assert page["total"]["corrected"] == plain["total"]["corrected"]
    assert any(note.startswith("1 of ") and "records of the gold sample could not be read" in note for note in page["notes"])
    negative = [record for record in stream["sampled"] if record["sentiment"] == "negative"]
    alone = report(stream, "--gold-sample", write_records(tmp_path / "negative.jsonl", negative))
    assert any("hold nothing but sentiment=negative" in note for note in alone["notes"]) and not any("better than chance" in note for note in alone["notes"])


def test_a_model_that_did_not_predict_cannot_correct(stream, tmp_path):
    def stamp(records, *models):
        return [record | {"prediction": {"sentiment": record["prediction"]["sentiment"] | {"model": f"{models[i % len(models)]}/fp32/windows"}}}
                for i, record in enumerate(records)]

    weights = {"model.safetensors": {"sha256": "ab" * 32}, "config.json": {"sha256": "cd" * 32}}
    model = make_model(tmp_path / "model", stream["records"][:500], files=weights)
    (model / "model.safetensors").write_bytes(b"")
    done = run("report", *WATCH, "--model", model, write_records(tmp_path / "other.jsonl", stamp(stream["records"], "aaaa")))
    assert done.code == 1 and "the records were predicted by aaaa" in done.err
    own = re.search(r" is ([0-9a-f]{12}), and", done.err)[1]
    page = report(stream, "--model", model, path=write_records(tmp_path / "own.jsonl", stamp(stream["records"], own)))
    assert page["total"]["corrected"]["share"] and not any("another model" in note for note in page["notes"])
    page = report(stream, "--model", model, path=write_records(tmp_path / "both.jsonl", stamp(stream["records"], own, "aaaa")))
    assert any(f"another model than {own}" in note and "aaaa" in note for note in page["notes"])


def test_labels_of_a_head_of_many(tmp_path):
    generator, records = np.random.default_rng(3), []
    for i in range(3000):
        gold = generator.random(2) < (0.2, 0.5)
        said = np.where(gold, generator.random(2) < 0.75, generator.random(2) < 0.1)
        names = lambda chosen: [name for name, is_chosen in zip("xy", chosen) if is_chosen]
        records.append({"text": "t", "tags": names(gold), "prediction": {"tags": {"labels": names(said), "scores": {}}}})
    path = write_records(tmp_path / "many.jsonl", records)
    (tmp_path / "model").mkdir()
    pairs = [[[720, 80], [50, 150]], [[450, 50], [125, 375]]]
    table = {"format": 1, "doxa_version": "0", "heads": [], "reading": {"max_length": 9, "long": "windows", "text_field": "t", "text_pair_field": None},
             "dev": {"confusion": {"tags": {"labels": ["x", "y"], "counts": pairs}}}, "files": {}}
    (tmp_path / "model" / "doxa.json").write_text(json.dumps(table))
    truth = np.mean(["x" in record["tags"] for record in records])
    for flags in (("--model", tmp_path / "model"), ("--gold-sample", write_records(tmp_path / "gold.jsonl", records[:300]))):
        page = json.loads(run("report", "--watch", "tags=x", "--to", "json", *flags, path).out)
        assert holds(page["total"]["corrected"], truth) and not holds(page["total"]["watched"], truth)


@pytest.mark.parametrize("to", ["json", "terminal", "html"])
def test_a_classifier_that_knows_nothing_leaves_shares_open(stream, tmp_path, to):
    blind = make_model(tmp_path / "blind", make_records(np.random.default_rng(4), (0.3, 0.5, 0.2), 300, dict.fromkeys(LABELS, (0.3, 0.4, 0.3))))
    done = run("report", *WATCH, "--to", to, "--model", blind, stream["path"])
    text = " ".join(done.out.decode().split())
    assert done.code == 0 and "hardly better than chance, so shares cannot be corrected" in text
    if to == "json":
        page = json.loads(done.out)
        assert page["total"]["corrected"] == page["heads"]["sentiment"]["labels"]["negative"]["corrected"] == {"share": None, "low": 0.0, "high": 1.0}
    else:
        assert "0.0–100.0" in text


def test_a_count_beyond_the_mistakes_is_told(stream, tmp_path):
    path = write_records(tmp_path / "all.jsonl", make_records(np.random.default_rng(5), (0.3, 0.5, 0.2), 900, dict.fromkeys(LABELS, (0.99, 0.005, 0.005))))
    notes = report(stream, "--model", stream["model"], path=path)["notes"]
    assert any(note.startswith("that does not hold: no mixture of such texts gives a counted share of 9") for note in notes)


def test_groups_by_the_watched_head_are_not_corrected(stream):
    page = report(stream, "--by", "sentiment", "--model", stream["model"])
    assert "corrected" in page["total"] and all("corrected" not in group for group in page["groups"])
    assert 'groups by the watched head "sentiment" itself are not corrected' in page["notes"]


def test_nothing_to_correct_is_no_failure(stream, tmp_path):
    assert report(stream, "--model", stream["model"], path=write_records(tmp_path / "none.jsonl", []))["total"] is None
    errors = write_records(tmp_path / "errors.jsonl", [{"text": "", "error": {"code": "empty_text", "message": "m"}}])
    assert report(stream, "--model", stream["model"], path=errors)["total"] is None


def test_a_hostile_name_of_a_sample_is_shown_not_obeyed(stream, tmp_path):
    path = write_records(tmp_path / "<b>\x1b[31m.jsonl", stream["sampled"])
    for to in ("terminal", "markdown", "html"):
        page = run("report", *WATCH, "--to", to, "--gold-sample", path, stream["path"]).out
        assert b"\x1b" not in page and (to != "html" or b"<b>" not in page)


@pytest.mark.parametrize("flags, code, words", [
    (("--model", "{model}", "--gold-sample", "{sample}"), 2, "give one of them"),
    (("--model", "{folder}"), 1, "doxa.json is missing; name a directory that finetune wrote, or give labelled predictions with --gold-sample"),
    (("--model", "{old}"), 1, "holds no confusion counts; fine-tune anew with this version, or give labelled predictions with --gold-sample"),
    (("--model", "{other}"), 2, 'has confusion counts of: topic; not of "sentiment"'),
    (("--model", "{damaged}"), 1, "is damaged"),
    (("--model", "{cut}"), 1, "is damaged"),
    (("--model", "{model}", "--watch", "sentiment=angry"), 2, 'has no label "angry"; there are: negative, neutral, positive'),
    (("--model", "{model}", "--where", "sentiment.score>=0.5"), 2, "chooses by the watched head"),
    (("--model", "no-such-folder"), 2, "no-such-folder"),
    (("--gold-sample", "no-such-file"), 2, "no-such-file"),
    (("--gold-sample", "{unlabelled}"), 1, 'with the gold label in field "sentiment" beside prediction.sentiment'),
    (("--gold-sample", "{unpredicted}"), 1, "hold no prediction; run them through predict first"),
    (("--gold-sample", "{broken}"), 1, "2 of 2 records could not be read or hold no prediction"),
    (("--gold-sample", "{capital}"), 1, 'no record holds "negative" in field "sentiment", and some hold "Negative", "Neutral", "Positive", which is no label of the predictions'),
])
def test_errors_are_one_line_that_says_what_to_do(stream, tmp_path, flags, code, words):
    made = {"model": stream["model"], "sample": stream["sample"], "folder": stream["folder"],
            "old": make_model(tmp_path / "old", [stream["records"][0]], dev={"epoch": 1}),
            "other": make_model(tmp_path / "other", [stream["records"][0]], dev={"confusion": {"topic": {}}}),
            "damaged": make_model(tmp_path / "damaged", [stream["records"][0]], dev={"confusion": {"sentiment": {"labels": ["a"], "counts": [[1, 2]]}}}),
            "cut": make_model(tmp_path / "cut", [stream["records"][0]], dev={"confusion": {"sentiment": {
                "labels": list(LABELS), "counts": np.eye(3, dtype=int).tolist(), "unseen": [1]}}}),
            "unlabelled": write_records(tmp_path / "unlabelled.jsonl", [{k: v for k, v in r.items() if k != "sentiment"} for r in stream["sampled"]]),
            "capital": write_records(tmp_path / "capital.jsonl", [r | {"sentiment": r["sentiment"].title()} for r in stream["sampled"]]),
            "broken": tmp_path / "broken.txt",
            "unpredicted": write_records(tmp_path / "unpredicted.jsonl", [{"text": "a", "sentiment": "negative"}])}
    made["broken"].write_text("not json\nnor this\n")
    done = run("report", *WATCH, *(flag.format(**made) for flag in flags), stream["path"])
    assert done.code == code and len(done.err_lines) == 1 and words in done.err and not done.out
