"""What a corpus of explanations says, against planted truths."""

import numpy as np
import pytest
from scipy.stats import t as student

from doxa.errors import RecordError, UsageError
from doxa.explaining.corpus_words import WordTable, sum_words
from doxa.explaining.summary import Summarizer, summarize
from doxa.records.record import Record
from explained import draw_texts, explained


def tokens_of(text: str, *scores: float) -> list[dict]:
    """One token for each character of a text that is no space."""
    places = [i for i, character in enumerate(text) if not character.isspace()]
    return [{"text": text[i], "start": i, "end": i + 1, "score": score} for i, score in zip(places, scores, strict=True)]


@pytest.mark.parametrize("tokens, sums", [
    (tokens_of("a A b", 1, 2, 4), {"a": 3, "b": 4}), (tokens_of("违约", 1, 2), {"违约": 3}), (tokens_of("被违约", 1, 2, 4), {"被违": 2, "违约": 5}),
    (tokens_of("违 约", 1, 2), {"违": 1, "约": 2}), (tokens_of("被违约x约", 1, 2, 4, 8, 16), {"被违": 2, "违约": 5, "x": 8, "约": 16}),
    (tokens_of("违约违约", 1, 1, 1, 1), {"违约": 3, "约违": 1}), ([], {})])
def test_words_of_a_text_sum_up_to_its_tokens(tokens, sums):
    assert sum_words({"tokens": tokens}) == sums and sum(sums.values()) == sum(token["score"] for token in tokens)


def test_characters_that_were_cut_into_words_stand_in_no_pairs():
    entry = {"unit": "chinese-word", "tokens": tokens_of("违约", 1, 2)}
    assert sum_words(entry) == {"违": 1, "约": 2}


def test_words_of_both_texts_of_a_pair_do_not_meet():
    tokens = tokens_of("违", 1) + [{"text": "约", "start": 1, "end": 2, "score": 2, "field": "text_pair"}]
    assert sum_words({"tokens": tokens}) == {"违": 1, "约": 2}


def test_planted_words_are_told_and_few_others():
    """At most 5 % of the words told say nothing, and 5 % of their intervals miss, for skewed evidence of words in few texts, too."""
    shares = np.clip(0.6 / np.arange(1, 91), 0.01, None)
    n_told = n_false = n_missed = 0
    for seed in range(40):
        generator = np.random.default_rng([1, seed])
        means = np.where(np.arange(90) % 3 == 0, 0.0, generator.normal(0, 0.5, 90))
        [label] = summarize(draw_texts(generator, 600, shares, means), top=1000).labels
        for word in (*label.speaking_for, *label.speaking_against):
            truth = means[int(word.word[1:])]
            n_told, n_false, n_missed = n_told + 1, n_false + (truth == 0), n_missed + (not word.low <= truth <= word.high)
        assert [word.low for word in label.speaking_for] == sorted((word.low for word in label.speaking_for), reverse=True)
    assert n_told > 900 and n_false / n_told < 0.05 and n_missed / n_told < 0.06


def test_claims_of_one_text_count_as_one():
    """By their mean: a text with many entities of a label is no crowd of texts."""
    def claim(score, words):
        entry = explained(0, words).fields["explanation"]["sentiment"]
        return {key: entry[key] for key in ("tokens", "method", "unit")} | {"label": "ORG", "score": 0.9, "faithfulness": {"comprehensiveness": score}}

    records = [Record("made", i + 1, None, {"id": str(i), "text": "x", "explanation": {"names": {"entities": [claim(1.0, {"bank": 1.0 + i, "of": 2.0}), claim(3.0, {"bank": 3.0 + i})]}}})
               for i in range(6)]
    found = summarize(records)
    [label] = found.labels
    words = {word.word: word for word in label.speaking_for}
    assert label.n == 6 and (words["bank"].n, words["bank"].mean) == (6, pytest.approx(2.0 + 2.5)) and words["of"].mean == pytest.approx(1.0)
    assert (found.faithfulness["names"]["comprehensiveness"].n, found.faithfulness["names"]["comprehensiveness"].mean) == (6, 2.0)


def test_figures_of_a_word():
    scores = [1.0, 2.0, 4.0, 1.5, 2.5, -0.5]
    records = [explained(i, {"Cuts": score}) for i, score in enumerate(scores)] + [explained(9, {"rare": 9.0}), explained(10, {"rare": 9.1})]
    [label] = summarize(records).labels
    assert (label.head, label.label, label.n, label.n_ranked) == ("sentiment", "negative", 8, 1)
    low, high = student.interval(0.95, 5 + 4, loc=np.mean(scores), scale=np.std(scores, ddof=1) / np.sqrt(6))  # drawn to its own scatter
    [word] = label.speaking_for
    assert (word.word, word.n, word.share_for, word.examples) == ("cuts", 6, 5 / 6, ["t2", "t4"])
    assert (word.mean, word.low, word.high) == pytest.approx((np.mean(scores), low, high))
    [label] = summarize([explained(i, {"cuts": -score}) for i, score in enumerate(scores)]).labels
    assert [(word.word, word.examples) for word in label.speaking_against] == [("cuts", ["t2", "t4"])] and not label.speaking_for


def test_faithfulness_errors_and_what_is_not_explained():
    values = [0.2, 0.4, 0.9]
    records = [explained(i, {"a": 1.0}, faithfulness={"comprehensiveness": value, "sufficiency": None}) for i, value in enumerate(values)]
    records += [Record("made", 8, b"{", None, RecordError("not_json", "no")), Record("made", 9, None, {"text": "x"})]
    summary = summarize(records)
    assert (summary.n_records, summary.n_errors, summary.n_unexplained, summary.how) == (5, 1, 1, ["integrated-gradients by word"])
    measure = summary.faithfulness["sentiment"]["comprehensiveness"]
    assert (measure.low, measure.high) == pytest.approx(student.interval(0.95, 2, loc=0.5, scale=np.std(values, ddof=1) / np.sqrt(3)))
    assert set(summary.faithfulness["sentiment"]) == {"comprehensiveness"}


def test_heads_of_many_labels_and_numbers():
    one = {"score": 0.9, "tokens": tokens_of("a", 1.0)}
    record = Record("made", 1, None, {"explanation": {"tags": {"labels": [{"label": "x", **one}, {"label": "y", **one}]}, "rating": one}})
    assert [(label.head, label.label, label.n) for label in summarize([record]).labels] == [("rating", None, 1), ("tags", "x", 1), ("tags", "y", 1)]


TOKEN = {"text": "a", "start": 0, "end": 1, "score": 1.0}
ALTERED = [{"tokens": "a"}, {"tokens": None}, {"tokens": ["a"]}, {"score": "high"}, {"score": None}, {"label": ["x"]}, {"runner_up": "y"}, {"labels": "x"},
           *({"tokens": [TOKEN | change]} for change in ({"text": 5}, {"score": "1"}, {"score": None}, {"score": 10**400}, {"score": 1e308}, {"start": None},
                                                         {"field": []}))]


@pytest.mark.parametrize("explanation", ["text", {"a": "b"}, {"a": {"label": "x"}}, [1], {"a": [1]},
                                         *({"a": {"label": "x", "score": 0.5, "tokens": [TOKEN]} | change} for change in ALTERED)])
def test_an_explanation_that_explain_did_not_write(explanation):
    with pytest.raises(RecordError, match='the field "explanation" is not what explain writes'):
        summarize([Record("made", 3, None, {"explanation": explanation})])


@pytest.mark.parametrize("faithfulness", [[1], "good", {"comprehensiveness": "good"}, {"comprehensiveness": 10**400}, {"comprehensiveness": None}])
def test_faithfulness_that_is_none_is_left_out(faithfulness):
    assert summarize([explained(0, {"a": 1.0}, faithfulness=faithfulness)]).faithfulness == {}


def test_no_explanation_at_all():
    with pytest.raises(UsageError, match="run them through explain first"):
        summarize([Record("made", 1, None, {"text": "a"})])
    assert summarize([]).labels == []


def test_memory_is_bounded_and_frequent_words_keep_their_figures():
    """Of 40,000 words in 10,000 texts at most 500 are held; the frequent ones are counted whole, and late ones say what they may lack."""
    table, generator = WordTable(most_words=500), np.random.default_rng(2)
    n = 0
    for i in range(10_000):
        evidence = {f"x{i}-{j}": 1.0 for j in range(4)}
        if generator.random() < 0.1:
            evidence["often"], n = 2.0, n + 1
        if i > 9_000:
            evidence["late"] = 1.0
        table.add(evidence, str(i))
        assert len(table.words) <= 500
    assert table.floor > 0 and table.words["often"].n == n and table.words["late"].missed > 0
    assert set(table.known(5)) == {"often"} and table.words["late"].n == 999
    for word, sums in table.words.items():
        if word.startswith("x"):
            assert 1 <= sums.n + sums.missed <= table.floor + 1


def test_a_summary_tells_that_words_were_left_out():
    summarizer = Summarizer(most_words=20)
    for i in range(30):
        summarizer.add(explained(i, {f"w{i}": 1.0, f"v{i}": 1.0}))
    assert summarizer.conclude().notes == ["words of sentiment=negative that were rare for long are left out: they were more than 20"]


def test_a_summary_tells_of_how_many_texts_a_label_is_said():
    """A head of many labels that says none of a text is explained by the likeliest."""
    records = [explained(i, {"oil": 1.0, "up": 0.5}, "energy", "topics", score=0.9 if i % 3 else 0.3, threshold=0.5) for i in range(30)]
    for record in records:
        record.fields["explanation"] = {"topics": {"labels": [record.fields["explanation"]["topics"]]}}
    (note,) = summarize(records).notes
    assert note.startswith("topics=energy: the model says it of 20 of these 30 texts")
