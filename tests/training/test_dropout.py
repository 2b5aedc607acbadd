"""Cheap dropout is dropout: shares, scale, gradients, and the model's own attention where nothing is dropped."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from doxa.training.dropout import PLAIN_ATTENTION, cheap_dropout, cheap_dropouts


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_of_zeros_and_mean_are_those_of_dropout(p):
    torch.manual_seed(0)
    n = 1_000_000
    y = cheap_dropout(torch.ones(n), p)
    share = (y == 0).float().mean().item()
    assert abs(share - p) < 5 * (p * (1 - p) / n) ** 0.5 + 1 / 65536
    assert torch.allclose(y[y != 0], torch.tensor(1 / (1 - p)))


def test_decisions_do_not_hang_together():
    torch.manual_seed(0)
    kept = (cheap_dropout(torch.ones(400_000), 0.5) != 0).double().reshape(-1, 4)
    correlations = torch.corrcoef(kept.T)[~torch.eye(4, dtype=torch.bool)]
    assert correlations.abs().max() < 5 / 100_000**0.5


def test_gradient_passes_where_the_value_did():
    torch.manual_seed(0)
    x = torch.randn(7, 13, requires_grad=True)
    y = cheap_dropout(x, 0.3)
    y.sum().backward()
    assert torch.allclose(x.grad, torch.where(y == 0, 0.0, 1 / 0.7))


def test_nothing_is_dropped_at_zero():
    x = torch.randn(5)
    assert cheap_dropout(x, 0.0) is x


def _tiny(model_type: str, p: float):
    config = AutoConfig.for_model(
        model_type, vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=40,
        dim=16, n_layers=2, n_heads=2, hidden_dim=32, pad_token_id=0, hidden_dropout_prob=p, attention_probs_dropout_prob=p, dropout=p,
        attention_dropout=p, seq_classif_dropout=p, classifier_dropout=p)
    torch.manual_seed(1)
    return AutoModelForSequenceClassification.from_config(config)


INPUTS = {"input_ids": torch.tensor([[1, 5, 9, 3], [1, 7, 0, 0]]), "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])}


@pytest.mark.parametrize("model_type", PLAIN_ATTENTION)
def test_attention_is_the_models_own(model_type):
    model = _tiny(model_type, 0.0).train()
    before = model(**INPUTS).logits
    with cheap_dropouts(model):
        assert model.config._attn_implementation == "doxa"
        assert torch.allclose(model(**INPUTS).logits, before, atol=1e-6)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("model_type", [pytest.param(name, marks=() if name in ("bert", "distilbert") else pytest.mark.slow) for name in PLAIN_ATTENTION])
def test_mean_over_many_passes_is_that_of_the_models_own_dropout(model_type):
    """Also attention drops: the logits spread over passes as they do without the context."""
    model = _tiny(model_type, 0.3).train()
    spreads = []
    for context in (cheap_dropouts(model), torch.enable_grad()):
        torch.manual_seed(3)
        with context, torch.no_grad():
            logits = torch.stack([model(**INPUTS).logits for _ in range(400)])
        spreads.append((logits.mean(0), logits.std(0)))
    (mean, std), (own_mean, own_std) = spreads
    assert ((mean - own_mean).abs() < 5 * own_std * (2 / 400) ** 0.5).all()
    assert ((std / own_std - 1).abs() < 0.2).all()


def test_module_mode_and_modules_are_restored():
    model = _tiny("bert", 0.1).train()
    before = [type(module) for module in model.modules()]
    with cheap_dropouts(model):
        assert "CheapDropout" in {type(module).__name__ for module in model.modules()}
        model.eval()
    assert [type(module) for module in model.modules()] == before
    assert not any(module.training for module in model.modules())
