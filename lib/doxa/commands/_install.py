"""Link the commands of this environment under a prefix, with man pages and shell completion (`make install`)."""

import os
import sys

import click
from click.shell_completion import get_completion_class

from doxa.commands._command import NAMES
from doxa.commands._manual import load_command, man_page

_COMPLETIONS = {"bash": "share/bash-completion/completions/{}", "zsh": "share/zsh/site-functions/_{}",
                "fish": "share/fish/vendor_completions.d/{}.fish"}


@click.command()
@click.option("--prefix", required=True)
@click.option("--program-prefix", default="")
def install(prefix: str, program_prefix: str) -> None:
    for name in NAMES:
        program = program_prefix + name
        _link(os.path.join(os.path.dirname(sys.executable), name), os.path.join(prefix, "bin", program))
        _write(os.path.join(prefix, "share/man/man1", f"{program}.1"), man_page(name, program_prefix))
        for shell, place in _COMPLETIONS.items():
            _write(os.path.join(prefix, place.format(program)), completion(name, program, shell))


def completion(name: str, program: str, shell: str) -> str:
    """Return click's completion script of a command for bash, zsh or fish."""
    variable = f"_{program}_COMPLETE".replace("-", "_").upper()
    return get_completion_class(shell)(load_command(name), {}, program, variable).source()


def _link(target: str, path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(target, path)


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    install()
