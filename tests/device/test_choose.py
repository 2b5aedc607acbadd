"""Which device and precision are chosen, on machines that are made up."""

import pytest

from doxa.device import choose, gpu
from doxa.device.choose import choose_device, choose_precision
from doxa.errors import UsageError
from doxa.inference.loading import _shares, count_workers


@pytest.fixture
def machine(monkeypatch):
    """Make up a machine: its CUDA devices, and whether it has Apple's GPU and bf16. Says how often CUDA was made ready."""
    readied = []

    def make(n_cuda: int = 0, has_mps: bool = False, has_bf16: bool = True, hidden: str | None = None) -> list:
        monkeypatch.setattr(choose, "_GPU_FILES", ("/dev/null",) if n_cuda or has_mps else ())
        monkeypatch.setattr(gpu, "name_of_cuda", lambda: "Some GPU" if n_cuda else None)
        monkeypatch.setattr(gpu, "count_cuda", lambda: n_cuda)
        monkeypatch.setattr(gpu, "has_mps", lambda: has_mps)
        monkeypatch.setattr(gpu, "cuda_computes_bf16", lambda: has_bf16)
        monkeypatch.setattr(gpu, "prepare_cuda", lambda: readied.append(1))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if hidden is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        return readied

    return make


def test_the_best_that_is_there(machine):
    readied = machine()
    assert choose_device("auto") == ("cpu", "no GPU is there") and not readied
    machine(n_cuda=1, has_mps=True)
    assert choose_device("auto") == ("cuda", "a CUDA device is there (Some GPU)") and len(readied) == 1
    assert choose_device("cpu") == ("cpu", "--device says so") and len(readied) == 1
    machine(has_mps=True)
    assert choose_device("auto")[0] == choose_device("mps")[0] == "mps" and len(readied) == 1


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_not_looked_for(machine, monkeypatch, hidden):
    machine(n_cuda=2, hidden=hidden)
    monkeypatch.setattr(gpu, "name_of_cuda", lambda: pytest.fail("torch was asked"))
    assert choose_device("auto") == ("cpu", "no GPU is there")
    machine(n_cuda=2, hidden="1")
    assert choose_device("auto")[0] == "cuda"


@pytest.mark.parametrize("name, says", [("cuda:2", "2 CUDA devices are there"), ("mps", "no Apple GPU is there"), ("gpu", "give auto, cpu, cuda, cuda:N or mps"),
                                        ("cuda:", "give auto")])
def test_what_is_not_there_is_refused(machine, name, says):
    machine(n_cuda=2)
    with pytest.raises(UsageError, match=says):
        choose_device(name)


def test_precision(machine):
    machine(n_cuda=1)
    assert choose_precision("auto", "cuda") == ("bf16", "the GPU computes in bf16")
    assert choose_precision("fp16", "cuda:0") == ("fp16", "--precision says so")
    machine(n_cuda=1, has_bf16=False)
    assert choose_precision("auto", "cuda:0")[0] == "fp32" and choose_precision("auto", "mps")[0] == "fp32"
    for name, device in (("fp16", "cpu"), ("int8", "cuda")):
        with pytest.raises(UsageError):
            choose_precision(name, device)


def test_workers_take_gpus_in_turn(machine):
    machine(n_cuda=2)
    assert count_workers(None, "cuda") == 2 and count_workers(None, "cuda:1") == 1 and count_workers(5, "cuda") == 5 and count_workers(None, "cpu") == 1
    assert [share["device"] for share in _shares("cuda", 5)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]
    assert [share["device"] for share in _shares("cuda:1", 2)] == ["cuda:1", "cuda:1"]
    machine()
    assert [share["device"] for share in _shares("cpu", 2)] == ["cpu", "cpu"] and all(share["n_cores"] >= 1 for share in _shares("cpu", 99))
