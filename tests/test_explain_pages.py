"""explain's pages and rules as a user runs them: coloured texts, words of a corpus, words between two windows."""

import json
import random

import pytest

from conftest import TEXTS
from shell import Done, run

RULES = b"""
[rules.bank]
head = "topic"
label = "merger"
any = ["bank"]
"""


def explained(i: int, words: dict[str, float], label: str = "credit", **fields) -> dict:
    """A record whose text is the words, explained as told."""
    tokens, text = [], " ".join(words)
    for word, score in words.items():
        tokens.append({"text": word, "start": text.index(word), "end": text.index(word) + len(word), "score": score})
    entry = {"label": label, "score": 0.9, "runner_up": {"label": "merger", "score": 0.1}, "method": "occlusion", "unit": "word", "tokens": tokens,
             "faithfulness": {"comprehensiveness": 0.5, "sufficiency": 0.1, "random_comprehensiveness": 0.1, "random_sufficiency": 0.4}}
    return {"id": f"r{i}", "text": text, "explanation": {"topic": entry}} | fields


def window(n: int, every: int, first: int = 0) -> list[dict]:
    """Texts of which each `every`-th says "default", which speaks for credit."""
    return [explained(first + i, {f"filler{i % 4}": 0.01 * (-1) ** i} | ({"default": 2.0 + 0.1 * (i % 5)} if i % every == 0 else {"calm": -0.5 - 0.05 * (i % 3)}))
            for i in range(n)]


def lines(records: list[dict]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def explain(records, *args) -> Done:
    return run("explain", *args, stdin=records if isinstance(records, bytes) else lines(records))


def test_a_damaged_explanation_is_one_failed_record():
    records, whole = window(60, 3), explain(window(60, 3), "--summary", "--to", "json")
    damaged = [records[0], {"id": "x", "text": "a", "explanation": {"topic": {"label": "credit", "score": "high", "tokens": "calm"}}}, *records[1:]]
    done = explain(damaged, "--summary", "--to", "json")
    assert done.code == 3 and len(done.err_lines) == 1
    assert "1 of 61 records carry an error" in done.err and ":2: the field \"explanation\" is not what explain writes" in done.err
    assert json.loads(done.out)["labels"] == json.loads(whole.out)["labels"]
    assert explain(damaged[1:2], "--summary").code == 1


def test_words_of_a_corpus_need_no_model():
    done = explain(window(60, 3), "--summary", "--to", "json")
    assert (done.code, done.err) == (0, "")
    [label] = json.loads(done.out)["labels"]
    assert label["label"] == "credit" and label["n"] == 60
    assert [word["word"] for word in label["speaking_for"]] == ["default"] and [word["word"] for word in label["speaking_against"]] == ["calm"]
    word = label["speaking_for"][0]
    assert word["n"] == 20 and word["mean"] == pytest.approx(2.2) and word["low"] < 2.2 < word["high"]
    for kind in ("terminal", "markdown"):
        out = explain(window(60, 3), "--summary", "--to", kind, "--title", "Words of May").out.decode()
        assert "Words of May" in out and "default" in out and "calm" in out


def test_words_that_moved_a_label(tmp_path):
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    before.write_bytes(lines(window(120, 12)))
    after.write_bytes(lines(window(120, 2, first=500)))
    args = ("explain", "--contrast", "--head", "topic", "--label", "credit")
    done = run(*args, "--to", "json", before, after)
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    by_word = {word["word"]: word for word in found["words"]}
    assert list(found["words"][0]["word"]) and set(by_word) == {"default", "calm"}
    assert by_word["default"]["change"]["low"] > 0 and by_word["default"]["shares"] == [pytest.approx(1 / 12), 0.5]
    assert "default" in run(*args, before, after).out.decode()
    nothing = run(*args, before, before)
    assert nothing.code == 0 and "no word clearly moved it" in nothing.out.decode()


@pytest.mark.parametrize("word, is_told", [("违约", True), ("涨", False)])
def test_pages_of_chinese_words_say_that_these_are_pairs(word, is_told, tmp_path):
    def chinese(i: int, text: str) -> dict:
        record = explained(i, dict.fromkeys(text, 0.5))
        record["explanation"]["topic"]["tokens"] = [token | {"start": place, "end": place + 1} for place, token in enumerate(record["explanation"]["topic"]["tokens"])]
        return record

    records = [chinese(i, word) for i in range(20)]
    path = tmp_path / "why.jsonl"
    path.write_bytes(lines(records))
    for args in (("--summary",), ("--contrast", "--head", "topic", "--label", "credit")):
        told = run("explain", *args, "--to", "json", path, *([path] if "--contrast" in args else [])).out.decode()
        assert ("characters of scripts without spaces stand in pairs that overlap" in json.loads(told)["method"]) == is_told


def test_a_page_of_what_was_explained_before(tmp_path):
    records = window(30, 3)
    records[0]["text"] += " <script>alert(1)</script>"
    done = explain(records, "-o", tmp_path / "why.html", "--title", "Why")
    assert (done.code, done.out, done.err) == (0, b"", "")
    page = (tmp_path / "why.html").read_text()
    assert "<title>Why</title>" in page and "default" in page and "<script" not in page
    bad = explain(lines(records) + b"oops\n", "--to", "html")
    assert bad.code == 3 and b"default" in bad.out


def test_a_page_of_what_is_explained_now_with_rules(tiny_model, tmp_path):
    (tmp_path / "rules.toml").write_bytes(RULES)
    records = [{"id": 1, "text": f"The bank said: {TEXTS[0]}"}, {"id": 2, "text": TEXTS[1]}, {"id": 3, "text": ""}]
    args = ("--model", tiny_model, "--method", "occlusion", "--no-faithfulness", "--head", "topic", "--rules", tmp_path / "rules.toml", "-q")
    done = explain(records, *args)
    first, second, failed = map(json.loads, done.lines)
    [rule] = first["explanation"]["topic"]["rules"]
    assert (rule["name"], rule["label"], rule["matches"][0]) == ("bank", "merger", {"text": "bank", "start": 4, "end": 8})
    assert rule["agrees"] is (first["explanation"]["topic"]["label"] == "merger")
    assert second["explanation"]["topic"]["rules"] == [] and failed["error"]["code"] == "empty_text"
    for kind in ("html", "parquet"):
        assert explain(records, *args, "-o", tmp_path / f"why.{kind}").code == 3
    assert "bank" in (tmp_path / "why.html").read_text()
    again = explain((tmp_path / "why.parquet").read_bytes(), "--to", "html")
    assert again.code == 0 and again.out.decode() == (tmp_path / "why.html").read_text().replace(f"model:{fingerprint(tmp_path)}", "explained before")


def fingerprint(folder) -> str:
    return (folder / "why.html").read_text().partition("model:")[2][:12]


def test_rules_learnt_from_predictions_are_a_file_of_rules(tiny_model, tmp_path):
    records = [{"text": f"The {'bank defaulted' if i % 2 else 'merger closed'} on day {i}", "prediction": {"topic": {"label": "credit" if i % 2 else "merger", "score": 0.9}}}
               for i in range(200)]
    done = explain(records, "--learn-rules", "--head", "topic", "-o", tmp_path / "rules.toml")
    assert (done.code, done.out) == (0, b"") and "held-out texts" in done.err
    assert "100.0%" in done.err
    chance = random.Random(8)
    left = [{"text": " ".join([*chance.choices("abcdefghijklmnop", k=6), *["bank"] * (i % 10 != 0 and i % 5 < 3)]),
             "prediction": {"topic": {"label": "credit" if i % 5 < 3 else "merger", "score": 0.9}}} for i in range(800)]
    other = explain(left, "--learn-rules", "--head", "topic")
    assert 'where none fires it is "merger"' in other.out.decode() and 'always "credit" would be in' in other.out.decode() and 'always "credit" would in' in other.err
    texts = lines([{"text": record["text"]} for record in records[:4]])
    said = run("explain", "--model", tiny_model, "--method", "occlusion", "--no-faithfulness", "--head", "topic", "--rules", tmp_path / "rules.toml", "-q", stdin=texts)
    fired = [json.loads(line)["explanation"]["topic"]["rules"] for line in said.lines]
    assert said.code == 0 and any(fired)
    broken = lines(records) + b"{broken\n"
    assert explain(broken, "--learn-rules", "--head", "topic").code == 3
    stopped = explain(broken, "--learn-rules", "--head", "topic", "--on-error", "stop")
    assert (stopped.code, stopped.out) == (1, b"")
    assert explain(records, "--learn-rules").code == 2 and explain(records[:9], "--learn-rules", "--head", "topic").code == 1


@pytest.mark.parametrize("args, says", [
    ((), "give the model that is to be explained: --model DIR"),
    (("--summary", "--method", "occlusion"), "--method says how a model explains"),
    (("--to", "html", "--head", "topic"), "--head says how a model explains"),
    (("--learn-rules", "--head", "topic", "--label", "x"), "--label says how a model explains"),
    (("--to", "json"), "--to json is for --summary and --contrast"),
    (("--summary", "--to", "html"), "it comes as terminal, markdown or json"),
    (("--summary", "--output", "words.pdf"), "cannot tell the format of words.pdf; add --to terminal|markdown|json, or end it in .md, .json or .txt"),
    (("--summary", "--contrast"), "pages of their own: ask for one"),
    (("--contrast",), "--contrast compares two files"),
    (("--contrast", "a", "b"), "--contrast is about one label"),
    (("--summary", "--rules", "r.toml"), "give --model DIR as well"),
    (("--summary",), "hold no explanation"),
])
def test_usage(args, says):
    done = explain(b'{"text": "a"}\n', *args)
    assert (done.code, done.out) == (2, b"") and len(done.err_lines) == 1 and says in done.err


def test_nothing_at_all():
    assert explain(b"", "--summary").code == 0 and explain(b"", "--to", "html").code == 0
    assert explain(b"", "--summary", "--require-input").code == 1


def test_pages_of_what_was_explained_before_start_without_torch():
    done = run("explain", "--summary", "-v", stdin=lines(window(12, 3)), env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.code == 0
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.err_lines if line.startswith("import time:")}
    assert "doxa.explaining.summary" in loaded and loaded & {"torch", "transformers", "openvino"} == set()
