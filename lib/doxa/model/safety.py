"""What a model directory may ask for, checked on plain JSON before any library reads it."""

import json
import os
from typing import Any

from doxa.errors import DoxaError

_REFUSED_KEYS = ("auto_map", "trust_remote_code", "custom_pipelines", "quantization_config")
_REFUSED_PREFIXES = ("_attn_implementation", "attn_implementation", "_experts_implementation")


def read_config(directory: str) -> dict[str, Any]:
    """Return `config.json` as plain data.

    Raises DoxaError when the directory or the file is missing or cut, or when it asks for code from outside.
    """
    if not os.path.isdir(directory):
        raise DoxaError(f"{directory}: no such model directory")
    path = os.path.join(directory, "config.json")
    try:
        with open(path, "rb") as file:
            config = json.loads(file.read())
    except FileNotFoundError:
        if os.path.exists(os.path.join(directory, "adapter_config.json")):
            raise DoxaError(f"{directory} holds an adapter alone, to be put over its base; the folder above it is the whole model") from None
        raise DoxaError(f"{directory} is no model directory: config.json is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DoxaError(f"{path} is damaged: {error}") from None
    if not isinstance(config, dict):
        raise DoxaError(f"{path} is damaged: it holds no object")
    _refuse_code(config, path)
    return config


def _refuse_code(value: Any, path: str) -> None:
    if isinstance(value, list):
        for inner in value:
            _refuse_code(inner, path)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key in _REFUSED_KEYS or key.startswith(_REFUSED_PREFIXES):
            raise DoxaError(f'{path} asks for "{key}", which can bring code from outside; refused. '
                            "Remove it only if you trust the model without it")
        _refuse_code(inner, path)


def find_weights(directory: str) -> list[str]:
    """Return the names of the safetensors files.

    Raises DoxaError when there are none, or pickles only."""
    index = os.path.join(directory, "model.safetensors.index.json")
    names = ["model.safetensors"]
    if os.path.exists(index):
        try:
            with open(index, "rb") as file:
                names = sorted(set(json.loads(file.read())["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise DoxaError(f"{index} is damaged: {type(error).__name__} {error}") from None
        if not names:
            raise DoxaError(f"{index} is damaged: it names no weights")
    for name in names:
        if not isinstance(name, str) or os.path.basename(name) != name:
            raise DoxaError(f"{index} names a file outside the directory; refused")
        if not os.path.exists(os.path.join(directory, name)):
            pickles = [found for found in sorted(os.listdir(directory)) if found.endswith((".bin", ".pt", ".pth", ".ckpt"))]
            if pickles:
                raise DoxaError(
                    f"{directory} holds its weights as a pickle ({pickles[0]}), which can run code; where you trust it, convert "
                    "it with transformers: load it and save it with save_pretrained, which writes safetensors")
            raise DoxaError(f"{directory}: {name} is missing")
    return names
