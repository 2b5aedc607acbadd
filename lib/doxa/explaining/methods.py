"""The methods by name. Another one is a file and a line here."""

from collections.abc import Callable
from dataclasses import dataclass

from doxa.explaining.attention import explain_by_raw_attention, explain_by_rollout
from doxa.explaining.gradient_input import explain_by_gradient_input
from doxa.explaining.integrated_gradients import explain_by_integrated_gradients
from doxa.explaining.occlusion import explain_by_occlusion
from doxa.explaining.shapley import explain_by_shapley
from doxa.explaining.task import Evidence, Task, Tools


@dataclass(frozen=True)
class Method:
    """`explain` returns the evidence of every task, in order. `needs` names the tool beside logits that it works with, if any."""

    explain: Callable[[list[Task], Tools], list[Evidence]]
    needs: str | None = None


METHODS = {
    "integrated-gradients": Method(explain_by_integrated_gradients, "gradients"),
    "gradient-x-input": Method(explain_by_gradient_input, "gradients"),
    "occlusion": Method(explain_by_occlusion),
    "shapley": Method(explain_by_shapley),
    "attention-rollout": Method(explain_by_rollout, "attention"),
    "raw-attention": Method(explain_by_raw_attention, "attention"),
}
