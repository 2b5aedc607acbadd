"""Where a model directory keeps the form that OpenVINO runs, and whether it still is that of its weights."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import Any

from doxa.errors import DoxaError
from doxa.model.directory import sha256_of, verify_files, write_json
from doxa.model.heads import Head

FOLDER, TABLE = "openvino", "form.json"
FORMAT = 1
PLAIN, INT8 = "model", "int8"


@dataclass(frozen=True)
class Form:
    """A converted model: `folder` holds model.xml and model.bin, and int8.xml and int8.bin where `int8` is not empty.

    `int8` is what the guard saw (agreement and macro-F1 beside fp32, and `is_good`)."""

    folder: str
    int8: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def path(self, name: str) -> str:
        return os.path.join(self.folder, f"{name}.xml")

    def is_whole(self, name: str) -> bool:
        """Whether the files of PLAIN or INT8 are those that were written."""
        try:
            verify_files(self.folder, {file: self.files[file] for file in (f"{name}.xml", f"{name}.bin")})
        except (DoxaError, KeyError, AttributeError):
            return False
        return True

    def fingerprint(self, name: str) -> str:
        return "".join(self.files[file]["sha256"] for file in (f"{name}.xml", f"{name}.bin"))


def find_form(directory: str, made_from: dict[str, str]) -> Form | None:
    """Return the form kept in a model directory; None when there is none or it was made from other weights.

    `made_from` holds the sha256 of every file that the form depends on."""
    folder = os.path.join(directory, FOLDER)
    try:
        with open(os.path.join(folder, TABLE), "rb") as file:
            content = json.loads(file.read())
        if content["format"] != FORMAT or content["made_from"] != made_from:
            return None
        return Form(folder, dict(content["int8"]), dict(content["files"]))
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None


def complete_form(folder: str, made_from: dict[str, str], int8: dict[str, Any]) -> None:
    """Write the table of a folder that holds the converted files."""
    names = sorted(os.listdir(folder))
    files = {name: {"size": os.path.getsize(os.path.join(folder, name)), "sha256": sha256_of(os.path.join(folder, name))} for name in names}
    write_json(os.path.join(folder, TABLE), {"format": FORMAT, "made_from": made_from, "int8": int8, "files": files})


def keep_form(directory: str, write) -> bool:
    """Let `write(folder)` fill a folder and keep it in the model directory; False where that takes no files.

    Of two processes that keep one at the same time, the first wins: both forms are the same."""
    try:
        working = tempfile.mkdtemp(prefix=f".{FOLDER}.", suffix=".tmp", dir=directory)
    except OSError:
        return False
    target = os.path.join(directory, FOLDER)
    try:
        write(working)
        os.chmod(working, 0o755)
        if os.path.isdir(target):
            os.rename(target, f"{working}.old")
        os.rename(working, target)
        return True
    except OSError:
        return False
    finally:
        shutil.rmtree(working, ignore_errors=True)
        shutil.rmtree(f"{working}.old", ignore_errors=True)


def digests(directory: str, manifest: dict[str, dict[str, Any]] | None, weights: list[str]) -> dict[str, str]:
    """The sha256 of config and weights: from a manifest that was verified, else read."""
    return {name: manifest[name]["sha256"] if manifest and name in manifest else sha256_of(os.path.join(directory, name))
            for name in ["config.json", *weights]}


def name_model(heads: list[Head], made_from: dict[str, str]) -> str:
    """12 hexadecimal digits that name the weights, by their `digests`, and how they are read."""
    digest = hashlib.sha256(json.dumps([head.to_json() for head in heads]).encode())
    for name, sha in sorted(made_from.items()):
        digest.update(f"{name}:{sha}".encode())
    return digest.hexdigest()[:12]
