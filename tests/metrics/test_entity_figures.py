"""Figures of spans and of tags against seqeval and scikit-learn, on plain records and on resampled ones."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, classification_report

from doxa.errors import DoxaError
from doxa.metrics.bio import spans_to_tags, tags_to_spans
from doxa.metrics.entity_figures import entity_figures
from doxa.metrics.token_figures import TokenFigures, tag_figures


def draw_corpus(seed: int, n: int = 40) -> tuple[list[list[str]], list[list[str]]]:
    """Gold tags without a fault, and said ones of which many are faulty; a label of each side that the other lacks."""
    chance, gold, said = np.random.default_rng(seed), [], []
    for _ in range(n):
        raw = [letter if letter == "O" else f"{letter}-{chance.choice(['PER', 'LOC', 'ORG'], p=[0.6, 0.3, 0.1])}"
               for letter in chance.choice(list("BIO"), 8)]
        held = spans_to_tags(tags_to_spans(raw, "IOB2"), 8)
        gold.append(held)
        said.append([tag if chance.random() < 0.8 else str(chance.choice(["O", "I-PER", "B-PER", "B-MISC"])) for tag in held])
    return gold, said


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equals_seqeval_to_the_last_digit(seed):
    metrics, scheme = pytest.importorskip("seqeval.metrics"), pytest.importorskip("seqeval.scheme")
    gold, tags = draw_corpus(seed)
    said = [{"entities": [], "tags": own} for own in tags]
    judge = tag_figures(gold, said)
    counts = judge.count(gold, said)
    weights = np.concatenate([np.ones((1, len(gold))), np.random.default_rng(seed).multinomial(len(gold), np.full(len(gold), 1 / len(gold)), size=2)])
    sums = weights @ counts
    found, by_label, support = judge.figures(sums), judge.figures_by_label(sums), judge.support_by_label(sums)
    for row in range(3):
        rows = np.repeat(np.arange(len(gold)), weights[row].astype(int))
        report = metrics.classification_report([gold[i] for i in rows], [tags[i] for i in rows], mode="strict", scheme=scheme.IOB2, output_dict=True,
                                               zero_division=0)
        own = {name: float(values[row]) for name, values in found.items()}
        assert own == pytest.approx({
            "f1": report["micro avg"]["f1-score"], "precision": report["micro avg"]["precision"], "recall": report["micro avg"]["recall"],
            "macro_f1": report["macro avg"]["f1-score"],
            "token_accuracy": metrics.accuracy_score([gold[i] for i in rows], [tags[i] for i in rows])}, rel=1e-15)
        for place, label in enumerate(judge.labels):
            if label in report:
                assert by_label["f1"][row, place] == pytest.approx(report[label]["f1-score"], rel=1e-15)
                assert by_label["precision"][row, place] == report[label]["precision"] and by_label["recall"][row, place] == report[label]["recall"]
                assert support[0][row, place] == report[label]["support"]
    assert judge.labels == ("LOC", "MISC", "ORG", "PER") and 0.1 < judge.total(gold, said)["f1"] < 0.95


def test_entities_are_compared_by_characters_and_label():
    gold = [[{"start": 0, "end": 2, "label": "人名"}, {"start": 5, "end": 9, "label": "地名"}], [], [{"start": 1, "end": 2, "label": "地名"}]]
    said = [{"entities": [{"start": 0, "end": 2, "label": "人名", "score": 0.9, "text": "李雷"}, {"start": 5, "end": 8, "label": "地名"}]},
            {"entities": []}, {"entities": [{"start": 1, "end": 2, "label": "人名"}]}]
    judge = tag_figures(gold, said)
    assert judge.total(gold, said) == pytest.approx({"f1": 1 / 3, "precision": 1 / 3, "recall": 1 / 3, "macro_f1": 1 / 3})
    assert [judge.is_right(*pair) for pair in zip(gold, said)] == [False, True, False]
    held, given = judge.support_by_label(judge.count(gold, said).sum(axis=0, keepdims=True))
    assert judge.labels == ("人名", "地名") and held.tolist() == [[1, 2]] and given.tolist() == [[2, 1]]


def test_gold_of_another_scheme_is_compared_with_bio():
    said = [{"entities": [], "tags": ["B-PER", "I-PER", "O", "B-LOC"]}]
    for gold in (["B-PER", "E-PER", "O", "S-LOC"], ["B-PER", "L-PER", "O", "U-LOC"], ["I-PER", "I-PER", "O", "I-LOC"]):
        judge = tag_figures([gold], said)
        assert set(judge.total([gold], said).values()) == {1.0} and judge.is_right(gold, said[0])


@pytest.mark.parametrize("write", [lambda n: ["I-PER"] * n, lambda n: ["B-PER", "E-PER"] if n == 2 else ["S-PER"], lambda n: ["B-PER", "L-PER"] if n == 2 else ["U-PER"]])
def test_what_is_said_in_another_scheme_is_read_in_it(write):
    gold = [["O", "B-PER", "I-PER", "O", "B-PER"], ["O"], ["B-PER", "O"]]
    said = [{"tags": ["O", *write(2), "O", *write(1)]}, {"tags": ["O"]}, {"tags": [*write(1), "O"]}]
    judge = tag_figures(gold, said)
    assert set(judge.total(gold, said).values()) == {1.0} and judge.right_of(judge.count(gold, said)).all()
    said[0]["tags"][1] = "O"
    assert judge.total(gold, said)["f1"] < 1 and judge.right_of(judge.count(gold, said)).tolist() == [False, True, True]


@pytest.mark.parametrize("seed", [1, 2])
def test_faulty_gold_is_read_in_the_scheme_of_its_corpus_as_seqeval_reads_it(seed):
    metrics, scheme = pytest.importorskip("seqeval.metrics"), pytest.importorskip("seqeval.scheme")
    gold, tags = draw_corpus(seed)
    gold = [[tag.replace("B-", "I-") if i % 5 == 0 else tag for tag in own] for i, own in enumerate(gold)]  # each of these might be IOB1 by itself
    said = [{"tags": own} for own in tags]
    found = tag_figures(gold, said).total(gold, said)
    assert found["f1"] == pytest.approx(metrics.f1_score(gold, tags, mode="strict", scheme=scheme.IOB2), rel=1e-15)
    assert found["token_accuracy"] == pytest.approx(metrics.accuracy_score(gold, tags), rel=1e-15)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", ["IOB1", "IOBES"])
def test_other_schemes_equal_seqeval_too(seed, name):
    metrics, scheme = pytest.importorskip("seqeval.metrics"), pytest.importorskip("seqeval.scheme")
    spans = [[set(tags_to_spans(tags, "IOB2")) for tags in side] for side in draw_corpus(seed, 60)]
    gold, said = ([write_tags(sorted(own), 8, name) for own in side] for side in spans)
    entries = [{"tags": own} for own in said]
    assert tag_figures(gold, entries).total(gold, entries)["f1"] == pytest.approx(
        metrics.f1_score(gold, said, mode="strict", scheme=getattr(scheme, name)), rel=1e-15)


def write_tags(spans, n, name):
    tags = ["O"] * n
    for start, end, label in spans:
        if name == "IOBES":
            letters = "S" if end - start == 1 else "B" + "I" * (end - start - 2) + "E"
        else:
            letters = "I" * (end - start) if start == 0 or tags[start - 1][2:] != label else "B" + "I" * (end - start - 1)
        tags[start:end] = [f"{letter}-{label}" for letter in letters]
    return tags


def test_one_odd_tag_does_not_turn_spans_into_tokens():
    gold, said = [["B-PER", "I-PER"], ["per", "O"]], [{"tags": ["B-PER", "I-PER"]}, {"tags": ["O", "O"]}]
    with pytest.raises(DoxaError, match="has the tag 'per', which is none"):
        tag_figures(gold, said)


def test_no_span_at_all_has_no_figure():
    said = [{"entities": [], "tags": ["O", "O"]}]
    found = tag_figures([["O", "O"]], said).total([["O", "O"]], said)
    assert np.isnan([found[name] for name in ("f1", "precision", "recall", "macro_f1")]).all() and found["token_accuracy"] == 1.0


def test_labels_of_several_predictions_are_shared():
    gold = [[{"start": 0, "end": 1, "label": "A"}]]
    first, second = [{"entities": []}], [{"entities": [{"start": 0, "end": 1, "label": "B"}]}]
    judge = entity_figures(gold, first, second)
    assert judge.labels == ("A", "B") and judge.count(gold, first).shape == judge.count(gold, second).shape


@pytest.mark.parametrize("said, message", [({"entities": []}, "gold is tags, but the prediction has none"),
                                           ({"tags": ["O"]}, "gold has 2 tags, and the prediction 1"),
                                           ({"tags": ["O", "NN"]}, "'NN' is no tag of a span")])
def test_tags_that_do_not_fit_are_refused(said, message):
    with pytest.raises(DoxaError, match=message):
        tag_figures([["B-PER", "O"]], [said])


def test_parts_of_speech_equal_scikit_learn():
    chance = np.random.default_rng(4)
    gold = [chance.choice(["NN", "VB", "O", "形容词"], 6).tolist() for _ in range(30)]
    tags = [[tag if chance.random() < 0.7 else str(chance.choice(["NN", "X"])) for tag in own] for own in gold]
    said = [{"entities": [], "tags": own} for own in tags]
    judge = tag_figures(gold, said)
    assert isinstance(judge, TokenFigures) and judge.headline == "accuracy"
    flat = sum(gold, []), sum(tags, [])
    report = classification_report(*flat, output_dict=True, zero_division=0)
    assert judge.total(gold, said) == pytest.approx({"accuracy": accuracy_score(*flat), "macro_f1": report["macro avg"]["f1-score"]}, rel=1e-14)
    sums = judge.count(gold, said).sum(axis=0, keepdims=True)
    for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
        assert judge.figures_by_label(sums)[name][0] == pytest.approx([report[label][key] for label in judge.labels], rel=1e-14)
    assert judge.support_by_label(sums)[1][0].tolist() == [flat[1].count(label) for label in judge.labels]
    assert judge.is_right(gold[0], {"tags": list(gold[0])}) and not judge.is_right(gold[0], {"tags": ["X"] * 6})
    assert np.isnan(judge.figures(0 * sums)["accuracy"][0])
