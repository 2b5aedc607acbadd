"""Golden cases: a shell line, its input, what comes out. `make golden` refills; read the diff."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CASES = sorted((ROOT / "tests" / "golden").glob("*/cmd"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.parent.name)
def test_golden(case: Path):
    path = f"{ROOT / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", "set -o pipefail\n" + case.read_text()], cwd=case.parent, capture_output=True, timeout=120,
        env={"PATH": path, "COLUMNS": "100", "LC_ALL": "C.UTF-8", "TZ": "UTC"}, stdin=subprocess.DEVNULL)
    seen = done.stdout + b"--- stderr\n" + done.stderr + b"--- exit %d\n" % done.returncode
    expected = case.with_name("expected")
    if os.environ.get("GOLDEN") == "refill":
        expected.write_bytes(seen)
    assert seen.decode() == expected.read_text()
