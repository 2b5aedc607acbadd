"""What of a model is trained: all of it, or few added weights (LoRA, AdaLoRA, bottleneck adapters)."""

import json
import os
import re
import warnings

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from doxa.errors import DoxaError
from doxa.model.bottleneck import CONFIG_KEY, BottleneckLinear, add_bottlenecks
from doxa.model.encoder import encoder_parts
from doxa.training.determinism import unstrict
from doxa.device.extras import load_extra
from doxa.training.optimizer import is_in_layer

NAMES = ("lora", "adalora", "adapter")
# Inner size of each method: rank of LoRA, mean final rank of AdaLoRA (which starts half as large again), width of the adapter.
DEFAULT_RANKS = {"lora": 16, "adalora": 8, "adapter": 48}


class Adaptation:
    """Full fine-tuning: every weight of the model is trained. The other methods override what they do otherwise."""

    name = "full"
    is_mergeable = True

    def expect(self, n_steps: int) -> None:
        """Learn how long the run is, before its first step."""

    def penalty(self) -> torch.Tensor | float:
        """Added to the loss of every batch."""
        return 0.0

    def after_step(self, step: int) -> None:
        """Called after the optimizer's step (from 1), while the gradients are there."""

    def state(self) -> dict[str, torch.Tensor]:
        """What `restore` needs besides the weights."""
        return {}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None: ...

    def save_alone(self, directory: str) -> None:
        """Write the added weights and the heads."""
        raise NotImplementedError

    def merge(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model to publish."""
        return model

    def describe(self, model: PreTrainedModel) -> list[str]:
        """Lines for the closing table."""
        return []


class _Lora(Adaptation):
    """Through peft, which puts its layers into the model in place; the loop goes on with the model itself."""

    def __init__(self, model: PreTrainedModel, name: str, rank: int, beyond: list[str]):
        self.name, self.rank, self.model = name, rank, model
        targets = {name: module for name, module in model.named_modules() if isinstance(module, (nn.Linear, Conv1D)) and is_in_layer(name)}
        if not targets:
            raise DoxaError(f"--peft {name}: no linear layer was found in a layer of {model.config.model_type}; train without --peft")
        is_transposed = all(isinstance(module, Conv1D) for module in targets.values())  # GPT-2 keeps its weights as (in, out)
        self.arguments = {"target_modules": list(targets), "modules_to_save": beyond or None, "lora_dropout": 0.05,
                          "fan_in_fan_out": is_transposed}
        if name == "lora":
            self._wrap()

    def _wrap(self, n_steps: int = 0) -> None:
        peft = load_extra("peft", "peft", f"--peft {self.name}")
        if self.name == "lora":
            config = peft.LoraConfig(r=self.rank, lora_alpha=2 * self.rank, **self.arguments)
        else:
            # Ranks are free for a tenth of the steps and fixed for the last third (Zhang et al. 2023 leave both to the user).
            config = peft.AdaLoraConfig(init_r=self.rank + self.rank // 2, target_r=self.rank, lora_alpha=2 * self.rank, total_step=n_steps,
                                        tinit=n_steps // 10, tfinal=n_steps // 3, deltaT=max(1, n_steps // 100), orth_reg_weight=0.1,
                                        **self.arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # between the two libraries, nothing that a user could do
            self.wrapped = peft.get_peft_model(self.model, config)

    def save_alone(self, directory: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that matrices of rank 0, which AdaLoRA may well choose, were lost
            self.wrapped.save_pretrained(directory, safe_serialization=True, save_embedding_layers=False)
        os.remove(os.path.join(directory, "README.md"))  # a form that nobody filled in

    def merge(self, model: PreTrainedModel) -> PreTrainedModel:
        return self.wrapped.merge_and_unload()


class _AdaLora(_Lora):
    """Ranks move to where they matter most: `update_and_allocate` after each step (Zhang et al. 2023)."""

    def __init__(self, model: PreTrainedModel, rank: int, beyond: list[str], n_steps: int):
        super().__init__(model, "adalora", rank, beyond)
        if n_steps < 10:
            raise DoxaError(f"--peft adalora: {n_steps} steps are too few to move ranks; train longer, or with --peft lora")
        self.n_steps = n_steps
        self._wrap(n_steps)
        self.allocator = self.wrapped.base_model.rankallocator
        self.matrices = [p for n, p in model.named_parameters() if "lora_A" in n or "lora_B" in n]

    def expect(self, n_steps: int) -> None:
        assert n_steps == self.n_steps

    def penalty(self) -> torch.Tensor:
        """A and B of every triplet are to be orthogonal: mean over them of |A A' - I| (Frobenius), times 0.1."""
        norms = []
        for matrix in self.matrices:
            product = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
            norms.append(torch.linalg.norm(product - torch.eye(len(product), device=product.device)))
        return 0.1 * torch.stack(norms).mean()

    def after_step(self, step: int) -> None:
        with unstrict():  # peft takes the k-th value, of which torch calls the place not repeatable, and peft reads the value alone
            self.wrapped.base_model.update_and_allocate(step)

    def _parts(self) -> dict[str, dict[str, torch.Tensor]]:
        return {name: getattr(self.allocator, name) for name in ("ipt", "exp_avg_ipt", "exp_avg_unc")}

    def state(self) -> dict[str, torch.Tensor]:
        found = {f"{part}:{name}": tensor for part, tensors in self._parts().items() for name, tensor in tensors.items()}
        pattern = self.wrapped.peft_config["default"].rank_pattern or {}
        return found | {f"ranks:{name}": torch.tensor(kept) for name, kept in pattern.items()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        pattern = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(":")
            if part == "ranks":
                pattern[rest] = tensor.tolist()
            else:
                self._parts()[part][rest] = tensor.to(self.model.device)
        if pattern:
            self.wrapped.peft_config["default"].rank_pattern = pattern

    def ranks(self, model: PreTrainedModel) -> dict[str, int]:
        """The rank of every adapted matrix as the weights have it: singular values that are not zero."""
        return {name.split(".lora_E")[0]: int((values != 0).sum()) for name, values in model.named_parameters() if ".lora_E." in name}

    def describe(self, model: PreTrainedModel) -> list[str]:
        found = self.ranks(model)
        kinds: dict[str, list[int]] = {}
        for name, rank in found.items():
            kinds.setdefault(re.sub(r"^.*?\.\d+\.", "", name), []).append(rank)
        return [f"final ranks, first layer to last (began at {self.rank + self.rank // 2}, {sum(found.values())} in all):",
                *(f"  {kind}: {' '.join(map(str, ranks))}" for kind, ranks in kinds.items())]


class _Bottleneck(Adaptation):
    """Adapters, layer norms and heads are trained (Houlsby et al. 2019)."""

    name, is_mergeable = "adapter", False

    def __init__(self, model: PreTrainedModel, size: int, beyond: list[str]):
        self.model = model
        if not add_bottlenecks(model, size):
            raise DoxaError(f"--peft adapter: {model.config.model_type} has layers of a kind that adapters are not known for; use --peft lora")
        inside = {id(p) for module in model.modules() if isinstance(module, BottleneckLinear)
                  for part in (module.adapter_down, module.adapter_up) for p in part.parameters()}
        inside |= {id(p) for module in model.modules() if isinstance(module, nn.LayerNorm) for p in module.parameters()}
        for name, parameter in model.named_parameters():
            parameter.requires_grad = id(parameter) in inside or any(part in beyond for part in name.split("."))

    def save_alone(self, directory: str) -> None:
        os.mkdir(directory)
        trained = {name: p.detach().contiguous() for name, p in self.model.named_parameters() if p.requires_grad}
        save_file(trained, os.path.join(directory, "adapter_model.safetensors"))
        with open(os.path.join(directory, "adapter_config.json"), "w", encoding="utf-8") as file:
            json.dump({"peft_type": "BOTTLENECK", CONFIG_KEY: getattr(self.model.config, CONFIG_KEY)}, file)


def _modules_beyond(model: PreTrainedModel) -> list[str]:
    """Names of the modules with weights that lie beyond the encoder: the heads, and the pooler, trained whole."""
    parts = encoder_parts(model)
    names = [name for name, module in model.named_children() if name not in parts and any(True for _ in module.parameters())]
    return names + (["pooler"] if getattr(model.base_model, "pooler", None) is not None else [])


def adapt(model: PreTrainedModel, name: str | None, rank: int | None, n_steps: int, starts_fresh: bool = True) -> Adaptation:
    """Change the model in place so that only what the method adds is trained, and the heads where they start from nothing: outputs that are
    the base's own, often its embeddings as well, stay as they are. Raises DoxaError."""
    if name is None:
        return Adaptation()
    rank, beyond = rank or DEFAULT_RANKS[name], _modules_beyond(model) if starts_fresh else []
    if name == "adapter":
        return _Bottleneck(model, rank, beyond)
    return _AdaLora(model, rank, beyond, n_steps) if name == "adalora" else _Lora(model, "lora", rank, beyond)
