"""A model that was just written, loaded by another process: do its outputs stay what they were?"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, PreTrainedModel

from doxa.errors import DoxaError
from doxa.inference.engine import pad
from doxa.model.bottleneck import CONFIG_KEY, add_bottlenecks
from doxa.model.heads import Head
from doxa.model.kinds.kind import Stock
from doxa.model.kinds.slices import CLASSIFIER
from doxa.model.kinds.table import stock_of
from doxa.model.network import ADAPTER_FOLDER, forward, load_network, load_pretrained
from doxa.model.safety import read_config
from doxa.model.suit import takes_token_types
from doxa.text.frame import Window
from doxa.device.extras import load_extra

TOLERANCE = 1e-3  # of a logit in fp32; merging sums products in another order


def pad_windows(windows: list[Window], pad_id: int) -> dict[str, np.ndarray]:
    """Windows as the arrays (B, T) that a network reads; token types only where some are not 0."""
    inputs = pad(windows, pad_id, 0)
    if not inputs["token_type_ids"].any():
        del inputs["token_type_ids"]
    return inputs


@torch.inference_mode()
def compute_plain(model: PreTrainedModel, stock: Stock, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The outputs (N, C) of windows, or of the tokens that are there, in fp32 on the CPU."""
    read = {name: torch.from_numpy(array) for name, array in inputs.items() if name != "token_type_ids" or takes_token_types(model)}
    outputs = forward(model.eval(), stock, read)
    return outputs[torch.from_numpy(inputs["attention_mask"]).bool()].numpy() if stock.per_token else outputs.numpy()


def compare_reloaded(directory: str, heads: list[Head], inputs: dict[str, np.ndarray], expected: np.ndarray, base: str | None) -> list[str]:
    """Compute windows in a fresh process from `directory`, and from `base` with the adapter alone.

    Returns lines that say how far the outputs are apart. Raises DoxaError beyond TOLERANCE."""
    with tempfile.TemporaryDirectory() as folder:
        question, answer = os.path.join(folder, "question.npz"), os.path.join(folder, "answer.npz")
        np.savez(question, **inputs)
        library = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        done = subprocess.run([sys.executable, "-m", "doxa.training.reload", directory, json.dumps([head.to_json() for head in heads]), base or "", question, answer], capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": os.pathsep.join([library, os.environ.get("PYTHONPATH", "")]), "WORLD_SIZE": "1"})
        if done.returncode:
            raise DoxaError(f"the new model could not be loaded again: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
        with np.load(answer) as file:
            found = {name: file[name] for name in file.files}
    lines = []
    for name, logits in found.items():
        difference = float(np.abs(logits - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise DoxaError(f"the {name} gives other outputs after loading than in training (logits differ by {difference:.2g}); nothing was written")
        lines.append(f"loaded in a fresh process, the {name} gives the same logits (largest difference {difference:.1g})")
    return lines


def _answer(directory: str, heads: str, base: str, question: str, answer: str) -> None:
    with np.load(question) as file:
        inputs = {name: file[name] for name in file.files}
    stock = stock_of([Head.from_json(entry) for entry in json.loads(heads)], read_config(directory))
    models = {"model": load_network(directory, stock=stock)}
    if base:
        models["adapter alone"] = load_with_adapter(base, directory, stock)
    np.savez(answer, **{name: compute_plain(model, stock, inputs) for name, model in models.items()})


def load_with_adapter(base: str, directory: str, stock: Stock = CLASSIFIER) -> PreTrainedModel:
    """The network of a base with the adapter alone that lies under a model directory. Raises DoxaError."""
    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    path = os.path.join(directory, ADAPTER_FOLDER)
    size = config.__dict__.pop(CONFIG_KEY, None)
    model = load_pretrained(base, stock, config=config, dtype=torch.float32, ignore_mismatched_sizes=True)[0]
    if size is None:
        load_extra("peft", "peft", "--peft").PeftModel.from_pretrained(model, path)  # changes the model in place
        return model.eval()  # itself, whose signature says whether it reads token types
    add_bottlenecks(model, size)
    _, unexpected = model.load_state_dict(load_file(os.path.join(path, "adapter_model.safetensors")), strict=False)
    if unexpected:
        raise DoxaError(f"{path} is not an adapter of {base}: it has no {unexpected[0]}")
    return model.eval()


if __name__ == "__main__":
    _answer(*sys.argv[1:])
