"""The door stays light: what each command loads, and how fast it starts."""

import json
import re
import subprocess
import sys
import time

import pytest

from doxa.commands._command import NAMES
from shell import BIN, environment

HEAVY = {"torch", "transformers", "numpy", "pyarrow", "duckdb", "orjson", "rich", "tokenizers", "sklearn", "scipy", "safetensors",
         "huggingface_hub", "jinja2", "pandas"}
TORCH = {"torch", "transformers", "safetensors", "sklearn", "scipy"}
MOST_OVER_BARE_S = 0.120
PREDICTIONS = b"".join(
    b'{"id": %d, "text": "a", "timestamp": "2026-11-%02dT09:00:00Z", "prediction": {"topic": {"label": "credit", "score": 0.9}}}\n'
    % (day, day) for day in range(1, 9))


def loaded(command: str, *args: str, stdin: bytes = b"") -> tuple[int, set[str]]:
    """Run a command; return its exit code and the names of all top-level modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(BIN / command), *args], input=stdin, capture_output=True, env=environment(), timeout=120)
    modules = re.findall(r"^import time:.*\|\s+([\w.]+)$", done.stderr.decode(), re.MULTILINE)
    assert "doxa.commands._command" in modules, done.stderr.decode()[-500:]
    return done.returncode, {module.split(".")[0] for module in modules}


@pytest.mark.parametrize("flag", ["--help", "--version"])
@pytest.mark.parametrize("command", NAMES)
def test_help_and_version_load_nothing_heavy(command, flag):
    code, modules = loaded(command, flag)
    assert code == 0
    assert modules & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--no-such-flag"], ["--to", "no-such-format"]], ids=" ".join)
@pytest.mark.parametrize("command", NAMES)
def test_a_usage_error_loads_nothing_heavy(command, arguments):
    code, modules = loaded(command, *arguments)
    assert code == 2
    assert modules & HEAVY == set()


def test_tokenize_never_loads_torch():
    code, modules = loaded("tokenize", "--base", "minilm", stdin=b'{"text": "Profit rose."}\n')
    assert code == 0
    assert "tokenizers" in modules
    assert modules & TORCH == set()


@pytest.mark.parametrize("to", ["terminal", "markdown", "html", "json"])
def test_report_never_loads_torch(to):
    code, modules = loaded("report", "--to", to, stdin=PREDICTIONS)
    assert code == 0
    assert "duckdb" in modules
    assert modules & TORCH == set()  # the table of kinds of heads brings the tokenizers that some of them read texts with


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_what_judges_never_loads_torch(command, tmp_path):
    (tmp_path / "gold.jsonl").write_bytes(PREDICTIONS.replace(b'"text"', b'"topic": "credit", "text"'))
    code, modules = loaded(command, *[str(tmp_path / "gold.jsonl")] * (1 + (command == "compare")))
    assert code == 0
    assert modules & TORCH == set()


@pytest.mark.parametrize("flag", ["--model", "--gold-sample"])
def test_a_corrected_report_never_loads_torch(flag, tmp_path):
    (tmp_path / "doxa.json").write_text(json.dumps({
        "format": 1, "heads": [], "reading": {"max_length": 9, "long": "windows", "text_field": "text", "text_pair_field": None}, "files": {},
        "dev": {"confusion": {"topic": {"labels": ["credit", "merger"], "counts": [[40, 5], [9, 30]], "unseen": [0, 0]}}}}))
    (tmp_path / "gold.jsonl").write_bytes(PREDICTIONS.replace(b'"text"', b'"topic": "credit", "text"'))
    code, modules = loaded("report", "--watch", "topic=credit", flag, str(tmp_path if flag == "--model" else tmp_path / "gold.jsonl"), stdin=PREDICTIONS)
    assert code == 0
    assert modules & TORCH == set()


def test_start_is_quick():
    """`--help` takes at most 120 ms over a bare interpreter. The best of several runs, taken in turn, for noise only adds."""
    lines = {"bare": [sys.executable, "-c", "pass"]} | {name: [str(BIN / name), "--help"] for name in NAMES}
    best = dict.fromkeys(lines, float("inf"))
    for _ in range(12):
        for name, line in lines.items():
            started_s = time.perf_counter()
            subprocess.run(line, stdout=subprocess.DEVNULL, env=environment(), check=True)
            best[name] = min(best[name], time.perf_counter() - started_s)
        if all(best[name] - best["bare"] <= MOST_OVER_BARE_S for name in NAMES):
            return
    assert {name: round(best[name] - best["bare"], 3) for name in NAMES if best[name] - best["bare"] > MOST_OVER_BARE_S} == {}


def test_heavy_names_exist():
    """The lists above would never fail if a name in them were misspelt."""
    found = subprocess.run(
        [sys.executable, "-c", "import importlib.util as u, json, sys; print(json.dumps([n for n in sys.argv[1:] if not u.find_spec(n)]))",
         *sorted(HEAVY - {"pandas"})], capture_output=True, check=True)
    assert json.loads(found.stdout) == []
