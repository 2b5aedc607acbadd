"""Rules learnt from a model, against planted truths."""

import random
import tomllib
from dataclasses import replace

import pytest

from doxa.errors import DoxaError, UsageError
from doxa.explaining.surrogate import MOST_TEXTS, Sample, Share, learn_rules, phrases_of
from doxa.metrics.intervals import wilson
from doxa.records.record import Record
from doxa.rules.format import parse_rules
from doxa.rules.match import RuleBook
from doxa.rules.phrases import cut_phrase
from doxa.rules.words import cut, fold

FILLER = [f"word{i}" for i in range(60)]
HAN = "银行公司今天市场消息报道表示季度业务分析"
LABELS = {"credit": ("default", "missed payment", "违约"), "merger": ("takeover", "all cash offer", "收购")}


def planted(n: int, seed: int = 1, noise: float = 0.0) -> list[Record]:
    """Texts whose label follows from phrases, else is "other"; some labels are drawn at random."""
    generator, records = random.Random(seed), []
    for i in range(n):
        label = generator.choice(["other", "other", *LABELS])
        is_han = generator.random() < 0.5
        words = generator.choices(HAN if is_han else FILLER, k=12)
        if label in LABELS:
            words.insert(generator.randrange(13), LABELS[label][2] if is_han else generator.choice(LABELS[label][:2]))
        if generator.random() < noise:
            label = generator.choice(["other", *LABELS])
        text = ("" if is_han else " ").join(words)
        records.append(Record("made", i + 1, None, {"text": text, "prediction": {"topic": {"label": label, "score": 0.9}}}))
    return records


def test_planted_phrases_are_found_and_explain_everything():
    found = learn_rules(planted(2000), "topic")
    assert found.otherwise == "other" and len(found.rules) <= 20
    assert {rule.label for rule in found.rules} == set(LABELS)
    for rule in found.rules:
        for phrase in rule.any:  # of a planted phrase a part will do that nothing else holds
            assert any(phrase in planted for planted in LABELS[rule.label])
    assert found.fidelity.hits == found.fidelity.n == 600 and found.n_learnt == 1400
    truth = sum(record.get("prediction")["topic"]["label"] != "other" for record in planted(2000)) / 2000
    assert found.coverage.value == pytest.approx(truth, abs=0.05) and found.fidelity_where_fired.value == 1
    assert found.majority.value == pytest.approx(1 - truth, abs=0.05)


def test_fidelity_is_what_a_noisy_model_allows_on_texts_that_were_not_learnt_from():
    """Three labels in ten are drawn at random: nobody can tell more of them than who knows the planted phrases."""
    found, fresh = learn_rules(planted(4000, noise=0.3), "topic"), planted(4000, seed=2, noise=0.3)

    def truth(text: str) -> str:
        return next((label for label, phrases in LABELS.items() if any(phrase in text for phrase in phrases)), "other")

    book = RuleBook(found.rules)
    said = [(record.get("text"), record.get("prediction")["topic"]["label"]) for record in fresh]
    best = sum(truth(text) == label for text, label in said) / 4000
    own = sum(next((firing.rule.label for firing in book.find(text)), found.otherwise) == label for text, label in said) / 4000
    assert own == pytest.approx(best, abs=0.01) and 0.75 < best < 0.85
    low, high = wilson(found.fidelity.hits, found.fidelity.n)
    assert low < own < high
    assert sum(len(rule.any) for rule in found.rules) <= 12  # six phrases were planted


def test_a_model_that_follows_no_words_gains_nothing():
    generator = random.Random(3)
    records = planted(2000)
    for record in records:
        record.fields["prediction"]["topic"]["label"] = generator.choice(["other", "other", "other", "credit"])
    found = learn_rules(records, "topic")
    assert found.fidelity.value < wilson(found.majority.hits, found.majority.n)[1]


def test_the_file_reads_back_and_fires_the_same():
    found = learn_rules(planted(1500), "topic")
    text = found.to_toml()
    rules = parse_rules(text.encode(), "learnt.toml")
    assert rules == found.rules
    for record in planted(200, seed=4):
        assert [(f.rule.name, f.spans) for f in RuleBook(rules).find(record.get("text"))] == [
            (f.rule.name, f.spans) for f in RuleBook(found.rules).find(record.get("text"))]
    assert f"# That is the model's label in {found.fidelity} of the held-out texts" in text
    assert learn_rules(planted(1500), "topic").to_toml() == text != learn_rules(planted(1500), "topic", seed=1).to_toml()


def test_the_first_rule_that_fires_speaks_alone():
    """As the file says, and as its fidelity was measured."""
    found = learn_rules(planted(1500), "topic")
    one, other = (next(rule for rule in found.rules if rule.label == label) for label in dict.fromkeys(rule.label for rule in found.rules[:1] + found.rules[-1:]))
    text = f"{other.any[0]} {one.any[0]}"
    assert [firing.rule for firing in RuleBook(parse_rules(found.to_toml().encode(), "")).find(text)] == [one]
    assert [firing.rule.name for firing in RuleBook(replace(rule, is_final=False) for rule in found.rules).find(text)] == [one.name, other.name]


def test_the_label_where_no_rule_fires_is_that_of_what_is_left():
    """`many` is the commonest label, and nearly always named; what no phrase tells is mostly `few`."""
    generator = random.Random(8)
    records = planted(2000)
    for record in records:
        label = generator.choices(["many", "few"], [6, 4])[0]
        record.fields["text"] = " ".join([*generator.choices("abcdefghijklmnop", k=6), *(["marker"] if label == "many" and generator.random() < 0.9 else [])])
        record.fields["prediction"]["topic"]["label"] = label
    found = learn_rules(records, "topic")
    assert (found.otherwise, found.commonest) == ("few", "many") and found.fidelity.value > 0.9 and found.fidelity_elsewhere.value > 0.8
    assert f'where none does, "few" is what it says in {found.fidelity_elsewhere}' in found.to_toml() and 'always "many" would be' in found.to_toml()


def test_names_that_toml_would_obey():
    evil = 'a"]\n[rules.x]\x7f\\'
    records = planted(400)
    for record in records:
        entry = record.fields["prediction"]["topic"]
        entry["label"] = evil if entry["label"] == "credit" else entry["label"] + "\n# x\nany = 1"
    found = learn_rules(records, "topic")
    content = tomllib.loads(found.to_toml())
    assert list(content) == ["first", "rules"] and evil in {rule["label"] for rule in content["rules"].values()}


@pytest.mark.parametrize("text, phrases", [
    ("Bad loans, 贷款违约!", {"bad", "loans", "bad loans", "贷", "款", "违", "约", "贷款", "款违", "违约", "贷款违", "款违约", "贷款违约"}),
    ("A b-c d e", {"a", "b", "c", "d", "e", "a b", "b c", "c d", "d e", "a b c", "b c d", "c d e"}), ("a。b", {"a", "b"}), ("", set())])
def test_phrases(text, phrases):
    assert set(phrases_of(text)) == phrases


@pytest.mark.parametrize("text, phrases", [
    ("late https://t.co/Ab-9?x=1#y now", {"late", "now"}), ("late t.co/x, www.b.com now", {"late", "now"}), ("@united late, .@AmericanAir", {"late"}),
    ("见https://t.cn/A6 吧", {"见", "吧"}), ("迟@新浪_财经: 到", {"迟", "到"}), ("ask me@bank.com late", {"ask", "late"}),
    ("and/or 1.5 @ 3", {"and", "or", "1.5", "3"}), ("U.S./x", {"u", "s", "x"}), 
    pytest.param("a" * 50_000, {"a" * 50_000}, id="one long word"), pytest.param("a-" * 20_000 + "@", {"a"}, id="no address")])
def test_links_and_handles_hold_no_phrases(text, phrases):
    assert {phrase for phrase in phrases_of(text) if " " not in phrase} == phrases
    assert not any(" " in phrase and "late" in phrase for phrase in phrases_of(text))


def test_what_a_model_makes_of_links_is_learnt_from_words_alone():
    """Links and handles say the label as well as the planted words do, and stand in no rule."""
    records = planted(600)
    for record in records:
        if record.get("prediction")["topic"]["label"] == "credit":
            record.fields["text"] += " @creditbot http://t.co/creditpage"
    found = learn_rules(records, "topic")
    assert {rule.label for rule in found.rules} == set(LABELS)
    assert not any(part in phrase for rule in found.rules for phrase in rule.any for part in ("creditbot", "http", "t.co", "creditpage"))


def test_every_phrase_is_one_that_rules_find():
    text = "Ｄon’t it’s S&P 1,234.5 caf\u00e9 cafe\u0301 snake_case 5G网络 A股👍🏽 x-y ほげ"
    for phrase in phrases_of(text):
        words = cut_phrase(phrase)
        assert any(tuple(cut(fold(text))[i : i + len(words)]) == words for i in range(40))


def test_what_cannot_be_learnt_from():
    with pytest.raises(DoxaError, match='3 different texts hold a prediction of head "topic"; rules are learnt from at least 50'):
        learn_rules(planted(3) * 40, "topic")
    with pytest.raises(UsageError, match='made:1: head "topic" does not give one label'):
        learn_rules([Record("made", 1, None, {"text": "a", "prediction": {"topic": {"labels": ["a"], "scores": {}}}})], "topic")


def test_the_sample_is_bounded_and_uniform(monkeypatch):
    monkeypatch.setattr("doxa.explaining.surrogate.MOST_TEXTS", 100)
    n_late = 0
    for seed in range(30):
        sample = Sample("topic", seed=seed)
        for i in range(400):
            sample.add(Record("made", i, None, {"text": f"text {i}", "prediction": {"topic": {"label": "late" if i >= 200 else "early"}}}))
        assert len(sample.texts) == 100 < MOST_TEXTS
        n_late += sum(label == "late" for _, label in sample.texts)
    assert 1350 < n_late < 1650


def test_share_is_written_with_its_interval():
    assert str(Share(81, 263)) == "30.8% [25.5, 36.6]" and Share(0, 0).value == 0  # Newcombe 1998
