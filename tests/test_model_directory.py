"""Model directories that are missing, incomplete, altered or evil: one clear line, exit 1, before any input is read."""

import json
import os
import re
import pickle
import shutil
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from doxa.errors import ExitCode
from shell import run

FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class")


# --- evil and broken directories: each function alters a copy of the tiny model


def edit_config(directory: Path, **changes) -> None:
    config = json.loads((directory / "config.json").read_text()) | changes
    (directory / "config.json").write_text(json.dumps(config))


def forget_manifest(directory: Path) -> None:
    """What the manifest would notice first must be noticed without it too, for a directory that doxa did not write."""
    (directory / "doxa.json").unlink()


def missing(directory):
    shutil.rmtree(directory)


def is_a_file(directory):
    shutil.rmtree(directory)
    directory.write_text("{}")


def empty(directory):
    shutil.rmtree(directory)
    directory.mkdir()


def adapter_alone(directory):
    (directory / "config.json").rename(directory / "adapter_config.json")


def no_config(directory):
    (directory / "config.json").unlink()


def half_config(directory):
    content = (directory / "config.json").read_bytes()
    (directory / "config.json").write_bytes(content[: len(content) // 2])


def binary_config(directory):
    (directory / "config.json").write_bytes(b"\xff\xfe\x00{}")


def list_config(directory):
    (directory / "config.json").write_text("[1, 2]")


def deep_config(directory):
    (directory / "config.json").write_text('{"model_type": "bert", "x": ' + "[" * 100_000 + "]" * 100_000 + "}")


def no_weights(directory):
    (directory / "model.safetensors").unlink()


def no_weights_nor_manifest(directory):
    no_weights(directory)
    forget_manifest(directory)


def cut_weights(directory):
    content = (directory / "model.safetensors").read_bytes()
    (directory / "model.safetensors").write_bytes(content[: len(content) // 2])


def cut_weights_without_manifest(directory):
    cut_weights(directory)
    forget_manifest(directory)


def empty_weights_without_manifest(directory):
    (directory / "model.safetensors").write_bytes(b"")
    forget_manifest(directory)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5000 if len(content) > 10_000 else len(content) // 2] ^= 0x01
    path.write_bytes(bytes(content))


def flipped_weights(directory):
    flip(directory / "model.safetensors")


def flipped_tokenizer(directory):
    flip(directory / "tokenizer.json")


def flipped_config(directory):
    edit_config(directory, layer_norm_eps=1e-11)


def no_tokenizer(directory):
    (directory / "tokenizer.json").unlink()


def no_tokenizer_nor_manifest(directory):
    no_tokenizer(directory)
    forget_manifest(directory)


def half_tokenizer_without_manifest(directory):
    content = (directory / "tokenizer.json").read_bytes()
    (directory / "tokenizer.json").write_bytes(content[: len(content) // 2])
    forget_manifest(directory)


def half_table(directory):
    content = (directory / "doxa.json").read_bytes()
    (directory / "doxa.json").write_bytes(content[: len(content) // 2])


def list_table(directory):
    (directory / "doxa.json").write_text("[]")


def table_without_heads(directory):
    table = json.loads((directory / "doxa.json").read_text())
    del table["heads"]
    (directory / "doxa.json").write_text(json.dumps(table))


def table_of_the_future(directory):
    table = json.loads((directory / "doxa.json").read_text()) | {"format": 99, "doxa_version": "9.9"}
    (directory / "doxa.json").write_text(json.dumps(table))


def table_of_another_model(directory):
    table = json.loads((directory / "doxa.json").read_text())
    table["heads"] = table["heads"][:1]
    (directory / "doxa.json").write_text(json.dumps(table))


def manifest_that_leads_outside(directory):
    table = json.loads((directory / "doxa.json").read_text())
    table["files"]["../../../../etc/passwd"] = {"size": 1, "sha256": "0"}
    (directory / "doxa.json").write_text(json.dumps(table))


def change_weights(directory: Path, change) -> None:
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    forget_manifest(directory)


def without_head(directory):
    change_weights(directory, lambda weights: [weights.pop("classifier.weight"), weights.pop("classifier.bias")])


def smaller_head(directory):
    change_weights(directory, lambda weights: weights.update(
        {"classifier.weight": weights["classifier.weight"][:4].copy(), "classifier.bias": weights["classifier.bias"][:4].copy()}))


def without_a_layer(directory):
    change_weights(directory, lambda weights: [weights.pop(key) for key in list(weights) if ".layer.1." in key])


def nan_weights(directory):
    def spoil(weights):
        weights["bert.encoder.layer.0.attention.self.query.weight"][3, 5] = float("nan")

    change_weights(directory, spoil)


class _Evil:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def pickle_only(directory):
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps(_Evil(directory.parent / "mark")))
    forget_manifest(directory)


def pickle_index(directory):
    pickle_only(directory)
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"classifier.weight": "pytorch_model.bin"}}))


def write_evil_code(directory: Path) -> None:
    for name in ("modeling_evil.py", "configuration_evil.py", "tokenization_evil.py", "__init__.py"):
        (directory / name).write_text(f"import os\nos.mkdir({str(directory.parent / 'mark')!r})\nclass Evil: pass\n")


def auto_map(directory):
    write_evil_code(directory)
    edit_config(directory, auto_map={"AutoConfig": "configuration_evil.Evil", "AutoModelForSequenceClassification": "modeling_evil.Evil"})
    forget_manifest(directory)


def nested_auto_map(directory):
    write_evil_code(directory)
    edit_config(directory, text_config=[{"auto_map": {"AutoModel": "evil/evil--modeling_evil.Evil"}}])
    forget_manifest(directory)


def asks_for_trust(directory):
    write_evil_code(directory)
    edit_config(directory, trust_remote_code=True)
    forget_manifest(directory)


def asks_for_kernels(directory):
    edit_config(directory, _attn_implementation="evil/kernels")
    forget_manifest(directory)


def asks_for_kernels_by_its_other_name(directory):
    edit_config(directory, attn_implementation="evil/kernels")
    forget_manifest(directory)


def asks_for_internal_kernels(directory):
    edit_config(directory, encoder={"_attn_implementation_internal": "evil/kernels"})
    forget_manifest(directory)


def unknown_type(directory):
    edit_config(directory, model_type="evil")
    forget_manifest(directory)


def type_that_is_no_text(directory):
    edit_config(directory, model_type={"a": 1})
    forget_manifest(directory)


def type_without_classifier(directory):
    edit_config(directory, model_type="whisper")
    forget_manifest(directory)


def index_that_leads_outside(directory):
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../other/model.safetensors"}}))
    forget_manifest(directory)


def index_that_is_damaged(directory):
    (directory / "model.safetensors.index.json").write_text('{"weight_map": ')
    forget_manifest(directory)


def index_that_is_empty(directory):
    (directory / "model.safetensors").unlink()
    (directory / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    forget_manifest(directory)


CASES = [
    (missing, "no such model directory"), (is_a_file, "no such model directory"), (empty, "config.json is missing"),
    (no_config, "config.json is missing"), (adapter_alone, "an adapter alone"), (half_config, "config.json is damaged"), (binary_config, "config.json is damaged"),
    (list_config, "config.json is damaged: it holds no object"), (deep_config, "config.json is damaged"),
    (no_weights, "model.safetensors is missing"), (no_weights_nor_manifest, "model.safetensors is missing"),
    (cut_weights, "model.safetensors is not the file that was written"), (cut_weights_without_manifest, "cannot be loaded"),
    (empty_weights_without_manifest, "cannot be loaded"),
    (flipped_weights, "model.safetensors is not the file that was written"),
    (flipped_tokenizer, "tokenizer.json is not the file that was written"),
    (flipped_config, "config.json is not the file that was written"),
    (no_tokenizer, "tokenizer.json is missing"), (no_tokenizer_nor_manifest, "has no tokenizer.json"),
    (half_tokenizer_without_manifest, "tokenizer.json is damaged"),
    (half_table, "doxa.json is damaged"), (list_table, "doxa.json is damaged"), (table_without_heads, "doxa.json is damaged"),
    (table_of_the_future, "newer doxa (9.9)"), (table_of_another_model, "doxa.json describes 3 outputs"),
    (manifest_that_leads_outside, "passwd"),
    (without_head, "lacks weights of the classifier (classifier.bias, classifier.weight)"), (smaller_head, "lacks weights"),
    (without_a_layer, "lacks weights"), (nan_weights, "are not finite"),
    (pickle_only, "as a pickle (pytorch_model.bin)"), (pickle_index, "as a pickle (pytorch_model.bin)"),
    (auto_map, 'asks for "auto_map"'), (nested_auto_map, 'asks for "auto_map"'), (asks_for_trust, 'asks for "trust_remote_code"'),
    (asks_for_kernels, 'asks for "_attn_implementation"'), (asks_for_kernels_by_its_other_name, 'asks for "attn_implementation"'),
    (asks_for_internal_kernels, 'asks for "_attn_implementation_internal"'),
    (unknown_type, 'model_type "evil" is none that transformers knows'), (type_that_is_no_text, "model_type"),
    (type_without_classifier, "no sequence classifier"),
    (index_that_leads_outside, "names a file outside the directory"), (index_that_is_damaged, "index.json is damaged"),
    (index_that_is_empty, "names no weights"),
]


# --- what a command does, watched by an audit hook; a hook cannot be taken off, so it is switched


class _Watch:
    def __init__(self):
        self.is_on, self.seen = False, []
        sys.addaudithook(self.note)

    def note(self, event: str, arguments: tuple) -> None:
        if not self.is_on:
            return
        if event in FORBIDDEN:
            self.seen.append(f"{event} {arguments}")
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            if not str(arguments[0]).startswith(("/dev/", "/proc/")) and not str(arguments[0]).endswith(".pyc"):
                self.seen.append(f"wrote {arguments[0]}")


@pytest.fixture(scope="session")
def watch() -> _Watch:
    return _Watch()


@pytest.fixture
def directory(tiny_model, tmp_path, monkeypatch) -> Path:
    copy = tmp_path / "model"
    shutil.copytree(tiny_model, copy)
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return copy


def predict_here(directory: Path, watch: _Watch, capfd) -> tuple[int, str, str]:
    """Run the command in this process (its libraries take seconds to load); the input it is given does not exist, so that
    reading it before the model would be another failure."""
    import signal

    from doxa.commands._command import _guarded
    from doxa.commands.predict import predict

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}, dict(os.environ)
    watch.seen, watch.is_on = [], True
    try:
        code = _guarded(predict, ["--model", str(directory), "--device", "cpu", str(directory.parent / "no-such-input.jsonl")])
    finally:
        watch.is_on = False
        for number, handler in before[0].items():
            signal.signal(number, handler)
        os.environ.clear()
        os.environ.update(before[1])
    out, err = capfd.readouterr()
    return int(code), out, err


@pytest.mark.parametrize("spoil, says", CASES, ids=[case[0].__name__ for case in CASES])
def test_directory_is_refused(spoil, says, directory, watch, capfd):
    spoil(directory)
    there = sorted(path for path in directory.parent.rglob("*"))
    code, out, err = predict_here(directory, watch, capfd)
    assert says in err
    assert err.count("\n") == 1 and "internal error" not in err and "no-such-input" not in err
    assert (code, out) == (ExitCode.FAILED, "")
    assert watch.seen == []
    assert sorted(path for path in directory.parent.rglob("*")) == there
    assert len(err) < 600


def test_whole_directory_is_not_refused(directory, watch, capfd):
    """The cases above fail for what they name: the same directory unspoilt gets as far as the missing input."""
    code, out, err = predict_here(directory, watch, capfd)
    assert (code, out) == (ExitCode.FAILED, "")
    assert "no-such-input.jsonl: No such file" in err
    assert without_kept(watch.seen) == []


def test_directory_of_another_hand_is_taken(directory, watch, capfd):
    forget_manifest(directory)
    assert "no-such-input.jsonl: No such file" in predict_here(directory, watch, capfd)[2]


def test_a_mark_would_be_seen(tmp_path, watch):
    """The evil fixtures do leave a mark when somebody runs them, and the hook does see."""
    (tmp_path / "evil").mkdir()
    write_evil_code(tmp_path / "evil")
    exec((tmp_path / "evil" / "modeling_evil.py").read_text(), {})
    assert (tmp_path / "mark").is_dir()
    (tmp_path / "mark").rmdir()
    watch.seen, watch.is_on = [], True
    pickle.loads(pickle.dumps(_Evil(tmp_path / "mark")))
    (tmp_path / "written").write_text("x")
    watch.is_on = False
    assert (tmp_path / "mark").is_dir()
    assert len(watch.seen) == 2


def test_no_verify_skips_the_manifest_alone(directory, watch, capfd):
    """--no-verify is for huge models: what differs from the manifest loads, what is unsafe does not."""
    from doxa.inference.loading import Request, load_predictor

    flipped_config(directory)
    assert load_predictor(Request(str(directory), "cpu", verify=False))
    edit_config(directory, auto_map={})
    from doxa.errors import DoxaError

    with pytest.raises(DoxaError, match="auto_map"):
        load_predictor(Request(str(directory), "cpu", verify=False))


# --- the same as real processes, without HF_HUB_OFFLINE and with a witness in each


WITNESS = """
import os, sys
log = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.Popen", "os.system", "os.mkdir", "pickle.find_class"):
        os.write(log, f"{event} {arguments}\\n".encode())
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        os.write(log, f"open {arguments[0]}\\n".encode())
sys.addaudithook(note)
"""


def watched(tmp_path: Path, *args, stdin: bytes) -> tuple:
    """Run predict with an audit hook put in by sitecustomize; return how it ended and what the hook saw."""
    for folder in ("site", "tmp"):
        (tmp_path / folder).mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITNESS)
    env = {"PYTHONPATH": str(tmp_path / "site"), "WITNESS": str(tmp_path / "log"), "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": None,
           "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
    done = run("predict", *args, stdin=stdin, env=env)
    assert [name for name in os.listdir(tmp_path / "tmp") if not name.startswith("torchinductor_")] == []  # torch's import makes it
    harmless = ("open /dev/", "open /proc/", f"open {tmp_path}/tmp/", f"os.mkdir ('{tmp_path}/tmp/torchinductor_")
    return done, [line for line in (tmp_path / "log").read_text().splitlines() if not line.startswith(harmless)]


def without_kept(seen: list[str]) -> list[str]:
    """What was seen, but for the form that OpenVINO runs: kept in the model directory, and compiled in the user's cache; a
    descriptor is that of a file whose name was seen when it was opened."""
    return [line for line in seen if "/.openvino." not in line and "/.cache" not in line and not re.match(r"(open|wrote) \d+$", line)
            and not line.endswith("/home', 511, -1)")]


@pytest.mark.parametrize("spoil, says", [(auto_map, 'asks for "auto_map"'), (flipped_weights, "model.safetensors is not the file")],
                         ids=["auto_map", "flipped_weights"])
def test_process_refuses(spoil, says, directory, tmp_path):
    spoil(directory)
    done, seen = watched(tmp_path, "--model", directory, stdin=b'{"text": "ok"}\n')
    assert (done.code, done.out) == (1, b"")
    assert done.err.count("\n") == 1 and says in done.err
    assert seen == []
    assert not (tmp_path / "mark").exists() and not (tmp_path / "home").exists()


def test_process_opens_no_socket_and_writes_no_file(directory, tmp_path):
    """A model given as a directory never touches the network, nor anything of the home folder but the cache of its own."""
    done, seen = watched(tmp_path, "--model", directory, stdin=b'{"text": "ok"}\n')
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["prediction"]
    assert without_kept(seen) == []
    written = {path.parent for path in (tmp_path / "home").rglob("*") if path.is_file()}
    assert written <= {tmp_path / "home" / ".cache" / "doxa" / "compiled"}


def test_process_reads_the_model_first(tmp_path):
    """With a model that is not there the input stays unread and the old output stays."""
    (tmp_path / "out.jsonl").write_text("old")
    done = run("predict", "--model", tmp_path / "none", "-o", tmp_path / "out.jsonl", tmp_path / "no-such-input.jsonl")
    assert (done.code, done.out) == (1, b"")
    assert done.err == f"predict: {tmp_path}/none: no such model directory\n"
    assert os.listdir(tmp_path) == ["out.jsonl"] and (tmp_path / "out.jsonl").read_text() == "old"
