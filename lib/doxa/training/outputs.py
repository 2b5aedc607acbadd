"""What the model that is being trained says of texts."""

import numpy as np

from doxa.inference.labeller import pool
from doxa.inference.torch_engine import TorchEngine
from doxa.records.signals import signal_seen
from doxa.text.frame import Window
from doxa.training.evaluation import dev_scores
from doxa.training.loop import TrainingLoop
from doxa.training.prepare import Prepared

EVALUATED_AT_ONCE = 256  # texts between two looks for a signal


def evaluate(loop: TrainingLoop, prepared: Prepared) -> dict[str, float]:
    """Every head's dev score; nothing when a signal cuts it short."""
    logits = dev_logits(loop, prepared, stops=True)
    return {} if logits is None else dev_scores(logits, prepared.dev_targets, prepared.heads)


def dev_logits(loop: TrainingLoop, prepared: Prepared, stops: bool = False) -> np.ndarray | None:
    """Outputs (n, C) for the dev texts; None when `stops` and a signal arrived."""
    return logits_of(loop, prepared, prepared.dev_texts, stops)


def logits_of(loop: TrainingLoop, prepared: Prepared, texts: list[list[Window]], stops: bool = False) -> np.ndarray | None:
    """Outputs (n, C) for texts, given as their windows."""
    # Shards compute together, one call after the other.
    engine = TorchEngine(loop.model, prepared.device, prepared.tokenizer.max_length, mixed=prepared.mixed, n_cores=1 if loop.processes.shards else None)
    parts = []
    for start in range(0, len(texts), EVALUATED_AT_ONCE):
        is_asked = signal_seen() is not None
        if stops and (loop.processes.any(is_asked) if loop.processes.shards else is_asked):
            return None
        parts.append(_logits(engine, texts[start : start + EVALUATED_AT_ONCE]))
    return np.concatenate(parts) * prepared.scale + prepared.shift


def _logits(engine: TorchEngine, texts: list[list[Window]]) -> np.ndarray:
    windows = [window for parts in texts for window in parts]
    ends = np.cumsum([len(parts) for parts in texts]).tolist()
    return pool(engine.compute(windows), windows, list(zip([0, *ends], ends)))
