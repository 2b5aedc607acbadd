"""A small classifier with everything that a method works with, and plain torch beside it as the reference."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from doxa.explaining.attention_maps import load_attention_maps
from doxa.explaining.explainer import Explainer, Wanted
from doxa.explaining.gradients import load_gradients
from doxa.explaining.target import Target
from doxa.explaining.task import Task, Tools
from doxa.inference.loading import Request, load_labeller
from doxa.model.network import load_network
from doxa.model.heads import head_slices

TEMPERATURE = 3.0
TEXTS = ("Profit rose twelve percent on strong demand.", "The bank sets aside more money for bad loans, again.", "评级机构下调了该公司的信用展望。")
LONG = " ".join(f"{text} {i}" for i, text in enumerate(TEXTS * 8))  # several windows of 128


@dataclass
class Setting:
    """`tools` compute in fp32; `model` is the reference, its weights and code untouched by doxa."""

    model: torch.nn.Module
    tools: Tools
    heads: list
    tokenizer: Any

    def task(self, *texts: str, unit: str = "token", head: int = 0, label: int = 1) -> Task:
        wanted = Wanted(tuple(head.name for head in self.heads), unit=unit)
        explainer = Explainer(wanted, self.tools, self.heads, self.tokenizer, "text_pair")
        encoded = self.tokenizer.encode_with_offsets(list(texts))
        target = Target(self.heads[head], head_slices(self.heads)[head], label)
        return Task(*explainer._lay_out(texts, encoded), target)

    def with_tools(self, **changes) -> "Setting":
        return replace(self, tools=replace(self.tools, **changes))

    def number(self, target: Target, **inputs: torch.Tensor) -> torch.Tensor:
        """The log-odds (B,) of the explained label, in torch."""
        return self.pooled_number(target, self.model(**inputs).logits)

    @staticmethod
    def pooled_number(target: Target, logits: torch.Tensor) -> torch.Tensor:
        own = logits[:, target.outputs] / target.head.temperature
        others = [i for i in range(own.shape[1]) if i != target.label]
        return own[:, target.label] - torch.logsumexp(own[:, others], dim=1)

    def inputs(self, task: Task) -> dict[str, torch.Tensor]:
        """The single window of a task."""
        (window,) = task.layout.windows
        ids = torch.tensor([window.ids])
        types = torch.tensor([window.type_ids]) if window.type_ids else torch.zeros_like(ids)
        return {"input_ids": ids, "token_type_ids": types, "attention_mask": torch.ones_like(ids)}

    def baseline(self, task: Task) -> torch.Tensor:
        (slots,), (window,) = task.layout.slots, task.layout.windows
        return torch.tensor([[self.tools.absent_id if slot >= 0 else id_ for slot, id_ in zip(slots, window.ids)]])


def make_setting(directory) -> Setting:
    torch.set_num_threads(1)  # the reference takes one text at a time: threads would wait for each other
    labeller, _ = load_labeller(Request(str(directory), "cpu", "torch", "fp32"))
    heads = [replace(head, temperature=TEMPERATURE) for head in labeller.heads]
    tools = Tools(labeller.memory, labeller.reading, 0, gradients=load_gradients(str(directory), "cpu", None, None, 2),
                  attention=load_attention_maps(str(directory), "cpu", None, 2))
    return Setting(load_network(str(directory), torch.float32).eval(), tools, heads, labeller.tokenizer)


def by_token(task: Task, by_position: np.ndarray) -> np.ndarray:
    """Figures of the positions of a single window, of its text tokens alone."""
    (slots,) = task.layout.slots
    return by_position[slots >= 0]
