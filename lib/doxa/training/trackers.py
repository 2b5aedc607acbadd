"""Where else the log of a run goes: TensorBoard, Weights & Biases, MLflow; into files, unless the user's own environment says otherwise."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol

from doxa.device.extras import load_extra
from doxa.training.watch import MAIN

FOLDER = "runs"  # in the model directory
_PLACES = ("stage", "name", "step", "epoch", "dev")
Row = dict[str, Any]


class Tracker(Protocol):
    def log(self, figures: dict[str, float], step: int) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """`TENSORBOARD_LOGGING_DIR` names another folder."""

    @staticmethod
    def load() -> ModuleType:
        return load_extra("torch.utils.tensorboard", "tensorboard", "--report-to tensorboard")

    def __init__(self, folder: str, name: str, settings: dict[str, str]):
        self.writer = self.load().SummaryWriter(os.environ.get("TENSORBOARD_LOGGING_DIR", os.path.join(folder, "tensorboard")))
        self.writer.add_text("settings", "\n".join(f"    {key}: {value}" for key, value in settings.items()))  # a block of code in Markdown

    def log(self, figures: dict[str, float], step: int) -> None:
        for key, value in figures.items():
            self.writer.add_scalar(key, value, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Wandb:
    """Offline unless `WANDB_MODE` says otherwise; `wandb sync` sends later what lies in the folder."""

    @staticmethod
    def load() -> ModuleType:
        return load_extra("wandb", "wandb", "--report-to wandb")

    def __init__(self, folder: str, name: str, settings: dict[str, str]):
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        wandb = self.load()
        os.makedirs(folder, exist_ok=True)
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "doxa"), name=os.environ.get("WANDB_NAME", name), config=settings,
            mode=os.environ.get("WANDB_MODE", "offline"), dir=os.environ.get("WANDB_DIR", folder),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True))
        self.steps: dict[str, None] = {}

    def log(self, figures: dict[str, float], step: int) -> None:
        for key in figures:  # a stage has steps of its own
            if key not in self.steps:
                self.run.define_metric(key, step_metric="step")
                self.steps[key] = None
        self.run.log(figures | {"step": step})

    def close(self) -> None:
        self.run.finish()


class Mlflow:
    """Into files unless `MLFLOW_TRACKING_URI` names a server; the experiment is `MLFLOW_EXPERIMENT_NAME`, or doxa."""

    @staticmethod
    def load() -> ModuleType:
        return load_extra("mlflow", "mlflow", "--report-to mlflow")

    def __init__(self, folder: str, name: str, settings: dict[str, str]):
        for variable in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_ALLOW_FILE_STORE"):
            os.environ.setdefault(variable, "true")
        mlflow = self.load()
        self.client = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", "file://" + os.path.join(folder, "mlflow")))
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "doxa")
        found = self.client.get_experiment_by_name(experiment)
        self.run_id = self.client.create_run(found.experiment_id if found else self.client.create_experiment(experiment), run_name=name).info.run_id
        for key, value in settings.items():
            self.client.log_param(self.run_id, _plain(key), value[:500])

    def log(self, figures: dict[str, float], step: int) -> None:
        for key, value in figures.items():
            self.client.log_metric(self.run_id, _plain(key), value, step=step)

    def close(self) -> None:
        self.client.set_terminated(self.run_id)


TRACKERS = {"tensorboard": TensorBoard, "wandb": Wandb, "mlflow": Mlflow}


class Trackers:
    """Hands rows of the log on. A tracker that fails is warned of and left; the run goes on."""

    def __init__(self, names: tuple[str, ...], output: str, settings: dict[str, str], rows: list[Row], warn: Callable[[str], None]):
        """`rows` are those of the run that is gone on with: they are told anew. Raises DoxaError when a library is not installed."""
        self.warn, self._open = warn, {}
        folder = os.path.join(os.path.abspath(output), FOLDER)
        if names:
            shutil.rmtree(folder, ignore_errors=True)
        for name in names:
            TRACKERS[name].load()
            with self._guard(name):
                self._open[name] = TRACKERS[name](folder, os.path.basename(os.path.dirname(folder)), settings)
        for row in rows:
            self.log(row)

    def log(self, row: Row) -> None:
        for name, tracker in list(self._open.items()):
            with self._guard(name):
                tracker.log(figures_of(row), row["step"])

    def close(self) -> None:
        """Everything is written after it. May be called twice."""
        for name, tracker in list(self._open.items()):
            with self._guard(name):
                tracker.close()
        self._open.clear()

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a tracker does, a run is worth more
            self._open.pop(name, None)
            self.warn(f"{name} failed, and gets nothing more: {type(error).__name__} {error}")


def figures_of(row: Row) -> dict[str, float]:
    """The figures of a row of the log: `train/loss`, `dev/score`, `dev/HEAD`; those of other stages than the main one after its name."""
    stage = "" if row["name"] == MAIN else f"{row['name']}/"
    part = "dev" if "dev" in row else "train"
    figures = {f"{stage}dev/{head}": value for head, value in row.get("dev", {}).items()}
    return figures | {f"{stage}{part}/{key.removeprefix('dev_')}": value for key, value in row.items() if key not in _PLACES and value is not None}


def _plain(key: str) -> str:
    """MLflow takes letters, digits and few marks."""
    return re.sub(r"[^\w\-./ ]", "_", key)
