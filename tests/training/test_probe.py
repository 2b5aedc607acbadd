"""What output layers learn of frozen features, beside scikit-learn's regressions, and where training starts."""

import json

import numpy as np
import pytest
import torch
from conftest import make_tiny_model
from scipy.special import log_softmax, logit
from shell import run
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from doxa.model.heads import Head
from doxa.text.frame import Window
from doxa.training.loss import Objective
from doxa.training.probe import Probe, fit_probe

DRAW = np.random.default_rng(3)
FEATURES = (DRAW.normal(size=(300, 8)) * np.arange(1, 9) + 5).astype(np.float32)
LABELS = (FEATURES @ DRAW.normal(size=(8, 4)) + DRAW.normal(size=(300, 4)) * 9).argmax(axis=1)
SUMS = FEATURES @ DRAW.normal(size=(8, 3)) + DRAW.normal(size=(300, 3)) * 9
MANY = (SUMS > np.quantile(SUMS, (0.5, 0.7, 0.9), axis=0).diagonal()).astype(np.float32)
NUMBERS = (FEATURES @ DRAW.normal(size=8)).astype(np.float32)


def fit(kind: str, n: int, targets: np.ndarray, features=FEATURES, has_bias=True) -> tuple[np.ndarray, np.ndarray]:
    objective = Objective([Head("h", kind, tuple(map(str, range(n))))])
    weight, bias = fit_probe(objective, features, torch.from_numpy(targets.astype(np.float32)), has_bias)
    return weight.numpy(), bias.numpy()


def test_one_label_is_fitted_as_by_scikit_learn():
    weight, bias = fit("label", 4, LABELS)
    reference = LogisticRegression(C=0.01, tol=1e-8, max_iter=5000).fit(StandardScaler().fit_transform(FEATURES), LABELS)
    expected = log_softmax(reference.decision_function(StandardScaler().fit_transform(FEATURES)), axis=1)
    np.testing.assert_allclose(log_softmax(FEATURES @ weight.T + bias, axis=1), expected, atol=2e-3)


def test_many_labels_are_fitted_as_by_scikit_learn_and_rows_without_gold_do_not_count():
    targets = MANY.copy()
    targets[::3] = np.nan
    weight, bias = fit("labels", 3, targets)
    known = np.arange(300) % 3 > 0
    scaler = StandardScaler().fit(FEATURES[known])
    for k in range(3):
        reference = LogisticRegression(C=0.01, tol=1e-8, max_iter=5000).fit(scaler.transform(FEATURES[known]), MANY[known, k])
        np.testing.assert_allclose(FEATURES @ weight[k] + bias[k], reference.decision_function(scaler.transform(FEATURES)), atol=2e-3)


def test_a_number_is_fitted_as_by_ridge_regression():
    weight, bias = fit("number", 0, NUMBERS)
    scaled = StandardScaler().fit_transform(FEATURES)
    np.testing.assert_allclose(FEATURES @ weight[0] + bias[0], Ridge(alpha=50).fit(scaled, NUMBERS).predict(scaled), rtol=1e-3, atol=2e-2)


def test_without_a_bias_the_fit_goes_through_nothing():
    weight, bias = fit("label", 4, LABELS, has_bias=False)
    scaled = FEATURES / np.sqrt((FEATURES**2).mean(axis=0))
    reference = LogisticRegression(C=0.01, tol=1e-8, max_iter=5000, fit_intercept=False).fit(scaled, LABELS)
    np.testing.assert_allclose(log_softmax(FEATURES @ weight.T, axis=1), log_softmax(reference.decision_function(scaled), axis=1), atol=2e-3)
    assert not bias.any()


def test_a_feature_that_hardly_changes_gets_no_large_weight():
    """What changes by less than a hundredth of itself is rounding: a weight that made up for it would blow the next rounding up."""
    still = np.concatenate([FEATURES, 3 + 1e-4 * DRAW.normal(size=(300, 1)), np.zeros((300, 1))], axis=1).astype(np.float32)
    weight, _ = fit("label", 4, LABELS, still)
    assert np.abs(weight[:, 8]).max() < 0.1 and not weight[:, 9].any()
    np.testing.assert_allclose(weight[:, :8], fit("label", 4, LABELS)[0], atol=1e-3)


def test_without_features_the_bias_says_how_frequent_labels_are():
    nothing = np.zeros((300, 0), np.float32)
    np.testing.assert_allclose(log_softmax(fit("label", 4, LABELS, nothing)[1]), np.log(np.bincount(LABELS) / 300), atol=1e-3)
    np.testing.assert_allclose(fit("labels", 3, MANY, nothing)[1], logit(MANY.mean(axis=0)), atol=2e-3)
    assert fit("label", 4, LABELS, nothing, has_bias=False)[1].tolist() == [0, 0, 0, 0]


def test_a_sample_keeps_every_row_beside_its_target():
    windows, sizes = [Window([i] * n, None, n) for i, n in enumerate((3, 5, 2, 4, 6))], [3, 5, 2, 4, 6]
    targets = torch.tensor([i for i, n in enumerate(sizes) for _ in range(n)], dtype=torch.float32)
    found = Probe(windows, sizes, [], [targets]).sample(11)
    assert 0 < sum(found.n_rows) <= 11 and len(found.windows) < 5
    assert found.targets[0].tolist() == [window.ids[0] for window, n in zip(found.windows, found.n_rows) for _ in range(n)]
    assert Probe(windows, sizes, [], [targets]).sample(20).windows == windows


STANDING_STILL = ("--num-train-epochs", 1, "--learning-rate", 1e-12, "--weight-decay", 0, "--precision", "fp32", "--no-openvino", "--quiet", "--device", "cpu")
TEXTS = [f"{'good' if i % 3 else 'poor'} {'bank' if i % 2 else 'shop'} number {i % 7}" for i in range(60)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("probe") / "base", tuple(TEXTS))


def finetune(base, output, field, records, *flags):
    path = output.parent / "train.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    done = run("finetune", "--base", base, "--head", field, "--dev", path, "--output", output, *STANDING_STILL, *flags, path)
    assert done.code == 0, done.err


def stock_features(directory, texts, auto_class, is_split=False):
    """What the classifier of stock transformers reads of each text, and the model."""
    import transformers

    model = getattr(transformers, auto_class).from_pretrained(directory).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    seen = []
    model.classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0].numpy()))
    with torch.no_grad():
        for text in texts:
            model(**tokenizer(text, return_tensors="pt", is_split_into_words=is_split))
    return seen, model.classifier


def test_training_of_labels_starts_at_the_fit_of_the_base_features(base, tmp_path):
    """A learning rate of nothing publishes the start."""
    records = [{"text": text, "kind": text.split()[0] + text.split()[1]} for text in TEXTS]
    finetune(base, tmp_path / "out", "kind:label", records, "--head-init", "linear")
    features, layer = stock_features(tmp_path / "out", TEXTS, "AutoModelForSequenceClassification")
    scaled = StandardScaler().fit_transform(np.array(features))
    reference = LogisticRegression(C=0.01, tol=1e-8, max_iter=5000).fit(scaled, [record["kind"] for record in records])
    outputs = np.array(features) @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    labels = json.loads((tmp_path / "out/doxa.json").read_text())["heads"][0]["labels"]
    assert labels == reference.classes_.tolist()
    np.testing.assert_allclose(log_softmax(outputs, axis=1), log_softmax(reference.decision_function(scaled), axis=1), atol=5e-3)


def test_training_of_tags_starts_at_the_fit_of_every_token(base, tmp_path):
    records = [{"tokens": text.split(), "tags": ["O", "B-X", "O", "B-Y"]} for text in TEXTS]
    finetune(base, tmp_path / "out", "tags:tags", records, "--head-init", "linear")
    features, layer = stock_features(tmp_path / "out", [record["tokens"] for record in records], "AutoModelForTokenClassification", is_split=True)
    rows = np.concatenate([row[1:-1] for row in features])  # every word is a single token
    gold = [tag for record in records for tag in record["tags"]]
    assert len(rows) == len(gold)
    scaled = StandardScaler().fit_transform(rows)
    reference = LogisticRegression(C=0.01, tol=1e-8, max_iter=5000).fit(scaled, gold)
    names = [json.loads((tmp_path / "out/config.json").read_text())["id2label"][str(i)] for i in range(layer.out_features)]
    chosen = [names.index(name) for name in reference.classes_]
    outputs = (rows @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())[:, chosen]
    np.testing.assert_allclose(log_softmax(outputs, axis=1), log_softmax(reference.decision_function(scaled), axis=1), atol=2e-2)


def test_few_labels_start_at_random_and_many_at_the_fit(base, tmp_path):
    """Two heads of one model."""
    records = [{"text": text, "kind": text.split()[0], "words": f"{text.split()[0]} {text.split()[3]}"} for text in TEXTS]
    finetune(base, tmp_path / "out", "kind:label", records, "--head", "words:label")
    features, layer = stock_features(tmp_path / "out", TEXTS, "AutoModelForSequenceClassification")
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    assert np.abs(bias[:2]).max() < 1e-6 and weight[:2].std() > 0.01
    scaled = StandardScaler().fit_transform(np.array(features))
    reference = LogisticRegression(C=0.01, tol=1e-8, max_iter=5000).fit(scaled, [record["words"] for record in records])
    assert len(reference.classes_) == 14
    outputs = np.array(features) @ weight[2:].T + bias[2:]
    np.testing.assert_allclose(log_softmax(outputs, axis=1), log_softmax(reference.decision_function(scaled), axis=1), atol=5e-3)


def test_tags_start_at_how_frequent_they_are(base, tmp_path):
    finetune(base, tmp_path / "out", "tags:tags", [{"tokens": text.split(), "tags": ["O", "B-X", "O", "B-Y"]} for text in TEXTS])
    _, layer = stock_features(tmp_path / "out", [], "AutoModelForTokenClassification")
    shares = np.exp(log_softmax(layer.bias.detach().numpy()))
    names = json.loads((tmp_path / "out/config.json").read_text())["id2label"]
    assert {names[str(i)]: share for i, share in enumerate(shares) if share > 0.01} == pytest.approx({"O": 0.5, "B-X": 0.25, "B-Y": 0.25}, abs=5e-3)
    assert layer.weight.std() > 0.01


def test_the_bias_alone_may_start_at_how_frequent_labels_are(base, tmp_path):
    records = [{"text": text, "kind": text.split()[0]} for text in TEXTS]
    finetune(base, tmp_path / "out", "kind:label", records, "--head-init", "prior")
    _, layer = stock_features(tmp_path / "out", [], "AutoModelForSequenceClassification")
    np.testing.assert_allclose(log_softmax(layer.bias.detach().numpy()), np.log([2 / 3, 1 / 3]), atol=1e-3)  # good, poor
    assert layer.weight.std() > 0.01


def test_a_random_start_has_no_bias(base, tmp_path):
    finetune(base, tmp_path / "out", "kind:label", [{"text": text, "kind": text.split()[0]} for text in TEXTS], "--head-init", "random")
    _, layer = stock_features(tmp_path / "out", [], "AutoModelForSequenceClassification")
    assert layer.bias.abs().max() < 1e-6


def test_a_head_without_such_a_layer_refuses_the_flag(base, tmp_path):
    records = b"".join(json.dumps({"text": text, "text_pair": text}).encode() + b"\n" for text in TEXTS)
    done = run("finetune", "--base", base, "--head", "v:vector", "--head-init", "linear", "--output", tmp_path / "out", stdin=records)
    assert done.code == 2 and "--head-init is for heads of label, labels, number and tags" in done.err.split("\n")[-2]
