"""Training of the embeddings that a task's texts hold is training of all, but for the weight decay of those that no text holds."""

import time

import numpy as np
import pytest
import torch
import transformers

from doxa.model.heads import Head
from doxa.text.frame import Window
from doxa.training.embedding_rows import narrow_embeddings
from doxa.training.loop import LoopSettings, TrainingLoop
from doxa.training.loss import Objective
from doxa.training.optimizer import make_optimizer
from doxa.training.tasks import Classification
from families import FAMILIES, SIZE

VOCABULARY = 400
WORDS = np.arange(10, 40)
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "embedding_dropout", "dropout", "attention_dropout", "dropout_rate")
ENCODERS = sorted({family.model_type: family for family in FAMILIES.values()}.items())


def make_model(family=FAMILIES["bert"]):
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(family.model_type, vocab_size=VOCABULARY, num_labels=2, **(family.sizes | family.config | {"pad_token_id": 0}))
    for name in DROPOUTS:
        if isinstance(getattr(config, name, None), float):
            setattr(config, name, 0.0)
    return transformers.AutoModelForSequenceClassification.from_config(config).float()


def make_task() -> Classification:
    generator = np.random.default_rng(0)
    windows = [Window([*generator.choice(WORDS, 3 + n % 4).tolist(), 1, 2], None, 1.0) for n in range(64)]  # 1 and 2 end a text, as families have it
    return Classification(Objective([Head("side", "label", ("left", "right"))]), windows, [torch.arange(64) % 2.0], [str(i) for i in range(64)], 0)


class Notebook:
    def __init__(self):
        self.kept = []

    def wants_checkpoint(self, step):
        return step == 6

    def on_checkpoint(self, step, tensors, figures):
        self.kept.append((tensors, figures))

    def gives_up(self, position):
        return False

    def __getattr__(self, name):
        return lambda *_: None


def train(model, is_narrow: bool, kept=None):
    loop = TrainingLoop(model, LoopSettings(1e-3, 3, 16, weight_decay=0.1), torch.device("cpu"))
    task, notebook = make_task(), Notebook()
    if is_narrow:
        loop.expect(task)
        assert sum(parameter.numel() for group in loop.optimizer.param_groups for parameter in group["params"]) < sum(p.numel() for p in model.parameters())
    if kept:
        loop.restore(*kept)
    seen = []

    def evaluate():  # every epoch better than the last
        seen.append(model.get_input_embeddings().weight.detach().clone())
        return {"side": time.monotonic()}

    loop.run(task, evaluate, notebook)
    return loop, notebook, seen


@pytest.mark.parametrize("family", [family for _, family in ENCODERS], ids=[name for name, _ in ENCODERS])
def test_every_family_learns_what_it_learns_otherwise(family):
    plain, _, seen_plain = train(make_model(family), is_narrow=False)
    before = make_model(family).get_input_embeddings().weight
    model = make_model(family)
    optimizer = make_optimizer(model, 1e-3, 0.1)
    if narrow_embeddings(model, optimizer, make_task().token_ids) is None:
        pytest.skip("its embeddings are shared, so all are trained")
    narrow, _, seen_narrow = train(make_model(family), is_narrow=True)
    held = np.isin(np.arange(VOCABULARY), make_task().token_ids)
    assert held.sum() == len(WORDS) + 3
    for name, tensor in plain.model.state_dict().items():
        other = narrow.model.state_dict()[name]
        if tensor.shape[:1] == (VOCABULARY,):
            assert torch.equal(other[~held], before[~held]) and not torch.equal(other[held], before[held])
            tensor, other = tensor[held], other[held]
        assert torch.allclose(tensor, other, rtol=1e-4, atol=2e-5), name
    for one, other in zip(seen_plain, seen_narrow):  # what is evaluated in between has learnt as well
        assert torch.allclose(one[held], other[held], rtol=1e-4, atol=2e-5)
    embedding = narrow.model.get_input_embeddings()
    assert "forward" not in vars(embedding) and embedding.weight.requires_grad


def test_a_run_goes_on_to_the_same_weights():
    whole, notebook, _ = train(make_model(), is_narrow=True)
    resumed, _, _ = train(make_model(), True, notebook.kept[0])
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


def test_tokens_beyond_the_task_are_read_while_it_learns():
    """A dev text may hold any token."""
    model = make_model().train()
    before = model.get_input_embeddings().weight.detach().clone()
    loop = TrainingLoop(model, LoopSettings(1e-3, 1, 16), torch.device("cpu"))
    loop.expect(make_task())
    with torch.no_grad():
        assert torch.equal(model.get_input_embeddings()(torch.tensor([5, 399])), before[[5, 399]])
    with pytest.raises(IndexError):  # what is learnt holds no others
        model.get_input_embeddings()(torch.tensor([399]))


@pytest.mark.parametrize("change", [
    lambda model, ids: (model, None), lambda model, ids: (model, np.arange(201)), lambda model, ids: (model.get_input_embeddings().requires_grad_(False) and model, ids),
    lambda model, ids: (model.set_input_embeddings(torch.nn.Embedding(VOCABULARY, SIZE, max_norm=1.0)) or model, ids),
    lambda model, ids: (setattr(model, "tied", torch.nn.ParameterList([model.get_input_embeddings().weight])) or model, ids)],
    ids=["tokens not known", "most of the vocabulary", "frozen", "bounded in length", "used twice"])
def test_all_embeddings_are_trained_where_it_cannot_be(change):
    model, ids = change(make_model(), make_task().token_ids)
    optimizer = make_optimizer(model, 1e-3, 0.0)
    before = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert narrow_embeddings(model, optimizer, ids) is None
    assert all(one is other for one, other in zip(before, (parameter for group in optimizer.param_groups for parameter in group["params"])))
    assert "forward" not in vars(model.get_input_embeddings())
