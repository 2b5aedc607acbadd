"""The training loop: small, ours, able to stop at any step and to go on from there."""

import copy
import gc
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from transformers import PreTrainedModel

from doxa.device.gpu import peak_gpu_bytes
from doxa.device.memory import peak_bytes
from doxa.errors import DoxaError
from doxa.inference.lanes import OutOfMemory
from doxa.inference.torch_engine import told_of_memory
from doxa.records.signals import signal_seen
from doxa.training.adaptation import Adaptation
from doxa.training.adversary import Adversary, text_embeddings
from doxa.training.determinism import give_way, random_state, set_random_state
from doxa.training.dropout import cheap_dropouts
from doxa.training.embedding_rows import EmbeddingRows, narrow_embeddings
from doxa.training.optimizer import make_optimizer
from doxa.training.processes import Processes
from doxa.training.schedule import grouped_batches, learning_rates
from doxa.training.sharding import part_of, shard, whole
from doxa.training.tasks import Task

MOST_BAD_STEPS = 3


@dataclass(frozen=True)
class LoopSettings:
    """Names and meanings are those of Hugging Face's TrainingArguments.

    `warmup_steps` below 1 is a share of all steps; `max_steps` above 0 ends earlier than the epochs do.
    `layerwise_lr_decay` multiplies the learning rate once per layer away from the heads, `head_lr_factor` that of the heads; `early_stopping_patience` counts
    epochs without a better dev score, 0 never stops early."""

    learning_rate: float
    num_train_epochs: int = 3
    per_device_train_batch_size: int = 16
    gradient_accumulation_steps: int = 1
    weight_decay: float = 0.01
    warmup_steps: float = 0.1
    max_grad_norm: float = 1.0
    lr_scheduler_type: str = "linear"
    layerwise_lr_decay: float = 1.0
    head_lr_factor: float = 1.0
    early_stopping_patience: int = 0
    max_steps: int = -1
    seed: int = 42
    n_processes: int = 1

    @property
    def step_size(self) -> int:
        """Examples a step."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps * self.n_processes

    def steps_an_epoch(self, n_examples: int) -> int:
        return -(-n_examples // self.step_size)

    def n_steps(self, n_examples: int) -> int:
        steps = self.steps_an_epoch(n_examples) * self.num_train_epochs
        return min(steps, self.max_steps) if self.max_steps > 0 else steps

    def n_epochs(self, n_examples: int) -> int:
        """Epochs that so many steps begin."""
        return -(-self.n_steps(n_examples) // self.steps_an_epoch(n_examples))


@dataclass(frozen=True)
class Progress:
    """What is told after every step. `epoch` counts from 1; `seconds` are those of the whole run, `loss` may be NaN. Peaks are the most that
    the process has held so far, on a GPU None where there is none."""

    epoch: int
    step: int
    n_steps: int
    n_examples: int
    loss: float
    learning_rate: float
    seconds: float
    peak_memory_bytes: int
    peak_gpu_memory_bytes: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """A look at the dev set after an epoch: the score that chooses the best one, and every head's."""

    epoch: int
    step: int
    score: float
    heads: dict[str, float]
    seconds: float


@dataclass
class Position:
    """Where a run is. `batch` counts the batches taken of the epoch that is under way, `scores` are those of dev after each epoch.

    `part_size` is how many examples go through the model at once, 0 for as many as the settings say: fewer where memory ran out.
    `scaler` is the state of what keeps fp16 gradients in range; empty elsewhere."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: float = -np.inf
    n_skipped: int = 0
    n_bad_in_a_row: int = 0
    part_size: int = 0
    seconds: float = 0.0
    scores: list[float] = field(default_factory=list)
    is_given_up: bool = False
    scaler: dict[str, float] = field(default_factory=dict)


class Watcher(Protocol):
    """Who follows a run, and keeps it."""

    def on_step(self, progress: Progress) -> None: ...

    def on_skip(self, step: int, places: list[str]) -> None: ...

    def on_change(self, what: str) -> None: ...

    def on_evaluation(self, evaluation: Evaluation) -> None: ...

    def gives_up(self, position: Position) -> bool: ...

    def wants_checkpoint(self, step: int) -> bool: ...

    def on_checkpoint(self, step: int, tensors: dict[str, torch.Tensor], figures: dict[str, Any]) -> None: ...


class NotFinite(DoxaError):
    """The loss was not finite in too many steps in a row."""


class Stopped(Exception):
    """A signal asked the run to stop; it was kept at `step` of `n_steps`."""

    def __init__(self, step: int, n_steps: int):
        super().__init__(step, n_steps)
        self.step, self.n_steps = step, n_steps


class TrainingLoop:
    """Trains a model on a task; keeps the weights of the epoch with the best dev score.

    Weights that are frozen when the loop is made stay out of its checkpoints: they are the base's. Of tied ones, one is kept."""

    def __init__(self, model: PreTrainedModel, settings: LoopSettings, device: torch.device, adversary: Adversary | None = None,
                 adaptation: Adaptation | None = None, processes: Processes = Processes(), is_fp16: bool = False):
        self._left_out = {name for name, parameter in model.named_parameters() if not parameter.requires_grad} | _aliases(model)
        if processes.shards:
            shard(model, device, processes.count)
        self.model, self.settings, self.device = model.to(device), settings, device
        self.adversary, self.adaptation, self.processes = adversary, adaptation or Adaptation(), processes
        self.optimizer = make_optimizer(model, settings.learning_rate, settings.weight_decay, settings.layerwise_lr_decay,
                                        settings.head_lr_factor)
        self.scaler = torch.amp.GradScaler(device.type, enabled=is_fp16)
        self.position = Position()
        self.best_weights: dict[str, torch.Tensor] | None = None
        self._rows: EmbeddingRows | None = None
        if processes.count > 1:  # every process drops out other values
            torch.manual_seed(settings.seed + 1_000_003 * processes.rank)

    def expect(self, task: Task) -> None:
        """Make ready for a task, before its run or the restoring of one: of the token embeddings only those are trained that its examples hold."""
        if not self.processes.shards:
            self._rows = narrow_embeddings(self.model, self.optimizer, task.token_ids)

    def held_bytes(self) -> int:
        """Memory that a run takes besides the model and a step's activations: the best weights, and gradients and moments of what is trained."""
        best = sum(tensor.nbytes for name, tensor in self.model.state_dict().items() if name not in self._left_out)
        return best + 3 * sum(parameter.nbytes for parameter in self._trained())

    def run(self, task: Task, evaluate: Callable[[], dict[str, float]], watcher: Watcher) -> Position:
        """Train from where `position` is to the end; leave the best weights in the model.

        `evaluate` gives every head's dev score (higher is better). Raises NotFinite when the loss is not finite in
        three steps in a row, Stopped when a signal arrived."""
        settings, position = self.settings, self.position
        n_steps = settings.n_steps(len(task.lengths))
        self.adaptation.expect(n_steps)
        n_warmup = int(settings.warmup_steps if settings.warmup_steps >= 1 else settings.warmup_steps * n_steps)
        rate_at = learning_rates(settings.lr_scheduler_type, settings.learning_rate, n_steps, n_warmup)
        self._clock = time.monotonic() - position.seconds
        while not self._is_done(n_steps):
            batches = grouped_batches(task.lengths, settings.step_size, np.random.default_rng([settings.seed, position.epoch]))
            self.model.train()
            with cheap_dropouts(self.model), task.shortcut(self.model):
                while position.batch < len(batches) and position.step < n_steps:
                    self._stop_if_asked(n_steps, watcher)
                    rate = rate_at(position.step)
                    loss = self._step(task, batches[position.batch], rate, watcher)
                    position.step += 1
                    position.batch += 1
                    watcher.on_step(Progress(position.epoch, position.step, n_steps, len(batches[position.batch - 1]), loss, rate,
                                             self._seconds(), peak_bytes(), peak_gpu_bytes(self.device)))
                    if watcher.wants_checkpoint(position.step):
                        self.keep(watcher)
            self._stop_if_asked(n_steps, watcher)
            scores = self.processes.from_first(evaluate() if self.processes.is_first or self.processes.shards else None)
            self._stop_if_asked(n_steps, watcher)  # the evaluation may have been cut short
            score = float(np.mean(list(scores.values()))) if scores else 0.0
            watcher.on_evaluation(Evaluation(position.epoch, position.step, score, scores, self._seconds()))
            if score > position.best_score or self.best_weights is None:
                position.best_epoch, position.best_score = position.epoch, score
                self.best_weights = copy.deepcopy(self._weights())
            position.epoch, position.batch = position.epoch + 1, 0
            position.scores.append(score)
            position.is_given_up = watcher.gives_up(position)
        position.seconds = self._seconds()
        if self._rows is not None:
            self._rows.end()
            self._rows = None
        self.take(self.best_weights)
        return position

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: whole(tensor) for name, tensor in self.model.state_dict().items() if name not in self._left_out}

    def take(self, weights: dict[str, torch.Tensor]) -> None:
        """Put weights that were kept into the model, and take them for the best. Raises DoxaError when they are of another."""
        mine = self.model.state_dict()
        missing, unexpected = self.model.load_state_dict({name: part_of(tensor, mine.get(name, tensor)) for name, tensor in weights.items()}, strict=False)
        if unexpected or set(missing) - self._left_out:
            raise DoxaError("the checkpoint is not of this model; --force starts anew")
        if self._rows is not None:
            self._rows.take_up()
        self.best_weights = weights

    def _is_done(self, n_steps: int) -> bool:
        patience, position = self.settings.early_stopping_patience, self.position
        if position.batch:  # the epoch waits for its evaluation at least
            return False
        return position.step == n_steps or position.is_given_up or bool(patience) and position.epoch - 1 - position.best_epoch >= patience

    def _seconds(self) -> float:
        return time.monotonic() - self._clock

    def _stop_if_asked(self, n_steps: int, watcher: Watcher) -> None:
        if self.processes.any(signal_seen() is not None):
            self.keep(watcher)
            raise Stopped(self.position.step, n_steps)

    def _step(self, task: Task, batch: np.ndarray, rate: float, watcher: Watcher) -> float:
        """Take one optimiser step; one whose loss or gradient is not finite is skipped. Returns the mean loss."""
        position = self.position
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_factor"]
        value = self._gradients(task, batch, watcher)
        value = self.processes.sum_gradients(self._trained(), value)
        if np.isfinite(value):
            self.scaler.unscale_(self.optimizer)
            norm = whole(torch.nn.utils.clip_grad_norm_(self._trained(), self.settings.max_grad_norm))
            if bool(torch.isfinite(norm)):
                self.scaler.step(self.optimizer)
                self.scaler.update()
                if self._rows is not None:
                    self._rows.put_back()
                self.adaptation.after_step(position.step + 1)
                position.n_bad_in_a_row = 0
                return value
            scale = self.scaler.get_scale()
            self.scaler.update()
            if scale > 1:  # too large a scale for fp16, halved now: the way to find it, and no fault
                return value
        position.n_skipped += 1
        position.n_bad_in_a_row += 1
        watcher.on_skip(position.step + 1, [task.places[i] for i in self._at_fault(task, batch)])
        if position.n_bad_in_a_row >= MOST_BAD_STEPS:
            raise NotFinite(f"the loss was not finite in {MOST_BAD_STEPS} steps in a row; no model was written, and "
                            "--resume would meet it again: --force starts anew. Look at the records that were named, or try a smaller --learning-rate or --precision fp32")
        return value

    def _at_fault(self, task: Task, batch: np.ndarray) -> np.ndarray:
        """Those examples of a batch whose loss is not finite by themselves; all of them where none is."""
        state = random_state(self.device)
        with torch.no_grad():
            found = batch[[not np.isfinite(float(task.batch(self.model, batch[[i]])[1]())) for i in range(len(batch))]]
        set_random_state(state, self.device)
        return found if len(found) else batch

    def _gradients(self, task: Task, batch: np.ndarray, watcher: Watcher) -> float:
        """Compute this process's share of the gradients of a batch; return its share of the mean loss.

        Where it takes more memory than there is, smaller parts of the batch make up the same sum, in this step and all later ones."""
        state = random_state(self.device)
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            try:
                with told_of_memory(self.device):
                    return self._accumulate(task, batch)
            except OutOfMemory:
                self._take_smaller_parts(task, watcher)
            except RuntimeError as error:
                if not give_way(error):
                    raise
                watcher.on_change(f"this network has a step that {self.device.type} computes otherwise every time, so the same run gives other last digits")
            gc.collect()  # the frames of a failed call hold each other, and its tensors
            set_random_state(state, self.device)

    def _accumulate(self, task: Task, batch: np.ndarray) -> float:
        size, value = self._part_size, 0.0
        mine = batch[self.processes.rank :: self.processes.count]
        for start in range(0, -(-len(batch) // self.processes.count) if self.processes.shards else len(mine), size):
            part = mine[start : start + size]
            # Shards compute together: one that has no example left takes one that does not count.
            value += self._backward(task, part if len(part) else batch[:1], len(part) / len(batch))
        return value

    @property
    def _part_size(self) -> int:
        """How many examples go through the model at once."""
        return self.position.part_size or self.settings.per_device_train_batch_size

    def _take_smaller_parts(self, task: Task, watcher: Watcher) -> None:
        size = self._part_size
        if size == 1 or not task.adds_up or self.processes.shards:
            raise DoxaError(f"out of memory on {self.device.type}, with {size} examples at once; "
                            "take a smaller --per-device-train-batch-size or --max-length, or --gradient-checkpointing")
        self.position.part_size = -(-size // 2)
        watcher.on_change(f"{size} examples at once take more memory than there is; from here on {self.position.part_size} at once make up the same batches")

    def _trained(self) -> list[torch.nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _backward(self, task: Task, part: np.ndarray, share: float) -> float:
        mask, loss_of_task = task.batch(self.model, part)

        def compute() -> torch.Tensor:
            return self.scaler.scale((loss_of_task() + self.adaptation.penalty()) * share)

        scale = self.scaler.get_scale()
        if self.adversary is not None:
            return self.adversary.backward(text_embeddings(self.model), mask, compute) / scale
        loss = compute()
        value = loss.item() / scale
        if np.isfinite(value) or self.processes.shards:
            loss.backward()
        return value

    def keep(self, watcher: Watcher) -> None:
        """Hand everything that the next step depends on to the watcher. Raises NotFinite where weights are not finite any more."""
        if not all(bool(whole(torch.isfinite(parameter).all())) for parameter in self._trained()):
            raise NotFinite(f"the weights are not finite after step {self.position.step}, and no checkpoint of them was written. Try a smaller --learning-rate")
        self.position.seconds, self.position.scaler = self._seconds(), self.scaler.state_dict()
        tensors = {f"model.{name}": tensor for name, tensor in self._weights().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in (self.best_weights or {}).items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": whole(tensor) for name, tensor in state.items()}
        tensors |= {f"adaptation.{name}": tensor for name, tensor in self.adaptation.state().items()}
        for rank, state in enumerate(self.processes.gather(random_state(self.device))):
            tensors |= {f"random.{kind}.{rank}": numbers for kind, numbers in state.items()}
        # Tensors that share memory would be refused by safetensors, and those of the model go on changing.
        watcher.on_checkpoint(self.position.step, {name: tensor.detach().clone() for name, tensor in tensors.items()}, asdict(self.position))

    def restore(self, tensors: dict[str, torch.Tensor], figures: dict[str, Any]) -> None:
        """Take up what `on_checkpoint` was handed: `run` then goes on as if nothing had been."""
        parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "best": {}, "optimizer": {}, "adaptation": {}, "random": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self.take(parts["model"])
        self.best_weights = parts["best"] or None
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = part_of(tensor, self._trained()[int(index)])
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.adaptation.restore(parts["adaptation"])
        suffix = f".{self.processes.rank}"
        set_random_state({name.removesuffix(suffix): numbers for name, numbers in parts["random"].items() if name.endswith(suffix)}, self.device)
        self.position = Position(**figures)
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(self.position.scaler)


def _aliases(model: torch.nn.Module) -> set[str]:
    """Names of tensors that are another name's as well, of which the first stands for both."""
    seen: set[int] = set()
    aliases = set()
    for name, tensor in model.state_dict().items():
        if tensor.numel() and tensor.data_ptr() in seen:
            aliases.add(name)
        seen.add(tensor.data_ptr())
    return aliases
