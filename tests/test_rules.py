"""predict --rules, as real processes."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from shell import run, shell

RULES = """
[words]
falls = ["fell", "slumped", "下跌"]

[rules.default-event]
head = "topic"
label = "credit"
any = ["default*", "违约"]
negation = true
firm = true

[rules.deal]
head = "topic"
label = "merger"
any = ["merge*"]
firm = true

[rules.big-fall]
head = "sentiment"
label = "negative"
number = { near = ["@falls"], above = 5, unit = "%" }
firm = true

[rules.hint]
head = "sentiment"
label = "positive"
any = ["default"]
"""
TEXTS = ["The bank defaulted on Friday 👍", "No default.", "Shares fell 12%.", "It defaulted, then merged.", "股价下跌百分之六,公司违约", "Nothing at all."]
INPUT = b"".join(json.dumps({"id": i, "text": text, "odd": 1.10}, ensure_ascii=False).encode() + b"\n" for i, text in enumerate(TEXTS))
BY_TOPIC = ["rule:default-event", None, None, None, "rule:default-event", None]
BY_SENTIMENT = [None, None, "rule:big-fall", None, "rule:big-fall", None]


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(RULES, encoding="utf-8")
    return path


def predictions(out: bytes) -> list[dict]:
    return [json.loads(line).get("prediction") for line in out.splitlines()]


@pytest.fixture(scope="module")
def plain(tiny_model):
    """What the model says by itself, with the scores of all labels."""
    return predictions(run("predict", "--model", tiny_model, "--scores", "-q", stdin=INPUT).out)


@pytest.mark.parametrize("scores", [False, True])
def test_firm_rules_override_with_their_name(scores, tiny_model, rules, plain):
    done = run("predict", "--model", tiny_model, "--rules", rules, *(["--scores"] if scores else []), stdin=INPUT)
    assert done.code == 0 and done.err_lines == ["predict: on 1 records firm rules contradict each other; there the model's label stays"]
    for line, raw in zip(done.lines, INPUT.splitlines()):
        assert line.startswith(raw[:-1])
    for entry, own, topic, sentiment in zip(predictions(done.out), plain, BY_TOPIC, BY_SENTIMENT, strict=True):
        for head, by, label in (("topic", topic, "credit"), ("sentiment", sentiment, "negative")):
            expected = dict(own[head]) if scores else {key: own[head][key] for key in ("label", "score")}
            if by:
                expected |= {"label": label, "score": own[head]["scores"][label], "by": by}
            assert entry[head] == expected
    assert {own["topic"]["label"] for own in plain} != {"credit"}  # so that something is overridden


def test_overridden_labels_in_columns_and_in_report(tiny_model, rules, tmp_path):
    path = tmp_path / "out.parquet"
    assert run("predict", "--model", tiny_model, "--rules", rules, "-q", "-o", path, stdin=INPUT).code == 0
    rows = pq.read_table(path).to_pylist()
    assert [row["prediction"]["topic"]["by"] for row in rows] == BY_TOPIC
    assert [row["prediction"]["sentiment"]["by"] for row in rows] == BY_SENTIMENT
    for form in (str(path), "-"):
        done = shell(f"predict -q --model {tiny_model} --rules {rules} | report --to json --examples 0 {form}", stdin=INPUT)
        labels = json.loads(done.out)["heads"]["topic"]["labels"]
        assert labels["credit"]["hits"] >= 2


def test_a_head_of_many_labels_gains_the_rules_labels(tiny_model, tmp_path):
    model = tmp_path / "many"
    shutil.copytree(tiny_model, model)
    table = json.loads((model / "doxa.json").read_text())
    table["heads"][0] |= {"kind": "labels", "thresholds": [0.999999, 0.5, 0.5]}
    (model / "doxa.json").write_text(json.dumps(table))
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    plain = predictions(run("predict", "--model", model, "--scores", "-q", stdin=INPUT).out)
    done = run("predict", "--model", model, "--rules", path, stdin=INPUT)
    assert done.err == ""  # labels of such a head do not contradict each other
    by = [["rule:default-event"], None, None, ["rule:default-event", "rule:deal"], ["rule:default-event"], None]
    for entry, own, names in zip(predictions(done.out), plain, by, strict=True):
        added = {"rule:default-event": "credit", "rule:deal": "merger"}
        labels = [label for label in ("credit", "earnings", "merger") if label in own["topic"]["labels"] or label in map(added.get, names or ())]
        expected = {"labels": labels, "scores": {label: own["topic"]["scores"][label] for label in labels}} | ({"by": names} if names else {})
        assert entry["topic"] == expected


@pytest.mark.parametrize("old, new, says", [
    ('label = "merger"', 'label = "mergers"', 'rule "deal": head "topic" has no label "mergers"; it knows: credit, earnings, merger'),
    ("firm = true", "", "is firm; only rules with firm = true override"), ('head = "', 'head = "x', "no rule is for a head of this model; its heads: topic, sentiment"),
    ("any =", "some =", 'unknown key "some"')])
def test_rules_that_make_no_sense(old, new, says, tiny_model, rules):
    rules.write_text(RULES.replace(old, new), encoding="utf-8")
    done = run("predict", "--model", tiny_model, "--rules", rules, stdin=INPUT)
    assert done.code == 2 and says in done.err and len(done.err_lines) == 1 and done.out == b""


def test_rules_for_another_model_are_told(tiny_model, rules):
    rules.write_text(RULES.replace('head = "sentiment"', 'head = "mood"'), encoding="utf-8")
    done = run("predict", "--model", tiny_model, "--rules", rules, stdin=INPUT)
    assert done.code == 0 and f'{rules}: 2 rules are for head "mood", which this model has not (topic, sentiment)' in done.err


def test_tokens_go_with_rules_where_the_text_is_there(tiny_model, rules, plain):
    whole = shell(f"tokenize -q --base {tiny_model} | predict -q --model {tiny_model} --rules {rules}", stdin=INPUT)
    assert [entry["topic"].get("by") for entry in predictions(whole.out)] == BY_TOPIC
    cut = shell(f"tokenize -q --base {tiny_model} | sed 's/\"text\"/\"was\"/' | predict -q --model {tiny_model} --rules {rules}", stdin=INPUT)
    assert cut.code == 1
    error = json.loads(cut.out.splitlines()[0])["error"]
    assert error["code"] == "missing_field" and "--rules reads the text" in error["message"]


@pytest.mark.parametrize("change", ["rules", pytest.param("no rules", marks=pytest.mark.slow), pytest.param("scores", marks=pytest.mark.slow)])
def test_resume_does_not_mix_rules(change, tiny_model, rules, tmp_path):
    """A run that failed at its last record left its partial output; other rules do not go on with it."""
    output = tmp_path / "out.jsonl"
    command = ["predict", "--model", tiny_model, "--rules", rules, "--resume", "--on-error", "stop", "-o", output]
    assert run(*command, stdin=INPUT + b'{"text": ""}\n').code == 1
    assert (tmp_path / "out.jsonl.partial").read_bytes().count(b"\n") == len(TEXTS)
    other = list(command)
    if change == "rules":
        rules.write_text(RULES + "\n", encoding="utf-8")
    elif change == "no rules":
        del other[3:5]
    else:
        other.append("--scores")
    refused = run(*other, stdin=INPUT)
    assert refused.code == 1 and "other flags" in refused.err
    rules.write_text(RULES, encoding="utf-8")
    done = run(*command, stdin=INPUT)
    assert done.code == 0 and f"going on after {len(TEXTS)} records" in done.err
    assert output.read_bytes() == run("predict", "-q", "--model", tiny_model, "--rules", rules, stdin=INPUT).out
