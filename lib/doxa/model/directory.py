"""The model directory: the table `doxa.json`, its manifest, and how a directory is published whole."""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from doxa import __version__
from doxa.errors import DoxaError
from doxa.model.heads import Head

TABLE = "doxa.json"
FORMAT = 1


@dataclass
class ModelTable:
    """What doxa knows of a model beyond what Hugging Face's files say."""

    heads: list[Head]
    max_length: int
    long_policy: str = "windows"
    text_field: str = "text"
    text_pair_field: str | None = None
    about: dict[str, Any] = field(default_factory=dict)  # base, data, dev figures, settings: for people and reports
    files: dict[str, dict[str, Any]] = field(default_factory=dict)  # the manifest: size and sha256 of every file

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "doxa_version": __version__,
            "heads": [head.to_json() for head in self.heads],
            "reading": {"max_length": self.max_length, "long": self.long_policy,
                        "text_field": self.text_field, "text_pair_field": self.text_pair_field},
            **self.about,
        }


def read_table(directory: str) -> ModelTable | None:
    """Return the table of a directory that doxa wrote, None for any other. Raises DoxaError when it is damaged."""
    path = os.path.join(directory, TABLE)
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DoxaError(f"{path} is damaged: {error}") from None
    try:
        if content["format"] > FORMAT:
            raise DoxaError(f"{path} was written by a newer doxa ({content['doxa_version']}); update this one")
        reading = content["reading"]
        heads = [Head.from_json(entry) for entry in content["heads"]]
        about = {key: content[key] for key in content if key not in ("format", "doxa_version", "heads", "reading", "files")}
        return ModelTable(heads, int(reading["max_length"]), reading["long"], reading["text_field"], reading["text_pair_field"],
                          about, dict(content["files"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DoxaError(f"{path} is damaged: {type(error).__name__} {error}") from None


def verify_files(directory: str, files: dict[str, dict[str, Any]]) -> None:
    """Raises DoxaError when a file is missing, or its size or sha256 is not the manifest's."""
    for name, entry in files.items():
        path = os.path.join(directory, os.path.basename(name))
        if not os.path.exists(path):
            raise DoxaError(f"{path} is missing; copy or train the model again")
        if os.path.getsize(path) != entry.get("size") or sha256_of(path) != entry.get("sha256"):
            raise DoxaError(f"{path} is not the file that was written (its size or sha256 differs); copy or train the model again")


def sha256_of(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DoxaError(f"cannot read {path}: {error.strerror}") from None


def weights_fingerprint(directory: str) -> str:
    """The sha256 of a model's weights, from the manifest where there is one. Raises DoxaError when there are none."""
    table = read_table(directory)
    name = "model.safetensors"
    return (table.files.get(name, {}).get("sha256") if table else None) or sha256_of(os.path.join(directory, name))


def check_free(output: str, force: bool) -> None:
    """Raise DoxaError when a model could not be published at `output`: something is there, or the folder takes no files."""
    if os.path.lexists(output):
        is_empty_folder = os.path.isdir(output) and not os.listdir(output)
        if not is_empty_folder and not force:
            raise DoxaError(f"{output} is there already; name another directory, or add --force to replace it")
        if not is_empty_folder and not os.path.exists(os.path.join(output, TABLE)):
            raise DoxaError(f"{output} is no model that doxa wrote; --force replaces only those")
    check_parent(output)


def check_parent(output: str) -> None:
    """Raise DoxaError when no directory could be made at `output`."""
    parent = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(parent):
        raise DoxaError(f"{parent}: no such folder for the model directory")
    if not os.access(parent, os.W_OK):
        raise DoxaError(f"cannot write in {parent}: permission denied")


@contextmanager
def publish(output: str, table: ModelTable) -> Iterator[str]:
    """Give a working directory beside `output`; when the block ends well, complete and rename it, else remove it.

    The table with the manifest is written last, every file is synced, and only then does `output` exist.
    Raises DoxaError when the disk is full."""
    output = os.path.abspath(output)
    working = tempfile.mkdtemp(prefix=f".{os.path.basename(output)}.", suffix=".tmp", dir=os.path.dirname(output))
    try:
        yield working
        os.chmod(working, 0o755)
        names = sorted(name for name in os.listdir(working) if os.path.isfile(os.path.join(working, name)))
        files = {name: {"size": os.path.getsize(os.path.join(working, name)), "sha256": sha256_of(os.path.join(working, name))}
                 for name in names}
        write_json(os.path.join(working, TABLE), _finite(table.to_json()) | {"files": files})
        for folder, _, written in os.walk(working):
            for name in written:  # safetensors lets nobody else read what it writes
                shutil.copymode(os.path.join(working, TABLE), os.path.join(folder, name))
        for name in [*names, TABLE]:
            sync(os.path.join(working, name))
        sync(working)
        _replace(working, output)
        sync(os.path.dirname(output))
    except OSError as error:
        raise DoxaError(f"cannot write the model to {output}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(working, ignore_errors=True)


def drop_working(output: str) -> None:
    """Remove the working directories that killed processes left beside an output which nobody else writes."""
    parent, name = os.path.split(os.path.abspath(output))
    for left in os.listdir(parent):
        if left.startswith(f".{name}.") and left.endswith(".tmp"):
            shutil.rmtree(os.path.join(parent, left), ignore_errors=True)


def write_json(path: str, content: Any) -> None:
    """Write one of a model directory's JSON files, indented for people."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _finite(content: Any) -> Any:
    """With null for every number that is not finite: JSON has no word for them."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(working: str, output: str) -> None:
    """Rename over nothing, an empty folder or (moved aside first) an older model."""
    if os.path.isdir(output) and os.listdir(output):
        aside = f"{working}.old"
        os.rename(output, aside)
        try:
            os.rename(working, output)
        except OSError:
            os.rename(aside, output)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(working, output)
