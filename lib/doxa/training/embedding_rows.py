"""Training of those token embeddings alone that a task's texts hold. The gradients of all others are zero; with the many tokens of a base's
vocabulary, clearing them, adding up their squares and applying them took a tenth of a small encoder's step."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel

from doxa.training.adversary import text_embeddings

MOST_SHARE = 0.5  # of the vocabulary: beyond, two copies cost more than they spare


class EmbeddingRows:
    """`rows` (n, d) stand in for the embeddings of the tokens `ids` (n,) while the network learns: it reads them, and what an optimiser makes
    of them is put into the network's own matrix by `put_back`, which everything else reads.

    Embeddings of other tokens stay what they are, where weight decay would have shrunk them by its share of a learning rate in every step."""

    def __init__(self, embedding: nn.Embedding, ids: np.ndarray):
        self.embedding, weight = embedding, embedding.weight
        self.ids = torch.from_numpy(ids).to(weight.device)
        self.places = torch.full((len(weight),), -1, device=weight.device)
        self.places[self.ids] = torch.arange(len(ids), device=weight.device)
        padding = -1 if embedding.padding_idx is None else int(self.places[embedding.padding_idx])
        self.padding = None if padding < 0 else padding
        self.rows = nn.Parameter(weight.detach()[self.ids])
        weight.requires_grad_(False)
        embedding.forward = self._forward

    def _forward(self, ids: torch.Tensor) -> torch.Tensor:
        if self.embedding.training and torch.is_grad_enabled():
            return F.embedding(self.places[ids], self.rows, self.padding)
        return F.embedding(ids, self.embedding.weight)

    @torch.no_grad()
    def put_back(self) -> None:
        self.embedding.weight[self.ids] = self.rows

    @torch.no_grad()
    def take_up(self) -> None:
        """Read the network's own matrix, where something else wrote it."""
        self.rows.copy_(self.embedding.weight[self.ids])

    def end(self) -> None:
        """Leave the network as it was made."""
        del self.embedding.forward
        self.embedding.weight.requires_grad_(True)


def narrow_embeddings(model: PreTrainedModel, optimizer: torch.optim.Optimizer, ids: np.ndarray | None) -> EmbeddingRows | None:
    """Let an optimiser that took no step yet train the embeddings of these tokens in place of all; None where that cannot be: the tokens are not
    known, are most of the vocabulary, or their embeddings are frozen, used for something else as well, or read in another way than torch's."""
    embedding = text_embeddings(model)
    if ids is None or type(embedding) is not nn.Embedding or len(ids) > MOST_SHARE * embedding.num_embeddings:
        return None
    weight = embedding.weight
    n_uses = sum(parameter is weight for _, parameter in model.named_parameters(remove_duplicate=False))
    groups = [group for group in optimizer.param_groups if any(parameter is weight for parameter in group["params"])]
    if n_uses != 1 or not groups or embedding.max_norm is not None:
        return None
    narrowed = EmbeddingRows(embedding, ids)
    groups[0]["params"] = [narrowed.rows if parameter is weight else parameter for parameter in groups[0]["params"]]
    return narrowed
