"""What `make install` puts under a prefix: links, man pages, completion that completes."""

import subprocess
import sys
from pathlib import Path

import pytest
from doxa.commands._command import NAMES
from shell import BIN, ROOT, environment


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prefix")
    subprocess.run([sys.executable, "-m", "doxa.commands._install", "--prefix", folder, "--program-prefix", "doxa-"], check=True,
                   env=environment({"PYTHONPATH": str(ROOT / "lib")}), cwd="/")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_in_place(prefix, name):
    assert (prefix / "bin" / f"doxa-{name}").is_symlink()
    page = (prefix / "share/man/man1" / f"doxa-{name}.1").read_text()
    assert page.startswith(f'.TH "DOXA-{name.upper()}"') and ".SH EXIT STATUS" in page and "doxa\\-" in page
    for place in ("bash-completion/completions/doxa-{}", "zsh/site-functions/_doxa-{}", "fish/vendor_completions.d/doxa-{}.fish"):
        assert f"_DOXA_{name.upper()}_COMPLETE" in (prefix / "share" / place.format(name)).read_text()
    assert subprocess.run(["bash", "-n", prefix / "share/bash-completion/completions" / f"doxa-{name}"]).returncode == 0


def test_a_prefixed_command_completes_and_names_itself(prefix, tmp_path):
    link = tmp_path / "doxa-predict"
    link.symlink_to(BIN / "predict")
    done = subprocess.run([link], capture_output=True, text=True, env=environment(
        {"_DOXA_PREDICT_COMPLETE": "bash_complete", "COMP_WORDS": "doxa-predict --on", "COMP_CWORD": "1"}))
    assert done.stdout == "plain,--on-error\n"
    done = subprocess.run([link, "--nonsense"], capture_output=True, text=True, env=environment())
    assert done.returncode == 2 and done.stderr.startswith("doxa-predict: No such option")
