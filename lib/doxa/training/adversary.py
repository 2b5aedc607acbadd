"""Adversarial training: the loss where the embeddings are a little off, in the direction that hurts most."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

NAMES = ("fgm", "pgd", "freelb")


@dataclass(frozen=True)
class Adversary:
    """How to disturb. `epsilon` is the largest L2 norm of the disturbance of one text's embeddings (T, d), in units of the mean norm of
    its tokens' own: what is little to a pretrained base would drown the small embeddings of one that starts from nothing (Miyato et al.
    normalise embeddings for the like reason).

    `fgm`: one step along the gradient (Miyato et al. 2017), its loss added to the plain one. `pgd`: `n_steps` steps
    of `step_size` projected back into the ball (Madry et al. 2018), the last one's loss added to the plain one.
    `freelb`: from a random start, the mean of the losses met on the way (Zhu et al. 2020), without a plain one."""

    name: str
    epsilon: float
    n_steps: int = 3
    step_size: float = 0.4

    def backward(self, embeddings: nn.Module, mask: torch.Tensor, compute: Callable[[], torch.Tensor]) -> float:
        """Add the gradients of the adversarial objective; return the plain loss (of `freelb`: the first one met).

        `embeddings` is the layer whose output is disturbed, `mask` (B, T) is 1 at tokens, `compute` gives the loss of a
        forward pass. Gradients of parameters are added to, as `backward` does."""
        with _Disturbance(embeddings, mask) as disturbance:
            return getattr(self, f"_{self.name}")(disturbance, compute)

    def _fgm(self, disturbance: "_Disturbance", compute) -> float:
        loss = compute()
        loss.backward()
        disturbance.step(self.epsilon, self.epsilon)
        compute().backward()
        return loss.item()

    def _pgd(self, disturbance: "_Disturbance", compute) -> float:
        loss = compute()
        loss.backward()
        for step in range(self.n_steps):
            disturbance.step(self.step_size * self.epsilon, self.epsilon)
            is_last = step == self.n_steps - 1
            if is_last:
                compute().backward()
            else:
                disturbance.find_direction(compute())
        return loss.item()

    def _freelb(self, disturbance: "_Disturbance", compute) -> float:
        disturbance.start_at_random(self.epsilon)
        first = None
        for step in range(self.n_steps):
            loss = compute()
            first = loss.item() if first is None else first
            (loss / self.n_steps).backward()
            if step < self.n_steps - 1:
                disturbance.step(self.step_size * self.epsilon, self.epsilon)
        return first


def text_embeddings(model: PreTrainedModel) -> nn.Module:
    """The layer that embeds the text: of an encoder-decoder its encoder's, while the decoder goes on from the text as it is."""
    reader = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    return reader.get_input_embeddings()


class _Disturbance:
    """Adds `delta` (B, T, d) to what the embedding layer gives, and keeps the gradient there."""

    def __init__(self, embeddings: nn.Module, mask: torch.Tensor):
        self.embeddings, self.mask = embeddings, mask[:, :, None]
        self.delta: torch.Tensor | None = None
        self.direction: torch.Tensor | None = None
        self.radius: float | None = None
        self.scale: torch.Tensor | None = None  # (B, 1, 1), the norm of a token's embedding in the mean of its text

    def __enter__(self) -> "_Disturbance":
        self.hook = self.embeddings.register_forward_hook(self._add)
        return self

    def __exit__(self, *exc) -> None:
        self.hook.remove()

    def _add(self, module: nn.Module, inputs, output: torch.Tensor) -> torch.Tensor:
        if self.delta is None:
            norms = output.detach().norm(dim=-1, keepdim=True) * self.mask
            self.scale = norms.sum(dim=(1, 2), keepdim=True) / self.mask.sum(dim=(1, 2), keepdim=True).clamp_min(1)
            self.delta = torch.zeros_like(output, requires_grad=False)
            if self.radius is not None:  # uniform in the cube, scaled by 1 / sqrt(tokens * d): inside the ball (Zhu et al. 2020)
                n_values = self.mask.sum(dim=(1, 2), keepdim=True) * output.shape[-1]
                self.delta = (torch.rand_like(output) * 2 - 1) * self.mask * self.radius * self.scale / n_values.sqrt()
        self.delta = self.delta.detach().requires_grad_()
        return output + self.delta

    def start_at_random(self, epsilon: float) -> None:
        self.radius = epsilon

    def find_direction(self, loss: torch.Tensor) -> None:
        """Keep the gradient at `delta` alone: parameters get none."""
        (self.delta.grad,) = torch.autograd.grad(loss, [self.delta])

    def step(self, size: float, epsilon: float) -> None:
        """Move `delta` by `size` along its gradient, each text's scaled to norm 1, back into the ball of `epsilon`."""
        gradient = self.delta.grad * self.mask
        moved = self.delta.detach() + size * self.scale * gradient / _norms(gradient).clamp_min(1e-12)
        norms = _norms(moved)
        self.delta = moved * (epsilon * self.scale / norms.clamp_min(1e-12)).clamp_max(1.0)


def _norms(values: torch.Tensor) -> torch.Tensor:
    """L2 norm of each text (B, T, d) -> (B, 1, 1)."""
    return values.flatten(1).norm(dim=1)[:, None, None]
