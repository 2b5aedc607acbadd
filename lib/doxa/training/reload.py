"""A model that was just written, loaded by another process: do its outputs stay what they were?"""

import os
import subprocess
import sys
import tempfile

import numpy as np
import torch

from doxa.errors import DoxaError
from doxa.text.frame import Window

TOLERANCE = 1e-3  # of a logit in fp32; merging sums products in another order


def compare_reloaded(directory: str, windows: list[list[Window]], expected: np.ndarray, pad_id: int, base: str | None) -> list[str]:
    """Compute the first window of every text in a fresh process from `directory`, and from `base` with the adapter alone.

    Returns lines that say how far the logits are apart. Raises DoxaError beyond TOLERANCE."""
    from doxa.inference.engine import pad

    with tempfile.TemporaryDirectory() as folder:
        question, answer = os.path.join(folder, "question.npz"), os.path.join(folder, "answer.npz")
        np.savez(question, **pad([parts[0] for parts in windows], pad_id, 0))
        library = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        done = subprocess.run([sys.executable, "-m", "doxa.training.reload", directory, base or "", question, answer], capture_output=True, text=True,
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


def _answer(directory: str, base: str, question: str, answer: str) -> None:
    from doxa.model.classifier import load_classifier, load_with_adapter

    with np.load(question) as file:
        inputs = {name: torch.from_numpy(file[name]) for name in file.files}
    if not inputs["token_type_ids"].any():
        del inputs["token_type_ids"]
    models = {"model": load_classifier(directory)}
    if base:
        models["adapter alone"] = load_with_adapter(base, directory)
    with torch.inference_mode():
        np.savez(answer, **{name: model(**inputs).logits.numpy() for name, model in models.items()})


if __name__ == "__main__":
    _answer(*sys.argv[1:])
