"""The log of a run as trackers have it: everything that training.jsonl holds, in files, and nothing that could cost the run."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest
from shell import end, run, start

from doxa.errors import DoxaError
from doxa.training.trackers import TRACKERS, Trackers, figures_of

SAMPLE = Path(__file__).parents[1] / "lib/doxa/sample"
TRAIN, DEV = SAMPLE / "train.jsonl", SAMPLE / "dev.jsonl"
FLAGS = ("--base", "scratch", "--head", "sentiment", "--head", "topic", "--dev", DEV, "--num-train-epochs", 2, "--no-openvino", "--device", "cpu",
         "--logging-steps", 3)


def rows_of(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "training.jsonl").read_text().splitlines()]


def tensorboard_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def expected_scalars(rows: list[dict]) -> dict[str, list[tuple[int, float]]]:
    expected = {}
    for row in rows:
        found = ({"dev/score": row["dev_score"], "dev/seconds": row["seconds"]} | {f"dev/{head}": value for head, value in row["dev"].items()}
                 if "dev" in row else {f"train/{key}": row[key] for key in ("loss", "learning_rate", "seconds", "peak_memory_bytes")})
        for tag, value in found.items():
            expected.setdefault(tag, []).append((row["step"], pytest.approx(value, rel=1e-6)))
    return expected


@pytest.mark.slow
def test_tensorboard_has_every_row_also_of_a_run_that_was_stopped(tmp_path):
    output = tmp_path / "out"
    command = (*FLAGS, "--report-to", "tensorboard", "--save-steps", 4, "-o", output)
    process = start("finetune", *command, TRAIN)
    log = output / "training.partial.jsonl"
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= 3):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    end(process)
    done = run("finetune", *command, "--resume", TRAIN)
    assert done.code == 0, done.err
    assert tensorboard_scalars(output / "runs/tensorboard") == expected_scalars(rows_of(output))


@pytest.mark.slow
def test_tensorboard_goes_where_its_variable_says(tmp_path):
    done = run("finetune", *FLAGS, "--report-to", "tensorboard", "--report-to", "none", "-o", tmp_path / "out", TRAIN,
               env={"TENSORBOARD_LOGGING_DIR": str(tmp_path / "elsewhere")})
    assert done.code == 0, done.err
    assert not (tmp_path / "out/runs").exists()
    assert tensorboard_scalars(tmp_path / "elsewhere") == expected_scalars(rows_of(tmp_path / "out"))


def test_wandb_writes_files_and_stays_off_the_network(tmp_path):
    pytest.importorskip("wandb")
    done = run("finetune", *FLAGS, "--report-to", "wandb", "-o", tmp_path / "out", TRAIN, cwd=tmp_path,
               env={"WANDB_MODE": None, "WANDB_BASE_URL": "http://127.0.0.1:9"})
    assert done.code == 0 and not done.err.count("warning"), done.err
    assert list((tmp_path / "out/runs/wandb").glob("offline-run-*/*.wandb")) and not (tmp_path / "wandb").exists()


def test_mlflow_has_every_row(tmp_path):
    pytest.importorskip("mlflow")
    done = run("finetune", *FLAGS, "--report-to", "mlflow", "-o", tmp_path / "out", TRAIN, env={"MLFLOW_TRACKING_URI": None})
    assert done.code == 0 and not done.err.count("warning"), done.err
    found = {}
    for path in (tmp_path / "out/runs/mlflow").glob("*/*/metrics/**/*"):
        if path.is_file():
            tag = "/".join(path.parts[path.parts.index("metrics") + 1 :])
            found[tag] = [(int(step), float(value)) for _, value, step in map(str.split, path.read_text().splitlines())]
    assert found == expected_scalars(rows_of(tmp_path / "out"))


class Broken:
    """Takes one row, then fails."""

    def __init__(self, folder: str, name: str, settings: dict[str, str]):
        self.n_rows = 0

    @staticmethod
    def load():
        return None

    def log(self, figures, step):
        self.n_rows += 1
        if self.n_rows > 1:
            raise ConnectionError("no route to host")

    def close(self):
        raise AssertionError("it was left before")


def test_a_tracker_that_fails_is_left_and_told_of_once(monkeypatch, tmp_path):
    monkeypatch.setitem(TRACKERS, "broken", Broken)
    warnings = []
    trackers = Trackers(("broken",), str(tmp_path / "out"), {}, [], warnings.append)
    for step in range(4):
        trackers.log({"stage": 0, "name": "fine-tuning", "step": step, "epoch": 1, "loss": 0.5})
    trackers.close()
    assert warnings == ["broken failed, and gets nothing more: ConnectionError no route to host"]


def test_figures_of_other_stages_bear_their_name_and_what_is_unknown_is_left_out():
    assert figures_of({"stage": 0, "name": "trial 3", "step": 10, "epoch": 1, "loss": None, "learning_rate": 0.1}) == {"trial 3/train/learning_rate": 0.1}


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_library_is_named(name, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, {"tensorboard": "torch.utils.tensorboard"}.get(name, name), None)
    with pytest.raises(DoxaError, match=rf"--report-to {name} .*pip install 'doxa\[{name}\]'"):
        Trackers((name,), str(tmp_path / "out"), {}, [], print)
