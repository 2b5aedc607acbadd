"""Man pages from the help texts."""

import importlib

import click

from doxa import __version__
from doxa.commands._command import NAMES
from doxa.commands._options import SectionedCommand


def load_command(name: str) -> SectionedCommand:
    return getattr(importlib.import_module(f"doxa.commands.{name}"), name)


def man_page(name: str, program_prefix: str = "") -> str:
    """Return the man page of a command in roff."""
    command = load_command(name)
    program = program_prefix + name
    context = click.Context(command, info_name=program)
    summary, _, rest = (command.help or "").partition("\n\n")
    lines = [f'.TH "{program.upper()}" "1" "" "doxa {__version__}" "doxa"', ".SH NAME",
             f"{_roff(program)} \\- {_roff(summary.strip().rstrip('.'))}",
             ".SH SYNOPSIS", f".B {_roff(program)}", _roff(" ".join(command.collect_usage_pieces(context))), ".SH DESCRIPTION"]
    lines += _paragraphs(rest)
    lines.append(".SH OPTIONS")
    for heading, records in command.grouped(context):
        lines += [f".SS {_roff(heading)}"] if command.sections else []
        for flag, text in records:
            lines += [".TP", f".B {_roff(flag)}", _roff(text)]
    lines += [".SH EXIT STATUS", *_exit_table(), ".SH SEE ALSO",
              ", ".join(f"{_roff(program_prefix + other)}(1)" for other in NAMES if other != name)]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> list[str]:
    lines = []
    for paragraph in text.split("\n\n"):
        if paragraph.lstrip().startswith("\b"):
            body = [line for line in paragraph.splitlines() if line.strip() not in ("", "\b")]
            lines += [".PP", ".nf", *(_roff(line.strip()) for line in body), ".fi"]
        elif paragraph.strip():
            lines += [".PP", _roff(" ".join(paragraph.split()))]
    return lines


def _exit_table() -> list[str]:
    meanings = (("0", "done"), ("1", "failed"), ("2", "wrong usage"), ("3", "done, but some records carry an error"),
                ("4", "a gate said no"), ("129", "hung up"), ("130", "Ctrl-C"), ("141", "the reader of the output went away"), ("143", "terminated"))
    return [line for code, meaning in meanings for line in (".TP", f".B {code}", meaning)]


def _roff(text: str) -> str:
    """Escape what roff would obey: backslashes, hyphens that are meant as such, and dots at the start of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text
