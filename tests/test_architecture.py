"""The rules of the house (design, section 5), read off the source by AST, and what importing does."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shell import ROOT, environment

LIB = ROOT / "lib"
RANKS = {"errors": 0, "device": 1, "records": 2, "terminal": 2, "text": 3, "metrics": 3, "rules": 3, "model": 4, "inference": 5, "monitoring": 5,
         "evaluation": 5, "training": 6, "explaining": 6, "reporting": 7, "commands": 8}
# They choose between heavy libraries, and load what they chose: a CPU prediction starts without torch, a local model without
# the hub client, and training goes on where OpenVINO or NNCF are not installed.
DOORS = {"doxa.device.choose", "doxa.explaining.loading", "doxa.inference.loading", "doxa.model.bases", "doxa.records.loading", "doxa.training.conclude",
         "doxa.training.forms"}
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "core", "manager"}
WITHOUT_TORCH = {"errors", "records", "terminal", "text", "metrics", "rules", "monitoring", "evaluation", "reporting"}
DEVICE_LIBRARIES = {"torch", "transformers", "sentence_transformers", "accelerate", "peft"}
EXIT_CALLS = {"sys.exit", "os._exit", "exit", "quit", "os.abort", "SystemExit"}


@dataclass
class File:
    """A source file: `module` is its dotted name, `room` the folder (or file) directly under doxa that it belongs to."""

    module: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return (self.module.split(".") + [""])[1]

    @property
    def name(self) -> str:
        return self.module.rsplit(".", 1)[-1]


def read_house(lib: Path) -> dict[str, File]:
    files = {}
    for path in sorted((lib / "doxa").rglob("*.py")):
        parts = path.relative_to(lib).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        files[module] = File(module, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return files


def imports_of(tree: ast.AST, modules: set[str]) -> Iterator[tuple[str, bool, int]]:
    """Yield (module, is at the top of the file, line); `from doxa.room import file` counts as doxa.room.file."""
    at_top = {id(node) for node in _top_nodes(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in at_top, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in modules else node.module), id(node) in at_top, node.lineno


def _top_nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node that runs when the file is imported."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


# --- the rules: each gives the list of what breaks it


def rank_violations(house: dict[str, File]) -> list[str]:
    found = []
    for file in house.values():
        if not file.room:
            continue
        if file.room not in RANKS:
            found.append(f"{file.module}: no room of that name in the design")
            continue
        for target, _, line in imports_of(file.tree, set(house)):
            parts = target.split(".")
            if parts[0] != "doxa" or len(parts) == 1 or parts[1] == file.room:
                continue
            if RANKS.get(parts[1], 99) >= RANKS[file.room]:
                found.append(f"{file.module}:{line} imports {target}, which ranks no lower")
    return found


def circles(house: dict[str, File]) -> list[str]:
    edges = {f.module: {t for t, is_top, _ in imports_of(f.tree, set(house)) if is_top and t in house} for f in house.values()}
    found, done = [], set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append(" -> ".join(path[path.index(module):] + [module]))
        elif module not in done:
            for target in sorted(edges[module]):
                visit(target, path + [module])
            done.add(module)

    for module in edges:
        visit(module, [])
    return found


def import_place_violations(house: dict[str, File]) -> list[str]:
    """commands/ import only light things at the top; everywhere else imports stand at the top."""
    found = []
    for file in house.values():
        for target, is_top, line in imports_of(file.tree, set(house)):
            if file.room != "commands":
                if not is_top and file.module not in DOORS:
                    found.append(f"{file.module}:{line} imports {target} inside a function")
            elif is_top and not _is_light(target):
                found.append(f"{file.module}:{line} imports {target} at the top")
    return found


def _is_light(target: str) -> bool:
    parts = target.split(".")
    if parts[0] == "doxa":
        own = parts[1:2] == ["commands"] and (len(parts) == 2 or parts[2].startswith("_"))
        return own or target in ("doxa", "doxa.errors")
    return parts[0] == "click" or parts[0] in sys.stdlib_module_names


def drawer_files(house: dict[str, File]) -> list[str]:
    return [file.module for file in house.values() if DRAWERS & set(file.module.split(".")[1:])]


def stream_violations(house: dict[str, File]) -> list[str]:
    """Only records/ and terminal.py touch the standard streams; the wrapper may look at stderr for tracebacks."""
    found = []
    for file in house.values():
        if file.room in ("records", "terminal"):
            continue
        allowed = {"sys.stderr"} if file.module == "doxa.commands._command" else set()
        for node in ast.walk(file.tree):
            name = dotted(node) if isinstance(node, ast.Attribute) else ""
            if name in {"sys.stdin", "sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "sys.__stdin__"} - allowed:
                found.append(f"{file.module}:{node.lineno} touches {name}")
            if isinstance(node, ast.ImportFrom) and node.module == "sys":
                found.append(f"{file.module}:{node.lineno} imports from sys")
            if isinstance(node, ast.Call) and _writes_stream(node):
                found.append(f"{file.module}:{node.lineno} calls {dotted(node.func)}")
    return found


def _writes_stream(call: ast.Call) -> bool:
    name = dotted(call.func)
    if name in ("print", "input", "click.echo", "click.secho", "click.get_text_stream", "click.get_binary_stream"):
        return True
    first = call.args[0] if call.args else None
    return name in ("os.write", "os.read", "open", "os.fdopen") and isinstance(first, ast.Constant) and first.value in (0, 1, 2)


def exit_violations(house: dict[str, File]) -> list[str]:
    """Only errors.py knows exit numbers; only the command wrapper exits."""
    found = []
    for file in house.values():
        is_wrapper = file.module == "doxa.commands._command"
        for node in ast.walk(file.tree):
            if not is_wrapper and dotted(node) in EXIT_CALLS:
                found.append(f"{file.module}:{node.lineno} knows {dotted(node)}")
            if file.room != "errors" and isinstance(node, ast.Constant) and type(node.value) is int and node.value in (129, 130, 141, 143):
                found.append(f"{file.module}:{node.lineno} holds the exit number {node.value}")
    return found


def torch_violations(house: dict[str, File]) -> list[str]:
    return [f"{file.module}:{line} imports {target}" for file in house.values() if file.room in WITHOUT_TORCH
            for target, _, line in imports_of(file.tree, set(house)) if target.split(".")[0] in DEVICE_LIBRARIES]


def click_violations(house: dict[str, File]) -> list[str]:
    return [f"{file.module}:{line} imports {target}" for file in house.values() if file.room != "commands"
            for target, _, line in imports_of(file.tree, set(house)) if target.split(".")[0] == "click"]


def work_on_import(house: dict[str, File]) -> list[str]:
    """Statements that act when a file is imported: bare calls, loops, assignments into something that exists."""
    found = []
    for file in house.values():
        for node in file.tree.body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
                continue
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_definition = isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
            names_only = isinstance(node, (ast.Assign, ast.AnnAssign)) and all(
                isinstance(target, (ast.Name, ast.Tuple)) for target in getattr(node, "targets", None) or [node.target])
            if not (is_docstring or is_definition or names_only):
                found.append(f"{file.module}:{node.lineno} does something on import: {ast.unparse(node)[:60]}")
    return found


RULES = (rank_violations, circles, import_place_violations, drawer_files, stream_violations, exit_violations, torch_violations,
         click_violations, work_on_import)


@pytest.fixture(scope="module")
def house() -> dict[str, File]:
    found = read_house(LIB)
    assert len(found) > 40
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule, house):
    assert rule(house) == []


BREAKS = [
    (rank_violations, {"doxa/text/x.py": "from doxa.model.heads import Head", "doxa/model/heads.py": "Head = 1"}),
    (rank_violations, {"doxa/text/x.py": "from doxa.metrics import y", "doxa/metrics/y.py": ""}),
    (rank_violations, {"doxa/records/x.py": "import doxa.terminal", "doxa/terminal.py": ""}),
    (rank_violations, {"doxa/drawer/x.py": ""}),
    (circles, {"doxa/text/x.py": "from doxa.text import y", "doxa/text/y.py": "from doxa.text.x import f"}),
    (import_place_violations, {"doxa/text/x.py": "def f():\n    import json"}),
    (import_place_violations, {"doxa/commands/x.py": "import numpy"}),
    (import_place_violations, {"doxa/commands/x.py": "from doxa.commands import y", "doxa/commands/y.py": ""}),
    (import_place_violations, {"doxa/commands/x.py": "if True:\n    from doxa.records.reader import Source"}),
    (drawer_files, {"doxa/text/helpers.py": ""}),
    (drawer_files, {"doxa/utils/x.py": ""}),
    (stream_violations, {"doxa/text/x.py": "import sys\ndef f():\n    sys.stdout.write('x')"}),
    (stream_violations, {"doxa/text/x.py": "def f():\n    print('x')"}),
    (stream_violations, {"doxa/text/x.py": "import os\ndef f():\n    os.write(1, b'x')"}),
    (stream_violations, {"doxa/text/x.py": "from sys import stdin"}),
    (stream_violations, {"doxa/commands/_command.py": "import sys\ndef f():\n    sys.stdout"}),
    (exit_violations, {"doxa/text/x.py": "import sys\ndef f():\n    sys.exit(1)"}),
    (exit_violations, {"doxa/commands/x.py": "def f():\n    raise SystemExit(1)"}),
    (exit_violations, {"doxa/commands/_command.py": "def f():\n    return 130"}),
    (torch_violations, {"doxa/reporting/x.py": "import torch"}),
    (torch_violations, {"doxa/monitoring/x.py": "from transformers import AutoConfig"}),
    (click_violations, {"doxa/training/x.py": "import click"}),
    (work_on_import, {"doxa/text/x.py": "import os\nos.environ['A'] = '1'"}),
    (work_on_import, {"doxa/text/x.py": "import logging\nlogging.basicConfig()"}),
]


@pytest.mark.parametrize("rule, sources", BREAKS, ids=[f"{rule.__name__}-{i}" for i, (rule, _) in enumerate(BREAKS)])
def test_rule_notices_a_break(rule, sources, tmp_path):
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    assert rule(read_house(tmp_path)) != []


WITNESS = """
import importlib, json, os, signal, logging, sys
modules, foreign = json.loads(sys.stdin.read())
for statement in foreign:  # what other libraries do on import is theirs
    exec(statement, {})
seen = []

def watch(event, args):
    if event == "open" and not str(args[0]).endswith((".py", ".pyc", ".so")):
        seen.append(f"opened {args[0]}")
    if event.startswith(("socket.", "subprocess.", "os.putenv", "os.mkdir", "os.system", "signal.")):
        seen.append(f"{event} {args}")

before = dict(os.environ), signal.getsignal(signal.SIGTERM), list(logging.root.handlers), sys.stdout, sys.stderr
sys.addaudithook(watch)
for module in modules:
    importlib.import_module(module)
watched = list(seen)
after = dict(os.environ), signal.getsignal(signal.SIGTERM), list(logging.root.handlers), sys.stdout, sys.stderr
open(os.devnull).close()
print(json.dumps({"watched": watched, "is_same": before == after, "is_awake": seen != watched}))
"""


def test_importing_every_file_does_nothing(house):
    """No variable of the environment changed, no file opened, no socket, no signal handler, no logging set-up."""
    foreign = {ast.unparse(node) for file in house.values() for node in ast.walk(file.tree)
               if isinstance(node, (ast.Import, ast.ImportFrom)) and not ast.unparse(node).startswith(("from doxa", "import doxa"))}
    env = environment({"PYTHONPATH": str(LIB), "PYTHONDONTWRITEBYTECODE": "1"})
    done = subprocess.run(
        [sys.executable, "-c", WITNESS], input=json.dumps([sorted(house), sorted(foreign)]), env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"watched": [], "is_same": True, "is_awake": True}
