"""Which words moved a label, against planted truths."""

import numpy as np
import pytest
from scipy.stats import norm

from doxa.errors import UsageError
from doxa.explaining.contrast import contrast
from doxa.records.record import Record
from explained import draw_texts, explained

N_WORDS = 200
SHARES = np.clip(0.3 / np.arange(1, N_WORDS + 1) ** 0.7, 0.01, None)


def laws(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.4, N_WORDS)


def run(before, after, **options):
    return contrast(before, after, "sentiment", "negative", **options)


def test_a_word_that_came_three_times_as_often_is_first_and_by_frequency():
    generator, means = np.random.default_rng(1), laws(1)
    means[20] = 1.0
    more = SHARES.copy()
    more[20] *= 3
    found = run(draw_texts(generator, 1500, SHARES, means), draw_texts(generator, 1500, more, means))
    first = found.words[0]
    assert first.word == "w20" and first.change.low > 0
    assert first.by_frequency.value > 5 * abs(first.by_evidence.value)
    assert first.by_frequency.low < 2 * SHARES[20] * means[20] < first.by_frequency.high
    assert first.by_evidence.low < 0 < first.by_evidence.high
    assert len(first.examples) == 2


def test_a_word_that_says_more_is_told_by_evidence():
    generator, means = np.random.default_rng(2), laws(2)
    louder = means.copy()
    louder[5] += 1.0
    first = run(draw_texts(generator, 1500, SHARES, means), draw_texts(generator, 1500, SHARES, louder)).words[0]
    assert first.word == "w5" and first.by_evidence.low < SHARES[5] < first.by_evidence.high
    assert first.by_frequency.low < 0 < first.by_frequency.high


def test_with_nothing_changed_hardly_any_word_is_told():
    """Under no change at all, any telling is false, and Benjamini-Hochberg promises it in at most 5 % of contrasts: of 80, 10 or
    more would come by chance less than once in a hundred."""
    n_false = 0
    for seed in range(80):
        generator, means = np.random.default_rng([3, seed]), laws(seed)
        n_false += bool(run(draw_texts(generator, 200, SHARES, means), draw_texts(generator, 300, SHARES, means)).words)
    assert n_false < 10


def test_few_of_the_words_told_did_not_move_and_intervals_hold():
    n_told = n_false = n_missed = 0
    for seed in range(20):
        generator, means = np.random.default_rng([4, seed]), laws(seed) + 0.5
        more, louder = SHARES.copy(), means.copy()
        more[10:30] *= generator.choice([0.3, 2.5], 20)
        louder[25:40] += 0.8
        found = run(draw_texts(generator, 500, SHARES, means), draw_texts(generator, 500, more, louder), top=N_WORDS)
        truth = more * louder - SHARES * means
        for word in found.words:
            j = int(word.word[1:])
            n_told, n_false = n_told + 1, n_false + (truth[j] == 0)
            n_missed += not word.change.low <= truth[j] <= word.change.high
    assert n_told > 150 and n_false / n_told < 0.08 and n_missed / n_told < 0.08


def test_standard_errors_are_those_of_a_bootstrap_over_texts():
    generator, shares, means = np.random.default_rng(5), np.array([0.1, 0.4]), np.array([1.5, 0.0])
    windows = [list(draw_texts(generator, 400, p, e)) for p, e in ((shares, means), (shares * 2, means + 1))]
    word = next(word for word in run(*windows).words if word.word == "w0")
    texts = [np.array([next((token["score"] for token in record.get("explanation")["sentiment"]["tokens"] if token["text"] == "w0"), np.nan)
                       for record in window]) for window in windows]
    drawn = []
    for _ in range(4000):
        (p1, e1), (p2, e2) = ((np.mean(~np.isnan(sample)), np.nanmean(sample)) for sample in (generator.choice(one, len(one)) for one in texts))
        drawn.append((p2 * e2 - p1 * e1, (p2 - p1) * (e1 + e2) / 2, (p1 + p2) / 2 * (e2 - e1)))
    changes = (word.change, word.by_frequency, word.by_evidence)
    standard_error = word.change.value / norm.isf(word.p_value / 2)
    z = (word.change.high - word.change.value) / standard_error
    assert [(change.high - change.low) / 2 / z for change in changes] == pytest.approx(np.std(drawn, axis=0), rel=0.06)
    assert standard_error == pytest.approx(np.std(drawn, axis=0)[0], rel=0.06)
    assert 1.9 < z < 2.3  # most words are told, so that the level is near 95 %


def test_changes_of_words_sum_up_to_that_of_texts():
    generator = np.random.default_rng(6)
    shares = np.full(30, 0.5)
    found = run(draw_texts(generator, 300, shares, np.zeros(30) - 1), draw_texts(generator, 300, shares, np.ones(30)), top=100)
    assert len(found.words) == 30
    assert sum(word.change.value for word in found.words) == pytest.approx(found.evidence.value)
    for word in found.words:
        assert word.by_frequency.value + word.by_evidence.value == pytest.approx(word.change.value)
        assert word.change.value == pytest.approx(word.shares[1] * word.means[1] - word.shares[0] * word.means[0])


def test_a_word_that_a_window_lacks():
    before = [explained(i, {"a": 1.0 + i % 3}) for i in range(40)]
    after = [explained(i, {"a": 1.0 + i % 3} | ({"fraud": 2.0 + i % 2} if i % 2 else {})) for i in range(40)]
    [word] = run(before, after).words
    assert (word.word, word.means, word.shares) == ("fraud", (None, 3.0), (0.0, 0.5))
    assert word.by_evidence.value == 0 and word.by_frequency.value == word.change.value == 1.5


def test_share_of_the_label_by_prediction_or_by_scores():
    other = {"score": 0.1, "runner_up": {"label": "neutral", "score": 0.8}}
    before = [explained(i, {"a": 1.0}, **(other if i < 6 else {})) for i in range(10)]
    after = [explained(i, {"a": 1.0}) for i in range(10)]
    for i, record in enumerate(after):
        record.fields["prediction"] = {"sentiment": {"label": "negative" if i < 7 else "neutral", "score": 0.9}}
    found = run(before, after)
    assert (found.before, found.after) == ((4, 10), (7, 10))
    # 0.7 - 0.4 by Newcombe's method 10, computed by hand from the Wilson intervals (0.1682, 0.6873) and (0.3968, 0.8922)
    assert (found.share.value, found.share.low, found.share.high) == pytest.approx((0.3, -0.1176, 0.6010), abs=2e-4)


@pytest.mark.parametrize("prediction", ["negative", {"sentiment": "negative"}, {"sentiment": {"labels": "negative"}}, {"sentiment": {"labels": 5}}])
def test_a_prediction_that_predict_did_not_write_tells_no_share(prediction):
    windows = [[explained(i, {"a": 1.0}, score=0.2, runner_up={"label": "neutral", "score": 0.8}) for i in range(3)] for _ in range(2)]
    for record in windows[0]:
        record.fields["prediction"] = prediction
    assert run(*windows).before == (0, 3)


@pytest.mark.parametrize("before, says", [
    ([explained(i, {"a": 1.0}, label="neutral") for i in range(3)], "before: 3 of 3 records hold no explanation of sentiment=negative; run both"),
    ([explained(0, {"a": 1.0})], "before holds 1 explained records"),
    ([explained(i, {"a": 1.0}, method="occlusion") for i in range(3)], "different ways.*: integrated-gradients by word, occlusion by word; explain both")])
def test_windows_that_cannot_be_contrasted(before, says):
    with pytest.raises(UsageError, match=says):
        run(before, [explained(i, {"a": 1.0}) for i in range(3)])


def test_a_text_that_claims_no_entity_of_the_label_has_no_evidence_for_it():
    def record(i, n_entities):
        entry = explained(i, {"bank": 2.0, "the": 0.1}).fields["explanation"]["sentiment"]
        claim = {key: entry[key] for key in ("tokens", "method", "unit")} | {"label": "ORG", "score": 0.9}
        return Record("made", i + 1, None, {"id": str(i), "text": "x", "explanation": {"names": {"entities": [claim] * n_entities + [claim | {"label": "LOC"}]}}})

    before, after = [record(i, int(i % 10 == 0)) for i in range(200)], [record(i, int(i % 2 == 0) * 3) for i in range(200)]
    found = contrast(before, after, "names", "ORG")
    assert (found.before, found.after) == ((20, 200), (100, 200)) and found.evidence.value == pytest.approx(2.1 * 0.4)
    assert found.words[0].word == "bank" and found.words[0].by_frequency.value == pytest.approx(2.0 * 0.4)
