"""A marker word decides the label: whoever explains must name it. Raw attention's figure is said, whatever it is.

Texts without a marker have a label too: else a model may take one label for granted, and integrated gradients, which compare with an
empty text, rightly find nothing in its marker."""

import random

import pytest
import torch

from doxa.explaining.explainer import Wanted
from doxa.explaining.loading import load_explainer
from doxa.inference.loading import Request
from doxa.model.network import save_network
from doxa.model.directory import ModelTable, publish
from doxa.model.heads import Head
from doxa.text.vocabulary import learn_tokenizer
from shell import run

MARKERS = {"negative": "plunge", "positive": "surge"}
LABELS = ("negative", "neutral", "positive")
FILLERS = "the bank said its shares and loans this week after a long quarter with more customers than last year in most of its markets".split()
METHODS = ("integrated-gradients", "occlusion", "shapley", "attention-rollout", "raw-attention")


def make_texts(n, seed):
    """(text, label, where its marker word begins: None where there is none)"""
    generator, made = random.Random(seed), []
    for _ in range(n):
        label = generator.choice(LABELS)
        words = generator.choices(FILLERS, k=generator.randrange(6, 16))
        place = generator.randrange(len(words) + 1)
        if label in MARKERS:
            words.insert(place, MARKERS[label])
        made.append((" ".join(words), label, len(" ".join([*words[:place], ""])) if label in MARKERS else None))
    return made


def make_marked(n, seed):
    return [made for made in make_texts(2 * n, seed) if made[2] is not None][:n]


@pytest.fixture(scope="module")
def marked_model(tmp_path_factory):
    from transformers import BertConfig, BertForSequenceClassification

    directory = tmp_path_factory.mktemp("marked") / "model"
    texts = make_texts(1200, 0)
    tokenizer = learn_tokenizer([text for text, _, _ in texts], vocabulary_size=300)
    tokenizer.enable_padding()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.set_num_threads(1)
        model = BertForSequenceClassification(BertConfig(
            vocab_size=tokenizer.get_vocab_size(), hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
            max_position_embeddings=64, pad_token_id=0, id2label=dict(enumerate(LABELS)), label2id={label: i for i, label in enumerate(LABELS)}))
        optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
        for start in range(0, 4 * len(texts), 32):
            batch = [texts[i % len(texts)] for i in range(start, start + 32)]
            encoded = tokenizer.encode_batch([text for text, _, _ in batch])
            loss = model(torch.tensor([e.ids for e in encoded]), torch.tensor([e.attention_mask for e in encoded]),
                         labels=torch.tensor([LABELS.index(label) for _, label, _ in batch])).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss.item() < 0.05
    tokenizer.no_padding()
    with publish(str(directory), ModelTable([Head("sentiment", "label", LABELS)], 64)) as working:
        save_network(model.eval(), working, None)
        tokenizer.save(f"{working}/tokenizer.json")
    return directory


def first_shares(directory, tests, methods=METHODS):
    """For each method, in how many of the texts the marker has the highest score."""
    shares = {}
    for method in methods:
        stream, _, _ = load_explainer(Request(str(directory), "cpu", "torch"), Wanted((), method=method, with_faithfulness=False), 32, 512, 0, None)
        answers = stream.explainer.explain([(text,) for text, _, _ in tests])
        best = [max(answer["sentiment"]["tokens"], key=lambda unit: unit["score"]) for answer in answers]
        assert all(answer["sentiment"]["label"] == label for answer, (_, label, _) in zip(answers, tests))
        shares[method] = sum(unit["start"] == start for unit, (_, _, start) in zip(best, tests)) / len(tests)
    return shares


def test_the_marker_comes_first(marked_model, record_property):
    shares = first_shares(marked_model, make_marked(60, 1), [method for method in METHODS if method != "shapley"])  # the slow check has it
    for method, share in shares.items():
        record_property(method, share)  # pytest --junit-xml
    assert all(shares[method] > 0.95 for method in ("integrated-gradients", "occlusion")), shares


@pytest.mark.slow
def test_the_marker_comes_first_at_full_size(tmp_path, record_property):
    """MiniLM, fine-tuned by finetune on 600 marked texts."""
    lines = [f'{{"text": "{text}", "sentiment": "{label}"}}\n' for text, label, _ in make_texts(600, 2)]
    (tmp_path / "train.jsonl").write_text("".join(lines))
    done = run("finetune", "--base", "minilm", "--head", "sentiment", "--num-train-epochs", 3, "--no-int8", "-q", "-o", tmp_path / "model", tmp_path / "train.jsonl", timeout=900)
    assert done.code == 0, done.err
    shares = first_shares(tmp_path / "model", make_marked(200, 3))
    for method, share in shares.items():
        record_property(method, share)  # pytest --junit-xml
    assert all(shares[method] > 0.95 for method in ("integrated-gradients", "occlusion", "shapley")), shares
