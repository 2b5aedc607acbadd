"""The README's reference is what --help says. `GOLDEN=refill` writes it anew."""

import os
import re
from pathlib import Path

import pytest

from doxa.commands._command import NAMES
from doxa.commands._manual import load_command, man_page

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- reference -->\n", "<!-- end of reference -->"


def reference() -> str:
    parts = []
    for name in NAMES:
        parts.append(f"### {name}\n\n```\n{help_text_of(name)}```\n\n")
    return "".join(parts)


def help_text_of(name: str) -> str:
    command = load_command(name)
    context = command.make_context(name, [], resilient_parsing=True, terminal_width=100)
    return command.get_help(context) + "\n"


def test_reference_is_the_help():
    text = README.read_text(encoding="utf-8")
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    if os.environ.get("GOLDEN") == "refill":
        README.write_text(text[:start] + reference() + text[end:], encoding="utf-8")
        return
    assert text[start:end] == reference(), "run: make golden"


@pytest.mark.parametrize("name", NAMES)
def test_flags_named_in_the_readme_exist(name):
    """Every flag that a README pipe gives to a command is one of its flags."""
    known = {flag for parameter in load_command(name).params for flag in (*parameter.opts, *parameter.secondary_opts)}
    lines = [line for line in README.read_text(encoding="utf-8").split(BEGIN)[0].splitlines() if line.startswith("    ")]
    pipes = re.sub(r"'[^']*'", "''", "\n".join(lines)).splitlines()  # what is quoted is another command's
    calls = [call.strip() for line in pipes for call in line.split("|")]
    used = {flag for call in calls if call.startswith(f"{name} ") for flag in re.findall(r"(?<!\S)--?[a-z-]+", call)}
    assert used <= known
    assert used or name == "report"


@pytest.mark.parametrize("name", NAMES)
def test_man_page_names_every_flag(name):
    page = man_page(name, "doxa-")
    assert f'"DOXA-{name.upper()}"' in page
    for parameter in load_command(name).params:
        for flag in parameter.opts:
            if flag.startswith("--"):
                assert flag.replace("-", "\\-") in page
