"""What a line or two of rules or counts give on the data sets of kinds.py."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import MultiLabelBinarizer

from kinds_data import SETS, gold_of, split_words
from kinds_measures import entities_of

MOST_WORDS = 5  # of an answer


def simple_ways(name: str) -> dict[str, Callable[[str, list[dict], list[dict], int], list]]:
    """What is there for a set's kind: name -> what says something of each test record, given (set, training records, test records, seed)."""
    taggers = {"dictionary": say_tags} | ({"capitals": say_capitals} if name.endswith("_en") else {})
    return {"label": {"majority": say_majority, "TF-IDF": say_label}, "labels": {"TF-IDF": say_labels}, "tags": taggers,
            "span": {"sentence": say_sentence, "n-gram": say_ngram},
            "choice": {"random": say_random, "majority": say_usual_choice, "co-occurrence": say_company},
            "text": {"copy": lambda name, train, test, seed: [row["text"] for row in test]}}[SETS[name].kind]


def say_majority(name: str, train: list[dict], test: list[dict], seed: int) -> list[str]:
    return [Counter(gold_of(name, train)).most_common(1)[0][0]] * len(test)


def make_features(name: str) -> FeatureUnion:
    if name.endswith("_en"):
        return FeatureUnion([("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)),
                             ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True))])
    return FeatureUnion([("characters", TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True))])


def lay_out(name: str, train: list[dict], test: list[dict]) -> list[csr_matrix]:
    """TF-IDF of a text, or of both of a pair, what they share and where they differ, and the share of words of the second in the first."""
    features, fields = make_features(name), SETS[name].fields
    features.fit([row[field] for row in train for field in fields])
    tables = []
    for rows in (train, test):
        parts = [features.transform([row[field] for row in rows]) for field in fields]
        if len(parts) == 2:
            both = parts[0].multiply(parts[1])
            shares = csr_matrix([[share_of_words(*(row[field] for field in fields))] for row in rows])
            parts += [both, abs(parts[0] - parts[1]), csr_matrix(both.sum(axis=1)), shares]
        tables.append(hstack(parts).tocsr())
    return tables


def share_of_words(first: str, second: str) -> float:
    first, second = (set(split_words(text.lower()) if text.isascii() else text) for text in (first, second))
    return len(first & second) / max(1, len(second))


def make_model() -> LogisticRegression:
    return LogisticRegression(C=10, max_iter=1000, class_weight="balanced")


def say_label(name: str, train: list[dict], test: list[dict], seed: int) -> list[str]:
    x, x_test = lay_out(name, train, test)
    return list(make_model().fit(x, gold_of(name, train)).predict(x_test))


def say_labels(name: str, train: list[dict], test: list[dict], seed: int) -> list[list[str]]:
    x, x_test = lay_out(name, train, test)
    binarizer = MultiLabelBinarizer()
    model = OneVsRestClassifier(make_model()).fit(x, binarizer.fit_transform(gold_of(name, train)))
    return [list(row) for row in binarizer.inverse_transform(model.predict(x_test))]


def say_tags(name: str, train: list[dict], test: list[dict], seed: int) -> list[list[str]]:
    """The entities of the training texts under their most frequent label, the longest first; those that mostly are none there are left out."""
    seen: defaultdict[tuple[str, ...], Counter] = defaultdict(Counter)
    for row in train:
        for start, end, label in entities_of(row["tags"]):
            seen[fold(row["tokens"][start:end])][label] += 1
    longest, n_times = max(map(len, seen)), Counter()
    for row in train:
        for words in ngrams(fold(row["tokens"]), longest):
            if words in seen:
                n_times[words] += 1
    known = {words: labels.most_common(1)[0][0] for words, labels in seen.items() if 2 * labels.total() >= n_times[words]}
    said = []
    for row in test:
        tokens, tags, i = fold(row["tokens"]), ["O"] * len(row["tokens"]), 0
        while i < len(tokens):
            n = next((n for n in range(min(longest, len(tokens) - i), 0, -1) if tokens[i : i + n] in known), 0)
            if n:
                label = known[tokens[i : i + n]]
                tags[i : i + n] = [f"B-{label}"] + [f"I-{label}"] * (n - 1)
            i += max(1, n)
        said.append(tags)
    return said


def say_capitals(name: str, train: list[dict], test: list[dict], seed: int) -> list[list[str]]:
    """Runs of words with capitals, the first word of a text left out, under the most frequent label."""
    usual = Counter(label for row in train for _, _, label in entities_of(row["tags"])).most_common(1)[0][0]
    said = []
    for row in test:
        is_inside, tags = False, []
        for i, token in enumerate(row["tokens"]):
            is_name = i > 0 and token[:1].isupper() and token != "I"
            tags.append(f"{'I' if is_inside else 'B'}-{usual}" if is_name else "O")
            is_inside = is_name
        said.append(tags)
    return said


def fold(tokens: list[str]) -> tuple[str, ...]:
    return tuple(token.lower() for token in tokens)


def ngrams(tokens: tuple[str, ...], longest: int) -> list[tuple[str, ...]]:
    return [tokens[i : i + n] for n in range(1, longest + 1) for i in range(len(tokens) - n + 1)]


def best_sentence(row: dict, weight: dict[str, float]) -> str:
    """The sentence of the context that shares most words with the question, rare ones counted more."""
    asked = set(split_words(row["question"].lower()))
    sentences = re.split(r"(?<=[.!?;])\s+", row["context"])
    return max(sentences, key=lambda sentence: sum(weight.get(word, 0.0) for word in set(split_words(sentence.lower())) & asked))


def weigh_words(train: list[dict]) -> dict[str, float]:
    """Inverse document frequency of words in contexts and questions."""
    texts = [row["context"] for row in train] + [row["question"] for row in train]
    vectorizer = TfidfVectorizer(tokenizer=split_words, token_pattern=None).fit(texts)
    return dict(zip(vectorizer.get_feature_names_out(), vectorizer.idf_))


def say_sentence(name: str, train: list[dict], test: list[dict], seed: int) -> list[str]:
    """What is read of test records is their contexts and questions, never their answers."""
    weight = weigh_words([*train, *test])
    return [best_sentence(row, weight) for row in test]


def say_ngram(name: str, train: list[dict], test: list[dict], seed: int) -> list[str]:
    """In that sentence the run of up to five words, none of them the question's, with most of the question's words close by."""
    weight, said = weigh_words([*train, *test]), []
    for row in test:
        sentence, asked = best_sentence(row, weight), set(split_words(row["question"].lower()))
        found = [(match.group().lower(), match.start(), match.end()) for match in re.finditer(r"\w+", sentence)]
        best, best_score = sentence, -np.inf
        for i in range(len(found)):
            for j in range(i + 1, min(i + MOST_WORDS, len(found)) + 1):
                words = [word for word, _, _ in found[i:j]]
                if set(words) & asked or {words[0], words[-1]} & ENGLISH_STOP_WORDS:
                    continue
                nearness = sum(weight.get(word, 0.0) / (1 + max(i - at, at - j + 1)) for at, (word, _, _) in enumerate(found) if word in asked)
                score = nearness + 0.2 * np.mean([weight.get(word, 9.0) for word in words]) + 0.1 * len(words)
                if score > best_score:
                    best, best_score = sentence[found[i][1] : found[j - 1][2]], score
        said.append(best)
    return said


def say_random(name: str, train: list[dict], test: list[dict], seed: int) -> list[int]:
    draw = random.Random(seed)
    return [draw.randrange(len(row["choices"])) for row in test]


def say_usual_choice(name: str, train: list[dict], test: list[dict], seed: int) -> list[int]:
    """The choice that was right most often, a random one among equals."""
    draw, counts = random.Random(seed), Counter(row["choices"][row["label"]] for row in train)
    return [max(range(len(row["choices"])), key=lambda i: (counts[row["choices"][i]], draw.random())) for row in test]


def say_company(name: str, train: list[dict], test: list[dict], seed: int) -> list[int]:
    """The choice whose characters keep most company with those of the text: mean positive pointwise mutual information, counted in right pairs."""
    texts, right = [row["text"] for row in train], [row["choices"][row["label"]] for row in train]
    of_text, of_choice = (CountVectorizer(analyzer="char", binary=True, min_df=2) for _ in range(2))
    x, y = of_text.fit_transform(texts).astype(float), of_choice.fit_transform(right).astype(float)
    together = (y.T @ x).toarray()
    expected = np.outer(np.ravel(y.sum(axis=0)), np.ravel(x.sum(axis=0))) / len(train)
    company = np.log(np.maximum((together + 0.5) / (expected + 0.5), 1.0))
    draw, said = random.Random(seed), []
    for row in test:
        text = np.ravel(of_text.transform([row["text"]]).sum(axis=0))
        scores = of_choice.transform(row["choices"]) @ company @ text
        said.append(max(range(len(scores)), key=lambda i: (scores[i], draw.random())))
    return said
