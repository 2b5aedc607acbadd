"""The attention of every layer of a classifier, the mean of its heads, in batches of one length."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.errors import UsageError
from doxa.inference.lanes import Lanes
from doxa.inference.torch_engine import CPU_BATCH_TOKENS, open_lanes, takes_token_types, told_of_memory
from doxa.model.network import load_network
from doxa.text.frame import Window

GPU_BATCH_TOKENS = 8192  # whose maps of all layers are held
# Encoders whose classification head reads the first token.
_FIRST_TOKEN_READERS = {"bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "albert", "ernie", "mpnet", "deberta", "deberta-v2"}


class AttentionMaps(Lanes):
    def __init__(self, model: PreTrainedModel, device: torch.device, batch_tokens: int | None = None, n_cores: int | None = None):
        self.model = model.to(device).eval()
        self.device = device
        self.with_types = takes_token_types(model)
        self.batch_tokens = batch_tokens or (CPU_BATCH_TOKENS if device.type == "cpu" else GPU_BATCH_TOKENS)
        self.lanes = open_lanes(device, n_cores)

    def read(self, windows: list[Window], read: Callable[[np.ndarray], np.ndarray]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield batches of positions and what `read` makes of their maps (B, L, T, T). Raises DoxaError when a single window does not fit into memory."""
        return self.run_batches([len(window.ids) for window in windows], lambda batch: read(self._maps([windows[i] for i in batch])))

    @torch.inference_mode()
    def _maps(self, windows: list[Window]) -> np.ndarray:
        with told_of_memory(self.device):
            inputs = {"input_ids": torch.tensor([window.ids for window in windows], device=self.device)}
            if self.with_types and any(window.type_ids for window in windows):
                inputs["token_type_ids"] = torch.tensor([window.type_ids or [0] * len(window.ids) for window in windows], device=self.device)
            layers = self.model(**inputs, output_attentions=True).attentions  # L x (B, H, T, T)
            return torch.stack([layer.float().mean(dim=1) for layer in layers], dim=1).cpu().numpy()


def load_attention_maps(directory: str, device: str, batch_tokens: int | None, n_cores: int | None) -> AttentionMaps:
    """Load a classifier in fp32. Raises UsageError for one whose head does not read the first token, DoxaError when its weights are damaged."""
    model = load_network(directory, torch.float32)
    if model.config.model_type not in _FIRST_TOKEN_READERS:
        raise UsageError(f"--method attention and rollout follow the first token of an encoder, which {model.config.model_type} "
                         "does not classify by; take occlusion")
    model.set_attn_implementation("eager")  # the only one that gives its weights
    return AttentionMaps(model, torch.device(device), batch_tokens, n_cores)
