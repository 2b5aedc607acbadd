"""predict at length: workers, shards, runs that are killed and go on, texts that come again, engines without torch."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shell import BIN, environment, end, run, start

WORDS = "bank loan profit merge shares outlook rating 贷款 利润 公司 deal cash rate fall".split()


def make_lines(n: int, seed: int = 1) -> list[bytes]:
    """Records of one to forty words; every fiftieth is broken in one of three ways."""
    generator = random.Random(seed)
    broken = (b'{"id": 1', b'{"id": 2, "text": ""}', b'{"id": 3, "text": null, "big": 123456789012345678901234567890}')
    lines = []
    for i in range(n):
        text = " ".join(generator.choices(WORDS, k=generator.choice((1, 4, 9, 40))))
        lines.append(broken[i // 50 % 3] if i % 50 == 49 else json.dumps({"id": i, "text": text, "odd": 1.10}, ensure_ascii=False).encode())
    return lines


LINES = make_lines(5000)
INPUT = b"".join(line + b"\n" for line in LINES)


@pytest.fixture(scope="module")
def whole(tiny_model, tmp_path_factory):
    """What an undisturbed run says of INPUT."""
    done = run("predict", "--model", tiny_model, "--scores", "-q", stdin=INPUT)
    assert done.code == 3 and done.out.count(b"\n") == len(LINES)
    return done.out


# --- workers


def children(pid: int) -> list[int]:
    """The processes that `pid` started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
        except (OSError, ValueError):
            pass
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, timeout_s: float = 60) -> None:
    ends_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_s, "it did not happen"
        time.sleep(0.01)


def test_workers_say_the_same_in_the_same_order(tiny_model, whole):
    done = run("predict", "--model", tiny_model, "--scores", "-q", "--workers", 3, "--device", "cpu", stdin=INPUT)
    assert (done.code, done.out) == (3, whole)


def endless(*args, **options) -> tuple[subprocess.Popen, subprocess.Popen]:
    source = subprocess.Popen(["yes", '{"id": 1, "text": "Profit rose."}'], stdout=subprocess.PIPE)
    process = start("predict", *args, stdin=source.stdout, **options)
    source.stdout.close()
    return source, process


@pytest.fixture
def working(tiny_model):
    """Two workers on an endless input, their first line read: (process, its workers, source)."""
    source, process = endless("--model", tiny_model, "--workers", 2, "-q", stdout=subprocess.PIPE)
    assert b"prediction" in process.stdout.readline()
    workers = children(process.pid)
    assert len(workers) == 2
    yield process, workers
    source.kill()
    source.wait()
    process.kill()
    process.stdout.close()
    process.wait()
    wait_until(lambda: not any(map(is_alive, workers)), 5)


@pytest.mark.parametrize("number, code, says", [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")])
def test_a_signal_ends_every_worker(working, number, code, says):
    process, workers = working
    process.send_signal(number)
    process.stdout.read()
    assert process.wait(20) == code
    assert process.stderr.read().decode().strip() == f"predict: {says}"
    wait_until(lambda: not any(map(is_alive, workers)), 5)


def test_a_closed_reader_ends_every_worker(working):
    process, workers = working
    process.stdout.close()
    assert process.wait(20) == 141
    assert process.stderr.read() == b""
    wait_until(lambda: not any(map(is_alive, workers)), 5)


def test_a_killed_parent_leaves_no_worker(working):
    process, workers = working
    process.kill()
    wait_until(lambda: not any(map(is_alive, workers)), 5)


def test_a_worker_that_dies_is_an_error_with_its_cause(working):
    process, workers = working
    os.kill(workers[0], signal.SIGKILL)
    process.stdout.read()
    assert process.wait(20) == 1
    assert re.fullmatch(r"predict: worker [12] died \(killed by SIGKILL; .*fewer --workers\)\n", process.stderr.read().decode())


def test_a_worker_that_cannot_load_says_why(tiny_model, tmp_path):
    done = run("predict", "--model", tiny_model, "--workers", 2, "--precision", "int8", stdin=INPUT)
    assert done.code == 1 and done.err.count("\n") == 1 and "int8 form" in done.err


# --- shards


@pytest.mark.parametrize("n", [1, 3, 7])
def test_shards_put_together_are_the_whole(tiny_model, whole, n):
    parts = [run("predict", "--model", tiny_model, "--scores", "-q", "--shard", f"{i}/{n}", stdin=INPUT).out.splitlines(keepends=True)
             for i in range(1, n + 1)]
    merged = [parts[i % n][i // n] for i in range(len(LINES))]
    assert b"".join(merged) == whole
    assert sum(map(len, parts)) == len(LINES)


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_shard_that_is_none(tiny_model, text):
    done = run("predict", "--model", tiny_model, "--shard", text, stdin=INPUT)
    assert done.code == 2 and "give I/N" in done.err and done.err.count("\n") == 1


# --- resume


@pytest.mark.parametrize("seed", range(4))
def test_killed_runs_end_in_the_same_bytes(tiny_model, whole, tmp_path, seed):
    """Killed again and again at random moments, torn lines and all, the last run says what one run says, and its exit code."""
    generator = random.Random(seed)
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(INPUT)
    command = ("predict", "--model", tiny_model, "--scores", "--resume", "-o", output, source)
    for _ in range(2):
        process = start(*command)
        wait_until(lambda: process.poll() is not None or (tmp_path / "out.jsonl.partial").exists() and
                   (tmp_path / "out.jsonl.partial").stat().st_size > generator.randrange(400_000))
        process.send_signal(generator.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))
        end(process)
        if (tmp_path / "out.jsonl.partial").exists():
            with open(tmp_path / "out.jsonl.partial", "ab") as file:
                file.write(generator.choice((b"", b'{"id": 7, "te', b"\0" * 4096)))  # a torn line; what a lost disk block reads as
    done = run(*command)
    assert done.code in (0, 3) and output.read_bytes() == whole
    if "going on" in done.err:
        assert f"100 of {len(LINES)} records carry an error" in done.err
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl", "out.jsonl"]


@pytest.fixture
def begun(tiny_model, whole, tmp_path):
    """A run that was killed after 3,000 lines: (command, output, partial)."""
    (tmp_path / "in.jsonl").write_bytes(INPUT)
    output = tmp_path / "out.jsonl"
    command = ("predict", "--model", tiny_model, "--scores", "--resume", "-o", output, tmp_path / "in.jsonl")
    process = start(*command)
    partial = tmp_path / "out.jsonl.partial"
    wait_until(lambda: partial.exists() and partial.stat().st_size)
    process.kill()
    end(process)
    partial.write_bytes(b"".join(whole.splitlines(keepends=True)[:3000]))
    return command, output, partial


def test_going_on_reads_the_rest_alone(begun, whole):
    command, output, _ = begun
    done = run(*command, "-v")
    assert output.read_bytes() == whole and "going on after 3000 records" in done.err
    n_windows = int(re.search(r"of (\d+) windows", done.err)[1])
    assert n_windows < 2100


def test_other_flags_are_refused(begun):
    command, _, partial = begun
    before = partial.read_bytes()
    done = run(*(part for part in command if part != "--scores"))
    assert done.code == 1 and "other flags" in done.err and partial.read_bytes() == before


def test_another_input_is_refused(begun, tmp_path):
    command, _, partial = begun
    (tmp_path / "in.jsonl").write_bytes(b"".join(line + b"\n" for line in make_lines(5000, seed=2)))
    done = run(*command)
    assert done.code == 1 and "line 1 does not come from this input" in done.err and partial.exists()


def test_two_at_once_are_refused(begun, tiny_model):
    command, _, partial = begun
    import fcntl

    with open(partial, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = run(*command)
    assert done.code == 1 and "another run is writing" in done.err


@pytest.mark.parametrize("flags, says", [((), "--output FILE"), (("-o", "x.parquet"), "JSON Lines"), (("-o", "x.jsonl.gz"), "JSON Lines"),
                                         (("-o", "x.jsonl", "--on-error", "drop"), "--on-error drop")])
def test_what_cannot_be_resumed(tiny_model, flags, says, tmp_path):
    done = run("predict", "--model", tiny_model, "--resume", *flags, stdin=INPUT, cwd=tmp_path)
    assert done.code == 2 and says in done.err and os.listdir(tmp_path) == []


# --- texts that come again


def test_a_text_that_comes_again_is_computed_once(tiny_model):
    texts = [json.dumps({"text": f"{a} {b} {c}"}).encode() + b"\n" for a in WORDS for b in WORDS for c in WORDS[:5]]
    once = run("predict", "--model", tiny_model, "-v", stdin=b"".join(texts))
    order = random.Random(3).choices(texts, k=6000)
    again = run("predict", "--model", tiny_model, "-v", stdin=b"".join(order))
    answers = dict(zip(texts, once.out.splitlines(keepends=True)))
    assert again.out == b"".join(answers[line] for line in order)
    assert f"{6000 - len(set(order))} of 6000 windows had been computed before" in again.err
    assert "0 of 980 windows" in once.err


# --- engines


def loaded(*args, stdin: bytes = b'{"text": "Profit rose."}\n') -> tuple[set[str], str]:
    done = subprocess.run([sys.executable, "-X", "importtime", str(BIN / "predict"), *map(str, args)], input=stdin, capture_output=True,
                          env=environment(), timeout=120)
    return {m for m in re.findall(r"^import time:.*\|\s+([\w.]+)$", done.stderr.decode(), re.MULTILINE)}, done.stdout.decode()


def test_a_cpu_prediction_needs_neither_torch_nor_transformers_nor_telemetry(tiny_model, whole):
    modules, out = loaded("--model", tiny_model)
    assert "prediction" in out and "openvino" in modules
    unwanted = {"torch", "transformers", "safetensors", "huggingface_hub", "nncf", "duckdb", "rich", "openvino_telemetry.main"}
    assert modules & unwanted == set()


def test_torch_still_says_the_same(tiny_model, whole):
    done = run("predict", "--model", tiny_model, "--scores", "-q", "--engine", "torch", "--precision", "fp32", stdin=INPUT)
    plain = run("predict", "--model", tiny_model, "--scores", "-q", "--engine", "openvino", "--precision", "fp32", stdin=INPUT)
    for first, second in zip(done.lines, plain.lines, strict=True):
        first, second = json.loads(first), json.loads(second)
        assert first.get("error") == second.get("error")
        for head, entry in first.get("prediction", {}).items():
            assert entry["scores"] == pytest.approx(second["prediction"][head]["scores"], abs=2e-5)


@pytest.mark.parametrize("flags, code, says", [
    (("--engine", "torch", "--precision", "int8"), 2, "needs the OpenVINO engine"), (("--precision", "int8"), 1, "no int8 form"),
    (("--engine", "openvino", "--device", "mps"), 2, "mps"), (("--precision", "fp16"), 2, "for GPUs")])
def test_what_does_not_go_together(tiny_model, flags, code, says):
    done = run("predict", "--model", tiny_model, *flags, stdin=INPUT)
    assert done.code == code and says in done.err and done.err.count("\n") == 1 and done.out == b""
