"""What simple methods reach on the same rows: the majority class, and TF-IDF with a linear model."""

import re
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

from doxa.model.heads import Head

_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]")
MOST_FEATURES = 200_000


def make_features(train: list[str], dev: list[str]):
    """TF-IDF matrices of train and dev: words and pairs of words, or 1 to 3 characters in scripts without spaces."""
    sample = "".join(train[:1000])
    if len(_UNSPACED.findall(sample)) > 0.2 * max(1, len(sample)):
        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True, max_features=MOST_FEATURES)
    else:
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=MOST_FEATURES)
    try:
        return vectorizer.fit_transform(train), vectorizer.transform(dev)
    except ValueError:  # no feature is left: a handful of texts, or texts of punctuation
        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), max_features=MOST_FEATURES)
        return vectorizer.fit_transform(train), vectorizer.transform(dev)


def predict_linear(head: Head, features, targets: np.ndarray, dev_features) -> np.ndarray:
    """Train a linear model on the rows that have a target; return label ids (N,), 0/1 (N, labels) or numbers (N,)."""
    rows = ~np.isnan(targets if targets.ndim == 1 else targets[:, 0])
    features, targets = features[rows], targets[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if head.kind == "number":
            return Ridge(alpha=1.0).fit(features, targets).predict(dev_features)
        classifier = LogisticRegression(C=10.0, max_iter=300)
        if head.kind == "label":
            return classifier.fit(features, targets.astype(int)).predict(dev_features).astype(float)
        warnings.simplefilter("ignore", UserWarning)  # a label that every row or none has
        return OneVsRestClassifier(classifier).fit(features, targets.astype(int)).predict(dev_features).astype(float)


def predict_majority(head: Head, targets: np.ndarray, n_rows: int) -> np.ndarray:
    """The commonest label (or the labels that most rows have, or the mean) for every row."""
    rows = ~np.isnan(targets if targets.ndim == 1 else targets[:, 0])
    if head.kind == "label":
        return np.full(n_rows, float(np.bincount(targets[rows].astype(int)).argmax()))
    if head.kind == "labels":
        return np.tile((targets[rows].mean(axis=0) >= 0.5).astype(float), (n_rows, 1))
    return np.full(n_rows, targets[rows].mean())
